/** The conformance suite h2spec, in full, where its binary is on the path (or named by H2SPEC). */
import { spawn, spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { startHelloServer } from '../http2/hello-server.js'

const h2spec = process.env.H2SPEC ?? 'h2spec'
const isMissing = spawnSync(h2spec, ['--version']).error !== undefined

test.skipIf(isMissing)(
  `h2spec passes (generic, http2, hpack)${isMissing ? ': skipped, no h2spec on the path' : ''}`,
  async () => {
    const server = await startHelloServer({ settingsMax: 1_000, concurrentStreamsMax: 100 })
    const child = spawn(h2spec, ['-h', '127.0.0.1', '-p', String(server.port), '--timeout', '2'])
    let out = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    const code = await new Promise((resolve) => child.on('close', resolve))
    await server.close()
    expect(server.errors).toEqual([])
    expect(code, out.slice(out.indexOf('Failures:'))).toBe(0)
  },
)
