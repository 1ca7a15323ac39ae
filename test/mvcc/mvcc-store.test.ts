// Goal: the store answers as a naive list of all revisions would, through compactions, flushes and restarts.
// Method: random histories on few keys, done to both; every readable revision is compared.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { leaseId } from '../../src/base/ids.js'
import type { EventsOutcome } from '../../src/mvcc/events-since.js'
import type { MvccStore } from '../../src/mvcc/mvcc-store.js'
import type { RangeSlice } from '../../src/mvcc/range-cursor.js'
import { KeyValue } from '../../src/wire/mvccpb.js'
import {
  applied,
  bytes,
  closed,
  compacted,
  defer,
  type Fixture,
  flushed,
  hashKvOf,
  NO_LEASE,
  openFixture,
  put,
  remove,
  text,
} from '../backend/store-fixture.js'
import { SimulatedEngines } from '../simulation/world/engine.js'

interface TwinKey {
  readonly key: string
  readonly value: string
  readonly create: number
  readonly mod: number
  readonly version: number
}

/** Every state that the store ever had. */
class Twin {
  readonly states: TwinKey[][] = [[], []]
  readonly events: string[][] = [[], []]
  compacted = -1

  get revision(): number {
    return this.states.length - 1
  }

  change(changes: readonly (readonly [key: string, value: string | undefined])[]): void {
    const main = this.revision + 1
    const state = new Map((this.states[this.revision] ?? []).map((one) => [one.key, one]))
    const events: string[] = []
    for (const [key, value] of changes) {
      const old = state.get(key)
      if (value === undefined) {
        if (old === undefined) continue
        state.delete(key)
        events.push(`DELETE ${key} was ${old.value}`)
        continue
      }
      const create = old?.create ?? main
      state.set(key, { key, value, create, mod: main, version: (old?.version ?? 0) + 1 })
      events.push(`PUT ${key}=${value} was ${old?.value}`)
    }
    if (events.length === 0) return
    this.states.push([...state.values()].sort((a, b) => (a.key < b.key ? -1 : 1)))
    this.events.push(events)
  }

  range(key: string, end: string, at: number): TwinKey[] {
    return (this.states[at] ?? []).filter((one) => {
      if (end === '') return one.key === key
      return one.key >= key && (end === '\0' || one.key < end)
    })
  }
}

const decoded = (encoded: Uint8Array): TwinKey => {
  const { key, value, createRevision, modRevision, version } = KeyValue.decode(encoded)
  return {
    key: text(key),
    value: text(value),
    create: createRevision,
    mod: modRevision,
    version,
  }
}

const eventsFrom = (store: MvccStore, from: number, revisionsMax: number): Promise<EventsOutcome> =>
  new Promise((resolve) => {
    store.eventsSince({ from, to: store.currentRevision, revisionsMax }, resolve)
  })

async function sliced(store: MvccStore, key: string, end: string, at: number): Promise<TwinKey[]> {
  const cursor = store.openRange({ key, end, revision: at })
  if (cursor instanceof Object && 'kind' in cursor) throw new Error(cursor.code)
  const found: TwinKey[] = []
  for (;;) {
    const slice = await new Promise<RangeSlice>((resolve) => cursor.next(2, resolve))
    found.push(...slice.kvs.map(decoded))
    if (slice.isEnd) break
  }
  expect(cursor.count).toBe(found.length)
  cursor.close()
  return found
}

async function compare(fixture: Fixture, twin: Twin): Promise<void> {
  const { store } = fixture
  expect(store.currentRevision).toBe(twin.revision)
  expect(store.liveKeyCount).toBe(twin.states[twin.revision]?.length)
  for (let at = 1; at <= twin.revision + 1; at++) {
    const outcome = store.range({ key: '\0', end: '\0', revision: at })
    if (at > twin.revision || at < twin.compacted) {
      expect(outcome).toMatchObject({
        kind: 'failed',
        code: at < twin.compacted ? 'COMPACTED' : 'FUTURE_REVISION',
      })
      continue
    }
    const all = twin.range('\0', '\0', at)
    expect(outcome.kind === 'range' && outcome.kvs.map(decoded)).toEqual(all)
    for (const [key, end] of [
      ['b', ''],
      ['b', 'd'],
      ['c', '\0'],
      ['d', 'a'],
    ] as const) {
      const expected = twin.range(key, end, at)
      const part = store.range({ key, end, revision: at, limit: 2 })
      expect(part.kind === 'range' && part.kvs.map(decoded)).toEqual(expected.slice(0, 2))
      expect(part.kind === 'range' && part.count).toBe(expected.length)
    }
  }
  const middle = Math.max(1, twin.compacted, twin.revision - 3)
  expect(await sliced(store, '\0', '\0', middle)).toEqual(twin.range('\0', '\0', middle))
  await compareEvents(store, twin)
}

