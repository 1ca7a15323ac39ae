// Goal: who connects and then does nothing, or only begins, is cut off in time and costs nobody else anything. Method: a
// listener with short limits, plain and TLS; sockets that stop at each point, beside one that is served.
import { mkdirSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Listener, type ListenerOptions } from '../../src/daemon/listener.js'
import { selfSignedCertificate } from '../../src/platform/self-signed.js'
import { TlsIdentity } from '../../src/platform/tls.js'
import { MemoryLog } from '../api-v2/memory-log.js'

const folder = join(import.meta.dirname, '../../.tmp/listener')
/** Short, as the tests wait for it; whoever is served is served well within it, on a machine that stalls too. */
const LIMIT_MS = 2000
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
let tls: TlsIdentity
let listener: Listener | undefined

beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const nowMs = Date.now()
  const files = await selfSignedCertificate({
    ...{ directory: folder, hosts: ['127.0.0.1'], validityYears: 1, nowMs },
  })
  tls = new TlsIdentity({
    ...{ ...files, clientCertFile: '', clientKeyFile: '', trustedCaFile: '' },
    ...{ clientCertAuth: false, minVersion: 'TLS1.2', maxVersion: undefined },
    ...{ cipherSuites: [], skipServerVerification: false },
  })
})
afterEach(() => {
  listener?.stopAccepting()
  listener?.destroyConnections()
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A listener that says which protocol it found; returns its port. */
async function listen(options: Partial<ListenerOptions>): Promise<number> {
  listener = new Listener({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    tls: undefined,
    side: 'client',
    log: new MemoryLog(),
    targets: {
      http1: (socket) => socket.write('http1'),
      http2: (socket) => socket.write('http2'),
    },
    firstBytesTimeoutMs: LIMIT_MS,
    handshakeTimeoutMs: LIMIT_MS,
    ...options,
  })
  await listener.listen()
  return Number(listener.boundAddress.split(':')[1])
}

/** Resolves when the other side has closed the socket. */
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.resume()
    socket.on('error', () => undefined)
    socket.once('close', () => resolve())
  })

const firstText = (socket: Socket): Promise<string> =>
  new Promise((resolve, reject) => {
    socket.once('data', (bytes) => resolve(String(bytes)))
    socket.once('error', reject)
  })

describe('who stops half-way is cut off', () => {
  test.each([
    ['without a byte', ''],
    ['inside the preface of HTTP/2', PREFACE.slice(0, 10)],
  ])('plain, %s', async (_where, begun) => {
    const port = await listen({})
    const silent = connect(port, '127.0.0.1')
    silent.write(begun)
    const end = closed(silent)
    const served = connect(port, '127.0.0.1')
    served.write(PREFACE)
    expect(await firstText(served)).toBe('http2')
    await end
    // What is known is nobody's to cut off here: its own engine has limits of its own.
    expect(served.closed).toBe(false)
    served.destroy()
  })

  test.each([
    ['without a byte', Buffer.alloc(0)],
    ['inside the first record', Buffer.from('160301', 'hex')],
    ['behind a record of rubbish', Buffer.from('16030100050100000100', 'hex')],
  ])('in the TLS handshake, %s', async (_where, begun) => {
    const port = await listen({ tls })
    const silent = connect(port, '127.0.0.1')
    silent.write(begun)
    const end = closed(silent)
    const served = connectTls({
      ...{ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] },
    })
    expect(await firstText(served)).toBe('http2')
    await end
    expect(served.closed).toBe(false)
    served.destroy()
  })

  test('behind the TLS handshake', async () => {
    const port = await listen({ tls })
    const silent = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    await closed(silent)
  })
})
