// Goal: the rules of the v2 API. Method: one operation at a time; answers and errors as etcd 3.4.23 gave them.
import { describe, expect, test } from 'vitest'
import { encodeV2Error } from '../../src/base/v2-errors.js'
import { encodeV2Event, isCreation } from '../../src/v2store/event.js'
import type { SetOptions, V2Result } from '../../src/v2store/operations.js'
import { V2Store } from '../../src/v2store/store.js'

const NOW = 1_790_000_000_000
const seconds = (count: number): bigint => (BigInt(NOW) + BigInt(count) * 1000n) * 1_000_000n

function shown(result: V2Result): string {
  if (result.kind === 'error') return encodeV2Error(result.error)
  return encodeV2Event(result.event, '/1')
}
const at = (key: string) => ({ path: `/1${key}`, nowMs: NOW })
const set = (store: V2Store, key: string, value: string, more: Partial<SetOptions> = {}): string =>
  shown(store.set({ ...at(key), value, isDirectory: false, ...more }))
const mkdir = (store: V2Store, key: string): string => set(store, key, '', { isDirectory: true })
const get = (store: V2Store, key: string, isRecursive = false): string =>
  shown(store.get({ ...at(key), isRecursive, isSorted: true }))

describe('set', () => {
  test('creates a file, then replaces it with new indexes and tells the former node', () => {
    const store = new V2Store()
    expect(set(store, '/foo', 'bar')).toBe(
      '{"action":"set","node":{"key":"/foo","value":"bar","modifiedIndex":1,"createdIndex":1}}',
    )
    expect(set(store, '/foo', 'a<b')).toBe(
      '{"action":"set","node":{"key":"/foo","value":"a\\u003cb","modifiedIndex":2,"createdIndex":2},' +
        '"prevNode":{"key":"/foo","value":"bar","modifiedIndex":1,"createdIndex":1}}',
    )
    expect(store.index).toBe(2)
  })

  test('makes the directories above, at the index of the write', () => {
    const store = new V2Store()
    set(store, '/a/b/c', 'x')
    expect(get(store, '/a', true)).toBe(
      '{"action":"get","node":{"key":"/a","dir":true,"nodes":[{"key":"/a/b","dir":true,"nodes":[' +
        '{"key":"/a/b/c","value":"x","modifiedIndex":1,"createdIndex":1}],"modifiedIndex":1,' +
        '"createdIndex":1}],"modifiedIndex":1,"createdIndex":1}}',
    )
  })

  test('refuses a directory, a file in the way and the root', () => {
    const store = new V2Store()
    mkdir(store, '/d')
    set(store, '/f', 'x')
    expect(set(store, '/d', 'x')).toBe(
      '{"errorCode":102,"message":"Not a file","cause":"/1/d","index":2}',
    )
    expect(mkdir(store, '/d')).toContain('"errorCode":102')
    expect(set(store, '/f/g', 'x')).toBe(
      '{"errorCode":104,"message":"Not a directory","cause":"/1/f","index":2}',
    )
    for (const path of ['/', '/0', '/1', '/1/', '/1/x/..', '']) {
      expect(shown(store.set({ path, nowMs: NOW, value: 'x', isDirectory: false }))).toBe(
        '{"errorCode":107,"message":"Root is read only","cause":"/","index":2}',
      )
    }
  })

  test('a directory over a file replaces it', () => {
    const store = new V2Store()
    set(store, '/f', 'x')
    expect(mkdir(store, '/f')).toBe(
      '{"action":"set","node":{"key":"/f","dir":true,"modifiedIndex":2,"createdIndex":2},' +
        '"prevNode":{"key":"/f","value":"x","modifiedIndex":1,"createdIndex":1}}',
    )
  })

  test('an end shows as expiration and ttl, and a later set without one removes it', () => {
    const store = new V2Store()
    const end = seconds(100) + 5n
    expect(set(store, '/t', 'x', { expirationNs: end })).toContain(
      '"expiration":"2026-09-21T14:15:00.000000005Z","ttl":101,',
    )
    expect(store.hasTtlKeys).toBe(true)
    expect(set(store, '/t', 'y')).not.toMatch(/"value":"y"[^}]*expiration/)
    expect(store.hasTtlKeys).toBe(false)
  })

  test('an end before the year 2000 means none for a new node', () => {
    const store = new V2Store()
    set(store, '/t', 'x', { expirationNs: 5n })
    expect(store.hasTtlKeys).toBe(false)
  })

  test('a refresh keeps the value, needs the key and is not told to watchers', () => {
    const store = new V2Store()
    const refresh = { refresh: true, expirationNs: seconds(9) }
    expect(set(store, '/t', '', refresh)).toBe(
      '{"errorCode":100,"message":"Key not found","cause":"/1/t","index":0}',
    )
    set(store, '/t', 'x')
    let told = 0
    store.watch({
      path: '/1/t',
      isRecursive: false,
      isStream: false,
      sinceIndex: 0,
      onReadable: () => told++,
    })
    const answer = set(store, '/t', '', refresh)
    expect(answer).toContain('"value":"x","expiration"')
    expect(answer).toContain('"refresh":true')
    expect(told).toBe(0)
    set(store, '/t', 'y')
    expect(told).toBe(1)
  })
})

