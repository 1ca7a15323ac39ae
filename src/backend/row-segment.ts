import type { Row } from '../mvcc/rows.js'

/**
 * Rows that one batch writes, in revision order: appending is a push, finding one a binary search.
 * While the batch is not written it is the write buffer; afterwards it is a cache of recent rows.
 */
export class RowSegment {
  readonly #mains: number[] = []
  readonly #subs: number[] = []
  readonly #areTombstones: boolean[] = []
  readonly #values: (Uint8Array | undefined)[] = []
  /** Bytes of the values. */
  bytes = 0

  get count(): number {
    return this.#mains.length
  }

  /** Main revision of the first row; Infinity when there is none. */
  get firstMain(): number {
    return this.#mains[0] ?? Number.POSITIVE_INFINITY
  }

  append(main: number, sub: number, isTombstone: boolean, value: Uint8Array): void {
    this.#mains.push(main)
    this.#subs.push(sub)
    this.#areTombstones.push(isTombstone)
    this.#values.push(value)
    this.bytes += value.length
  }

  /** The value of a row, a tombstone or not; undefined when it is not here (any more). */
  get(main: number, sub: number): Uint8Array | undefined {
    const at = this.lowerBound(main, sub)
    return this.#mains[at] === main && this.#subs[at] === sub ? this.#values[at] : undefined
  }

  /** Forgets a row; returns the bytes of its value, undefined when it was not here. */
  delete(main: number, sub: number): number | undefined {
    const at = this.lowerBound(main, sub)
    if (this.#mains[at] !== main || this.#subs[at] !== sub) return undefined
    const bytes = this.#values[at]?.length
    this.#values[at] = undefined
    return bytes
  }

  /** The row at a place; undefined when it was deleted. */
  rowAt(at: number): Row | undefined {
    const value = this.#values[at]
    if (value === undefined) return undefined
    return {
      main: this.#mains[at] as number,
      sub: this.#subs[at] as number,
      isTombstone: this.#areTombstones[at] as boolean,
      value,
    }
  }

  /** The first place whose revision is not below (main, sub). */
  lowerBound(main: number, sub: number): number {
    const mains = this.#mains
    let low = 0
    let high = mains.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const here = mains[middle] as number
      if (here < main || (here === main && (this.#subs[middle] as number) < sub)) low = middle + 1
      else high = middle
    }
    return low
  }
}
