/** Goal: the whole transport works over TLS, with options asked anew at each dial. Method: self-signed peers. */
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { expect, test } from 'vitest'
import { fetchVersion } from '../../src/peer/cluster-discovery.js'
import { attachedStreams, startMember, type TestMember, until } from './cluster.js'
import { append, entries, id, said, snapshotMessage } from './messages.js'
import { CERTIFICATE, KEY } from './tls-fixture.js'

/** Puts an HTTPS listener in front of a member's transport. */
async function serveTls(member: TestMember): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer({ cert: CERTIFICATE, key: KEY }, (request, response) => {
    if (member.transport.handlePeerRequest(request, response)) return
    response.end('{"etcdserver":"3.5.33","etcdcluster":"3.5.0"}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const stop = async (): Promise<void> => {
    await member.stop()
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, stop }
}

test('streams, pipeline, snapshots and calls go over TLS', async () => {
  let asked = 0
  const tlsClientOptions = (): ConnectionOptions => {
    asked++
    return { ca: CERTIFICATE, cert: CERTIFICATE, key: KEY }
  }
  const [one, two] = [
    await startMember(1, { tlsClientOptions }),
    await startMember(2, { tlsClientOptions }),
  ]
  const [first, second] = [await serveTls(one), await serveTls(two)]
  one.transport.addPeer(two.id, [second.url])
  const piped = append({ from: 1, to: 2, index: 0, entries: entries(1, 2) })
  one.transport.send([piped])
  await until(() => two.events.delivered.length === 1)
  two.transport.addPeer(one.id, [first.url])
  await until(() => attachedStreams(one) >= 2 && attachedStreams(two) >= 2)
  const large = entries(2, 4).map((entry) => ({ ...entry, data: new Uint8Array(300_000) }))
  const streamed = append({ from: 1, to: 2, index: 1, entries: large })
  one.transport.send([streamed])
  await until(() => two.events.delivered.length === 2)
  expect(two.events.delivered.map(said)).toEqual([piped, streamed].map(said))

  let bytes = 0
  two.events.onSnapshot = async (_, body) => {
    for await (const chunk of body) bytes += chunk.length
  }
  let chunks = 20
  const body = {
    next: async () => (chunks-- > 0 ? new Uint8Array(100_000) : undefined),
    close: () => undefined,
  }
  one.transport.sendSnapshot(snapshotMessage({ from: 1, to: 2, index: 9 }), body)
  await until(() => one.events.snapshots.length === 1)
  expect([one.events.snapshots, bytes]).toEqual([[['finish', 2n]], 2_000_000])

  const calls = { dialTimeoutMs: 10_000, timeoutMs: 10_000, tlsClientOptions }
  expect(await fetchVersion([second.url], calls)).toMatchObject({ etcdserver: '3.5.33' })
  expect(asked).toBeGreaterThanOrEqual(7)
  await Promise.all([first.stop(), second.stop()])
})

test('a peer whose certificate we do not trust stays inactive', async () => {
  const [one, two] = [await startMember(1), await startMember(2)]
  const second = await serveTls(two)
  one.transport.addPeer(id(2), [second.url])
  const isTold = (): boolean =>
    one.log.lines.some(({ fields }) => /failed to dial 2 .*self.signed/.test(String(fields.error)))
  await until(isTold)
  expect(one.transport.activeSinceMs(id(2))).toBeUndefined()
  await Promise.all([one.stop(), second.stop()])
})

test('TLS options that cannot be had fail the dial, not the process', async () => {
  const tlsClientOptions = (): ConnectionOptions => {
    throw new Error('the key file is gone')
  }
  const one = await startMember(1, { tlsClientOptions })
  one.transport.addPeer(id(2), ['https://127.0.0.1:1'])
  one.transport.send([append({ from: 1, to: 2, index: 0, entries: [] })])
  one.transport.sendSnapshot(snapshotMessage({ from: 1, to: 2, index: 9 }), {
    next: async () => undefined,
    close: () => undefined,
  })
  const isTold = (): boolean =>
    one.log.lines.some(({ fields }) => String(fields.error).includes('the key file is gone'))
  await until(isTold)
  await until(() => one.events.snapshots.length === 1 && one.events.unreachables.length >= 2)
  expect(one.events.snapshots).toEqual([['failure', 2n]])
  await one.stop()
})
