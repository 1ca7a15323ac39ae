import { type LeaseId, NO_LEASE, type Revision, revision } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { Compaction, compactionMeta } from './compaction.js'
import { type EventsOutcome, readEvents } from './events-since.js'
import { hashRows, type KeyValueHash } from './hash-kv.js'
import { IndexPartWriter, readIndexPart } from './index-parts.js'
import { NO_SLOT } from './key-index.js'
import type { LeaseAttachments } from './lease-attachments.js'
import { RangeCursor } from './range-cursor.js'
import {
  type RangeOutcome,
  type RangeQuery,
  type RevisionFailure,
  readableRevision,
  readRange,
} from './range-query.js'
import { readMain } from './row-key.js'
import type { IndexParts, RestoreTarget, Row, RowStore } from './rows.js'
import type { HashSeed } from './slot-table.js'
import type { StoreEvent } from './store-event.js'
import { NEVER_COMPACTED, StoreState } from './store-state.js'
import { readStoredHead, readStoredKey } from './stored-key-value.js'
import { WriteTransaction } from './write-transaction.js'

export interface MvccStoreOptions {
  readonly rows: RowStore
  readonly attachments: LeaseAttachments
  /**
   * Whether compaction keeps a tombstone exactly at its revision, as etcd does since 3.5.16 and
   * 3.4.34; older ones remove it. HashKV is the same either way, so mixed clusters agree. Default
   * true.
   */
  readonly keepsTombstoneAtRevision?: boolean
  /**
   * Whether each compaction hashes the rows before it removes any, so that HashKV at exactly the
   * compacted revision answers as etcd 3.5 does. Costs a scan of the rows in slices. Default true.
   */
  readonly hashesCompactions?: boolean
  /**
   * Random words, so that clients cannot choose keys that collide in the index. Seen nowhere.
   * Default fixed ones.
   */
  readonly hashSeed?: HashSeed
}

/** HashKV's answer. */
export interface HashKvResult extends KeyValueHash {
  readonly kind: 'hash'
  readonly currentRevision: Revision
}

/**
 * The multi-version store: all revisions of all keys since the last compaction. The index of keys
 * is in memory, values are rows behind `RowStore`. Synchronous, except where a result comes through
 * a callback.
 */
export class MvccStore implements RestoreTarget {
  readonly #state: StoreState
  readonly #compaction: Compaction
  #transaction: WriteTransaction | undefined
  /** Leases of living keys, while rows are being restored. */
  readonly #restoredLeases = new Map<string, LeaseId>()

