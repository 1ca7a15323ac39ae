import { crc32c } from '../base/crc32c.js'
import { NO_SLOT } from './key-index.js'
import { encodeRowKey, ROW_KEY_BYTES, TOMBSTONE_KEY_BYTES, writeRevision } from './row-key.js'
import type { Row } from './rows.js'
import type { StoreState } from './store-state.js'
import { readStoredKey } from './stored-key-value.js'

/** Rows hashed in one stretch: about a millisecond of the event loop. */
const ROWS_PER_SLICE = 500
const BUCKET_NAME = new Uint8Array([0x6b, 0x65, 0x79])

export interface KeyValueHash {
  readonly hash: number
  /** The revision up to which rows are covered. */
  readonly revision: number
  /** The compacted revision that the hash was computed with; -1 = never compacted. */
  readonly compactRevision: number
}

/**
 * Computes etcd's HashKV in slices: CRC-32C of bucket `key` up to `revision`, without what a
 * compaction at `compactRevision` removes (facts: v3-api.md 6.1). Compactions above
 * `compactRevision` remove nothing until it is done; whatever else happens meanwhile is above
 * `revision` and does not count.
 */
export function hashRows(
  state: StoreState,
  bounds: Readonly<{ revision: number; compactRevision: number }>,
  done: (hash: KeyValueHash) => void,
): void {
  const { revision, compactRevision } = bounds
  const pin = state.pin(compactRevision)
  const cursor = state.rows.rowCursor(0, revision)
  const skipsUnseen = hasLiveKey(state, revision)
  let hash = crc32c(BUCKET_NAME)
  /** A tombstone's key has a mark behind, which stays; others end before it. */
  const key = encodeRowKey(0, 0, true)
  const isHashed = (row: Row): boolean => {
    if (row.main > compactRevision) return true
    if (row.main === compactRevision && row.isTombstone) return false
    return skipsUnseen ? isSeen(state, row, revision) : isKnown(state, row)
  }
  const onRows = (rows: readonly Row[]): void => {
    if (rows.length === 0) {
      cursor.close()
      state.unpin(pin)
      done({ hash, revision, compactRevision })
      return
    }
    // The next rows are being read while these are hashed.
    cursor.next(ROWS_PER_SLICE, onRows)
    for (const row of rows) {
      if (!isHashed(row)) continue
      writeRevision(key, 0, row.main, row.sub)
      const keyBytes = row.isTombstone ? TOMBSTONE_KEY_BYTES : ROW_KEY_BYTES
      hash = crc32c(row.value, 0, row.value.length, crc32c(key, 0, keyBytes, hash))
    }
  }
  cursor.next(ROWS_PER_SLICE, onRows)
}

/** Whether a reader at `revision` sees this very row. */
function isSeen(state: StoreState, row: Row, revision: number): boolean {
  if (row.isTombstone) return false
  const { index } = state
  const slot = index.slotOf(readStoredKey(row.value))
  const link = slot === NO_SLOT ? 0 : index.seenAt(slot, revision)
  return link !== 0 && index.chains.main(link) === row.main && index.chains.sub(link) === row.sub
}

/**
 * Whether the index has this very row. One that a compaction removed a moment ago may still be
 * read: its removal waits in a batch.
 */
function isKnown(state: StoreState, row: Row): boolean {
  const { index } = state
  const { chains } = index
  const slot = index.slotOf(readStoredKey(row.value))
  let link = slot === NO_SLOT ? 0 : chains.find(index.head(slot), row.main)
  while (link !== 0 && chains.main(link) === row.main && chains.sub(link) > row.sub) {
    link = chains.previous(link)
  }
  return link !== 0 && chains.main(link) === row.main && chains.sub(link) === row.sub
}

/** etcd skips rows that a compaction removes only if some row is kept. */
function hasLiveKey(state: StoreState, revision: number): boolean {
  let isFound = false
  for (let slot = 0; slot < state.index.slotEnd && !isFound; slot++) {
    isFound = state.index.seenAt(slot, revision) !== 0
  }
  return isFound
}
