/**
 * What one client sees of its watches: requests in, decoded responses out, over a model of the
 * store.
 */
import { describe, expect, test } from 'vitest'
import { latin1FromBytes } from '../../src/base/latin1.js'
import { CONTROL_BYTES_MAX } from '../../src/watch/limits.js'
import { WatchRequest, WatchResponse } from '../../src/wire/rpc.js'
import { setUp } from './setup.js'
import { TestClient } from './test-client.js'

/** Events as `PUT a=1@2`, with `(was 0)` when there is a prev_kv. */
function told(response: WatchResponse | undefined): string[] {
  return (response?.events ?? []).map(({ type, kv, prevKv }) => {
    const key = latin1FromBytes(kv?.key ?? new Uint8Array())
    const value = latin1FromBytes(kv?.value ?? new Uint8Array())
    const was = prevKv === undefined ? '' : ` (was ${latin1FromBytes(prevKv.value)})`
    return `${type} ${key}=${value}@${kv?.modRevision}${was}`
  })
}

const allTold = (client: TestClient): string[] => client.take().flatMap(told)

describe('creating', () => {
  test('answers with the current revision, the header of the member and an id from 0 on', () => {
    const { hub, put } = setUp()
    put('a', '1')
    const client = new TestClient(hub)
    client.create({ key: 'a' })
    client.create({ key: 'b' })
    const [first, second] = client.take()
    expect(first).toMatchObject({ watchId: 0, created: true, canceled: false, cancelReason: '' })
    expect(first?.header).toEqual({
      clusterId: 0xcafen,
      memberId: 0xfeedn,
      revision: 2,
      raftTerm: 3,
    })
    expect(first?.events).toEqual([])
    expect(second).toMatchObject({ watchId: 1, created: true })
    expect(hub.watcherCount).toBe(2)
  })

  test('takes the id that the client chose, and passes over it when numbering others', () => {
    const { hub } = setUp()
    const client = new TestClient(hub)
    client.create({ key: 'a', id: 1 })
    client.create({ key: 'a' })
    client.create({ key: 'a' })
    expect(client.take().map((response) => response.watchId)).toEqual([1, 0, 2])
  })

  test('refuses an id in use, an empty range and a negative revision, each with its text', () => {
    const { hub } = setUp()
    const client = new TestClient(hub)
    client.create({ key: 'a', id: 7 })
    client.create({ key: 'a', id: 7 })
    client.create({ key: 'b', end: 'a' })
    client.create({ key: 'b', end: 'b' })
    client.create({ key: 'b', from: -1 })
    const [, ...refused] = client.take()
    for (const one of refused) {
      expect(one).toMatchObject({ watchId: -1, created: true, canceled: true, compactRevision: 0 })
    }
    expect(refused.map((one) => one.cancelReason)).toEqual([
      'mvcc: duplicate watch ID provided on the WatchStream',
      'mvcc: watcher range is empty',
      'mvcc: watcher range is empty',
      'etcdserver: mvcc: required revision has been compacted',
    ])
    expect(hub.watcherCount).toBe(1)
  })

  test('an id is free again after its watch was canceled', () => {
    const { hub } = setUp()
    const client = new TestClient(hub)
    client.create({ key: 'a', id: 7 })
    client.cancel(7)
    client.create({ key: 'a', id: 7 })
    expect(client.take()[2]).toMatchObject({ watchId: 7, created: true, canceled: false })
  })

  test('asks for permission with the key and end as they are watched', () => {
    const { hub, put } = setUp()
    const asked: string[][] = []
    const client = new TestClient(hub, {
      mayWatch: (key, end) => {
        asked.push([key, end])
        return key === 'secret' ? 'rpc error: code = PermissionDenied' : undefined
      },
    })
    client.create({ key: '', end: '\0' })
    client.create({ key: 'secret' })
    expect(asked).toEqual([
      ['\0', '\0'],
      ['secret', ''],
    ])
    const [, refused] = client.take()
    expect(refused).toMatchObject({
      watchId: -1,
      created: true,
      canceled: true,
      cancelReason: 'rpc error: code = PermissionDenied',
    })
    put('secret', '1')
    expect(allTold(client)).toEqual(['PUT secret=1@2'])
  })
})