describe('create', () => {
  test('refuses what exists and names in-order children by the next index', () => {
    const store = new V2Store()
    const options = { value: 'x', isDirectory: false, isUnique: false }
    const first = store.create({ ...at('/a'), ...options })
    expect(first.kind === 'event' && isCreation(first.event)).toBe(true)
    expect(shown(store.create({ ...at('/a'), ...options }))).toBe(
      '{"errorCode":105,"message":"Key already exists","cause":"/1/a","index":1}',
    )
    expect(shown(store.create({ ...at('/q'), ...options, isUnique: true }))).toBe(
      '{"action":"create","node":{"key":"/q/00000000000000000002","value":"x","modifiedIndex":2,"createdIndex":2}}',
    )
    expect(store.create({ ...at('/a/b'), ...options }).kind).toBe('error')
    expect(store.statisticsJson()).toContain('"setsFail":1')
  })
})

describe('update', () => {
  test('keeps the created index and makes a file permanent without a TTL', () => {
    const store = new V2Store()
    set(store, '/t', 'x', { expirationNs: seconds(50) })
    expect(shown(store.update({ ...at('/t'), value: 'y' }))).toBe(
      '{"action":"update","node":{"key":"/t","value":"y","modifiedIndex":2,"createdIndex":1},' +
        '"prevNode":{"key":"/t","value":"x","expiration":"2026-09-21T14:14:10Z","ttl":50,"modifiedIndex":1,"createdIndex":1}}',
    )
    expect(store.hasTtlKeys).toBe(false)
  })

  test('gives a directory an end, whose own modified index stays', () => {
    const store = new V2Store()
    mkdir(store, '/d')
    const options = { ...at('/d'), expirationNs: seconds(50) }
    expect(shown(store.update({ ...options, value: '' }))).toContain(
      '"key":"/d","dir":true,"expiration":"2026-09-21T14:14:10Z","ttl":50,"modifiedIndex":2,"createdIndex":1}',
    )
    expect(get(store, '/d')).toContain('"ttl":50,"modifiedIndex":1,"createdIndex":1}')
    expect(shown(store.update({ ...options, value: 'v' }))).toContain('"errorCode":102')
    expect(shown(store.update({ ...at('/no'), value: 'v' }))).toContain('"errorCode":100')
    expect(shown(store.update({ ...at(''), value: 'v' }))).toContain('"errorCode":107')
    // Two refusals that etcd's counter takes for successes.
    expect(store.statisticsJson()).toContain('"updateSuccess":3,"updateFail":1')
  })
})

