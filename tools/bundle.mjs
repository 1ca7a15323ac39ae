/**
 * Puts the daemon's own modules into one file: Node needs a third of a second to find and load some hundred, which
 * every start would wait for. Packages stay packages. Run by `npm run build`, after the compiler.
 */
import { join, resolve } from 'node:path'
import { rolldown } from 'rolldown'

const dist = resolve(import.meta.dirname, '..', 'dist')

const bundle = await rolldown({
  input: join(dist, 'daemon', 'main.js'),
  platform: 'node',
  external: [/^[^./]/],
})
// As deep below the root as the modules were: they find the schemas relative to where they are.
await bundle.write({
  dir: join(dist, 'bundle'),
  entryFileNames: 'etcd.mjs',
  // What is imported only when it is needed: sub-commands.
  chunkFileNames: '[name].mjs',
  cleanDir: true,
  format: 'esm',
  sourcemap: true,
})
await bundle.close()