describe('events', () => {
  test('reach single keys, ranges, everything from a key on, and everything', () => {
    const { hub, put } = setUp()
    const ranges = [
      { key: 'b' },
      { key: 'a', end: 'c' },
      { key: 'b', end: '\0' },
      { key: '', end: '\0' },
      { key: '' },
    ]
    const clients = ranges.map((range) => {
      const client = new TestClient(hub)
      client.create(range)
      client.take()
      return client
    })
    for (const key of ['a', 'b', 'c']) put(key, '')
    const seen = clients.map((client) =>
      allTold(client)
        .map((text) => text.slice(4, 5))
        .join(''),
    )
    expect(seen).toEqual(['b', 'ab', 'bc', 'abc', ''])
  })

  test('of one transaction come in one response with the revision of the store', () => {
    const { hub, commit } = setUp()
    const client = new TestClient(hub)
    client.create({ key: 'a', end: 'c' })
    client.take()
    commit({ key: 'a', value: '1' }, { key: 'x', value: '1' }, { key: 'b', value: '2' })
    const [response, ...more] = client.take()
    expect(more).toEqual([])
    expect(response?.header?.revision).toBe(2)
    expect(told(response)).toEqual(['PUT a=1@2', 'PUT b=2@2'])
  })

  test('carry the previous value when asked for, except when none was or it is compacted', () => {
    const { hub, store, put, del } = setUp()
    const client = new TestClient(hub)
    client.create({ key: 'a', prevKv: true })
    client.create({ key: 'a' })
    client.take()
    put('a', '1')
    put('a', '2')
    del('a')
    put('a', '3')
    const responses = client.take()
    expect(responses.filter((one) => one.watchId === 0).flatMap(told)).toEqual([
      'PUT a=1@2',
      'PUT a=2@3 (was 1)',
      'DELETE a=@4 (was 2)',
      'PUT a=3@5',
    ])
    expect(responses.filter((one) => one.watchId === 1).flatMap(told)).toEqual([
      'PUT a=1@2',
      'PUT a=2@3',
      'DELETE a=@4',
      'PUT a=3@5',
    ])
    store.compact(4)
    const late = new TestClient(hub)
    late.create({ key: 'a', prevKv: true, from: 4 })
    hub.syncSome(0)
    store.completeReads()
    expect(allTold(late)).toEqual(['DELETE a=@4', 'PUT a=3@5'])
  })

  test('are left out by filters, whole responses too', () => {
    const { hub, put, del, commit } = setUp()
    const client = new TestClient(hub)
    client.create({ key: 'a', end: 'c', filters: ['NOPUT'] })
    client.create({ key: 'a', end: 'c', filters: ['NODELETE'] })
    client.create({ key: 'a', end: 'c', filters: ['NODELETE', 'NOPUT'] })
    client.take()
    put('a', '1')
    del('a')
    put('a', '2')
    commit({ key: 'a', value: undefined }, { key: 'b', value: '3' })
    const by = client.take().map((one) => [one.watchId, ...told(one)])
    expect(by).toEqual([
      [1, 'PUT a=1@2'],
      [0, 'DELETE a=@3'],
      [1, 'PUT a=2@4'],
      [0, 'DELETE a=@5'],
      [1, 'PUT b=3@5'],
    ])
  })

  test('before a start revision in the future are not sent', () => {
    const { hub, put, commit } = setUp()
    const client = new TestClient(hub)
    client.create({ key: 'a', end: 'z', from: 4 })
    client.take()
    put('a', '1')
    commit({ key: 'a', value: '2' }, { key: 'b', value: '2' })
    put('a', '3')
    expect(allTold(client)).toEqual(['PUT a=3@4'])
  })

  test('have the bytes of the message encoded as a whole, with fields in ascending order', () => {
    const { hub, put, del, commit } = setUp()
    const client = new TestClient(hub)
    for (const id of [0, 5, 300]) client.create({ key: 'a', end: 'z', id, prevKv: id === 5 })
    put('a', 'x'.repeat(300))
    put('a', '2')
    del('a')
    commit({ key: 'b', value: '' }, { key: 'c', value: '' })
    expect(client.responses.length).toBe(15)
    client.responses.forEach((response, at) => {
      const sent = Buffer.concat(client.parts[at] ?? [])
      expect(sent.equals(WatchResponse.encode(response))).toBe(true)
    })
  })

  test('share their bytes between streams', () => {
    const { hub, put } = setUp()
    const clients = [new TestClient(hub), new TestClient(hub), new TestClient(hub)]
    for (const client of clients) client.create({ key: 'a' })
    put('a', '1')
    const [first, ...others] = clients.map((client) => client.parts[1])
    for (const parts of others) expect(parts).toBe(first)
  })

  test('come again from an old revision, then go on', () => {
    const { hub, put, settle } = setUp()
    put('a', '1')
    put('b', '1')
    put('a', '2')
    const client = new TestClient(hub)
    client.create({ key: 'a', from: 1 })
    expect(hub.slowWatcherCount).toBe(1)
    put('a', '3')
    settle()
    put('a', '4')
    expect(hub.slowWatcherCount).toBe(0)
    const responses = client.take()
    expect(responses.flatMap(told)).toEqual(['PUT a=1@2', 'PUT a=2@4', 'PUT a=3@5', 'PUT a=4@6'])
    expect(responses.at(-1)?.header?.revision).toBe(6)
  })
})

