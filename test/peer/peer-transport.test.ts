/** Goal: messages of every type arrive whole and in order; faults are noticed and told. Method: real sockets. */
import { connect, createServer as createTcpServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { logIndex, term } from '../../src/base/ids.js'
import type { SnapshotBody } from '../../src/ports/peer-network.js'
import { MESSAGE_TYPES } from '../../src/wire/raftpb.js'
import {
  attachedStreams,
  message,
  startCluster,
  startMember,
  type TestMember,
  until,
} from './cluster.js'
import { append, entries, id, Message, said, utf8 } from './messages.js'

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
    const [one, two] = await pair()
    await two.stop()
    await until(() => one.transport.activeSinceMs(two.id) === undefined)
    expect(one.log.has('peer became inactive (message send to peer failed)')).toBe(true)
    const again = await startMember(2, { port: two.port })
    members = [one, again]
    again.transport.addPeer(one.id, [one.url])
    await until(() => attachedStreams(one) === 4 && attachedStreams(again) === 2)
    expect(one.transport.activeSinceMs(two.id)).toBeGreaterThan(0)
    one.transport.send([append({ from: 1, to: 2, index: 0, entries: entries(1, 2) })])
    await until(() => again.events.delivered.length === 1)
  })
})
