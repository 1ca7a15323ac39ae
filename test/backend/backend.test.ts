// Goal: what the backend says is written survives, whole batches only; reads see the buffer; snapshots are frozen.
// Method: the simulated engine, crashes and power losses at every point; LevelDB for one round trip.
import { mkdirSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Backend } from '../../src/backend/backend.js'
import { BUCKETS } from '../../src/backend/buckets.js'
import { discardStaged, installStaged, openEngine } from '../../src/backend/open-engine.js'
import { SnapshotReceiver } from '../../src/backend/snapshot-receiver.js'
import type { StoreSnapshot } from '../../src/backend/snapshot-stream.js'
import { ValueCache } from '../../src/backend/value-cache.js'
import { crc32c } from '../../src/base/crc32c.js'
import type { Row } from '../../src/mvcc/rows.js'
import { LevelEngines } from '../../src/platform/level-engine.js'
import type {
  EngineEntry,
  KeyValueEngine,
  KeyValueEngines,
} from '../../src/ports/key-value-engine.js'
import { completed, given } from '../contract/key-value-engine.contract.js'
import { SimulatedEngines } from '../simulation/world/engine.js'
import {
  applied,
  bytes,
  closed,
  compacted,
  defer,
  flushed,
  hashKvOf,
  openFixture,
  put,
  remove,
  text,
} from './store-fixture.js'

const bucketOf = async (backend: Backend, name: (typeof BUCKETS)[number]): Promise<string> => {
  const entries = await new Promise<readonly EngineEntry[]>((resolve) =>
    backend.readBucket(name, resolve),
  )
  return entries.map(({ key, value }) => `${text(key)}=${text(value)}`).join(' ')
}
const hashOf = (backend: Backend): Promise<number> =>
  new Promise((resolve) => backend.hash(resolve))

async function snapshotOf(backend: Backend): Promise<StoreSnapshot> {
  const snapshot = await given<StoreSnapshot | undefined>((done) => backend.openSnapshot(done))
  if (snapshot === undefined) throw new Error('no snapshot')
  return snapshot
}

async function chunksOf(snapshot: StoreSnapshot): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  for (;;) {
    const chunk = await snapshot.body.next()
    if (chunk === undefined) break
    chunks.push(chunk)
  }
  snapshot.body.close()
  snapshot.body.close()
  return chunks
}

async function receive(
  engines: KeyValueEngines,
  index: number,
  chunks: readonly Uint8Array[],
): Promise<void> {
  const receiver = await given<SnapshotReceiver | undefined>((done) =>
    SnapshotReceiver.open(engines, index, done),
  )
  if (receiver === undefined) throw new Error('no receiver')
  try {
    for (const chunk of chunks) await completed((done) => receiver.push(chunk, done))
    await completed((done) => receiver.finish(done))
  } catch (thrown) {
    await completed((done) => receiver.abort(done))
    throw thrown
  }
}

describe('buckets', () => {
  test('show changes before, while and after they are written', async () => {
    const { backend, engines } = await openFixture()
    backend.put('lease', bytes('b'), bytes('1'))
    backend.put('lease', bytes('a'), bytes('1'))
    expect(await bucketOf(backend, 'lease')).toBe('a=1 b=1')
    const writing = flushed(backend)
    backend.delete('lease', bytes('b'))
    backend.put('lease', bytes('c'), bytes('2'))
    expect(backend.get('lease', bytes('b'))).toBeUndefined()
    expect(await bucketOf(backend, 'lease')).toBe('a=1 c=2')
    await writing
    expect(await bucketOf(backend, 'lease')).toBe('a=1 c=2')
    await closed(backend)
    const again = await openFixture({ engines })
    expect(await bucketOf(again.backend, 'lease')).toBe('a=1 c=2')
    expect(await bucketOf(again.backend, 'alarm')).toBe('')
  })

  test('are hashed in the order of their names, but for the consistent index', async () => {
    const { backend } = await openFixture()
    const names = (until: string): string => BUCKETS.filter((name) => name <= until).join('')
    const empty = bytes(BUCKETS.join(''))
    expect(await hashOf(backend)).toBe(crc32c(empty))
    applied(backend, 5)
    expect(await hashOf(backend)).toBe(crc32c(empty))
    backend.putMeta('confState', bytes('{}'))
    backend.put('auth', bytes('authEnabled'), bytes('\x01'))
    const rest = BUCKETS.filter((name) => name > 'auth').join('')
    const expected = `${names('auth')}authEnabled\x01${rest}confState{}`
    expect(await hashOf(backend)).toBe(crc32c(bytes(expected)))
  })
})

