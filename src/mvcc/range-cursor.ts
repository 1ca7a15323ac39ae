import { invariant } from '../base/invariant.js'
import { endBound, type RangeQuery } from './range-query.js'
import type { Pin, StoreState } from './store-state.js'

/** Keys looked at in one stretch: less than a millisecond of the event loop. */
const KEYS_PER_SLICE = 2000

/** A part of a big range. */
export interface RangeSlice {
  /** Encoded KeyValues in key order; may be empty before the end. */
  readonly kvs: readonly Uint8Array[]
  /** Nothing follows; `count` of the cursor is then final. */
  readonly isEnd: boolean
}

/**
 * Reads a range in slices as of one revision, whatever is written meanwhile; what it reads is kept
 * from compaction until it is closed. It must be closed, and read on without waiting for slow
 * clients.
 */
export class RangeCursor {
  readonly #state: StoreState
  readonly #end: string | undefined
  readonly #at: number
  readonly #limit: number
  readonly #pin: Pin
  /** The store's revision when the cursor was opened. */
  readonly revision: number
  #nextKey: string
  #returned = 0
  #count = 0
  /** Known from the start when the newest revision is read. */
  readonly #isCounted: boolean
  #isEnd = false
  #isClosed = false

  constructor(state: StoreState, query: RangeQuery, at: number) {
    invariant(query.end !== '', 'a single key needs no cursor')
    this.#state = state
    this.#end = endBound(query.end)
    this.#at = at
    const limit = query.limit ?? 0
    this.#limit = limit > 0 ? limit : Number.POSITIVE_INFINITY
    this.#pin = state.pin(at)
    this.revision = state.currentRevision
    this.#nextKey = query.key
    this.#isCounted = at === state.currentRevision
    if (this.#isCounted) this.#count = state.index.countLive(query.key, this.#end)
  }

  /** All keys of the range that live at the revision; final at the end only. */
  get count(): number {
    return this.#count
  }

  /** Up to `kvsMax` further key-values; `done` is never called from inside. One call at a time. */
  next(kvsMax: number, done: (slice: RangeSlice) => void): void {
    invariant(!this.#isClosed, 'a closed range cursor is not read')
    const mains: number[] = []
    const subs: number[] = []
    if (!this.#isEnd) this.#collect(kvsMax, mains, subs)
    const isEnd = this.#isEnd
    this.#state.rows.getRows(mains, subs, (values) => {
      const kvs = values.map((value) => {
        invariant(value !== undefined, 'a revision in the index has a row')
        return value
      })
      done({ kvs, isEnd })
    })
  }

  /** Lets compaction go on. Safe to call more than once. */
  close(): void {
    this.#isClosed = true
    this.#state.unpin(this.#pin)
  }

  #collect(kvsMax: number, mains: number[], subs: number[]): void {
    const { index } = this.#state
    const { chains } = index
    let looked = 0
    let stoppedAt: string | undefined
    index.walk(this.#nextKey, this.#end, (key, slot) => {
      if (looked++ >= KEYS_PER_SLICE || mains.length >= kvsMax) {
        stoppedAt = key
        return false
      }
      const link = index.seenAt(slot, this.#at)
      if (link === 0) return true
      if (!this.#isCounted) this.#count++
      if (this.#returned < this.#limit) {
        mains.push(chains.main(link))
        subs.push(chains.sub(link))
        this.#returned++
      }
      return !this.#isCounted || this.#returned < this.#limit
    })
    if (stoppedAt === undefined) this.#isEnd = true
    else this.#nextKey = stoppedAt
  }
}
