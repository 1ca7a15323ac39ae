import type { LogIndex, Term } from '../base/ids.js'
import type { ConfState, Entry, HardState, Snapshot } from '../wire/raftpb.js'

/** The log below this index was dropped after a snapshot. */
export type Compacted = 'compacted'
/** The log does not reach that far. */
export type Unavailable = 'unavailable'
/** A snapshot is being made; ask again later. */
export type SnapshotUnavailable = 'snapshot-temporarily-unavailable'

/**
 * What the core reads back: the durable part of its log. Pure and synchronous; failures that are
 * part of normal life are values. What the core has handed out for writing must be readable here
 * before it is acknowledged (MsgStorageAppendResp or `advance`).
 */
export interface RaftStorage {
  /** What was persisted before the start; an empty hard state on a fresh member. */
  initialState(): Readonly<{ hardState: HardState; confState: ConfState }>
  /**
   * Entries `low` (inclusive) to `high` (exclusive), cut so that their encoded sizes add up to at
   * most `bytesMax`, but at least one. 'compacted' when `low` is gone, 'unavailable' when `high` is
   * too far. The result belongs to the caller; the entries do not change.
   */
  entries(
    low: LogIndex,
    high: LogIndex,
    bytesMax: number,
  ): readonly Entry[] | Compacted | Unavailable
  /** Term of the entry at `index`, which may be `firstIndex() - 1`. */
  term(index: LogIndex): Term | Compacted | Unavailable
  /** Index of the first entry that can still be read; `lastIndex() + 1` when there is none. */
  firstIndex(): LogIndex
  /** Index of the last entry; that of the snapshot when there is none. */
  lastIndex(): LogIndex
  /** The newest snapshot, to send to a member that is behind `firstIndex()`. */
  snapshot(): Snapshot | SnapshotUnavailable
}
