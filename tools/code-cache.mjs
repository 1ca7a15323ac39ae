/**
 * Starts a member, so that V8 has compiled what a start runs, and writes the compiled form beside each of the bundle's files
 * (bin/load-bundle.js reads it). The member listens on sockets below a temporary folder.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const { codeCacheOf, loadBundle } = createRequire(import.meta.url)('../bin/load-bundle.js')

const parent = join(root, '.tmp')
mkdirSync(parent, { recursive: true })
const folder = mkdtempSync(join(parent, 'code-cache-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const urls = ['http://127.0.0.1:0']
const { exports, scripts } = loadBundle()
await exports.main([
  ...['--data-dir', join(folder, 'data'), '--log-outputs', '/dev/null'],
  ...['--listen-client-urls', urls[0], '--advertise-client-urls', urls[0]],
  ...['--listen-peer-urls', urls[0], '--initial-advertise-peer-urls', urls[0]],
  ...['--initial-cluster', `default=${urls[0]}`],
])
for (const [file, script] of scripts) {
  const cache = codeCacheOf(file)
  writeFileSync(`${cache}.new`, script.createCachedData())
  renameSync(`${cache}.new`, cache)
}
process.exit(0)