describe('flush', () => {
  test('gathers what comes while a batch is being written into the next one', async () => {
    const { backend, store } = await openFixture()
    const order: string[] = []
    put(store, 'a', '1')
    applied(backend, 1)
    backend.flush(false, () => order.push(`first ${backend.writtenIndex}`))
    put(store, 'a', '2')
    applied(backend, 2)
    backend.flush(false, () => order.push(`second ${backend.writtenIndex}`))
    put(store, 'a', '3')
    applied(backend, 3)
    backend.flush(true, () => order.push(`third ${backend.writtenIndex} ${backend.durableIndex}`))
    expect(backend.writtenIndex).toBe(0)
    await flushed(backend)
    expect(order).toEqual(['first 1', 'second 3', 'third 3 3'])
    expect(backend.isDirty).toBe(false)
    await flushed(backend, true)
  })

  test('is due after so many changes, and too many unwritten bytes are an overload', async () => {
    const { backend, store } = await openFixture()
    for (let at = 0; at < 9_999; at++) put(store, 'a', '')
    expect(backend.isFlushDue).toBe(false)
    put(store, 'a', '')
    expect(backend.isFlushDue).toBe(true)
    expect(backend.isOverloaded).toBe(false)
    for (let at = 0; at < 65; at++) put(store, 'a', 'x'.repeat(1 << 20))
    expect(backend.isOverloaded).toBe(true)
    await flushed(backend)
    expect(backend.isOverloaded).toBe(false)
    expect(backend.pendingBytes).toBe(0)
  })

  test('a power loss takes whole batches from the end, and the log is replayed from the index', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ changes: fc.integer({ min: 1, max: 4 }), sync: fc.boolean() }), {
          maxLength: 6,
        }),
        fc.nat(6),
        async (batches, lost) => {
          const engines = new SimulatedEngines(defer)
          const { backend, store } = await openFixture({ engines })
          let at = 0
          for (const { changes, sync } of batches) {
            for (let change = 0; change < changes; change++) {
              at++
              put(store, `k${at}`, `v${at}`)
              applied(backend, at)
            }
            await flushed(backend, sync)
          }
          const { durableIndex } = backend
          put(store, 'never', 'written')
          applied(backend, at + 1)
          engines.powerLoss((count) => Math.min(count, lost))
          const after = await openFixture({ engines })
          const survived = after.backend.consistentIndex
          expect(survived).toBeGreaterThanOrEqual(durableIndex)
          expect(survived).toBeLessThanOrEqual(at)
          expect(after.store.currentRevision).toBe(survived + 1)
          expect(after.store.liveKeyCount).toBe(survived)
        },
      ),
      { numRuns: 50 },
    )
  })
})

describe('size', () => {
  test('grows with what is put, and shrinks in use by compaction, in all by defragmentation', async () => {
    const { backend, store, engines } = await openFixture({ hashesCompactions: false })
    for (let at = 0; at < 100; at++) put(store, 'a', 'x'.repeat(1000))
    const full = backend.sizeBytes
    expect(full).toBeGreaterThan(100_000)
    expect(backend.inUseBytes).toBe(full)
    store.compact(101)
    await compacted(store)
    expect(backend.inUseBytes).toBeLessThan(full / 50)
    expect(backend.sizeBytes).toBe(full)
    await completed((done) => backend.defragment(done))
    expect(backend.sizeBytes).toBe(backend.inUseBytes)
    await closed(backend)
    const again = await openFixture({ engines })
    expect(again.backend.inUseBytes).toBeGreaterThan(1000)
    expect(again.backend.inUseBytes).toBeLessThan(2000)
  })
})