describe('compare and swap, compare and delete', () => {
  test.each([
    ['', 9, '[9 != 1]'],
    ['zz', 0, '[zz != x]'],
    ['zz', 9, '[zz != x] [9 != 1]'],
  ])('value %j and index %d fail with the cause %s', (prevValue, prevIndex, cause) => {
    const store = new V2Store()
    set(store, '/f', 'x')
    const error = `{"errorCode":101,"message":"Compare failed","cause":"${cause}","index":1}`
    const compared = { ...at('/f'), prevValue, prevIndex }
    expect(shown(store.compareAndSwap({ ...compared, value: 'y' }))).toBe(error)
    expect(shown(store.compareAndDelete(compared))).toBe(error)
    expect(store.statisticsJson()).toContain(
      '"compareAndSwapFail":1,"compareAndDeleteSuccess":1,"compareAndDeleteFail":0',
    )
  })

  test('swap keeps the created index; delete shows no value', () => {
    const store = new V2Store()
    set(store, '/f', 'x')
    expect(
      shown(store.compareAndSwap({ ...at('/f'), prevValue: 'x', prevIndex: 1, value: 'y' })),
    ).toContain('"node":{"key":"/f","value":"y","modifiedIndex":2,"createdIndex":1}')
    expect(shown(store.compareAndDelete({ ...at('/f'), prevValue: 'y', prevIndex: 0 }))).toContain(
      '"node":{"key":"/f","modifiedIndex":3,"createdIndex":1}',
    )
  })

  test('directories, missing keys and the root are refused', () => {
    const store = new V2Store()
    mkdir(store, '/d')
    const compared = { prevValue: '', prevIndex: 1 }
    const swap = (key: string) =>
      shown(store.compareAndSwap({ ...at(key), ...compared, value: '' }))
    const drop = (key: string) => shown(store.compareAndDelete({ ...at(key), ...compared }))
    expect([swap('/d'), swap('/no'), swap('')].map((text) => text.slice(0, 16))).toEqual([
      '{"errorCode":102',
      '{"errorCode":100',
      '{"errorCode":107',
    ])
    expect([drop('/d'), drop('/no'), drop('')].map((text) => text.slice(0, 16))).toEqual([
      '{"errorCode":102',
      '{"errorCode":100',
      '{"errorCode":102',
    ])
  })
})

describe('delete', () => {
  const remove = (store: V2Store, key: string, isDirectory: boolean, isRecursive: boolean) =>
    shown(store.delete({ ...at(key), isDirectory, isRecursive }))

  test('a directory needs dir, a full one needs recursive', () => {
    const store = new V2Store()
    set(store, '/d/f', 'x', { expirationNs: seconds(5) })
    expect(remove(store, '/d', false, false)).toBe(
      '{"errorCode":102,"message":"Not a file","cause":"/1/d","index":1}',
    )
    expect(remove(store, '/d', true, false)).toBe(
      '{"errorCode":108,"message":"Directory not empty","cause":"/1/d","index":1}',
    )
    expect(remove(store, '/d', false, true)).toBe(
      '{"action":"delete","node":{"key":"/d","dir":true,"modifiedIndex":2,"createdIndex":1},' +
        '"prevNode":{"key":"/d","dir":true,"modifiedIndex":1,"createdIndex":1}}',
    )
    expect(store.hasTtlKeys).toBe(false)
    expect(get(store, '/d/f')).toBe(
      '{"errorCode":100,"message":"Key not found","cause":"/1/d","index":2}',
    )
  })

  test('an empty directory goes with dir, a file goes with any flag', () => {
    const store = new V2Store()
    mkdir(store, '/d')
    set(store, '/f', 'x')
    expect(remove(store, '/d', true, false)).toContain('"action":"delete"')
    expect(remove(store, '/f', true, false)).toContain('"action":"delete"')
    expect(remove(store, '/f', false, false)).toContain('"errorCode":100')
    expect(remove(store, '', true, true)).toContain('"errorCode":107')
  })
})

