import { Backend } from '../../src/backend/backend.js'
import { openEngine } from '../../src/backend/open-engine.js'
import { type LeaseId, leaseId, logIndex, type Revision, term } from '../../src/base/ids.js'
import type { LeaseAttachments } from '../../src/mvcc/lease-attachments.js'
import { MvccStore } from '../../src/mvcc/mvcc-store.js'
import type { KeyValueEngine, KeyValueEngines } from '../../src/ports/key-value-engine.js'
import { SimulatedEngines } from '../simulation/world/engine.js'

export const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'))
export const text = (value: Uint8Array): string => Buffer.from(value).toString('latin1')
export const NO_LEASE = leaseId(0n)

/** Leases as a map: enough for the store. */
export class PlainAttachments implements LeaseAttachments {
  readonly leases = new Map<string, LeaseId>()

  leaseOf(key: string): LeaseId {
    return this.leases.get(key) ?? NO_LEASE
  }

  attach(lease: LeaseId, key: string): void {
    this.leases.set(key, lease)
  }

  detach(lease: LeaseId, key: string): void {
    if (this.leases.get(key) !== lease) throw new Error('detached from another lease')
    this.leases.delete(key)
  }
}

export const defer = (task: () => void): void => {
  setImmediate(task)
}

export interface Fixture {
  readonly engines: KeyValueEngines
  readonly engine: KeyValueEngine
  readonly backend: Backend
  readonly store: MvccStore
  readonly attachments: PlainAttachments
  readonly staged: readonly number[]
}

export interface FixtureOptions {
  readonly engines?: KeyValueEngines
  readonly recentBytesMax?: number
  readonly cacheBytesMax?: number
  readonly unkeptRowsMax?: number
  readonly keepsTombstoneAtRevision?: boolean
  readonly hashesCompactions?: boolean
}

/** A store over a backend over an engine, restored from what the engine holds. */
export async function openFixture(options: FixtureOptions = {}): Promise<Fixture> {
  const { engines = new SimulatedEngines(defer), ...rest } = options
  const { recentBytesMax, cacheBytesMax, unkeptRowsMax, ...store } = rest
  const opened = await new Promise<{ engine: KeyValueEngine; staged: readonly number[] }>(
    (resolve, reject) => {
      openEngine(engines, (failure, result) => (result ? resolve(result) : reject(failure)))
    },
  )
  const fixture = await fixtureOf(
    opened.engine,
    { recentBytesMax, cacheBytesMax, unkeptRowsMax },
    store,
  )
  return { ...fixture, engines, ...opened }
}

async function fixtureOf(
  engine: KeyValueEngine,
  sizes: Record<'recentBytesMax' | 'cacheBytesMax' | 'unkeptRowsMax', number | undefined>,
  storeOptions: { keepsTombstoneAtRevision?: boolean; hashesCompactions?: boolean },
): Promise<Pick<Fixture, 'backend' | 'store' | 'attachments'>> {
  const backend = new Backend({
    engine,
    defer,
    onFailure: (failure) => {
      throw failure
    },
    ...(sizes.recentBytesMax === undefined ? {} : { recentBytesMax: sizes.recentBytesMax }),
    ...(sizes.unkeptRowsMax === undefined ? {} : { unkeptRowsMax: sizes.unkeptRowsMax }),
    ...(sizes.cacheBytesMax === undefined ? {} : { cacheBytesMax: sizes.cacheBytesMax }),
  })
  const attachments = new PlainAttachments()
  const store = new MvccStore({ rows: backend, attachments, ...storeOptions })
  await new Promise<void>((resolve) => backend.restoreRows(store, resolve))
  store.finishRestore()
  return { backend, store, attachments }
}

export const flushed = (backend: Backend, sync = false): Promise<void> =>
  new Promise((resolve, reject) => {
    backend.flush(sync, (failure) => (failure ? reject(failure) : resolve()))
  })

export const closed = (backend: Backend): Promise<void> =>
  new Promise((resolve, reject) => {
    backend.close((failure) => (failure ? reject(failure) : resolve()))
  })

export const applied = (backend: Backend, index: number): void => {
  backend.setConsistentIndex(logIndex(index), term(1))
}

export const put = (store: MvccStore, key: string, value: string, lease = NO_LEASE): Revision => {
  const transaction = store.begin()
  transaction.put(bytes(key), bytes(value), lease)
  return transaction.end().revision
}

export const remove = (store: MvccStore, key: string, end = ''): Revision => {
  const transaction = store.begin()
  transaction.deleteRange(key, end)
  return transaction.end().revision
}

/** Carries compactions out to their end. */
export async function compacted(store: MvccStore): Promise<void> {
  while (store.compactSome(3) !== 'done') await new Promise((resolve) => setImmediate(resolve))
}

export const hashKvOf = (
  store: MvccStore,
  at: number,
): Promise<{ hash: number; compactRevision: number; revision: number }> =>
  new Promise((resolve, reject) => {
    const failure = store.hashKv(at, resolve)
    if (failure !== undefined) reject(new Error(failure.code))
  })