  constructor(options: MvccStoreOptions) {
    this.#state = new StoreState(options)
    this.#compaction = new Compaction(this.#state, {
      keepsTombstoneAtRevision: options.keepsTombstoneAtRevision ?? true,
      hashesRows: options.hashesCompactions ?? true,
    })
  }

  /** Main revision of the newest change; 1 for an empty store. */
  get currentRevision(): Revision {
    return revision(this.#state.currentRevision)
  }

  /** Readers below this are refused; -1 when there never was a compaction. */
  get compactedRevision(): Revision {
    return revision(this.#state.compactedRevision)
  }

  /** Up to here compactions were carried out; -1 = never. A physical compaction waits for this. */
  get finishedCompactRevision(): Revision {
    return revision(this.#state.finishedCompactRevision)
  }

  /** Keys that live now. */
  get liveKeyCount(): number {
    return this.#state.index.liveCount
  }

  /** Revisions that the index holds, tombstones included. */
  get revisionCount(): number {
    return this.#state.index.chains.count
  }

  /** Takes over one row of bucket `key`; rows come in revision order, before `finishRestore`. */
  restoreRow(row: Row): void {
    const { main, sub } = row
    const bytes = row.value.length
    const state = this.#state
    invariant(main >= state.currentRevision || main <= 1, 'rows are restored in revision order')
    state.currentRevision = Math.max(state.currentRevision, main)
    if (row.isTombstone) {
      const key = readStoredKey(row.value)
      state.index.restore(key, { main, sub, createRevision: 0, version: 0, bytes })
      this.#restoredLeases.delete(key)
      return
    }
    const { key, createRevision, version, lease } = readStoredHead(row.value)
    // A row without content only raises the revision (etcdutl snapshot restore --bump-revision).
    const seenVersion = Math.max(1, version)
    state.index.restore(key, { main, sub, createRevision, version: seenVersion, bytes })
    if (lease !== NO_LEASE) this.#restoredLeases.set(key, lease)
    else if (this.#restoredLeases.size > 0) this.#restoredLeases.delete(key)
  }

  /**
   * Takes over a part of the index that `indexParts` of an earlier run wrote; see RestoreTarget.
   */
  restoreIndexPart(part: Uint8Array): boolean {
    return readIndexPart(this.#state, part, this.#restoredLeases)
  }

  forgetIndexParts(): void {
    this.#state.forgetIndex()
    this.#restoredLeases.clear()
  }

  /**
   * The index in compact form, keys in order with their revisions and leases: about 20 bytes a key
   * beside its name.
   */
  indexParts(): IndexParts {
    return new IndexPartWriter(this.#state)
  }

  /**
   * Ends the restore: reads how far compactions got, hangs keys on their leases (which must exist
   * by now), and resumes a compaction that a restart cut off.
   */
  finishRestore(): void {
    const state = this.#state
    state.index.endRestore()
    const finished = state.rows.getMeta(compactionMeta.finished)
    const scheduled = state.rows.getMeta(compactionMeta.scheduled)
    if (finished !== undefined) {
      state.finishedCompactRevision = readMain(finished)
      state.compactedRevision = state.finishedCompactRevision
    }
    const pending = scheduled === undefined ? NEVER_COMPACTED : readMain(scheduled)
    state.currentRevision = Math.max(state.currentRevision, state.compactedRevision, pending)
    for (const [key, lease] of this.#restoredLeases) state.attachments.attach(lease, key)
    this.#restoredLeases.clear()
    if (pending <= state.compactedRevision) return
    state.compactedRevision = pending
    this.#compaction.schedule(pending, undefined)
  }

  /** Reads a range at once. For more than some thousand keys use `openRange`. */
  range(query: RangeQuery): RangeOutcome {
    return readRange(this.#state, query, this.#state.currentRevision)
  }

  /** Reads a range (not a single key) in slices. */
  openRange(query: RangeQuery): RangeCursor | RevisionFailure {
    const at = readableRevision(this.#state, query.revision ?? 0, this.#state.currentRevision)
    return typeof at === 'number' ? new RangeCursor(this.#state, query, at) : at
  }

  /** How many keys of the range live now; O(log n). `end` as in RangeQuery. */
  countNow(key: string, end: string): number {
    const outcome = this.range({ key, end, isCountOnly: true })
    return outcome.kind === 'range' ? outcome.count : 0
  }

  /** Begins the one write transaction that can be open. End it in the same stretch. */
  begin(): WriteTransaction {
    invariant(this.#transaction === undefined, 'one write transaction at a time')
    this.#transaction = new WriteTransaction(this.#state, () => {
      this.#transaction = undefined
    })
    return this.#transaction
  }

  /**
   * What the key was before the event; undefined when it did not live or was compacted away.
   * Encoded.
   */
  prevKv(event: StoreEvent): Uint8Array | undefined {
    const before = event.modRevision - 1
    if (event.isCreate || before < this.#state.compactedRevision) return undefined
    const slot = this.#state.index.slotOf(event.key)
    const link = slot === NO_SLOT ? 0 : this.#state.index.seenAt(slot, before)
    if (link === 0) return undefined
    const { chains } = this.#state.index
    return this.#state.rows.getRow(chains.main(link), chains.sub(link))
  }

  /**
   * Events of `from` to `to` (both included), at most `revisionsMax` revisions and about `bytesMax`
   * bytes, at least one whole revision. `done` may come at once when nothing can be read, later
   * otherwise.
   */
  eventsSince(
    wanted: Readonly<{ from: number; to: number; revisionsMax: number; bytesMax?: number }>,
    done: (outcome: EventsOutcome) => void,
  ): void {
    if (wanted.from < this.#state.compactedRevision) {
      done({ kind: 'compacted', compactRevision: this.compactedRevision })
      return
    }
    readEvents(this.#state, wanted, done)
  }

  /**
   * Makes everything that no reader at `wanted` or later sees unreachable, at once; `compactSome`
   * then frees it. Returns why not, or undefined when it was accepted.
   */
  compact(wanted: number): 'COMPACTED' | 'FUTURE_REVISION' | undefined {
    const state = this.#state
    if (wanted <= state.compactedRevision) return 'COMPACTED'
    if (wanted > state.currentRevision) return 'FUTURE_REVISION'
    const previous = state.compactedRevision
    state.compactedRevision = wanted
    this.#compaction.schedule(wanted, previous)
    return undefined
  }

  /** Whether `compactSome` has, or will have, something to do. */
  get isCompacting(): boolean {
    return this.#compaction.isPending
  }

  /**
   * Frees up to about `rowsMax` rows; 'waiting' = readers have to end first, ask again in some
   * milliseconds.
   */
  compactSome(rowsMax: number): 'more' | 'done' | 'waiting' {
    return this.#compaction.some(rowsMax)
  }

  /**
   * etcd's HashKV at a revision (0 = the current one), computed in slices; `done` never comes from
   * inside.
   */
  hashKv(wanted: number, done: (outcome: HashKvResult) => void): RevisionFailure | undefined {
    const state = this.#state
    const currentRevision = this.currentRevision
    if (wanted > 0 && wanted < state.compactedRevision) return { kind: 'failed', code: 'COMPACTED' }
    if (wanted > state.currentRevision) return { kind: 'failed', code: 'FUTURE_REVISION' }
    const at = wanted <= 0 ? state.currentRevision : wanted
    const known = this.#compaction.hashAt(at)
    if (known !== undefined && wanted > 0) {
      state.rows.getRows([], [], () => done({ kind: 'hash', ...known, currentRevision }))
      return undefined
    }
    hashRows(state, { revision: at, compactRevision: state.compactedRevision }, (hash) => {
      done({ kind: 'hash', ...hash, currentRevision })
    })
    return undefined
  }
}
