import { readMain, readSub, TOMBSTONE_KEY_BYTES, writeRevision } from '../mvcc/row-key.js'
import type { Row, RowCursor } from '../mvcc/rows.js'
import type { EngineEntry, EngineIterator, EngineRange } from '../ports/key-value-engine.js'
import { KEY_BUCKET_BYTE } from './buckets.js'
import type { RowSegment } from './row-segment.js'

/** Engine keys of rows with `fromMain <= main < untilMain`. */
export function rowRange(fromMain: number, untilMain: number): EngineRange {
  const bound = (main: number): Uint8Array => {
    if (main > Number.MAX_SAFE_INTEGER) return new Uint8Array([KEY_BUCKET_BYTE + 1])
    const key = new Uint8Array(18)
    key[0] = KEY_BUCKET_BYTE
    writeRevision(key, 1, main, 0)
    return key.subarray(0, 9)
  }
  return { start: bound(fromMain), end: bound(untilMain) }
}

/** The row that an engine entry of bucket `key` holds. */
export function rowOfEntry({ key, value }: EngineEntry): Row {
  return {
    main: readMain(key, 1),
    sub: readSub(key, 1),
    isTombstone: key.length === TOMBSTONE_KEY_BYTES + 1,
    value,
  }
}

/** A part of a segment as it was when a cursor was opened. */
export interface SegmentPart {
  readonly segment: RowSegment
  /** First place, and the place behind the last. */
  readonly from: number
  readonly until: number
}

/** Walks what the engine has, then the segments, which are newer than all of it. */
export class MergedRowCursor implements RowCursor {
  #iterator: EngineIterator | undefined
  readonly #parts: readonly SegmentPart[]
  readonly #defer: (task: () => void) => void
  readonly #fail: (failure: Error) => void
  readonly #onClose: () => void
  #part = 0
  #place: number
  #isClosed = false

  constructor(
    options: Readonly<{
      iterator: EngineIterator | undefined
      parts: readonly SegmentPart[]
      defer: (task: () => void) => void
      fail: (failure: Error) => void
      /** Called once, by the first `close`. */
      onClose: () => void
    }>,
  ) {
    this.#iterator = options.iterator
    this.#parts = options.parts
    this.#defer = options.defer
    this.#fail = options.fail
    this.#onClose = options.onClose
    this.#place = options.parts[0]?.from ?? 0
  }

  next(rowsMax: number, done: (rows: readonly Row[]) => void): void {
    if (this.#iterator === undefined) {
      const rows = this.#fromSegments(rowsMax)
      this.#defer(() => done(rows))
      return
    }
    this.#iterator.next(rowsMax, (failure, entries) => {
      if (failure !== undefined) {
        this.#fail(failure)
        return
      }
      if (entries.length > 0) {
        done(entries.map(rowOfEntry))
        return
      }
      this.#closeIterator()
      done(this.#fromSegments(rowsMax))
    })
  }

  close(): void {
    this.#closeIterator()
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onClose()
  }

  #closeIterator(): void {
    this.#iterator?.close()
    this.#iterator = undefined
  }

  #fromSegments(rowsMax: number): Row[] {
    const rows: Row[] = []
    while (rows.length < rowsMax) {
      const part = this.#parts[this.#part]
      if (part === undefined) break
      if (this.#place >= part.until) {
        this.#part++
        this.#place = this.#parts[this.#part]?.from ?? 0
        continue
      }
      const row = part.segment.rowAt(this.#place++)
      if (row !== undefined) rows.push(row)
    }
    return rows
  }
}
