/** Goal: messages of every type arrive whole and in order; faults are noticed and told. Method: real sockets. */
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { clusterId, logIndex, type MemberId, term } from '../../src/base/ids.js'
import {
  PIPELINE_QUEUE_MAX,
  PIPELINE_WORKERS,
  STREAM_BYTES_MAX,
  STREAM_MESSAGES_MAX,
} from '../../src/peer/peer-limits.js'
import { MESSAGE_TYPES } from '../../src/wire/raftpb.js'
import { freePort } from '../interop/support/ports.js'
import {
  attachedStreams,
  CLUSTER,
  clock,
  message,
  QUICK,
  SILENT,
  startCluster,
  startMember,
  type TestMember,
  until,
} from './cluster.js'
import { append, type Entry, entries, id, said, utf8 } from './messages.js'

let members: TestMember[] = []
afterEach(async () => {
  await Promise.all(members.map((member) => member.stop()))
  members = []
})

async function cluster(count: number): Promise<TestMember[]> {
  members = await startCluster(count)
  return members
}

const pair = async (): Promise<[TestMember, TestMember]> =>
  (await cluster(2)) as [TestMember, TestMember]

const LOCAL_TYPES = new Set(
  ['MsgHup', 'MsgBeat', 'MsgUnreachable', 'MsgSnapStatus', 'MsgCheckQuorum'].concat(
    MESSAGE_TYPES.filter((type) => type.startsWith('MsgStorage')),
  ),
)

