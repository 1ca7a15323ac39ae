import type { LogIndex, MemberId } from '../base/ids.js'
import type { Entry, HardState, Snapshot } from '../wire/raftpb.js'
import type { RaftMessage } from './message.js'

export type RaftRole = 'follower' | 'candidate' | 'pre-candidate' | 'leader'

/** Volatile state worth telling others about; never persisted. */
export interface SoftState {
  /** The leader as this member sees it; 0 = unknown. */
  readonly lead: MemberId
  readonly role: RaftRole
}

/** The answer to `readIndex`: the read may be served once the applied index is at least `index`. */
export interface ReadState {
  readonly index: LogIndex
  /** The context given to `readIndex`. */
  readonly context: Uint8Array
}

/**
 * What the core wants done. Plain mode: persist hardState, entries and snapshot (synced when
 * `mustSync`), only then send `messages`, apply `snapshot` and `committedEntries`, then call
 * `advance`. Asynchronous mode: the same work is in `messages`, addressed to LOCAL_APPEND_THREAD
 * and LOCAL_APPLY_THREAD; the other messages may be sent at once, and `ready` may be called again
 * at once.
 */
export interface Ready {
  /** Present when it changed. */
  readonly softState: SoftState | undefined
  /** Present when it changed. */
  readonly hardState: HardState | undefined
  readonly readStates: readonly ReadState[]
  /** To append to the log, consecutive; they replace what is at their indexes and behind. */
  readonly entries: readonly Entry[]
  /** To install before the entries. */
  readonly snapshot: Snapshot | undefined
  /** To apply, consecutive; at most maxCommittedSizePerReadyBytes, but at least one. */
  readonly committedEntries: readonly Entry[]
  readonly messages: readonly RaftMessage[]
  /** Whether hardState and entries must be durable, not only written, before messages leave. */
  readonly mustSync: boolean
}
