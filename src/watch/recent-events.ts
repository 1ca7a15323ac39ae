import { CATCH_UP_BYTES_MAX } from './limits.js'
import type { SharedEvent } from './shared-event.js'

/** Dropped places at the front are given back once there are so many. */
const SLACK_MAX = 1_024

interface Transaction {
  readonly revision: number
  readonly events: readonly SharedEvent[]
  readonly bytes: number
}

/**
 * The newest transactions, kept while some watcher is behind. A watcher that has read the store up
 * to here takes the rest from memory in one step; otherwise it would chase a store that changes
 * during each read. Holds at most what fits in one response: what is older is dropped and read from
 * the store.
 */
export class RecentEvents {
  readonly #revisionsMax: number
  #transactions: Transaction[] = []
  #first = 0
  #bytes = 0
  #coversFrom = Number.POSITIVE_INFINITY

  constructor(revisionsMax: number) {
    this.#revisionsMax = revisionsMax
  }

  /** Every transaction from this revision on is here; Infinity while nothing is kept. */
  get coversFrom(): number {
    return this.#coversFrom
  }

  get isKeeping(): boolean {
    return this.#coversFrom !== Number.POSITIVE_INFINITY
  }

  /** Begins to keep what comes from `revision` on. */
  start(revision: number): void {
    if (!this.isKeeping) this.#coversFrom = revision
  }

  /** Forgets everything and keeps nothing more. */
  stop(): void {
    this.#transactions = []
    this.#first = 0
    this.#bytes = 0
    this.#coversFrom = Number.POSITIVE_INFINITY
  }

  /** Adds the newest transaction; drops the oldest ones while there is too much. */
  add(revision: number, events: readonly SharedEvent[]): void {
    let bytes = 0
    for (const shared of events) bytes += shared.event.kv.length
    this.#transactions.push({ revision, events, bytes })
    this.#bytes += bytes
    while (this.#isTooMuch()) this.#dropOldest()
  }

  /** All events from the revision on, in order. */
  since(revision: number): SharedEvent[] {
    const events: SharedEvent[] = []
    for (let at = this.#first; at < this.#transactions.length; at++) {
      const transaction = this.#transactions[at] as Transaction
      if (transaction.revision < revision) continue
      for (const shared of transaction.events) events.push(shared)
    }
    return events
  }

  #isTooMuch(): boolean {
    const count = this.#transactions.length - this.#first
    if (count > this.#revisionsMax) return true
    return this.#bytes > CATCH_UP_BYTES_MAX && count > 0
  }

  #dropOldest(): void {
    const oldest = this.#transactions[this.#first++] as Transaction
    this.#bytes -= oldest.bytes
    this.#coversFrom = oldest.revision + 1
    if (this.#first < SLACK_MAX) return
    this.#transactions.splice(0, this.#first)
    this.#first = 0
  }
}
