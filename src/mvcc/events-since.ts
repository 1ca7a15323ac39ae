import { type Revision, revision } from '../base/ids.js'
import type { Row } from './rows.js'
import { eventOfRow, type StoreEvent } from './store-event.js'
import type { StoreState } from './store-state.js'

const ROWS_PER_SLICE = 500
/** Of events that are read for one answer; a single revision may exceed it. */
const BYTES_MAX = 8 * 1024 * 1024

/** Events of past revisions, or why there are none. */
export type EventsOutcome =
  | Readonly<{
      kind: 'events'
      /** In revision order; the events of one revision are never cut apart. */
      events: readonly StoreEvent[]
      /** Where to read on: everything below it was read. */
      nextRevision: Revision
    }>
  | Readonly<{ kind: 'compacted'; compactRevision: Revision }>

/**
 * Reads rows and makes the events of them again. Compactions at or below `from` change nothing
 * here, because they keep every row of their own revision; one above it refuses the answer: rows
 * may be missing in it.
 */
export function readEvents(
  state: StoreState,
  wanted: Readonly<{ from: number; to: number; revisionsMax: number; bytesMax?: number }>,
  done: (outcome: EventsOutcome) => void,
): void {
  const bytesMax = wanted.bytesMax ?? BYTES_MAX
  const cursor = state.rows.rowCursor(wanted.from, wanted.to)
  const events: StoreEvent[] = []
  let revisions = 0
  let bytes = 0
  let last = 0
  const finish = (next: number): void => {
    cursor.close()
    const compactRevision = state.compactedRevision
    if (wanted.from < compactRevision) {
      done({ kind: 'compacted', compactRevision: revision(compactRevision) })
    } else {
      done({ kind: 'events', events, nextRevision: revision(next) })
    }
  }
  const onRows = (rows: readonly Row[]): void => {
    for (const row of rows) {
      if (row.main !== last) {
        const isFull = revisions >= wanted.revisionsMax || bytes >= bytesMax
        if (isFull && revisions > 0) {
          finish(row.main)
          return
        }
        revisions++
        last = row.main
      }
      bytes += row.value.length
      events.push(eventOfRow(row))
    }
    if (rows.length === 0) finish(wanted.to + 1)
    else cursor.next(ROWS_PER_SLICE, onRows)
  }
  cursor.next(ROWS_PER_SLICE, onRows)
}
