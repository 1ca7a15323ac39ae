import { invariant } from '../base/invariant.js'
import type { DiskError, DiskFile } from '../ports/disk.js'

const MIB = 1024 * 1024
/**
 * How far the zeros reach beyond what was there, one step after the other; the last one repeats.
 */
export const ZERO_STEPS_BYTES = [MIB, 4 * MIB, 16 * MIB] as const

/**
 * Zeroed room ends at a multiple of this, so that what is left behind the last record is no part of
 * a frame.
 */
const ROOM_ALIGNMENT = 4096

/** How far room may reach in a segment that is cut at `segmentBytes`. */
export const roomLimit = (segmentBytes: number): number =>
  Math.ceil(segmentBytes / ROOM_ALIGNMENT) * ROOM_ALIGNMENT

/**
 * Keeps zeroed room in front of the place that is written next. A durable write into room that
 * exists costs no change of the file's length or of its blocks, which is a quarter of its time; and
 * room grows with use only, so that an idle member keeps one step. A failed fill is no error: the
 * file then grows with its writes.
 */
export class ZeroAhead {
  readonly #file: DiskFile
  readonly #limit: number
  readonly #onFilled: () => void
  #step = 0
  #lastBytes: number = ZERO_STEPS_BYTES[0]
  #fillStart: number | undefined
  #isGivenUp = false

  /** @param limit No zeros are written at or behind this offset. */
  constructor(file: DiskFile, limit: number, onFilled: () => void) {
    this.#file = file
    this.#limit = limit
    this.#onFilled = onFilled
  }

  get isFilling(): boolean {
    return this.#fillStart !== undefined
  }

  /**
   * Whether the file may be written up to `end` (exclusive) now: zeros under way must not land on
   * it.
   */
  isFree(end: number): boolean {
    return this.#fillStart === undefined || end <= this.#fillStart
  }

  /**
   * Starts to fill when less than half of the last step is left behind `end`, the end of the writes
   * that are done or under way. Calls `onFilled` when it has ended.
   */
  maybeFill(end: number): boolean {
    if (this.isFilling || this.#isGivenUp) return false
    const step = ZERO_STEPS_BYTES[this.#step] as number
    const start = Math.max(this.#file.bytes, end)
    const target = Math.min(roomLimit(start + step), this.#limit)
    if (start - end >= this.#lastBytes / 2 || target <= start) return false
    this.#fillStart = start
    this.#lastBytes = step
    this.#file.fillZeros(start, target, (error) => this.#filled(error))
    return true
  }

  #filled(error: DiskError | undefined): void {
    invariant(this.#fillStart !== undefined, 'only a fill under way ends')
    this.#fillStart = undefined
    this.#isGivenUp = error !== undefined
    this.#step = Math.min(this.#step + 1, ZERO_STEPS_BYTES.length - 1)
    this.#onFilled()
  }
}
