import type { LogIndex } from '../../base/ids.js'
import { invariant } from '../../base/invariant.js'

const INITIAL_CAPACITY = 8

/**
 * The MsgApp under way to one follower, oldest first, bounded by count and by payload bytes. A ring
 * that grows by doubling up to the count, because most followers never use the whole window.
 */
export class Inflights {
  readonly countMax: number
  readonly bytesMax: number
  #start = 0
  #count = 0
  #bytes = 0
  /** Last entry's index, and payload bytes, of each message. */
  #indexes: LogIndex[] = []
  #sizes: number[] = []

  constructor(limits: Readonly<{ countMax: number; bytesMax: number }>) {
    this.countMax = limits.countMax
    this.bytesMax = limits.bytesMax
  }

  /** Messages under way. */
  get count(): number {
    return this.#count
  }

  /** Whether no more may be sent. The last message may have gone over the byte limit. */
  isFull(): boolean {
    return this.#count >= this.countMax || this.#bytes >= this.bytesMax
  }

  /** Notes a message whose last entry is at `index`; indexes must not decrease. */
  add(index: LogIndex, bytes: number): void {
    invariant(!this.isFull(), 'cannot add into a Full inflights')
    if (this.#count === this.#indexes.length) this.#grow()
    const at = (this.#start + this.#count) % this.#indexes.length
    this.#indexes[at] = index
    this.#sizes[at] = bytes
    this.#count += 1
    this.#bytes += bytes
  }

  /** Forgets the messages whose last entry is at or below `index`: the follower has them. */
  freeUpTo(index: LogIndex): void {
    while (this.#count > 0 && (this.#indexes[this.#start] as LogIndex) <= index) {
      this.#bytes -= this.#sizes[this.#start] as number
      this.#count -= 1
      this.#start += 1
      if (this.#start === this.#indexes.length) this.#start = 0
    }
    invariant(this.#bytes >= 0, 'bytes under way must not be negative')
  }

  /** Forgets all of them; keeps the memory. */
  reset(): void {
    this.#start = 0
    this.#count = 0
    this.#bytes = 0
  }

  #grow(): void {
    const capacity = Math.min(Math.max(INITIAL_CAPACITY, this.#count * 2), this.countMax)
    const indexes: LogIndex[] = new Array(capacity).fill(0)
    const sizes: number[] = new Array(capacity).fill(0)
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#start + i) % this.#count
      indexes[i] = this.#indexes[at] as LogIndex
      sizes[i] = this.#sizes[at] as number
    }
    this.#indexes = indexes
    this.#sizes = sizes
    this.#start = 0
  }
}
