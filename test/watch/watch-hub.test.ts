/**
 * How the hub shares work and bounds memory: slow clients, catching up in passes, replaced stores,
 * counts.
 */
import { describe, expect, test } from 'vitest'
import { revision } from '../../src/base/ids.js'
import { CATCH_UP_BYTES_MAX, WATCHERS_PER_PASS_MAX } from '../../src/watch/limits.js'
import { setUp } from './setup.js'
import { TestClient } from './test-client.js'

const revisionsOf = (client: TestClient): number[] =>
  client
    .take()
    .flatMap((response) => response.events)
    .map((event) => event.kv?.modRevision ?? 0)

describe('a slow client', () => {
  test('has at most its limit waiting, and gets the rest from memory once it has read', () => {
    const { hub, store, put, settle } = setUp({ streamBytesMax: 2_000 })
    const client = new TestClient(hub)
    client.create({ key: 'a' })
    client.take()
    client.isSlow = true
    for (let at = 0; at < 100; at++) put('a', 'x'.repeat(100))
    expect(client.queuedBytes).toBeLessThan(2_400)
    expect(client.stream.isBlocked).toBe(true)
    expect([hub.slowWatcherCount, hub.watcherCount]).toEqual([1, 1])
    expect(hub.pendingEventCount).toBeGreaterThan(5)
    expect(hub.nextPassInMs(0)).toBe(10)
    settle()
    expect(hub.slowWatcherCount).toBe(1)
    client.isSlow = false
    client.read()
    settle()
    expect(revisionsOf(client)).toEqual(Array.from({ length: 100 }, (_, at) => at + 2))
    expect([hub.slowWatcherCount, hub.pendingEventCount, store.reads]).toEqual([0, 0, 0])
    put('a', 'last')
    expect(revisionsOf(client)).toEqual([102])
  })

  test('is limited by responses as well', () => {
    const { hub, put, settle } = setUp({ streamResponsesMax: 5 })
    const client = new TestClient(hub)
    client.create({ key: 'a' })
    client.isSlow = true
    for (let at = 0; at < 20; at++) put('a', '')
    client.read()
    expect(revisionsOf(client)).toEqual([2, 3, 4, 5, 6])
    settle()
    client.read()
    expect(revisionsOf(client)).toEqual(Array.from({ length: 15 }, (_, at) => at + 7))
  })

  test('is served again at once when its sink says that it has drained', () => {
    let calls = 0
    const { hub, put, settle } = setUp({ onWork: () => calls++ })
    const client = new TestClient(hub, { limit: 10 })
    client.create({ key: 'a' })
    client.isSlow = true
    put('a', '1')
    put('a', '2')
    expect([calls, client.stream.isBlocked]).toEqual([0, true])
    client.isSlow = false
    client.read()
    expect([calls, client.stream.isBlocked]).toEqual([1, false])
    settle()
    expect(revisionsOf(client)).toEqual([2, 3])
  })

  test('that misses more than memory keeps reads it from the store', () => {
    const { hub, store, put, settle } = setUp({ streamBytesMax: 100 })
    const client = new TestClient(hub)
    client.create({ key: 'a' })
    client.isSlow = true
    for (let at = 0; at < 2_500; at++) put('a', '')
    client.isSlow = false
    client.read()
    settle()
    expect(revisionsOf(client)).toEqual(Array.from({ length: 2_500 }, (_, at) => at + 2))
    expect(store.reads).toBe(2)
  })

  test('does not hold up others', () => {
    const { hub, put } = setUp({ streamBytesMax: 10 })
    const [slow, quick] = [new TestClient(hub), new TestClient(hub)]
    slow.create({ key: 'a' })
    quick.create({ key: 'a' })
    slow.isSlow = true
    for (let at = 0; at < 10; at++) put('a', '')
    expect(revisionsOf(quick)).toHaveLength(10)
  })

  test('whose missed events are compacted is told so once it reads', () => {
    const { hub, store, put, settle } = setUp({ streamBytesMax: 10 })
    const client = new TestClient(hub)
    client.create({ key: 'a' })
    client.isSlow = true
    for (let at = 0; at < 10; at++) put('a', '')
    store.compact(9)
    settle()
    client.isSlow = false
    client.read()
    settle()
    const last = client.take().at(-1)
    expect(last).toMatchObject({ watchId: 0, canceled: true, compactRevision: 9 })
    expect([hub.watcherCount, hub.slowWatcherCount]).toEqual([0, 0])
  })

  test('may cancel while it waits', () => {
    const { hub, put, settle } = setUp({ streamBytesMax: 10 })
    const client = new TestClient(hub)
    client.create({ key: 'a' })
    client.isSlow = true
    for (let at = 0; at < 10; at++) put('a', '')
    client.cancel(0)
    expect([hub.watcherCount, hub.slowWatcherCount]).toEqual([0, 0])
    client.isSlow = false
    client.read()
    settle()
    expect(client.take().at(-1)).toMatchObject({ canceled: true })
  })
})

