/** Goal: every check of the peer port answers with etcd's status, headers and body. Method: raw HTTP requests. */
import { request } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CLUSTER, message, startMember, type TestMember, until } from './cluster.js'
import { append, entries, id, Message, snapshotMessage } from './messages.js'

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

let member: TestMember
beforeAll(async () => {
  member = await startMember(2)
  member.transport.addPeer(id(1), ['http://127.0.0.1:1'])
  member.events.removed.add(id(9))
})
afterAll(() => member.stop())
beforeEach(() => {
  member.events.delivered.length = 0
})

const IDENTITY = {
  'X-Server-From': '1',
  'X-Server-Version': '3.4.23',
  'X-Min-Cluster-Version': '3.0.0',
  'X-Etcd-Cluster-ID': CLUSTER.toString(16),
  'X-Raft-To': '2',
}

function ask(
  method: string,
  path: string,
  headers: Record<string, string | undefined> = {},
  body?: Uint8Array,
): Promise<Answer> {
  const set = Object.entries({ ...IDENTITY, ...headers }).filter(([, value]) => value !== undefined)
  return new Promise((resolve, reject) => {
    const outgoing = request({
      host: '127.0.0.1',
      port: member.port,
      method,
      path,
      headers: Object.fromEntries(set),
      agent: false,
    })
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      let text = ''
      const status = response.statusCode ?? 0
      const finish = (): void => resolve({ status, headers: response.headers, body: text })
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
      })
      response.on('end', finish)
      response.on('error', () => undefined)
      if (status === 200 && path.startsWith('/raft/stream')) {
        finish()
        outgoing.destroy()
      }
    })
    outgoing.end(body)
  })
}

const streams = ['/raft/stream/message/1', '/raft/stream/msgapp/1']
const posts = ['/raft', '/raft/snapshot']

describe('all endpoints', () => {
  test.each([...streams, ...posts])('%s refuses other versions and clusters', async (path) => {
    const method = posts.includes(path) ? 'POST' : 'GET'
    const cases: [Record<string, string | undefined>, string][] = [
      [{ 'X-Server-Version': '2.3.8' }, 'incompatible version\n'],
      [{ 'X-Server-Version': undefined }, 'incompatible version\n'],
      [{ 'X-Server-Version': 'new' }, 'incompatible version\n'],
      [{ 'X-Min-Cluster-Version': '3.6.0' }, 'incompatible version\n'],
      [{ 'X-Etcd-Cluster-ID': '1' }, 'cluster ID mismatch\n'],
      [{ 'X-Etcd-Cluster-ID': undefined }, 'cluster ID mismatch\n'],
    ]
    for (const [headers, body] of cases) {
      const answer = await ask(method, path, headers)
      expect([answer.status, answer.body]).toEqual([412, body])
      expect(answer.headers['x-etcd-cluster-id']).toBe(CLUSTER.toString(16))
      expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8')
    }
  })

  test.each([...streams, ...posts])('%s refuses other methods before all else', async (path) => {
    const isPost = posts.includes(path)
    const answer = await ask(isPost ? 'GET' : 'POST', path, { 'X-Etcd-Cluster-ID': '1' })
    expect([answer.status, answer.body]).toEqual([405, 'Method Not Allowed\n'])
    expect(answer.headers.allow).toBe(isPost ? 'POST' : 'GET')
  })

  test('leave other paths to others', async () => {
    for (const path of ['/', '/members', '/version', '/raft/', '/raft/other', '/raftx']) {
      expect((await ask('GET', path)).body).toBe('404 page not found\n')
    }
  })
})

describe('streams', () => {
  test.each([
    ['an unknown kind', '/raft/stream/msgappv3/1', {}, 404, 'invalid path\n'],
    ['no kind', '/raft/stream/1', {}, 404, 'invalid path\n'],
    ['an id that is not hex', '/raft/stream/message/xyz', {}, 404, 'invalid from\n'],
    ['no id', '/raft/stream/message/', {}, 404, 'invalid from\n'],
    ['a removed member', '/raft/stream/message/9', {}, 410, 'removed member\n'],
    ['a stranger', '/raft/stream/message/77', {}, 404, 'error sender not found\n'],
    ['another target', '/raft/stream/msgapp/1', { 'X-Raft-To': '3' }, 412, 'to field mismatch\n'],
    ['no target', '/raft/stream/msgapp/1', { 'X-Raft-To': undefined }, 412, 'to field mismatch\n'],
  ])('are refused to %s', async (_, path, headers, status, body) => {
    const answer = await ask('GET', path, headers)
    expect([answer.status, answer.body]).toEqual([status, body])
    expect(answer.headers['x-server-version']).toBe('3.5.33')
  })

  test.each(streams)('are opened at %s with version and cluster id', async (path) => {
    const answer = await ask('GET', path)
    expect(answer).toMatchObject({
      status: 200,
      headers: {
        'x-server-version': '3.5.33',
        'x-etcd-cluster-id': CLUSTER.toString(16),
        'transfer-encoding': 'chunked',
      },
    })
  })

  test('a stranger with peer URLs can be answered from then on', async () => {
    await ask('GET', '/raft/stream/message/78', { 'X-PeerURLs': 'nonsense,http://127.0.0.1:1' })
    expect(member.log.has('added new remote peer')).toBe(true)
    member.transport.send([append({ from: 2, to: 0x78, index: 0, entries: [] })])
    await until(() => member.events.unreachables.includes(id(0x78)))
  })
})