async function compareEvents(store: MvccStore, twin: Twin): Promise<void> {
  const from = Math.max(2, twin.compacted + 1)
  const seen: string[][] = []
  let next = from
  while (next <= twin.revision) {
    const outcome = await eventsFrom(store, next, 3)
    if (outcome.kind !== 'events') throw new Error(outcome.kind)
    for (const event of outcome.events) {
      const prev = store.prevKv(event)
      const was = prev === undefined ? undefined : decoded(prev).value
      const kv = decoded(event.kv)
      const shown = event.type === 'PUT' ? `PUT ${kv.key}=${kv.value}` : `DELETE ${kv.key}`
      const place = event.modRevision - from
      seen[place] ??= []
      seen[place]?.push(`${shown} was ${was}`)
      expect(event.sub).toBe((seen[place]?.length ?? 0) - 1)
    }
    next = outcome.nextRevision
  }
  expect(seen).toEqual(twin.events.slice(from))
  if (twin.compacted > 2) {
    const refused = await eventsFrom(store, twin.compacted - 1, 3)
    expect(refused).toEqual({ kind: 'compacted', compactRevision: twin.compacted })
  }
}

const keys = fc.constantFrom('a', 'b', 'bb', 'c', 'd')
const steps = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), key: keys }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('delete' as const),
      key: keys,
      end: fc.oneof(fc.constant(''), fc.constant('\0'), keys),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('transaction' as const),
      puts: fc.uniqueArray(keys, { maxLength: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('compact' as const), back: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'flush' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
)

test('equals a list of all states through any history', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 40 }), async (history) => {
      const twin = new Twin()
      let fixture = await openFixture({ recentBytesMax: 100, cacheBytesMax: 4000 })
      const { engines } = fixture
      let at = 0
      for (const step of history) {
        const value = `v${at++}`
        applied(fixture.backend, at)
        if (step.kind === 'put') {
          put(fixture.store, step.key, value)
          twin.change([[step.key, value]])
        } else if (step.kind === 'delete') {
          const gone = twin.range(step.key, step.end, twin.revision)
          remove(fixture.store, step.key, step.end)
          twin.change(gone.map(({ key }) => [key, undefined]))
        } else if (step.kind === 'transaction') {
          const transaction = fixture.store.begin()
          for (const key of step.puts) transaction.put(bytes(key), bytes(value), NO_LEASE)
          const result = transaction.end()
          twin.change(step.puts.map((key) => [key, value]))
          expect(result.revision).toBe(twin.revision)
        } else if (step.kind === 'compact') {
          const wanted = twin.revision - step.back
          const isOld = wanted <= twin.compacted
          const outcome = fixture.store.compact(wanted)
          expect(outcome).toBe(isOld ? 'COMPACTED' : undefined)
          if (!isOld) twin.compacted = wanted
          if (step.back % 2 === 0) await compacted(fixture.store)
        } else if (step.kind === 'flush') await flushed(fixture.backend)
        else {
          await closed(fixture.backend)
          fixture = await openFixture({ engines, recentBytesMax: 100, cacheBytesMax: 4000 })
          expect(fixture.backend.consistentIndex).toBe(at)
        }
      }
      await compare(fixture, twin)
      const before = await hashKvOf(fixture.store, 0)
      await compacted(fixture.store)
      await compare(fixture, twin)
      await closed(fixture.backend)
      fixture = await openFixture({ engines, recentBytesMax: 100 })
      await compare(fixture, twin)
      // Without a living key it depends on how far the compaction came, as in etcd.
      if (fixture.store.liveKeyCount > 0) expect(await hashKvOf(fixture.store, 0)).toEqual(before)
      await closed(fixture.backend)
    }),
    { numRuns: 60 },
  )
}, 60_000)

describe('leases', () => {
  test('a put hangs the key on its lease, another put or a deletion takes it off', async () => {
    const { store, attachments } = await openFixture()
    const lease = leaseId(7n)
    put(store, 'a', '1', lease)
    put(store, 'b', '1', lease)
    expect([...attachments.leases]).toEqual([
      ['a', 7n],
      ['b', 7n],
    ])
    put(store, 'a', '2')
    remove(store, 'b')
    expect([...attachments.leases]).toEqual([])
  })

  test('a restart hangs living keys on the lease of their newest revision', async () => {
    const { engines, backend, store } = await openFixture()
    put(store, 'a', '1', leaseId(7n))
    put(store, 'b', '1', leaseId(7n))
    put(store, 'c', '1', leaseId(7n))
    put(store, 'b', '2', leaseId(8n))
    put(store, 'c', '2')
    remove(store, 'a')
    await closed(backend)
    const { attachments } = await openFixture({ engines })
    expect([...attachments.leases]).toEqual([['b', 8n]])
  })
})