describe('snapshot', () => {
  async function filled(engines: KeyValueEngines): ReturnType<typeof openFixture> {
    const fixture = await openFixture({ engines })
    for (let at = 0; at < 700; at++) put(fixture.store, `k${at % 50}`, `v${at}`)
    remove(fixture.store, 'k7')
    fixture.backend.put('auth', bytes('authEnabled'), bytes('\x01'))
    applied(fixture.backend, 701)
    return fixture
  }
  /** Closes the live engine and puts the staged one in its place. */
  async function install(engines: KeyValueEngines, index: number): Promise<void> {
    const engine = await given<KeyValueEngine | undefined>((done) =>
      installStaged(engines, index, done),
    )
    await completed((done) => engine?.close(done))
  }

  test.each(['LevelDB', 'simulated'])('moves everything to another member (%s)', async (kind) => {
    mkdirSync('.tmp', { recursive: true })
    const directory = mkdtempSync(join('.tmp', 'backend-'))
    const create = (name: string): KeyValueEngines =>
      kind === 'LevelDB' ? new LevelEngines(join(directory, name)) : new SimulatedEngines(defer)
    const source = await filled(create('a'))
    const snapshot = await snapshotOf(source.backend)
    expect(snapshot.index).toBe(701)
    const hash = await hashKvOf(source.store, 0)
    put(source.store, 'later', 'not in it')
    await flushed(source.backend)
    const chunks = await chunksOf(snapshot)
    const engines = create('b')
    const target = await openFixture({ engines })
    put(target.store, 'other', 'state')
    await receive(engines, 701, chunks)
    await closed(target.backend)
    const waiting = await openFixture({ engines })
    expect(waiting.staged).toEqual([701])
    expect(waiting.store.liveKeyCount).toBe(1)
    await closed(waiting.backend)
    await install(engines, 701)
    const moved = await openFixture({ engines })
    expect(moved.staged).toEqual([])
    expect(moved.backend.consistentIndex).toBe(701)
    expect(await hashKvOf(moved.store, 0)).toEqual(hash)
    expect(await bucketOf(moved.backend, 'auth')).toBe('authEnabled=\x01')
    await closed(moved.backend)
    await closed(source.backend)
    await rm(directory, { recursive: true, force: true })
  })

  test('is taken however it is cut, and refused when a byte is wrong or missing', async () => {
    const source = await filled(new SimulatedEngines(defer))
    const chunks = await chunksOf(await snapshotOf(source.backend))
    const whole = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))
    const engines = new SimulatedEngines(defer)
    const cut = (size: number): Uint8Array[] =>
      Array.from({ length: Math.ceil(whole.length / size) }, (_, at) =>
        whole.slice(at * size, (at + 1) * size),
      )
    for (const size of [7, 100, 4096, whole.length]) await receive(engines, size, cut(size))
    for (let at = 0; at < whole.length; at += 997) {
      const broken = whole.slice()
      broken[at] = (broken[at] ?? 0) ^ 0x40
      await expect(receive(engines, 1, [broken])).rejects.toThrow('snapshot of the store')
      await expect(receive(engines, 1, [whole.slice(0, at)])).rejects.toThrow('cut off')
    }
    const longer = [whole, new Uint8Array(1)]
    await expect(receive(engines, 1, longer)).rejects.toThrow()
    const names = await given<readonly string[]>((done) => engines.list(done))
    expect(names.filter((name) => name.includes('receiving') || name.includes('01.st'))).toEqual([])
    await completed((done) => discardStaged(engines, 1e9, done))
    expect(await given<readonly string[]>((done) => engines.list(done))).toEqual([])
  })

  test('that comes twice does not take away what is being installed', async () => {
    const source = await filled(new SimulatedEngines(defer))
    const chunks = await chunksOf(await snapshotOf(source.backend))
    const engines = new SimulatedEngines(defer)
    await closed((await openFixture({ engines })).backend)
    await receive(engines, 701, chunks)
    // The second may end before, while and after the first takes the place of the live engine.
    for (let turns = 0; turns < 12; turns++) {
      const again = receive(engines, 701, chunks)
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      await Promise.all([install(engines, 701), again])
      const installed = await openFixture({ engines })
      expect(installed.backend.consistentIndex).toBe(701)
      await closed(installed.backend)
      await receive(engines, 701, chunks)
    }
  })

  test('is installed wholly or not at all, wherever a crash cuts in', async () => {
    const source = await filled(new SimulatedEngines(defer))
    const chunks = await chunksOf(await snapshotOf(source.backend))
    const outcomes: string[] = []
    for (let stepsLeft = 0; stepsLeft < 12; stepsLeft++) {
      const engines = new SimulatedEngines(defer)
      const old = await openFixture({ engines })
      put(old.store, 'old', 'state')
      applied(old.backend, 3)
      await receive(engines, 701, chunks)
      await closed(old.backend)
      let left = stepsLeft
      const counted = new Proxy<KeyValueEngines>(engines, {
        get(target, name: keyof KeyValueEngines) {
          return (...parameters: readonly unknown[]): void => {
            // The process is gone: the call neither happens nor completes.
            if (left-- > 0) (target[name] as (...all: readonly unknown[]) => void)(...parameters)
          }
        },
      })
      installStaged(counted, 701, () => {})
      for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve))
      engines.crash()
      const after = await openFixture({ engines })
      const { liveKeyCount } = after.store
      outcomes.push(
        `${after.backend.consistentIndex}:${liveKeyCount} staged ${after.staged.length}`,
      )
      await closed(after.backend)
    }
    const isOld = outcomes.filter((one) => one === '3:1 staged 1').length
    expect(new Set(outcomes)).toEqual(new Set(['3:1 staged 1', '701:49 staged 0']))
    expect(outcomes.slice(0, isOld).every((one) => one.startsWith('3:'))).toBe(true)
  })

  test.each([
    false,
    true,
  ])('is of the index it says, whatever is written next (thread is early: %s)', async (isEarly) => {
    const engines = new SimulatedEngines(defer, () => isEarly)
    const { backend, store } = await openFixture({ engines })
    put(store, 'a', '1')
    applied(backend, 1)
    await flushed(backend)
    // Nothing is to be written for the snapshot; what comes before it is opened is not in it.
    const opening = snapshotOf(backend)
    put(store, 'a', '2')
    applied(backend, 2)
    const writing = flushed(backend)
    const snapshot = await opening
    expect(snapshot.index).toBe(1)
    await receive(engines, 1, await chunksOf(snapshot))
    await writing
    expect(backend.writtenIndex).toBe(2)
    await closed(backend)
    await install(engines, 1)
    const moved = await openFixture({ engines })
    expect(moved.backend.consistentIndex).toBe(1)
    expect(moved.store.currentRevision).toBe(2)
    await closed(moved.backend)
  })

  test('leaves nothing open', async () => {
    const engines = new SimulatedEngines(defer)
    const { backend, store } = await filled(engines)
    await chunksOf(await snapshotOf(backend))
    const body = (await snapshotOf(backend)).body
    await body.next()
    body.close()
    await expect(body.next()).rejects.toThrow('closed')
    await hashOf(backend)
    await hashKvOf(store, 0)
    await bucketOf(backend, 'lease')
    expect(engines.openHandles).toBe(0)
    await closed(backend)
  })
})

