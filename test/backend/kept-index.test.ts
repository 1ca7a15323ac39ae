// Goal: a start from the kept index equals a start from all rows, and whatever does not fit is left aside.
// Method: the same history restored both ways; damage to each entry, other versions, changes and crashes on top.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Backend } from '../../src/backend/backend.js'
import { KEPT_INDEX_BYTE } from '../../src/backend/buckets.js'
import { LIVE } from '../../src/backend/engine-names.js'
import type { StoreSnapshot } from '../../src/backend/snapshot-stream.js'
import { crc32c } from '../../src/base/crc32c.js'
import { leaseId } from '../../src/base/ids.js'
import type { MvccStore } from '../../src/mvcc/mvcc-store.js'
import type { RestoreTarget, Row } from '../../src/mvcc/rows.js'
import type { EngineEntry, KeyValueEngine } from '../../src/ports/key-value-engine.js'
import { completed, given, openNamed } from '../contract/key-value-engine.contract.js'
import { SimulatedEngines } from '../simulation/world/engine.js'
import {
  applied,
  closed,
  compacted,
  defer,
  type Fixture,
  flushed,
  hashKvOf,
  openFixture,
  put,
  remove,
  text,
} from './store-fixture.js'

const KEPT = {
  start: new Uint8Array([KEPT_INDEX_BYTE]),
  end: new Uint8Array([KEPT_INDEX_BYTE + 1]),
}

async function keptEntries(engine: KeyValueEngine): Promise<readonly EngineEntry[]> {
  const iterator = engine.iterator(KEPT)
  const entries = await given<readonly EngineEntry[]>((done) => iterator.next(1000, done))
  iterator.close()
  return entries
}

async function change(
  engines: SimulatedEngines,
  edit: (engine: KeyValueEngine) => Promise<void>,
): Promise<void> {
  const engine = await openNamed(engines, LIVE)
  await edit(engine)
  await completed((done) => engine.close(done))
}

async function write(engine: KeyValueEngine, key: Uint8Array, value?: Uint8Array): Promise<void> {
  const batch = engine.batch()
  if (value === undefined) batch.delete(key)
  else batch.put(key, value)
  await completed((done) => batch.write({ sync: true }, done))
}

/** How a start went: rows read, and whether an index was taken over. */
async function startOf(engines: SimulatedEngines): Promise<{ rows: number; isKept: boolean }> {
  const engine = await openNamed(engines, LIVE)
  const backend = new Backend({
    engine,
    defer,
    onFailure: (failure) => {
      throw failure
    },
  })
  const start = { rows: 0, isKept: false }
  const target: RestoreTarget = {
    restoreRow: (_: Row) => {
      start.rows++
    },
    restoreIndexPart: () => {
      start.isKept = true
      return true
    },
    forgetIndexParts: () => {
      start.isKept = false
    },
    indexParts: () => ({ next: () => undefined }),
  }
  await new Promise<void>((resolve) => backend.restoreRows(target, resolve))
  await completed((done) => engine.close(done))
  return start
}

/** Everything that a reader can see of a store. */
async function seen({ store, backend, attachments }: Fixture): Promise<unknown> {
  const { currentRevision, compactedRevision, liveKeyCount, revisionCount } = store
  const states: unknown[] = []
  for (let at = Math.max(1, compactedRevision); at <= currentRevision; at++) {
    const range = store.range({ key: '', end: '\0', revision: at })
    states.push(range.kind === 'range' ? [range.count, range.kvs.map(text)] : range)
    const some = store.range({ key: 'key3', end: 'key7', revision: at, isCountOnly: true })
    states.push(some.kind === 'range' ? some.count : some)
  }
  return {
    ...{ currentRevision, compactedRevision, liveKeyCount, revisionCount, states },
    inUse: backend.inUseBytes,
    leases: [...attachments.leases].sort(),
    hash: await hashKvOf(store, 0),
    one: store.range({ key: 'key5', end: '' }),
  }
}

async function keptOf(engines: SimulatedEngines): Promise<readonly string[]> {
  const engine = await openNamed(engines, LIVE)
  const entries = await keptEntries(engine)
  await completed((done) => engine.close(done))
  return entries.map(({ key, value }) => `${text(key)}=${text(value)}`)
}

/** The hash over all buckets, and the bytes of a snapshot. */
async function summaryOf(engines: SimulatedEngines): Promise<string> {
  const { backend } = await openFixture({ engines })
  const hash = await new Promise<number>((resolve) => backend.hash(resolve))
  const snapshot = await given<StoreSnapshot | undefined>((done) => backend.openSnapshot(done))
  if (snapshot === undefined) throw new Error('no snapshot')
  const chunks: string[] = []
  for (;;) {
    const chunk = await snapshot.body.next()
    if (chunk === undefined) break
    chunks.push(text(chunk))
  }
  snapshot.body.close()
  await closed(backend)
  return `${hash} ${chunks.join('')}`
}