describe('ending', () => {
  test('a cancel is answered once and without a reason; unknown ids are ignored', () => {
    const { hub, put } = setUp()
    const client = new TestClient(hub)
    client.create({ key: 'a' })
    client.cancel(9)
    client.cancel(0)
    client.cancel(0)
    put('a', '1')
    const [, canceled, ...more] = client.take()
    expect(canceled).toMatchObject({ watchId: 0, created: false, canceled: true, cancelReason: '' })
    expect(more).toEqual([])
    expect(hub.watcherCount).toBe(0)
  })

  test('a start revision that is compacted cancels after the created response', () => {
    const { hub, store, put, settle } = setUp()
    for (let at = 0; at < 5; at++) put('a', `${at}`)
    store.compact(4)
    const client = new TestClient(hub)
    client.create({ key: 'a', from: 3 })
    client.create({ key: 'a', from: 4 })
    settle()
    const [first, second, canceled, ...more] = client.take()
    expect([first?.created, second?.created]).toEqual([true, true])
    expect(canceled).toMatchObject({
      watchId: 0,
      created: false,
      canceled: true,
      compactRevision: 4,
      cancelReason: '',
    })
    expect(canceled?.header?.revision).toBe(0)
    expect(more.flatMap(told)).toEqual(['PUT a=2@4', 'PUT a=3@5', 'PUT a=4@6'])
    expect(hub.watcherCount).toBe(1)
  })

  test('a compaction during a read cancels instead of giving events with a hole', () => {
    const { hub, store, put, settle } = setUp()
    for (let at = 0; at < 5; at++) put('a', `${at}`)
    const client = new TestClient(hub)
    client.create({ key: 'a', from: 2 })
    client.create({ key: 'a', from: 5 })
    client.take()
    hub.syncSome(0)
    store.compact(4)
    settle()
    const responses = client.take()
    expect(responses.filter((one) => one.watchId === 0)).toMatchObject([
      { canceled: true, compactRevision: 4 },
    ])
    expect(responses.filter((one) => one.watchId === 1).flatMap(told)).toEqual([
      'PUT a=3@5',
      'PUT a=4@6',
    ])
  })

  test('closing frees everything, in whatever state the watches are', () => {
    const { hub, put, store } = setUp()
    put('a', '1')
    const client = new TestClient(hub, { limit: 0 })
    client.create({ key: 'a', progress: true })
    client.create({ key: 'a', from: 1 })
    hub.syncSome(0)
    client.isSlow = true
    put('a', '2')
    client.create({ key: 'a', from: 1 })
    expect(hub.slowWatcherCount).toBeGreaterThan(0)
    client.stream.close()
    client.stream.close()
    expect(client.create({ key: 'a' })).toBe('taken')
    expect([hub.watcherCount, hub.streamCount, hub.slowWatcherCount]).toEqual([0, 0, 0])
    const before = client.queuedBytes
    store.completeReads()
    client.read()
    put('a', '3')
    expect(client.queuedBytes).toBeLessThanOrEqual(before)
    expect(hub.nextPassInMs(0)).toBe(Number.POSITIVE_INFINITY)
  })

  test('a client that asks and never reads overflows', () => {
    const { hub } = setUp()
    const reason = 'no'.repeat(50_000)
    const client = new TestClient(hub, { mayWatch: () => reason })
    client.isSlow = true
    let requests = 0
    while (requests < 1_000 && client.create({ key: 'a' }) === 'taken') requests++
    expect(requests).toBe(Math.floor((CONTROL_BYTES_MAX / client.queuedBytes) * (requests + 1)))
    client.read()
    expect(client.create({ key: 'a' })).toBe('taken')
  })
})

