const { readFileSync } = require('node:fs')
const { Module, createRequire } = require('node:module')
const { dirname, join, resolve } = require('node:path')
const { Script, constants } = require('node:vm')

const BUNDLE = resolve(__dirname, '..', 'dist', 'bundle', 'etcd.cjs')
const CODE_CACHE = join(dirname(BUNDLE), 'etcd.cache')

function readCodeCache() {
  try {
    return readFileSync(CODE_CACHE)
  } catch {
    return undefined
  }
}

/**
 * Runs the daemon's bundle as a CommonJS module. Compiling it takes longer than all else a start does, so the build
 * leaves V8's compiled form beside it; another version of Node.js rejects that and compiles anew.
 * Gives what the bundle exports, its script, and whether the compiled form was taken.
 */
function loadBundle() {
  // The same wrapper as Node's own for CommonJS: in one line with the source, so that line numbers hold.
  const source = Module.wrap(readFileSync(BUNDLE, 'utf8'))
  const cachedData = readCodeCache()
  const script = new Script(source, {
    filename: BUNDLE,
    cachedData,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  })
  const bundle = new Module(BUNDLE)
  bundle.filename = BUNDLE
  const requireFromBundle = createRequire(BUNDLE)
  // The parts that are loaded later ask for this module by its name and must get this one.
  requireFromBundle.cache[BUNDLE] = bundle
  const run = script.runInThisContext()
  run.call(bundle.exports, bundle.exports, requireFromBundle, bundle, BUNDLE, dirname(BUNDLE))
  bundle.loaded = true
  const isCached = cachedData !== undefined && script.cachedDataRejected === false
  return { exports: bundle.exports, script, isCached }
}

module.exports = { CODE_CACHE, loadBundle }
