const { readFileSync } = require('node:fs')
const { Module, createRequire } = require('node:module')
const { dirname, resolve, sep } = require('node:path')
const { Script } = require('node:vm')

const BUNDLE = resolve(__dirname, '..', 'dist', 'bundle', 'etcd.cjs')
const FOLDER = dirname(BUNDLE) + sep

const codeCacheOf = (file) => file.replace(/\.cjs$/, '.cache')

function readCodeCache(file) {
  try {
    return readFileSync(codeCacheOf(file))
  } catch {
    return undefined
  }
}

/** Scripts of the bundle's files that were loaded, and which of them came from their compiled form. */
const scripts = new Map()
const cached = new Set()

/** Compiles one file of the bundle as Node does a CommonJS module, from its compiled form if that fits. */
function compile(bundled, file) {
  // The same wrapper as Node's own: in one line with the source, so that line numbers hold.
  const source = Module.wrap(readFileSync(file, 'utf8'))
  const cachedData = readCodeCache(file)
  const script = new Script(source, { filename: file, cachedData })
  scripts.set(file, script)
  if (cachedData !== undefined && script.cachedDataRejected === false) cached.add(file)
  const run = script.runInThisContext()
  run.call(bundled.exports, bundled.exports, createRequire(file), bundled, file, dirname(file))
}

/**
 * Runs the daemon's bundle. Compiling it takes longer than all else a start does, so the build leaves V8's compiled
 * form beside each file that a start needs; another version of Node.js rejects that and compiles anew.
 * Gives what the bundle exports, the scripts by file, and the files whose compiled form was taken.
 */
function loadBundle() {
  const usual = Module._extensions['.js']
  Module._extensions['.cjs'] = (loading, file) =>
    file.startsWith(FOLDER) ? compile(loading, file) : usual(loading, file)
  return { exports: require(BUNDLE), scripts, cached }
}

module.exports = { codeCacheOf, loadBundle }