describe('streams', () => {
  test('carry every type of message that members exchange', async () => {
    const [one, two] = await pair()
    const types = MESSAGE_TYPES.filter((type) => !LOCAL_TYPES.has(type) && type !== 'MsgSnap')
    const sent = types.map((type) =>
      message({
        type,
        from: one.id,
        to: two.id,
        term: term(7),
        logTerm: term(6),
        index: logIndex(2 ** 40),
        entries: type === 'MsgProp' || type === 'MsgApp' ? entries(5, 8) : [],
        commit: logIndex(4),
        reject: type === 'MsgAppResp',
        rejectHint: logIndex(3),
        context: utf8('context'),
      }),
    )
    one.transport.send(sent)
    await until(() => two.events.delivered.length === sent.length)
    expect(two.events.delivered.map(said).sort()).toEqual(sent.map(said).sort())
  })

  test('keep the order of messages, also across many turns', async () => {
    const [one, two] = await pair()
    for (let turn = 0; turn < 50; turn++) {
      const batch = [0, 1, 2, 3].map((at) =>
        append({
          from: 1,
          to: 2,
          index: turn * 4 + at,
          entries: entries(turn * 4 + at + 1, turn * 4 + at + 2),
        }),
      )
      one.transport.send(batch)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => two.events.delivered.length === 200)
    expect(two.events.delivered.map(({ index }) => index)).toEqual([...Array(200).keys()])
    const texts = two.events.delivered.map(({ entries: [first] }) =>
      Buffer.from(first?.data ?? []).toString(),
    )
    expect(texts.slice(0, 2)).toEqual(['value 1', 'value 2'])
  })

  test('bring the same entries to two followers, and a large batch whole', async () => {
    const [one, two, three] = (await cluster(3)) as [TestMember, TestMember, TestMember]
    const big = entries(1, 4)
    const large = big.map((entry) => ({
      ...entry,
      data: new Uint8Array(400_000).fill(entry.index),
    }))
    const sent = [2, 3].map((to) => append({ from: 1, to, index: 0, entries: large }))
    one.transport.send(sent)
    await until(() => two.events.delivered.length === 1 && three.events.delivered.length === 1)
    expect([two, three].map(({ events }) => events.delivered.map(said))).toEqual(
      sent.map((m) => [said(m)]),
    )
  })

  test('are dialled again after the other side restarted', async () => {
    // A port that no other test gets while nobody listens on it.
    const port = await freePort()
    const [one, two] = [await startMember(1), await startMember(2, { port })]
    members = [one, two]
    one.transport.addPeer(two.id, [two.url])
    two.transport.addPeer(one.id, [one.url])
    await until(() => attachedStreams(one) >= 2 && attachedStreams(two) >= 2)
    const before = attachedStreams(one)
    await two.stop()
    await until(() => one.transport.activeSinceMs(two.id) === undefined)
    expect(one.log.has('peer became inactive (message send to peer failed)')).toBe(true)
    const again = await startMember(2, { port })
    members = [one, again]
    again.transport.addPeer(one.id, [one.url])
    await until(() => attachedStreams(one) >= before + 2 && attachedStreams(again) >= 2)
    expect(one.transport.activeSinceMs(two.id)).toBeGreaterThan(0)
    one.transport.send([append({ from: 1, to: 2, index: 0, entries: entries(1, 2) })])
    await until(() => again.events.delivered.length === 1)
  })

  test('drop and report what finds no room, and carry on behind it', async () => {
    const [one, two] = await pair()
    const count = 10_000
    const batch = Array.from({ length: count }, (_, at) =>
      message({ type: 'MsgHeartbeat', from: one.id, to: two.id, commit: logIndex(at) }),
    )
    one.transport.send(batch)
    const dropped = one.events.unreachables.length
    expect(dropped).toBe(count - STREAM_MESSAGES_MAX)
    const line = 'dropped internal Raft message since sending buffer is full (overloaded network)'
    expect(one.log.lines.filter((entry) => entry.message === line)).toHaveLength(dropped)
    await until(() => two.events.delivered.length === STREAM_MESSAGES_MAX)
    one.transport.send([message({ type: 'MsgHeartbeat', from: one.id, to: two.id })])
    await until(() => two.events.delivered.length === STREAM_MESSAGES_MAX + 1)
  })

  test('bound the bytes that wait for a peer that does not read, and give it up', async () => {
    const one = await startMember(1, {
      // Not so short that it is given up before its buffers are full, on a machine that stalls.
      timings: { ...QUICK, streamIdleMs: 400, streamStuckMs: 400 },
    })
    members = [one]
    one.transport.addPeer(id(2), ['http://127.0.0.1:1'])
    // The peer dials, but its process sleeps: the connection stands and nobody reads it.
    const sleeper = connect(one.port, '127.0.0.1').pause()
    sleeper.on('error', () => undefined)
    const headers = [
      'Host: x',
      'X-Server-Version: 3.5.0',
      'X-Raft-To: 1',
      `X-Etcd-Cluster-ID: ${CLUSTER.toString(16)}`,
    ]
    sleeper.write(`GET /raft/stream/msgapp/2 HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`)
    await until(() => attachedStreams(one) === 1)
    const big = { ...entries(1, 2)[0], data: new Uint8Array(1 << 20) } as Entry
    let sent = 0
    while (one.events.unreachables.length === 0 && sent < 200) {
      one.transport.send([append({ from: 1, to: 2, index: sent++, entries: [big] })])
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(sent).toBeGreaterThan(STREAM_BYTES_MAX >> 20)
    expect(sent).toBeLessThan((STREAM_BYTES_MAX >> 20) + 20)
    const isGivenUp = (): boolean =>
      one.log.lines.some(({ fields }) =>
        String(fields.error).includes('heartbeat 2 on stream MsgApp'),
      )
    await until(isGivenUp)
    sleeper.destroy()
  })

  test('that fall silent are closed and dialled again', async () => {
    const one = await startMember(1, {
      timings: { ...QUICK, streamIdleMs: 200, streamStuckMs: 200 },
    })
    const silent = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.write(
        'HTTP/1.1 200 OK\r\nX-Server-Version: 3.5.0\r\nTransfer-Encoding: chunked\r\n\r\n',
      )
    })
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    members = [one]
    one.transport.addPeer(id(2), [`http://127.0.0.1:${port}`])
    const established = 'established TCP streaming connection with remote peer'
    const count = (line: string): number =>
      one.log.lines.filter((entry) => entry.message === line).length
    await until(() => count(established) >= 4)
    expect(count('lost TCP streaming connection with remote peer')).toBeGreaterThanOrEqual(2)
    const lost = one.log.lines.find(({ message: line }) => line.startsWith('lost TCP'))
    expect(lost?.fields.error).toBe('i/o timeout')
    await one.stop()
    members = []
    silent.close()
  })

  test('from a peer that talks nonsense are closed with the reason', async () => {
    const one = await startMember(1)
    const liar = createServer((socket) => {
      socket.on('error', () => undefined)
      const head =
        'HTTP/1.1 200 OK\r\nX-Server-Version: 3.5.0\r\nTransfer-Encoding: chunked\r\n\r\n'
      socket.write(`${head}1\r\n\x07\r\n`)
    })
    await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve))
    const { port } = liar.address() as AddressInfo
    members = [one]
    one.transport.addPeer(id(2), [`http://127.0.0.1:${port}`])
    const isTold = (): boolean =>
      one.log.lines.some(
        ({ fields }) => fields.error === 'failed to parse type 7 in msgappv2 stream',
      )
    await until(isTold)
    await one.stop()
    members = []
    liar.close()
  })

  test('of a peer too old to write them are not used', async () => {
    const one = await startMember(1)
    let dials = 0
    const old = createHttpServer((_, response) => {
      dials++
      response.end()
    })
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve))
    members = [one]
    const { port } = old.address() as AddressInfo
    one.transport.addPeer(id(2), [`http://127.0.0.1:${port}`])
    await until(() => dials >= 2)
    expect(one.log.has('established TCP streaming connection with remote peer')).toBe(false)
    old.close()
    old.closeAllConnections()
  })

  test('move on to the next URL of a peer after a failure', async () => {
    const one = await startMember(1)
    const two = await startMember(2)
    members = [one, two]
    two.transport.addPeer(one.id, [one.url])
    one.transport.addPeer(two.id, ['http://127.0.0.1:1', two.url])
    await until(() => attachedStreams(two) >= 2)
  })
})