describe('get', () => {
  test('hides names that begin with _ in listings but not by their own path', () => {
    const store = new V2Store()
    set(store, '/d/_h/x', '1')
    set(store, '/d/v', '2')
    expect(get(store, '/d', true)).not.toContain('_h')
    expect(get(store, '/d/_h', true)).toContain('"key":"/d/_h/x"')
  })

  test('lists one level without recursive, sorted by the bytes of the key', () => {
    const store = new V2Store()
    for (const key of ['/d/b', '/d/a/x', '/d/\u{ffff}', '/d/\u{1f600}']) set(store, key, '')
    const keys = [...get(store, '/d').matchAll(/"key":"([^"]+)"/g)].map((match) => match[1])
    expect(keys).toEqual(['/d', '/d/a', '/d/b', '/d/\u{ffff}', '/d/\u{1f600}'])
    expect(get(store, '/d')).not.toContain('/d/a/x')
  })

  test('the empty root has neither key nor indexes', () => {
    expect(get(new V2Store(), '')).toBe('{"action":"get","node":{"dir":true}}')
  })
})

describe('expiry', () => {
  test('removes what ended by the cutoff, soonest first, one index each, directories whole', () => {
    const store = new V2Store()
    set(store, '/late', 'x', { expirationNs: seconds(30) })
    set(store, '/soon', 'x', { expirationNs: seconds(10) })
    set(store, '/dir', '', { expirationNs: seconds(20), isDirectory: true })
    set(store, '/dir/child', 'x', { expirationNs: seconds(25) })
    const expired = store.deleteExpiredKeys(seconds(20), NOW)
    expect(expired.map((event) => [event.node.key, event.node.modifiedIndex])).toEqual([
      ['/1/soon', 5],
      ['/1/dir', 6],
    ])
    expect(expired.map((event) => event.action)).toEqual(['expire', 'expire'])
    expect(expired[1]?.node.dir).toBe(true)
    expect(store.hasTtlKeys).toBe(true)
    expect(store.deleteExpiredKeys(seconds(29), NOW)).toEqual([])
    expect(store.deleteExpiredKeys(seconds(30), NOW)).toHaveLength(1)
    expect(store.statisticsJson()).toContain('"expireCount":3')
  })

  test('an update moves the end', () => {
    const store = new V2Store()
    set(store, '/k', 'x', { expirationNs: seconds(10) })
    store.update({ ...at('/k'), value: 'x', expirationNs: seconds(20) })
    expect(store.deleteExpiredKeys(seconds(15), NOW)).toEqual([])
    expect(store.deleteExpiredKeys(seconds(20), NOW)).toHaveLength(1)
  })

  test('a TTL that is over shows negative', () => {
    const store = new V2Store()
    set(store, '/k', 'x', { expirationNs: seconds(-3) })
    expect(get(store, '/k')).toContain('"ttl":-3')
  })
})

test('a tree as deep as a request can name is listed, copied and removed', () => {
  const store = new V2Store()
  set(store, '/a'.repeat(30_000), 'x')
  expect(store.get({ ...at('/a'), isRecursive: true, isSorted: true }).kind).toBe('event')
  const copy = store.clone()
  for (const each of [store, copy]) {
    const removed = each.delete({ ...at('/a'), isDirectory: true, isRecursive: true })
    expect(removed.kind).toBe('event')
  }
})

test('a store tells whether it holds more than the data of the cluster', () => {
  const store = new V2Store()
  store.set({ path: '/0/version', nowMs: NOW, value: '3.5.0', isDirectory: false })
  expect([store.holdsOnlyClusterData, store.version]).toEqual([true, 2])
  set(store, '/k', 'x')
  expect(store.holdsOnlyClusterData).toBe(false)
})
