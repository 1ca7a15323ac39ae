// Goal: our JSON is etcd's, byte for byte. Method: the log of an etcd 3.4.23 and the snapshot it made of it
// (both written by test/interop/v2store-snap.test.ts with UPDATE_GOLDEN=1) are replayed and compared.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { EVENT_HISTORY_MAX } from '../../src/v2store/event-history.js'
import { V2Store } from '../../src/v2store/store.js'
import { Entry } from '../../src/wire/raftpb.js'
import { firstDifference, makeReads, replay, savedText } from './replay.js'

const folder = join(import.meta.dirname, '../golden/v2store')
const expected = readFileSync(join(folder, 'etcd-3.4-snapshot.json'), 'utf8')
const entries = readFileSync(join(folder, 'etcd-3.4-entries.txt'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => Entry.decode(new Uint8Array(Buffer.from(line, 'base64'))))
const bytes = new TextEncoder().encode(expected)

describe('the snapshot of a real etcd 3.4', () => {
  test('is what our store makes of the same log', () => {
    const { store } = replay(entries, [100, 200, 1, 300])
    makeReads(store, expected)
    expect(firstDifference(savedText(store), expected)).toBeUndefined()
  })

  test('is read and written back unchanged, also by a copy', () => {
    const store = new V2Store()
    expect(store.recover(bytes)).toEqual({ kind: 'recovered' })
    expect(firstDifference(savedText(store), expected)).toBeUndefined()
    expect(firstDifference(savedText(store.clone()), expected)).toBeUndefined()
  })

  test('has the history as it is, whatever snapshots were made before', () => {
    const [often, once] = [new V2Store(), new V2Store()]
    for (let count = 0; count < 2 * EVENT_HISTORY_MAX + 3; count++) {
      const value = count % 7 === 0 ? 'x'.repeat(2000) : String(count)
      for (const store of [often, once])
        store.set({ path: `/1/${count % 5}`, nowMs: 0, value, isDirectory: false })
      if (count % 150 === 0) often.saveNoCopy()
    }
    expect(savedText(often)).toBe(savedText(once))
    for (const store of [often, once]) {
      store.recover(bytes)
      store.set({ path: '/1/z', nowMs: 0, value: 'again', isDirectory: false })
    }
    expect(savedText(often)).toBe(savedText(once))
  })

  test('goes on after recovery as the store that never stopped', () => {
    const [ran] = [replay(entries, [100, 200, 1, 300]).store]
    makeReads(ran, expected)
    const recovered = new V2Store()
    recovered.recover(bytes)
    for (const store of [ran, recovered]) {
      store.set({ path: '/1/z', nowMs: 0, value: 'again', isDirectory: false })
      store.deleteExpiredKeys(1n << 62n, 0)
    }
    expect(savedText(recovered)).toBe(savedText(ran))
  })
})

describe('recovery', () => {
  const recover = (text: string) => new V2Store().recover(new TextEncoder().encode(text)).kind
  const empty = savedText(new V2Store())

  test('keeps a time in another zone as it was written', () => {
    const zoned = expected.replaceAll(
      '"ExpireTime":"0001-01-01T00:00:00Z","Value":"m"',
      '"ExpireTime":"2026-11-21T10:00:00.5+01:00","Value":"m"',
    )
    expect(zoned).not.toBe(expected)
    const store = new V2Store()
    expect(store.recover(new TextEncoder().encode(zoned)).kind).toBe('recovered')
    expect(savedText(store)).toBe(zoned)
    const read = store.get({ path: '/1/new', nowMs: 0, isRecursive: false, isSorted: false })
    const node = read.kind === 'event' ? read.event.node : undefined
    expect(node?.expirationNs).toBe(BigInt(Date.UTC(2026, 10, 21, 9)) * 1_000_000n + 500_000_000n)
  })

  test('adds the top directories that a snapshot lacks', () => {
    const bare = empty.replace(/"Children":\{.*?\}\}\},"WatcherHub"/, '"Children":{}},"WatcherHub"')
    const store = new V2Store()
    expect(store.recover(new TextEncoder().encode(bare)).kind).toBe('recovered')
    expect(savedText(store)).toBe(empty)
  })

  test.each([
    ['text that is no JSON', '{'],
    ['a list', '[]'],
    ['no root', empty.replace('"Root"', '"root"')],
    ['a root elsewhere', empty.replace('"Path":"/"', '"Path":"/x"')],
    ['a misplaced node', empty.replace('"Path":"/1"', '"Path":"/9"')],
    ['a time that is none', empty.replace('0001-01-01T00:00:00Z', 'soon')],
    ['an index that is no number', empty.replace('"CurrentIndex":0', '"CurrentIndex":"0"')],
    ['a ring of another size', empty.replace('"Capacity":1000', '"Capacity":10')],
    ['a front outside the ring', empty.replace('"Front":0', '"Front":1000')],
    ['an unknown action', empty.replace('null,', '{"action":"jump","node":{}},')],
    ['a value that is no text', empty.replace('null,', '{"action":"set","node":{"value":1}},')],
    ['a path that is no text', empty.replace('"Path":"/1"', '"Path":1')],
  ])('refuses %s and changes nothing', (_name, text) => {
    expect(text).not.toBe(empty)
    expect(recover(text)).toBe('unreadable')
    expect(recover(empty)).toBe('recovered')
  })
})
