import { type LeaseId, NO_LEASE, type Revision, revision } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { bytesFromLatin1, latin1FromBytes } from '../base/latin1.js'
import { NO_SLOT } from './key-index.js'
import { endBound, type RangeOutcome, type RangeQuery, readRange } from './range-query.js'
import { deleteEvent, type StoreEvent } from './store-event.js'
import type { StoreState } from './store-state.js'
import { encodeKeyValue } from './stored-key-value.js'

/** What a finished transaction leaves behind. */
export interface TransactionResult {
  /** The store's revision now: one above the begin revision when there were changes. */
  readonly revision: Revision
  /** One event a change, in order; empty when nothing changed. */
  readonly events: readonly StoreEvent[]
}

/**
 * Changes that share one main revision. They are visible to `range` of the same transaction at
 * once, and to everybody once `end` was called; there is no way back, so whatever can be refused is
 * refused before.
 */
export class WriteTransaction {
  readonly #state: StoreState
  readonly #onEnd: () => void
  /** Revision of the store when the transaction began. */
  readonly beginRevision: number
  readonly #events: StoreEvent[] = []
  #isOpen = true

  constructor(state: StoreState, onEnd: () => void) {
    this.#state = state
    this.#onEnd = onEnd
    this.beginRevision = state.currentRevision
  }

  /** Changes so far. */
  get changeCount(): number {
    return this.#events.length
  }

  /** The revision that a response of this transaction names now. */
  get revision(): Revision {
    return revision(this.#events.length === 0 ? this.beginRevision : this.beginRevision + 1)
  }

  /** Reads a range; sees the changes made so far. */
  range(query: RangeQuery): RangeOutcome {
    invariant(this.#isOpen, 'a transaction that ended reads nothing')
    return readRange(this.#state, query, this.revision)
  }

  /** Sets a key. The bytes are copied. Returns the new mod revision. */
  put(key: Uint8Array, value: Uint8Array, lease: LeaseId): Revision {
    invariant(this.#isOpen, 'a transaction that ended writes nothing')
    const { index, rows } = this.#state
    const name = latin1FromBytes(key)
    const main = this.beginRevision + 1
    const sub = this.#events.length
    const slot = index.put(name, main, sub)
    const createRevision = revision(index.createRevision(slot))
    const version = index.version(slot)
    const modRevision = revision(main)
    const kv = encodeKeyValue({ key, createRevision, modRevision, version, value, lease })
    index.setRowBytes(slot, kv.length)
    rows.appendRow(main, sub, false, kv)
    const isCreate = version === 1
    this.#events.push({ type: 'PUT', key: name, modRevision, sub, isCreate, kv })
    this.#hang(name, lease, isCreate)
    return modRevision
  }

  /** Deletes the keys of a range (see RangeQuery for `end`); returns how many lived. */
  deleteRange(key: string, end: string): number {
    invariant(this.#isOpen, 'a transaction that ended writes nothing')
    const { index } = this.#state
    if (end === '') {
      const slot = index.slotOf(key)
      if (slot === NO_SLOT || !index.isLive(slot)) return 0
      this.#delete(slot)
      return 1
    }
    const slots: number[] = []
    index.walk(key, endBound(end), (_, slot) => {
      if (index.isLive(slot)) slots.push(slot)
      return true
    })
    for (const slot of slots) this.#delete(slot)
    return slots.length
  }

  /** Makes the changes visible to everybody. */
  end(): TransactionResult {
    invariant(this.#isOpen, 'a transaction ends once')
    this.#isOpen = false
    const now = this.revision
    this.#state.currentRevision = now
    this.#onEnd()
    return { revision: now, events: this.#events }
  }

  #delete(slot: number): void {
    const { index, rows, attachments } = this.#state
    const key = index.keyOf(slot)
    const main = this.beginRevision + 1
    const sub = this.#events.length
    index.delete(slot, main, sub)
    const row = encodeKeyValue({ key: bytesFromLatin1(key) })
    index.setRowBytes(slot, row.length)
    rows.appendRow(main, sub, true, row)
    this.#events.push(deleteEvent(key, main, sub))
    const lease = attachments.leaseOf(key)
    if (lease !== NO_LEASE) attachments.detach(lease, key)
  }

  /** A put hangs the key on its lease and on no other. */
  #hang(key: string, lease: LeaseId, isCreate: boolean): void {
    const { attachments } = this.#state
    const old = isCreate ? NO_LEASE : attachments.leaseOf(key)
    if (old === lease) return
    if (old !== NO_LEASE) attachments.detach(old, key)
    if (lease !== NO_LEASE) attachments.attach(lease, key)
  }
}
