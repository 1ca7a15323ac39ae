import type { SegmentPart } from './row-cursor.js'
import { RowSegment } from './row-segment.js'

/**
 * Rows in memory: those of the batch that grows, of the one that is being written, and of written
 * ones as long as they fit. A revision's rows are in one segment, for batches are cut between
 * revisions. There are many segments where little is written at a time.
 */
export class RecentRows {
  /** Oldest first; the last one is being filled, the one before it may be being written. */
  readonly #segments: RowSegment[] = [new RowSegment()]
  /** Of all but the last. */
  #bytes = 0

  append(main: number, sub: number, isTombstone: boolean, value: Uint8Array): void {
    const last = this.#segments[this.#segments.length - 1] as RowSegment
    last.append(main, sub, isTombstone, value)
  }

  get(main: number, sub: number): Uint8Array | undefined {
    return this.#segments[this.#placeOf(main)]?.get(main, sub)
  }

  delete(main: number, sub: number): void {
    this.#segments[this.#placeOf(main)]?.delete(main, sub)
  }

  /** Revision of the oldest row that is here; Infinity when none is. */
  get oldestMain(): number {
    return this.#segments[0]?.firstMain ?? Number.POSITIVE_INFINITY
  }

  /** Where the rows of revisions `fromMain` to `toMain` are, both included. */
  parts(fromMain: number, toMain: number): SegmentPart[] {
    const parts: SegmentPart[] = []
    const last = this.#placeOf(toMain)
    for (let at = Math.max(0, this.#placeOf(fromMain)); at <= last; at++) {
      const segment = this.#segments[at] as RowSegment
      parts.push({
        segment,
        from: segment.lowerBound(fromMain, 0),
        until: segment.lowerBound(toMain + 1, 0),
      })
    }
    return parts
  }

  /** What was appended so far goes with one batch; what comes is in the next. */
  cut(): void {
    const filled = this.#segments[this.#segments.length - 1] as RowSegment
    if (filled.count === 0) return
    this.#bytes += filled.bytes
    this.#segments.push(new RowSegment())
  }

  /** Written rows stay as a cache of so many bytes; the oldest go. Nothing may be being written. */
  dropOldest(bytesMax: number): void {
    while (this.#segments.length > 1 && this.#bytes > bytesMax) {
      this.#bytes -= this.#segments.shift()?.bytes ?? 0
    }
  }

  /** Place of the segment that can have the rows of a revision; -1 when that is older than all. */
  #placeOf(main: number): number {
    let low = 0
    let high = this.#segments.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#segments[middle] as RowSegment).firstMain <= main) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
