// Goal: who hears of which change. Method: a watcher, then changes; what it takes, as etcd 3.4.23 tells it.
import { describe, expect, test } from 'vitest'
import { EVENT_HISTORY_MAX } from '../../src/v2store/event-history.js'
import type { V2WatchOptions } from '../../src/v2store/operations.js'
import { V2Store } from '../../src/v2store/store.js'
import { type V2Watcher, WATCHER_QUEUE_MAX } from '../../src/v2store/watcher-hub.js'

const nowMs = 0
const set = (store: V2Store, key: string): void => {
  const made = store.set({ path: `/1${key}`, nowMs, value: 'x', isDirectory: false })
  expect(made.kind).toBe('event')
}
const remove = (store: V2Store, key: string): void => {
  store.delete({ path: `/1${key}`, nowMs, isDirectory: true, isRecursive: true })
}

function watch(store: V2Store, key: string, more: Partial<V2WatchOptions> = {}): V2Watcher {
  const result = store.watch({
    path: `/1${key}`,
    isRecursive: false,
    isStream: false,
    sinceIndex: 0,
    onReadable: () => undefined,
    ...more,
  })
  if (result.kind === 'error') throw new Error(result.error.cause)
  return result.watcher
}

function taken(watcher: V2Watcher): readonly string[] {
  const out: string[] = []
  for (let event = watcher.take(); event !== undefined; event = watcher.take()) {
    out.push(`${event.action} ${event.node.key.slice(3)} ${event.node.modifiedIndex}`)
  }
  return out
}

describe('a watcher that waits', () => {
  test('hears the next change of its own path, once, and is then counted out', () => {
    const store = new V2Store()
    let called = 0
    const watcher = watch(store, '/a', { onReadable: () => called++ })
    expect([store.watcherCount, watcher.startIndex]).toEqual([1, 0])
    set(store, '/b')
    set(store, '/a/b')
    expect(called).toBe(0)
    remove(store, '/a')
    set(store, '/a')
    expect(taken(watcher)).toEqual(['delete a 3'])
    expect([called, watcher.isEnded, store.watcherCount]).toEqual([1, true, 0])
  })

  test('that is recursive hears all below, but not below hidden names', () => {
    const store = new V2Store()
    const all = watch(store, '', { isRecursive: true, isStream: true })
    const hidden = watch(store, '/d/_h', { isRecursive: true, isStream: true })
    set(store, '/d/e')
    set(store, '/d/_h/x')
    set(store, '/dx')
    expect(taken(all)).toEqual(['set d/e 1', 'set dx 3'])
    expect(taken(hidden)).toEqual(['set d/_h/x 2'])
  })

  test('hears that a directory above it went, under the name of the directory', () => {
    const store = new V2Store()
    set(store, '/d/x')
    const below = watch(store, '/d/x')
    const exact = watch(store, '/d', { isStream: true })
    remove(store, '/d')
    expect(taken(below)).toEqual(['delete d 2'])
    expect(taken(exact)).toEqual(['delete d 2', 'delete d 2'])
  })

  test('for a later index sleeps until then', () => {
    const store = new V2Store()
    const watcher = watch(store, '/a', { sinceIndex: 3 })
    for (let at = 0; at < 3; at++) set(store, '/a')
    expect(taken(watcher)).toEqual(['set a 3'])
  })

  test('hears nothing after it is removed, and may be removed twice', () => {
    const store = new V2Store()
    const [first, second] = [watch(store, '/a', { isStream: true }), watch(store, '/a')]
    first.remove()
    first.remove()
    expect(store.watcherCount).toBe(1)
    set(store, '/a')
    expect(taken(first)).toEqual([])
    expect(taken(second)).toEqual(['set a 1'])
  })

  test('that takes nothing loses its place when its queue is full, and keeps what it has', () => {
    const store = new V2Store()
    const watcher = watch(store, '/a', { isStream: true })
    for (let at = 0; at < WATCHER_QUEUE_MAX; at++) set(store, '/a')
    expect(watcher.isEnded).toBe(false)
    set(store, '/a')
    expect([watcher.isEnded, store.watcherCount]).toEqual([true, 0])
    expect(taken(watcher)).toHaveLength(WATCHER_QUEUE_MAX)
  })

  test('stays through a recovery', () => {
    const store = new V2Store()
    const state = store.saveNoCopy()
    const watcher = watch(store, '/a')
    store.recover(state)
    set(store, '/a')
    expect(taken(watcher)).toEqual(['set a 1'])
  })
})

