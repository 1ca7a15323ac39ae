import { failpoint } from '../base/failpoints.js'
import { hashRows, type KeyValueHash } from './hash-kv.js'
import { encodeRowKey } from './row-key.js'
import type { StoreState } from './store-state.js'

const SCHEDULED = 'scheduledCompactRev'
const FINISHED = 'finishedCompactRev'
/** How many past compaction hashes are kept for HashKV, as in etcd. */
const HASHES_MAX = 10
/** Keys looked at cost about as much as one sixteenth of a row deleted. */
const KEYS_PER_ROW = 16

export interface CompactionOptions {
  /**
   * Whether a tombstone exactly at the compacted revision stays, as since etcd 3.5.16 and 3.4.34.
   * HashKV leaves it out in any case, so members of both kinds agree.
   */
  readonly keepsTombstoneAtRevision: boolean
  /**
   * Whether the rows are hashed before they go, so that HashKV at exactly that revision equals
   * etcd's.
   */
  readonly hashesRows: boolean
}

interface Bounds {
  readonly revision: number
  readonly compactRevision: number
}

interface Work {
  readonly main: number
  /** Next slot to look at. */
  slot: number
}

/**
 * The physical side of compactions, in slices. `schedule` records the intent durably; a restart
 * before the end begins again. Of several that wait, only the newest is carried out: it removes
 * what the others would.
 */
export class Compaction {
  readonly #state: StoreState
  readonly #options: CompactionOptions
  readonly #hashes = new Map<number, KeyValueHash>()
  /**
   * Compactions whose hash is to be computed, oldest first: that of the first is under way. Their
   * rows have to stay until it is done. At most HASHES_MAX wait.
   */
  readonly #hashing: Bounds[] = []
  #work: Work | undefined
  /** The newest revision that waits for its turn; 0 = none. */
  #nextMain = 0

  constructor(state: StoreState, options: CompactionOptions) {
    this.#state = state
    this.#options = options
  }

  get isPending(): boolean {
    return this.#work !== undefined || this.#nextMain !== 0 || this.#hashing.length > 0
  }

  /**
   * The hash that was computed by the compaction at exactly this revision, if it is among the last
   * ten.
   */
  hashAt(main: number): KeyValueHash | undefined {
    return this.#hashes.get(main)
  }

  /**
   * Accepts a compaction that the store has made visible already. `previous` is the one before it;
   * undefined for one that a restart cut off: rows that its hash would have to cover may be gone,
   * so it has none, as in etcd.
   */
  schedule(main: number, previous: number | undefined): void {
    failpoint('compactBeforeCommitScheduledCompact')
    this.#state.rows.putMeta(SCHEDULED, encodeRowKey(main, 0, false))
    failpoint('compactAfterCommitScheduledCompact')
    if (!this.#options.hashesRows || previous === undefined) {
      this.#nextMain = main
      return
    }
    this.#hashing.push({ revision: main, compactRevision: previous })
    if (this.#hashing.length === 1) this.#hashNext()
    // The hash of the oldest that waits would be forgotten for those behind it anyway.
    else if (this.#hashing.length > HASHES_MAX + 1) this.#hashing.splice(1, 1)
  }

  /** One scan at a time, however many compactions a member that catches up applies at once. */
  #hashNext(): void {
    const [bounds] = this.#hashing
    if (bounds === undefined) return
    hashRows(this.#state, bounds, (hash) => {
      this.#remember(hash)
      this.#nextMain = Math.max(this.#nextMain, bounds.revision)
      this.#hashing.shift()
      this.#hashNext()
    })
  }

  #remember(hash: KeyValueHash): void {
    this.#hashes.set(hash.revision, hash)
    const oldest = this.#hashes.keys().next().value
    if (this.#hashes.size > HASHES_MAX && oldest !== undefined) this.#hashes.delete(oldest)
  }

  /**
   * Removes up to about `rowsMax` rows. 'waiting': readers below the revision have to end first, or
   * the hash is being computed; ask again later.
   */
  some(rowsMax: number): 'more' | 'done' | 'waiting' {
    if (this.#work === undefined) {
      if (this.#nextMain === 0) return this.#hashing.length > 0 ? 'waiting' : 'done'
      if (this.#state.isPinnedBelow(this.#nextMain)) return 'waiting'
      this.#work = { main: this.#nextMain, slot: 0 }
      this.#nextMain = 0
    }
    failpoint('compactAfterAcquiredBatchTxLock')
    const work = this.#work
    const { index, rows } = this.#state
    const keepsTombstone = this.#options.keepsTombstoneAtRevision
    const options = { main: work.main, keepsTombstone }
    let budget = rowsMax * KEYS_PER_ROW
    while (work.slot < index.slotEnd && budget > 0) {
      budget--
      index.compactSlot(work.slot++, options, (link) => {
        budget -= KEYS_PER_ROW
        const { chains } = index
        const valueBytes = chains.rowBytes(link)
        rows.deleteRow(chains.main(link), chains.sub(link), chains.isTombstone(link), valueBytes)
      })
    }
    if (work.slot < index.slotEnd) {
      failpoint('compactBeforeCommitBatch')
      failpoint('compactAfterCommitBatch')
      return 'more'
    }
    this.#finish(work.main)
    return this.isPending ? 'more' : 'done'
  }

  #finish(main: number): void {
    this.#work = undefined
    failpoint('compactBeforeSetFinishedCompact')
    this.#state.finishedCompactRevision = main
    this.#state.rows.putMeta(FINISHED, encodeRowKey(main, 0, false))
    failpoint('compactAfterSetFinishedCompact')
  }
}

export const compactionMeta = { scheduled: SCHEDULED, finished: FINISHED } as const
