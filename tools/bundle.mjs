/**
 * Puts the daemon's own modules, and the packages that every start needs, into one file: Node needs half a second to
 * find and load them one by one, which every start would wait for. Then leaves V8's compiled form beside it. Run by
 * `npm run build`, after the compiler.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { rolldown } from 'rolldown'

const dist = resolve(import.meta.dirname, '..', 'dist')

/** What every start needs; all other packages are found where they are installed, when they are needed. */
const BUNDLED = new Set(['fastify', 'level', 'pino', 'prom-client'])
/** Finds its native part by its own place. */
const NATIVE = 'classic-level'

function isExternal(id, importer) {
  if (id.startsWith('node:') || id === NATIVE) return true
  if (/^[./]/.test(id)) return false
  // Whatever a bundled package needs goes with it.
  return !BUNDLED.has(id) && importer?.includes('node_modules') !== true
}

const bundle = await rolldown({
  input: join(dist, 'daemon', 'main.js'),
  platform: 'node',
  external: isExternal,
})
// As deep below the root as the modules were: they find the schemas relative to where they are.
await bundle.write({
  dir: join(dist, 'bundle'),
  entryFileNames: 'etcd.cjs',
  // What is imported only when it is needed: sub-commands.
  chunkFileNames: '[name].cjs',
  cleanDir: true,
  format: 'cjs',
  sourcemap: true,
})
await bundle.close()

const [code, signal] = await once(
  spawn(process.execPath, [resolve(import.meta.dirname, 'code-cache.mjs')], { stdio: 'inherit' }),
  'exit',
)
if (code !== 0) {
  process.stderr.write(`no code cache was made (${signal ?? code}): starts will take longer\n`)
}