describe('catching up', () => {
  test('serves many watchers with one read, and no more than a pass may take', () => {
    const { hub, store, put } = setUp()
    for (let at = 0; at < 10; at++) put('a', `${at}`)
    const clients = Array.from({ length: WATCHERS_PER_PASS_MAX + 10 }, () => new TestClient(hub))
    for (const [at, client] of clients.entries()) client.create({ key: 'a', from: 2 + (at % 10) })
    hub.syncSome(0)
    store.completeReads()
    expect([store.reads, hub.slowWatcherCount]).toEqual([1, 10])
    expect(hub.syncSome(0)).toBe(false)
    store.completeReads()
    expect([store.reads, hub.slowWatcherCount]).toEqual([2, 0])
    clients.forEach((client, at) => {
      expect(revisionsOf(client)).toHaveLength(10 - (at % 10))
    })
  })

  test('shares the bytes between watchers that want the same', () => {
    const { hub, put, settle } = setUp()
    for (let at = 0; at < 3; at++) put('a', `${at}`)
    const clients = [1, 1, 1].map((from) => {
      const client = new TestClient(hub)
      client.create({ key: 'a', from })
      return client
    })
    settle()
    const [first, ...others] = clients.map((client) => client.parts[1]?.[1])
    for (const other of others) expect(other).toBe(first)
  })

  test('ends although the store changes during every read', () => {
    const { hub, store, put } = setUp()
    for (let at = 0; at < 10; at++) put('a', '')
    const client = new TestClient(hub)
    client.create({ key: 'a', from: 1 })
    hub.syncSome(0)
    for (let at = 0; at < 10; at++) put('a', '')
    store.completeReads()
    expect(hub.slowWatcherCount).toBe(0)
    put('a', '')
    expect(revisionsOf(client)).toEqual(Array.from({ length: 21 }, (_, at) => at + 2))
    expect(store.reads).toBe(1)
  })

  test('gives at most 1,000 revisions and a mebibyte in one response, never half a revision', () => {
    const { hub, commit, settle } = setUp()
    for (let at = 0; at < 1_500; at++) commit({ key: 'a', value: '' }, { key: 'b', value: '' })
    for (let at = 0; at < 3; at++) commit({ key: 'a', value: 'x'.repeat(CATCH_UP_BYTES_MAX - 100) })
    const client = new TestClient(hub)
    client.create({ key: 'a', end: 'c', from: 1 })
    settle()
    const counts = client.take().map((response) => response.events.length)
    expect(counts).toEqual([0, 2_000, 1_001, 2])
  })

  test('works with a store that answers at once', () => {
    const { hub, store, put, settle } = setUp()
    store.isInstant = true
    for (let at = 0; at < 10; at++) put('a', '')
    const client = new TestClient(hub)
    client.create({ key: 'a', from: 1 })
    settle()
    expect(revisionsOf(client)).toHaveLength(10)
    expect(hub.nextPassInMs(0)).toBe(Number.POSITIVE_INFINITY)
  })

  test('of watchers without events costs no response', () => {
    const { hub, put, settle } = setUp()
    put('a', '')
    const client = new TestClient(hub)
    client.create({ key: 'b', from: 1 })
    client.take()
    settle()
    expect([client.take(), hub.slowWatcherCount]).toEqual([[], 0])
  })
})

describe('a store replaced by a snapshot', () => {
  test('makes every watcher catch up from where it was', () => {
    const { hub, store, put, settle } = setUp()
    const client = new TestClient(hub)
    put('a', '')
    client.create({ key: 'a' })
    client.create({ key: 'a', from: 50 })
    client.create({ key: 'a', from: 1 })
    put('a', '')
    client.take()
    hub.syncSome(0)
    for (let at = 0; at < 5; at++) store.commit([{ key: 'a', value: `${at}` }])
    hub.resync()
    expect(hub.revision).toBe(8)
    settle()
    put('a', '')
    const responses = client.take()
    const seenBy = (watchId: number): number[] =>
      responses
        .filter((one) => one.watchId === watchId)
        .flatMap((one) => one.events.map((event) => event.kv?.modRevision ?? 0))
    expect(seenBy(0)).toEqual([4, 5, 6, 7, 8, 9])
    expect(seenBy(1)).toEqual([])
    expect(seenBy(2)).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('cancels watchers whose next events it does not have', () => {
    const { hub, store, settle } = setUp()
    const client = new TestClient(hub)
    client.create({ key: 'a' })
    for (let at = 0; at < 5; at++) store.commit([{ key: 'a', value: `${at}` }])
    store.compact(5)
    hub.resync()
    settle()
    expect(client.take().at(-1)).toMatchObject({ canceled: true, compactRevision: 5 })
  })
})

describe('telling', () => {
  test('is refused out of order and for nothing', () => {
    const { hub, store } = setUp()
    const events = store.commit([{ key: 'a', value: '' }])
    hub.notify(2, events)
    expect(() => hub.notify(2, events)).toThrow('in the order of their revisions')
    expect(() => hub.notify(revision(3), [])).toThrow('changes nothing')
  })

  test('counts streams, watchers and events', () => {
    const { hub, put } = setUp()
    const clients = [new TestClient(hub), new TestClient(hub)]
    for (const client of clients) client.create({ key: 'a' })
    put('a', '')
    put('b', '')
    expect([hub.streamCount, hub.watcherCount, hub.eventsSent]).toEqual([2, 2, 2])
  })
})
