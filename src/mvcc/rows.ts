/** One revision of one key, as bucket `key` holds it. */
export interface Row {
  readonly main: number
  readonly sub: number
  /** The key was deleted by this revision; `value` then holds the key only. */
  readonly isTombstone: boolean
  /** An encoded mvccpb.KeyValue. Immutable. */
  readonly value: Uint8Array
}

/**
 * Walks rows in revision order over the state at its creation. One `next` at a time. Must be
 * closed.
 */
export interface RowCursor {
  /** Up to `rowsMax` further rows, none at the end; `done` is never called from inside `next`. */
  next(rowsMax: number, done: (rows: readonly Row[]) => void): void
  close(): void
}

/** What the store needs of the backend: bucket `key` by revision, and bucket `meta`. */
export interface RowStore {
  /** The value of a row that is not a tombstone; undefined when it is absent. Synchronous. */
  getRow(main: number, sub: number): Uint8Array | undefined
  /**
   * Values of many rows that are not tombstones, in the given order; never called back from inside.
   */
  getRows(
    mains: readonly number[],
    subs: readonly number[],
    done: (values: readonly (Uint8Array | undefined)[]) => void,
  ): void
  /** Adds a row. Rows come in revision order. */
  appendRow(main: number, sub: number, isTombstone: boolean, value: Uint8Array): void
  /** `valueBytes`: how long the row's value is. */
  deleteRow(main: number, sub: number, isTombstone: boolean, valueBytes: number): void
  /** Rows with `fromMain <= main <= toMain`. */
  rowCursor(fromMain: number, toMain: number): RowCursor
  getMeta(key: string): Uint8Array | undefined
  putMeta(key: string, value: Uint8Array): void
}

/**
 * Who makes an index of the rows at the start. The index can be kept in compact form beside them,
 * so that the next start needs to read only what came later: either parts, then the rows behind
 * them, or all rows.
 */
export interface RestoreTarget {
  /** Takes over one row; rows come in revision order. */
  restoreRow(row: Row): void
  /**
   * Takes over a part of a kept index; false when it cannot be one. Parts come in order, before any
   * row.
   */
  restoreIndexPart(part: Uint8Array): boolean
  /** Forgets the parts so far: all rows follow instead. */
  forgetIndexParts(): void
  /** Writes the index as it is; nothing may change until it was read to its end. */
  indexParts(): IndexParts
}

/** The parts of an index, made one by one. */
export interface IndexParts {
  /** The next part, of some hundred kilobytes; undefined at the end. */
  next(): Uint8Array | undefined
}