describe('posted messages', () => {
  const toUs = append({ from: 1, to: 2, index: 0, entries: entries(1, 3) })

  test('are delivered and answered with 204 and nothing', async () => {
    const answer = await ask('POST', '/raft', {}, Message.encode(toUs))
    expect([answer.status, answer.body]).toEqual([204, ''])
    expect(member.events.delivered).toMatchObject([{ type: 'MsgApp', from: 1n, entries: [{}, {}] }])
  })

  test.each([
    ['that are none', Buffer.from('0f0f', 'hex'), 400, 'error unmarshalling raft message\n'],
    [
      'of a removed member',
      Message.encode(append({ from: 9, to: 2, index: 0, entries: [] })),
      403,
      '{"message":"cannot process message from removed member"}',
    ],
    [
      'to another member',
      Message.encode(append({ from: 1, to: 3, index: 0, entries: [] })),
      403,
      '{"message":"cannot process message to mismatch member"}',
    ],
  ])('%s are refused', async (_, body, status, text) => {
    const answer = await ask('POST', '/raft', { 'X-Server-From': '9' }, body)
    expect([answer.status, answer.body]).toEqual([status, text])
    expect(answer.headers['content-type']).toBe(
      status === 403 ? 'application/json' : 'text/plain; charset=utf-8',
    )
    expect(member.events.delivered).toEqual([])
  })

  test('of a removed member that another passes on are answered but go nowhere', async () => {
    const passedOn = Message.encode(message({ type: 'MsgReadIndex', from: id(9), to: id(2) }))
    expect((await ask('POST', '/raft', { 'X-Server-From': '1' }, passedOn)).status).toBe(204)
    expect(member.events.delivered).toEqual([])
  })

  test('of local types are answered but go nowhere', async () => {
    const hup = Message.encode({ type: 'MsgHup', from: id(1), to: id(2) })
    expect((await ask('POST', '/raft', {}, hup)).status).toBe(204)
    expect(member.events.delivered).toEqual([])
  })
})

describe('posted snapshots', () => {
  const framed = (message: Uint8Array, claimed = message.length): Uint8Array => {
    const head = Buffer.alloc(8)
    head.writeBigUInt64BE(BigInt(claimed))
    return Buffer.concat([head, message])
  }
  const snapshot = (from: number, to: number): Uint8Array =>
    framed(Message.encode(snapshotMessage({ from, to, index: 7 })))

  test.each([
    ['no body', new Uint8Array(0), 400, 'failed to decode raft message (unexpected EOF)\n'],
    [
      'half a message',
      framed(new Uint8Array(4), 9),
      400,
      'failed to decode raft message (unexpected EOF)\n',
    ],
    [
      'a message beyond the limit',
      framed(new Uint8Array(4), 2 ** 40),
      400,
      'failed to decode raft message (rafthttp: error limit exceeded)\n',
    ],
    [
      'another type',
      framed(Message.encode(append({ from: 1, to: 2, index: 0, entries: [] }))),
      400,
      'wrong raft message type\n',
    ],
    [
      'a removed sender',
      snapshot(9, 2),
      403,
      '{"message":"cannot process message from removed member"}',
    ],
    [
      'another target',
      snapshot(1, 3),
      403,
      '{"message":"cannot process message to mismatch member"}',
    ],
    [
      'a body that we cannot take',
      snapshot(1, 2),
      500,
      'failed to save KV snapshot (no snapshots here)\n',
    ],
  ])('with %s are refused', async (_, body, status, text) => {
    const answer = await ask('POST', '/raft/snapshot', {}, body)
    expect([answer.status, answer.body]).toEqual([status, text])
    expect(member.events.delivered).toEqual([])
  })
})

test('a probe is answered with our time', async () => {
  const before = Date.now()
  const answer = await ask('GET', '/raft/probing')
  expect(answer.status).toBe(200)
  const match = /^\{"OK":true,"Now":"([^"]+)"\}\n$/.exec(answer.body)
  expect(Date.parse(match?.[1] ?? '')).toBeGreaterThanOrEqual(before)
})
