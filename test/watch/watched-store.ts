import { Backend } from '../../src/backend/backend.js'
import { installStaged, openEngine } from '../../src/backend/open-engine.js'
import { SnapshotReceiver } from '../../src/backend/snapshot-receiver.js'
import { clusterId, logIndex, memberId, term } from '../../src/base/ids.js'
import { MvccStore } from '../../src/mvcc/mvcc-store.js'
import { LevelEngines } from '../../src/platform/level-engine.js'
import type { KeyValueEngine } from '../../src/ports/key-value-engine.js'
import type { SnapshotBody } from '../../src/ports/peer-network.js'
import { WatchHub } from '../../src/watch/watch-hub.js'
import { bytes, closed, defer, NO_LEASE, PlainAttachments } from '../backend/store-fixture.js'
import type { WatchReader } from './watch-reader.js'

/** Rows stay in memory for a few batches only, so that all mixtures of engine and memory are read. */
const RECENT_BYTES_MAX = 1500
/** Revisions in one answer of the store. */
const REVISIONS_MAX = 7

/** A change of the store: keys and their new values; undefined = deleted. */
export type Change = readonly (readonly [key: string, value: string | undefined])[]

function promised<T>(
  run: (done: (failure: Error | undefined, result: T | undefined) => void) => void,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    run((failure, result) => (failure === undefined ? resolve(result) : reject(failure)))
  })
}

/** A store with its watchers, over an engine of its own. */
export class WatchedStore {
  readonly engines: LevelEngines
  readonly hub: WatchHub
  readonly readers = new Set<WatchReader>()
  index = 0
  isReplacing = false
  #state: { readonly backend: Backend; readonly store: MvccStore }

  private constructor(engines: LevelEngines, state: { backend: Backend; store: MvccStore }) {
    this.engines = engines
    this.#state = state
    const store = (): MvccStore => this.#state.store
    this.hub = new WatchHub({
      history: {
        get currentRevision() {
          return store().currentRevision
        },
        get compactedRevision() {
          return store().compactedRevision
        },
        eventsSince: (wanted, done) => store().eventsSince(wanted, done),
        prevKv: (event) => store().prevKv(event),
      },
      clusterId: clusterId(1n),
      memberId: memberId(2n),
      term: () => term(3),
      entropy: { below: () => 0 },
      revisionsPerResponseMax: REVISIONS_MAX,
      onWork: () => defer(() => this.sync()),
    })
  }

  static async open(folder: string): Promise<WatchedStore> {
    const engines = new LevelEngines(folder)
    const opened = await promised<{ engine: KeyValueEngine }>((done) => openEngine(engines, done))
    if (opened === undefined) throw new Error('an engine was opened')
    return new WatchedStore(engines, await WatchedStore.#restored(opened.engine))
  }

  static async #restored(engine: KeyValueEngine): Promise<{ backend: Backend; store: MvccStore }> {
    const backend = new Backend({
      engine,
      defer,
      recentBytesMax: RECENT_BYTES_MAX,
      cacheBytesMax: RECENT_BYTES_MAX,
      onFailure: (failure) => {
        throw failure
      },
    })
    const store = new MvccStore({ rows: backend, attachments: new PlainAttachments() })
    await new Promise<void>((resolve) => backend.restoreRows(store, resolve))
    store.finishRestore()
    return { backend, store }
  }

  get backend(): Backend {
    return this.#state.backend
  }

  get store(): MvccStore {
    return this.#state.store
  }

  sync(): void {
    if (!this.isReplacing && this.hub.syncSome(0)) defer(() => this.sync())
  }

  apply(change: Change): void {
    this.index++
    this.backend.setConsistentIndex(logIndex(this.index), term(1))
    const transaction = this.store.begin()
    for (const [key, value] of change) {
      if (value === undefined) transaction.deleteRange(key, '')
      else transaction.put(bytes(key), bytes(value), NO_LEASE)
    }
    const { revision, events } = transaction.end()
    if (events.length > 0) this.hub.notify(revision, events)
  }

  /** What this side holds takes the place of what `other` holds. */
  async sendTo(other: WatchedStore): Promise<void> {
    let at = 0
    const snapshot = await promised<{ index: number; body: SnapshotBody }>((done) =>
      this.backend.openSnapshot(done, () => {
        at = this.index
      }),
    )
    if (snapshot === undefined) throw new Error('a snapshot was opened')
    const receiver = await promised<SnapshotReceiver>((done) =>
      SnapshotReceiver.open(other.engines, at, done),
    )
    for (;;) {
      const chunk = await snapshot.body.next()
      if (chunk === undefined) break
      await promised((done) => receiver?.push(chunk, (failure) => done(failure, undefined)))
    }
    snapshot.body.close()
    await promised((done) => receiver?.finish((failure) => done(failure, undefined)))
    await other.#install(at)
  }

  async #install(at: number): Promise<void> {
    if (at <= this.index) return
    this.isReplacing = true
    await closed(this.backend)
    const fresh = await promised<KeyValueEngine>((done) => installStaged(this.engines, at, done))
    if (fresh === undefined) throw new Error('an engine was installed')
    this.#state = await WatchedStore.#restored(fresh)
    this.index = at
    this.isReplacing = false
    this.hub.resync()
  }
}