describe('progress', () => {
  test('on request is told once for the whole stream, only when all its watches are synced', () => {
    const { hub, put, settle } = setUp()
    const client = new TestClient(hub)
    client.askProgress()
    expect(client.take()).toEqual([])
    put('a', '1')
    client.create({ key: 'a' })
    client.create({ key: 'b', from: 1 })
    client.take()
    client.askProgress()
    expect(client.take()).toEqual([])
    settle()
    client.take()
    client.askProgress()
    const [progress, ...more] = client.take()
    expect(more).toEqual([])
    expect(progress).toMatchObject({ watchId: -1, created: false, canceled: false, events: [] })
    expect(progress?.header?.revision).toBe(2)
  })

  test('comes by itself to idle, synced watchers that want it, after interval and jitter', () => {
    const { hub, put } = setUp({
      progressIntervalMs: 1_000,
      entropy: { below: (bound) => bound - 1 },
    })
    const client = new TestClient(hub)
    client.create({ key: 'a', progress: true })
    client.create({ key: 'b', progress: true })
    client.create({ key: 'c' })
    client.take()
    expect(hub.nextPassInMs(0)).toBe(0)
    hub.syncSome(0)
    expect(hub.nextPassInMs(0)).toBe(1_099)
    put('a', '1')
    client.take()
    hub.syncSome(1_098)
    expect(client.take()).toEqual([])
    hub.syncSome(1_099)
    expect(client.take().map((one) => [one.watchId, one.header?.revision])).toEqual([[1, 2]])
    hub.syncSome(1_099 + 1_099)
    expect(client.take().map((one) => one.watchId)).toEqual([0, 1])
    client.cancel(0)
    client.cancel(1)
    expect(hub.nextPassInMs(3_000)).toBe(Number.POSITIVE_INFINITY)
  })

  test('is not sent more often than the minimum, nor to watchers that are behind', () => {
    const { hub, put } = setUp({ progressIntervalMs: 1 })
    put('a', '1')
    const client = new TestClient(hub)
    client.create({ key: 'a', progress: true, from: 1 })
    client.take()
    hub.syncSome(0)
    expect(hub.nextPassInMs(0)).toBe(100)
    hub.syncSome(100)
    expect(client.take()).toEqual([])
  })
})

describe('fragments', () => {
  test('cut big responses between events when asked for, and say so on all but the last', () => {
    const { hub, commit, settle } = setUp({ fragmentBytes: 250 })
    const client = new TestClient(hub)
    client.create({ key: 'a', end: 'z', fragment: true })
    client.create({ key: 'a', end: 'z' })
    client.take()
    const changes = ['a', 'b', 'c', 'd', 'e'].map((key) => ({ key, value: key.repeat(70) }))
    commit(...changes)
    const responses = client.take()
    const cut = responses.filter((one) => one.watchId === 0)
    expect(cut.map((one) => one.fragment)).toEqual([true, true, false])
    expect(cut.map((one) => one.events.length)).toEqual([2, 2, 1])
    expect(responses.filter((one) => one.watchId === 1)).toMatchObject([{ fragment: false }])
    const late = new TestClient(hub)
    late.create({ key: 'a', end: 'z', fragment: true, from: 1 })
    settle()
    expect(late.take().map((one) => one.events.length)).toEqual([0, 2, 2, 1])
  })

  test('never cut a single event', () => {
    const { hub, put } = setUp({ fragmentBytes: 100 })
    const client = new TestClient(hub)
    client.create({ key: 'a', fragment: true })
    client.take()
    put('a', 'x'.repeat(500))
    expect(client.take()).toMatchObject([{ fragment: false, events: [{}] }])
  })
})

test('a request without content is ignored', () => {
  const { hub } = setUp()
  const client = new TestClient(hub)
  client.stream.onRequest(WatchRequest.create())
  expect(client.take()).toEqual([])
})