describe('a removed member', () => {
  test('learns it once from the streams it dials', async () => {
    const one = await startMember(1)
    const two = await startMember(2)
    members = [one, two]
    two.events.removed.add(one.id)
    one.transport.addPeer(two.id, [two.url])
    await until(() => one.events.removals > 0)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(one.events.removals).toBe(1)
  })

  test('learns it from a message it posts', async () => {
    const one = await startMember(1)
    const two = await startMember(2)
    members = [one, two]
    two.events.removed.add(one.id)
    one.transport.addRemote(two.id, [two.url])
    one.transport.send([message({ type: 'MsgAppResp', from: one.id, to: two.id })])
    await until(() => one.events.removals === 1)
    expect(two.events.delivered).toEqual([])
  })

  test.each([
    ['of a removed member that it passes on', 9, 'cannot process message from removed member'],
    ['to the one before at that address', 1, 'cannot process message to mismatch member'],
  ])('is not what a member takes itself for when a message %s is refused', async (_, from, body) => {
    const server = createHttpServer((request, response) => {
      request.resume()
      response.writeHead(403, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify({ message: body }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const one = await startMember(1)
      members = [one]
      const { port } = server.address() as AddressInfo
      one.transport.addRemote(id(2), [`http://127.0.0.1:${port}`])
      one.transport.send([message({ type: 'MsgReadIndex', from: id(from), to: id(2) })])
      await until(() => one.events.unreachables.length === 1)
      expect(one.events.removals).toBe(0)
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })

  test('still gets what was sent just before it was removed here', async () => {
    const [one, two] = await pair()
    one.transport.send([append({ from: 1, to: 2, index: 0, entries: entries(1, 2) })])
    one.transport.removePeer(two.id)
    await until(() => two.events.delivered.length === 1)
    expect(one.transport.activeSinceMs(two.id)).toBeUndefined()
  })

  test('is refused when its messages come over a stream', async () => {
    const [one, two] = await pair()
    two.events.removed.add(one.id)
    one.transport.send([message({ type: 'MsgHeartbeat', from: one.id, to: two.id })])
    await until(() => two.log.has('rejected Raft message from removed member'))
    expect(two.events.delivered).toEqual([])
  })
})

describe('the pipeline', () => {
  test('carries messages while no stream is attached', async () => {
    const one = await startMember(1)
    const two = await startMember(2)
    members = [one, two]
    one.transport.addPeer(two.id, [two.url])
    const batch = entries(1, 41).map((entry) =>
      append({ from: 1, to: 2, index: entry.index - 1, entries: [entry] }),
    )
    one.transport.send(batch)
    await until(() => two.events.delivered.length === batch.length)
    expect(two.events.delivered.map(said).sort()).toEqual(batch.map(said).sort())
    expect(one.log.has('peer became active')).toBe(true)
  })

  test('drops and reports what its queue cannot hold', async () => {
    const one = await startMember(1)
    const two = await startMember(2)
    members = [one, two]
    one.transport.addRemote(two.id, [two.url])
    const heartbeat = message({ type: 'MsgHeartbeat', from: one.id, to: two.id })
    one.transport.send(Array.from({ length: 100 }, () => heartbeat))
    expect(one.events.unreachables).toHaveLength(100 - PIPELINE_QUEUE_MAX - PIPELINE_WORKERS)
    await until(() => two.events.delivered.length === PIPELINE_QUEUE_MAX + PIPELINE_WORKERS)
  })

  test('reports a peer that cannot be reached', async () => {
    const one = await startMember(1)
    members = [one]
    one.transport.addPeer(id(2), ['http://127.0.0.1:1'])
    one.transport.send([message({ type: 'MsgHeartbeat', from: one.id, to: id(2) })])
    await until(() => one.events.unreachables.length === 1)
    const line = one.log.lines.find(({ message: text }) => text === 'peer deactivated again')
    expect(line?.fields.error).toContain('dial tcp 127.0.0.1:1: connect: connection refused')
  })

  test('tells of a cluster id that differs, and only deactivates the peer', async () => {
    const one = await startMember(1, { clusterId: clusterId(1n) })
    const two = await startMember(2)
    members = [one, two]
    one.transport.addRemote(two.id, [two.url])
    one.transport.send([message({ type: 'MsgHeartbeat', from: one.id, to: two.id })])
    await until(() => one.log.has('request sent was ignored due to cluster ID mismatch'))
    expect(one.events.removals).toBe(0)
  })
})

describe('probes', () => {
  test('measure the way to a peer and warn of a clock that is off', async () => {
    const seconds: number[] = []
    const one = await startMember(1, {
      observer: { ...SILENT, roundTrip: (_, s) => seconds.push(s) },
    })
    const wrong = { ...clock, wallMs: () => Date.now() - 10_000 }
    const two = await startMember(2, { clock: wrong })
    members = [one, two]
    one.transport.addPeer(two.id, [two.url])
    // A probe that was held up on its way measures another drift; the next one does not.
    const isMeasured = (): boolean =>
      one.log.lines.some(
        ({ message: line, fields }) =>
          line === 'prober found high clock drift' &&
          /^(9|10)(\.\d+)?s$/.test(String(fields['clock-drift'])),
      )
    await until(() => isMeasured() && seconds.some((s) => s > 0))
  })

  test('warn of a peer that does not answer', async () => {
    const one = await startMember(1)
    members = [one]
    one.transport.addPeer(id(2), ['http://127.0.0.1:1'])
    await until(() => one.log.has('prober detected unhealthy status'))
  })
})

test('an observer sees traffic and activity', async () => {
  const seen = { sent: 0, received: 0, active: [] as boolean[] }
  const observer = {
    ...SILENT,
    sent: (_: MemberId, bytes: number) => {
      seen.sent += bytes
    },
    activeChanged: (_: MemberId, isActive: boolean) => {
      seen.active.push(isActive)
    },
  }
  const one = await startMember(1, { observer })
  const two = await startMember(2, {
    observer: {
      ...SILENT,
      received: (from: MemberId, bytes: number) => {
        if (from === id(1)) seen.received += bytes
      },
    },
  })
  members = [one, two]
  one.transport.addPeer(two.id, [two.url])
  two.transport.addPeer(one.id, [one.url])
  await until(() => attachedStreams(one) >= 2)
  const sentBefore = seen.sent
  one.transport.send([append({ from: 1, to: 2, index: 0, entries: entries(1, 2) })])
  await until(() => seen.received > 0)
  expect(seen.sent - sentBefore).toBeGreaterThanOrEqual(seen.received)
  one.transport.removePeer(two.id)
  expect(seen.active).toEqual([true, false])
})

test('stopping leaves no connection and no timer behind', async () => {
  const [one, two] = await pair()
  one.transport.send([append({ from: 1, to: 2, index: 0, entries: entries(1, 2) })])
  const servers = members.map(({ server }) => server)
  for (const { transport } of members) transport.stop()
  members = []
  const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)))
  await Promise.all(closed)
  expect(two.events.delivered.length).toBeLessThanOrEqual(1)
  // What a stopped transport is asked or told has no effect.
  one.transport.addPeer(two.id, [two.url])
  one.transport.send([append({ from: 1, to: 2, index: 0, entries: [] })])
  expect(one.transport.activeSinceMs(two.id)).toBeUndefined()
})