test('rows of many small batches are found, walked and deleted one by one', async () => {
  const { backend } = await openFixture()
  const mains = Array.from({ length: 100 }, (_, at) => 10 + 3 * at)
  for (const main of mains) {
    backend.appendRow(main, 0, false, bytes(`a${main}`))
    backend.appendRow(main, 1, true, bytes(`b${main}`))
    await flushed(backend)
  }
  const walked = async (from: number, to: number): Promise<string> => {
    const cursor = backend.rowCursor(from, to)
    const rows = await new Promise<readonly Row[]>((resolve) => cursor.next(1000, resolve))
    cursor.close()
    return rows.map(({ value }) => text(value)).join(' ')
  }
  for (const main of mains) {
    expect(text(backend.getRow(main, 0) ?? bytes(''))).toBe(`a${main}`)
    expect(text(backend.getRow(main, 1) ?? bytes(''))).toBe(`b${main}`)
    expect(backend.getRow(main + 1, 0)).toBeUndefined()
  }
  expect(backend.getRow(1, 0)).toBeUndefined()
  expect(await walked(0, 9)).toBe('')
  expect(await walked(0, 13)).toBe('a10 b10 a13 b13')
  expect(await walked(14, 19)).toBe('a16 b16 a19 b19')
  expect(await walked(305, 1000)).toBe('a307 b307')
  backend.deleteRow(16, 0, false, 3)
  backend.deleteRow(19, 1, true, 3)
  expect(await walked(14, 19)).toBe('b16 a19')
})