const openKept = (engines: SimulatedEngines): Promise<Fixture> =>
  openFixture({ engines, unkeptRowsMax: 1 })

function fill(store: MvccStore, count = 40): void {
  for (let at = 0; at < count; at++) {
    const lease = at % 4 === 0 ? leaseId(-7n) : undefined
    put(store, `key${(at * 7) % 13}`, `value ${at}`, lease)
    if (at % 5 === 4) remove(store, `key${(at * 3) % 13}`)
  }
  put(store, '\0\xff\x80', '')
  put(store, '', 'of a row that only raises the revision')
}

/** A compaction that has removed some rows. */
async function someCompacted(store: MvccStore): Promise<void> {
  while (store.compactSome(1) === 'waiting') await new Promise<void>((resolve) => defer(resolve))
  expect(store.compactSome(1)).toBe('more')
}

/** A store with a history, closed so that its index is kept. */
async function closedFilled(): Promise<SimulatedEngines> {
  const engines = new SimulatedEngines(defer)
  const { store, backend } = await openKept(engines)
  fill(store)
  applied(backend, 1)
  await closed(backend)
  return engines
}

/** What is seen when there is no kept index. */
async function seenFromRows(engines: SimulatedEngines): Promise<unknown> {
  await change(engines, async (engine) => {
    for (const { key } of await keptEntries(engine)) await write(engine, key)
  })
  expect((await startOf(engines)).isKept).toBe(false)
  const fixture = await openFixture({ engines })
  const all = await seen(fixture)
  await closed(fixture.backend)
  return all
}

