import type { Revision } from '../base/ids.js'
import type { StoreEvent } from '../mvcc/store-event.js'

/** Events of past revisions, or why there are none. */
export type EventsOutcome =
  | Readonly<{
      kind: 'events'
      /** In revision order; the events of one revision are never cut apart. */
      events: readonly StoreEvent[]
      /** Everything below it, from where the read began, is in `events`. */
      nextRevision: Revision
    }>
  | Readonly<{ kind: 'compacted'; compactRevision: Revision }>

/** What watching needs of the store; `MvccStore` is one. */
export interface WatchHistory {
  /** Of the newest change. */
  readonly currentRevision: Revision
  /** Events below it are gone; -1 when nothing was ever compacted. */
  readonly compactedRevision: Revision
  /**
   * Events of `from` to `to` (both included): whole revisions in order, at least one, and
   * `nextRevision`, below which nothing is left out. `done` is called once, at once or later.
   * `compacted` when `from` cannot be read.
   */
  eventsSince(
    wanted: Readonly<{ from: number; to: number; revisionsMax: number; bytesMax?: number }>,
    done: (outcome: EventsOutcome) => void,
  ): void
  /**
   * The encoded KeyValue before the event; undefined when there was none or it was compacted.
   * Synchronous.
   */
  prevKv(event: StoreEvent): Uint8Array | undefined
}