test('a store that is closed twice is closed once, and both hear of it', async () => {
  const { backend, store } = await openFixture({ unkeptRowsMax: 1 })
  put(store, 'a', '1')
  applied(backend, 1)
  await Promise.all([closed(backend), closed(backend)])
  await flushed(backend, true)
  await closed(backend)
  expect(backend.durableIndex).toBe(1)
})

test('a snapshot whose last write failed can be received again', async () => {
  const { backend, store } = await openFixture()
  put(store, 'a', '1')
  const chunks = await chunksOf(await snapshotOf(backend))
  const engines = new SimulatedEngines(defer)
  const open = engines.open.bind(engines)
  engines.open = (name, done) =>
    open(name, (failure, engine) => {
      if (engine !== undefined && name === 'leveldb.receiving') failLastWrite(engine)
      done(failure, engine)
    })
  await expect(receive(engines, 5, chunks)).rejects.toThrow('the engine')
  engines.open = open
  await receive(engines, 5, chunks)
  expect(await given<readonly string[]>((done) => engines.list(done))).toEqual([
    'leveldb.0000000000000005.staged',
  ])
  await closed(backend)

  function failLastWrite(engine: KeyValueEngine): void {
    const batch = engine.batch.bind(engine)
    engine.batch = () => {
      const made = batch()
      const write = made.write.bind(made)
      made.write = (options, done) => {
        engines.failsNextWrite = options.sync
        write(options, done)
      }
      return made
    }
  }
})

test('a start removes what was received in part', async () => {
  const engines = new SimulatedEngines(defer)
  const receiver = await given<SnapshotReceiver | undefined>((done) =>
    SnapshotReceiver.open(engines, 5, done),
  )
  expect(receiver).toBeDefined()
  engines.crash()
  const opened = await given<{ engine: KeyValueEngine } | undefined>((done) =>
    openEngine(engines, done),
  )
  expect(await given<readonly string[]>((done) => engines.list(done))).toEqual(['leveldb'])
  await completed((done) => opened?.engine.close(done))
})

test('the value cache forgets what was not asked for, never more than half at once', () => {
  const cache = new ValueCache(100_000)
  const value = bytes('x'.repeat(100))
  for (let at = 0; at < 2000; at++) {
    cache.set(at, 0, value)
    if (at > 1) expect(cache.get(1, 0) !== undefined).toBe(true)
  }
  expect(cache.get(0, 0)).toBeUndefined()
  expect(cache.get(1999, 0)).toEqual(value)
  cache.set(5, 5000, value)
  expect(cache.get(5, 5000)).toBeUndefined()
  cache.set(9000, 0, bytes('x'.repeat(50_000)))
  expect(cache.get(9000, 0)).toBeUndefined()
})