describe('the kept index', () => {
  test('restores what all rows restore, for any history', async () => {
    const step = fc.tuple(fc.nat({ max: 30 }), fc.nat({ max: 9 }))
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { maxLength: 25 }), { maxLength: 4 }),
        async (runs) => {
          const engines = new SimulatedEngines(defer)
          for (const [run, steps] of runs.entries()) {
            const { store, backend } = await openKept(engines)
            for (const [key, kind] of steps) {
              if (kind === 0) store.compact(store.currentRevision)
              else if (kind === 1) store.compactSome(2)
              else if (kind < 4) remove(store, `k${key}`)
              else put(store, `k${key}`.repeat(1 + (key % 3)), 'v', leaseId(BigInt(key % 2)))
            }
            if (run % 2 === 0) await compacted(store)
            applied(backend, run + 1)
            await closed(backend)
          }
          const fixture = await openFixture({ engines })
          await compacted(fixture.store)
          const withKept = await seen(fixture)
          await closed(fixture.backend)
          expect(withKept).toEqual(await seenFromRows(engines))
        },
      ),
      { numRuns: 40 },
    )
  })

  test('spares reading rows, is left as it is while it fits, and is outside of hash and snapshots', async () => {
    const engines = await closedFilled()
    expect(await startOf(engines)).toEqual({ rows: 0, isKept: true })
    const before = await keptOf(engines)
    const { backend } = await openKept(engines)
    await closed(backend)
    expect(await keptOf(engines)).toEqual(before)
    const withKept = await summaryOf(engines)
    await seenFromRows(engines)
    expect(await summaryOf(engines)).toBe(withKept)
  })

  test('takes newer rows on top, also after a crash', async () => {
    const engines = await closedFilled()
    const { store, backend } = await openKept(engines)
    put(store, 'key5', 'newer')
    put(store, 'key-new', 'newest')
    remove(store, 'key1')
    remove(store, 'key1')
    put(store, 'key1', 'again')
    applied(backend, 2)
    await flushed(backend, true)
    engines.crash()
    expect(await startOf(engines)).toEqual({ rows: 4, isKept: true })
    const fixture = await openFixture({ engines })
    const all = await seen(fixture)
    await closed(fixture.backend)
    expect(all).toEqual(await seenFromRows(engines))
  })

  test('is left aside after a compaction, and made anew at the next close', async () => {
    const engines = await closedFilled()
    const { store, backend } = await openKept(engines)
    store.compact(30)
    await compacted(store)
    applied(backend, 2)
    await flushed(backend, true)
    engines.crash()
    expect((await startOf(engines)).isKept).toBe(false)
    const again = await openKept(engines)
    const all = await seen(again)
    await closed(again.backend)
    expect(await startOf(engines)).toEqual({ rows: 0, isKept: true })
    expect(all).toEqual(await seenFromRows(engines))
  })

  test('is left aside, and not written, while a compaction is under way', async () => {
    const engines = await closedFilled()
    const { store, backend } = await openKept(engines)
    store.compact(30)
    await someCompacted(store)
    applied(backend, 2)
    await flushed(backend, true)
    engines.crash()
    expect((await startOf(engines)).isKept).toBe(false)
    const second = await openKept(engines)
    await someCompacted(second.store)
    await closed(second.backend)
    expect((await startOf(engines)).isKept).toBe(false)
    const third = await openKept(engines)
    await compacted(third.store)
    const all = await seen(third)
    applied(third.backend, 3)
    await closed(third.backend)
    expect(await startOf(engines)).toEqual({ rows: 0, isKept: true })
    expect(all).toEqual(await seenFromRows(engines))
  })

  test('is ignored when any of its bytes differs, when a part is missing or too many, or of another version', async () => {
    const engines = await closedFilled()
    const fixture = await openFixture({ engines })
    const whole = await seen(fixture)
    const entries = await keptEntries(fixture.engine)
    expect(entries).toHaveLength(2)
    await closed(fixture.backend)
    const [head, part] = entries as [EngineEntry, EngineEntry]
    const flipped = (value: Uint8Array, at: number): Uint8Array =>
      value.map((byte, place) => (place === at ? byte ^ 0x10 : byte))
    const otherVersion = flipped(head.value, 3)
    new DataView(otherVersion.buffer).setUint32(52, crc32c(otherVersion, 0, 52))
    const changes: (readonly [Uint8Array, Uint8Array | undefined])[] = [
      [head.key, otherVersion],
      [head.key, undefined],
      [head.key, head.value.slice(0, -1)],
      [part.key, undefined],
      [part.key, part.value.slice(0, 3)],
      [part.key, part.value.slice(0, -4)],
      [Uint8Array.of(KEPT_INDEX_BYTE, 0, 0, 0, 1), part.value],
      [Uint8Array.of(KEPT_INDEX_BYTE, 0), part.value],
    ]
    for (let at = 0; at < head.value.length; at += 3)
      changes.push([head.key, flipped(head.value, at)])
    for (let at = 0; at < part.value.length; at += 29) {
      changes.push([part.key, flipped(part.value, at)])
    }
    for (const [key, value] of changes) {
      await change(engines, (engine) => write(engine, key, value))
      expect((await startOf(engines)).isKept).toBe(false)
      const again = await openFixture({ engines })
      expect(await seen(again)).toEqual(whole)
      await closed(again.backend)
      await change(engines, async (engine) => {
        await write(engine, key)
        for (const entry of entries) await write(engine, entry.key, entry.value)
      })
    }
    expect((await startOf(engines)).isKept).toBe(true)
  })

  test('is whole or absent when power fails while it is written', async () => {
    for (let kept = 0; kept < 8; kept++) {
      const engines = await closedFilled()
      const { store, backend } = await openKept(engines)
      fill(store)
      applied(backend, 2)
      backend.close(() => undefined)
      for (let turn = 0; turn < kept; turn++) await new Promise<void>((resolve) => defer(resolve))
      engines.powerLoss((count) => count)
      const fixture = await openFixture({ engines })
      const restored = await seen(fixture)
      await closed(fixture.backend)
      expect(restored).toEqual(await seenFromRows(engines))
    }
  })

  test('is not written for few rows, nor by a backend that restored none', async () => {
    const engines = new SimulatedEngines(defer)
    const { store, backend } = await openFixture({ engines })
    fill(store)
    await closed(backend)
    expect((await startOf(engines)).isKept).toBe(false)
    const bare = await openNamed(engines, LIVE)
    const options = { engine: bare, defer, onFailure: () => undefined, unkeptRowsMax: 0 }
    await closed(new Backend(options))
    expect((await startOf(engines)).isKept).toBe(false)
  })

  test('is not written while the store changes', async () => {
    const engines = new SimulatedEngines(defer)
    const { store, backend } = await openKept(engines)
    fill(store)
    const closing = closed(backend)
    await new Promise<void>((resolve) => defer(() => defer(resolve)))
    put(store, 'late', 'lost')
    await closing
    expect((await startOf(engines)).isKept).toBe(false)
  })

  test('comes in many parts when there are many keys', async () => {
    const engines = new SimulatedEngines(defer)
    const { store, backend } = await openFixture({ engines })
    const name = (at: number): string => `${'k'.repeat(at % 300)}${at}${'x'.repeat(200)}`
    for (let at = 0; at < 12_000; at++) put(store, name(at), '')
    await closed(backend)
    await change(engines, async (engine) => {
      expect((await keptEntries(engine)).length).toBeGreaterThan(5)
    })
    const again = await openFixture({ engines })
    expect(again.store.liveKeyCount).toBe(12_000)
    for (let at = 0; at < 12_000; at += 997) {
      expect(again.store.range({ key: name(at), end: '' })).toMatchObject({ count: 1 })
    }
    expect(again.store.countNow('k', 'l')).toBe(11_960)
    await closed(again.backend)
  })
})