describe('a watcher with an index of the past', () => {
  test('is served the first event from there at once; a stream then hears nothing more', () => {
    const store = new V2Store()
    for (const key of ['/a', '/b', '/a', '/a']) set(store, key)
    expect(taken(watch(store, '/a', { sinceIndex: 2 }))).toEqual(['set a 3'])
    const stream = watch(store, '/a', { sinceIndex: 1, isStream: true })
    set(store, '/a')
    expect(taken(stream)).toEqual(['set a 1'])
    expect([stream.isEnded, store.watcherCount]).toEqual([false, 0])
  })

  test('gets hidden events and removals of directories above, which the history does not hide', () => {
    const store = new V2Store()
    set(store, '/d/_h')
    set(store, '/foo/x')
    remove(store, '/foo')
    expect(taken(watch(store, '', { sinceIndex: 1, isRecursive: true }))).toEqual(['set d/_h 1'])
    expect(taken(watch(store, '/foo/x/y', { sinceIndex: 3 }))).toEqual(['delete foo 3'])
  })

  test('never sees a refresh', () => {
    const store = new V2Store()
    set(store, '/a')
    const expirationNs = 1n << 62n
    store.update({ path: '/1/a', nowMs, value: '', refresh: true, expirationNs })
    const watcher = watch(store, '/a', { sinceIndex: 2 })
    expect(taken(watcher)).toEqual([])
    set(store, '/a')
    expect(taken(watcher)).toEqual(['set a 3'])
  })

  test('is refused when the history no longer has it', () => {
    const store = new V2Store()
    for (let at = 0; at <= EVENT_HISTORY_MAX; at++) set(store, '/a')
    const asked = { path: '/1/a', isRecursive: false, isStream: false, onReadable: () => undefined }
    const result = store.watch({ ...asked, sinceIndex: 1 })
    expect(result).toEqual({
      kind: 'error',
      error: {
        code: 401,
        message: 'The event in requested index is outdated and cleared',
        cause: 'the requested history has been cleared [2/1]',
        index: 1001,
      },
    })
    expect(store.watch({ ...asked, sinceIndex: 2 }).kind).toBe('watcher')
  })
})

describe('a watcher of a store that another one takes the place of', () => {
  const followed = (watcher: V2Watcher, from: V2Store, to: V2Store): unknown =>
    to.adopt(watcher, from.index + 1)

  test('hears what happened meanwhile behind what it has, and what comes', () => {
    const before = new V2Store()
    const stream = watch(before, '/a', { isStream: true, isRecursive: true })
    set(before, '/a/1')
    const after = new V2Store()
    after.recover(before.saveNoCopy())
    set(after, '/a/2')
    set(after, '/other')
    set(after, '/a/_hidden')
    expect(followed(stream, before, after)).toBe(undefined)
    set(after, '/a/3')
    expect(taken(stream)).toEqual(['set a/1 1', 'set a/2 2', 'set a/3 5'])
    expect([before.watcherCount, after.watcherCount]).toEqual([0, 1])
    stream.remove()
    expect(after.watcherCount).toBe(0)
  })

  test('hears once when it waits for one event, or later when none was meanwhile', () => {
    const before = new V2Store()
    const [early, late] = [watch(before, '/a'), watch(before, '/b')]
    const after = new V2Store()
    set(after, '/a')
    set(after, '/a')
    followed(early, before, after)
    followed(late, before, after)
    set(after, '/b')
    expect([taken(early), taken(late)]).toEqual([['set a 1'], ['set b 3']])
    expect([before.watcherCount, after.watcherCount]).toEqual([0, 0])
  })

  test('is no longer known when it missed more than is kept, or more than may wait', () => {
    const before = new V2Store()
    const stale = watch(before, '/a')
    const crowded = watch(before, '/b', { isStream: true })
    const after = new V2Store()
    for (let at = 0; at <= WATCHER_QUEUE_MAX; at++) set(after, '/b')
    followed(crowded, before, after)
    expect([crowded.isEnded, taken(crowded).length]).toEqual([true, WATCHER_QUEUE_MAX])
    for (let at = 0; at < EVENT_HISTORY_MAX; at++) set(after, '/other')
    expect(followed(stale, before, after)).toMatchObject({ code: 401 })
    expect([stale.isEnded, before.watcherCount, after.watcherCount]).toEqual([true, 0, 0])
  })
})