describe('compaction', () => {
  test('waits for a range that is being read below it', async () => {
    const { store } = await openFixture({ hashesCompactions: false })
    for (const value of ['1', '2']) for (const key of ['a', 'b', 'c']) put(store, key, value)
    const cursor = store.openRange({ key: 'a', end: '\0', revision: 4 })
    if ('kind' in cursor) throw new Error(cursor.code)
    expect(store.compact(7)).toBeUndefined()
    expect(store.compactSome(100)).toBe('waiting')
    const slice = await new Promise<RangeSlice>((resolve) => cursor.next(10, resolve))
    expect(slice.kvs.map((kv) => decoded(kv).value)).toEqual(['1', '1', '1'])
    cursor.close()
    expect(store.compactSome(100)).toBe('done')
    expect(store.revisionCount).toBe(3)
    expect(store.finishedCompactRevision).toBe(7)
  })

  test('goes on after a restart that cut it off', async () => {
    const { engines, backend, store } = await openFixture()
    for (const value of ['1', '2', '3']) put(store, 'a', value)
    expect(store.compact(4)).toBeUndefined()
    await closed(backend)
    const again = await openFixture({ engines })
    expect(again.store.compactedRevision).toBe(4)
    expect(again.store.isCompacting).toBe(true)
    await compacted(again.store)
    expect(again.store.finishedCompactRevision).toBe(4)
    expect(again.store.revisionCount).toBe(1)
  })

  test('that a restart cut off leaves no hash: what it would cover may be gone', async () => {
    const { engines, backend, store } = await openFixture()
    for (const key of ['a', 'b']) for (const value of ['1', '2']) put(store, key, value)
    expect(store.compact(5)).toBeUndefined()
    while (store.compactSome(1) === 'waiting') await new Promise((resolve) => setImmediate(resolve))
    expect(store.revisionCount).toBe(3)
    await closed(backend)
    const again = await openFixture({ engines })
    await compacted(again.store)
    const { compactRevision } = await hashKvOf(again.store, 5)
    expect(compactRevision).toBe(5)
  })

  test.each([
    [true, 1],
    [false, 0],
  ])('keeps a tombstone exactly at its revision only if asked to (%s)', async (keeps, left) => {
    const { store } = await openFixture({ keepsTombstoneAtRevision: keeps })
    put(store, 'a', '1')
    remove(store, 'a')
    expect(store.compact(3)).toBeUndefined()
    await compacted(store)
    expect(store.revisionCount).toBe(left)
  })

  test('takes rows out of HashKV at once, also where nothing lives and they are not written', async () => {
    const first = await openFixture()
    const { engines } = first
    put(first.store, 'a', '1')
    await closed(first.backend)
    const { backend, store } = await openFixture({ engines })
    put(store, 'a', '2')
    expect(store.compact(3)).toBeUndefined()
    await compacted(store)
    remove(store, 'a')
    const before = await hashKvOf(store, 0)
    await closed(backend)
    const again = await openFixture({ engines })
    expect(await hashKvOf(again.store, 0)).toEqual(before)
  })

  test('answers HashKV at its revision with the hash from before it', async () => {
    const { store } = await openFixture()
    for (const value of ['1', '2', '3']) put(store, 'a', value)
    const before = await hashKvOf(store, 4)
    expect(store.compact(4)).toBeUndefined()
    await compacted(store)
    expect(await hashKvOf(store, 4)).toEqual(before)
    expect((await hashKvOf(store, 0)).compactRevision).toBe(4)
    await expect(hashKvOf(store, 3)).rejects.toThrow('COMPACTED')
    await expect(hashKvOf(store, 5)).rejects.toThrow('FUTURE_REVISION')
  })

  test('of which many come at once are hashed one after the other', async () => {
    const engines = new SimulatedEngines(defer)
    const { store, backend } = await openFixture({ engines })
    const count = 30
    for (let value = 0; value < count; value++) put(store, 'a', String(value))
    await flushed(backend)
    const idle = engines.openHandles
    for (let at = 2; at <= count; at++) expect(store.compact(at)).toBeUndefined()
    expect(engines.openHandles - idle).toBe(1)
    const newest = await hashKvOf(store, 0)
    await compacted(store)
    expect(engines.openHandles).toBe(idle)
    expect(store.finishedCompactRevision).toBe(count)
    expect(await hashKvOf(store, 0)).toEqual(newest)
  })
})

test('finds any of many revisions of one key, and forgets the compacted ones', async () => {
  const { store } = await openFixture({ hashesCompactions: false })
  const count = 3000
  for (let at = 0; at < count; at++) put(store, 'hot', `v${at}`)
  for (let at = 2; at < count + 2; at += 7) {
    const outcome = store.range({ key: 'hot', end: '', revision: at })
    expect(outcome.kind === 'range' && outcome.kvs.map((kv) => decoded(kv).mod)).toEqual([at])
  }
  expect(store.compact(1500)).toBeUndefined()
  await compacted(store)
  expect(store.revisionCount).toBe(count + 1 - 1500 + 1)
  for (let at = 1500; at < count + 2; at += 7) {
    const outcome = store.range({ key: 'hot', end: '', revision: at })
    expect(outcome.kind === 'range' && outcome.kvs.map((kv) => decoded(kv).mod)).toEqual([at])
  }
})
