import {
  addIndex,
  type LogIndex,
  type MemberId,
  nextIndex,
  previousIndex,
  ZERO_INDEX,
} from '../../base/ids.js'
import { exhaustive, invariant } from '../../base/invariant.js'
import { maxIndex, minIndex } from '../log-position.js'
import { Inflights } from './inflights.js'

/**
 * probe: where the follower's log ends is not known; one MsgApp per heartbeat interval finds out.
 * replicate: it is known; entries are streamed optimistically, `next` runs ahead of `match`.
 * snapshot: the log it needs is gone; a snapshot is under way and nothing else is sent.
 *
 * probe -> replicate on an accepted append; replicate -> probe on a rejection or a lost connection;
 * probe | replicate -> snapshot when its entries are compacted; snapshot -> probe when the snapshot
 * failed or arrived, snapshot -> replicate when an append reply shows that the log connects again.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot'

/** What a leader knows of one member, itself included. Invariant: match < next (0 <= match). */
export class Progress {
  readonly id: MemberId
  /** Highest index known to be in the member's log. */
  match: LogIndex = ZERO_INDEX
  /**
   * Index of the next entry to send; those in (match, next) are under way, if in state replicate.
   */
  next: LogIndex
  /** Highest commit index sent; sending another below `next` teaches the follower nothing. */
  sentCommit: LogIndex = ZERO_INDEX
  state: ProgressState = 'probe'
  /** In state snapshot: index of the snapshot under way. */
  pendingSnapshot: LogIndex = ZERO_INDEX
  /** Heard from since the last quorum check. */
  recentActive = false
  /** The one probe is out, or the window is full: wait for a reply or a heartbeat's. */
  isAppendPaused = false
  isLearner: boolean
  inflights: Inflights

  constructor(
    options: Readonly<{
      id: MemberId
      next: LogIndex
      isLearner: boolean
      inflights: Inflights
    }>,
  ) {
    this.id = options.id
    this.next = options.next
    this.isLearner = options.isLearner
    this.inflights = options.inflights
  }

  /**
   * A copy that shares the window: what a configuration change edits without touching the original.
   */
  clone(): Progress {
    const copy = new Progress(this)
    copy.match = this.match
    copy.sentCommit = this.sentCommit
    copy.state = this.state
    copy.pendingSnapshot = this.pendingSnapshot
    copy.recentActive = this.recentActive
    copy.isAppendPaused = this.isAppendPaused
    return copy
  }

  /** Forgets everything at the start of a term; only being a learner stays. */
  restart(positions: Readonly<{ match: LogIndex; next: LogIndex }>): void {
    this.match = positions.match
    this.next = positions.next
    this.sentCommit = ZERO_INDEX
    this.recentActive = false
    this.#enter('probe')
    this.inflights = new Inflights(this.inflights)
  }

  becomeProbe(): void {
    // A snapshot that arrived lets the probe start behind it, though `match` does not know of it
    // yet.
    const pending = this.state === 'snapshot' ? this.pendingSnapshot : ZERO_INDEX
    this.#enter('probe')
    this.next = maxIndex(nextIndex(this.match), nextIndex(pending))
    this.sentCommit = minIndex(this.sentCommit, previousIndex(this.next))
  }

  becomeReplicate(): void {
    this.#enter('replicate')
    this.next = nextIndex(this.match)
  }

  becomeSnapshot(index: LogIndex): void {
    this.#enter('snapshot')
    this.pendingSnapshot = index
    this.next = nextIndex(index)
    this.sentCommit = index
  }

  #enter(state: ProgressState): void {
    this.isAppendPaused = false
    this.pendingSnapshot = ZERO_INDEX
    this.state = state
    this.inflights.reset()
  }

  /** A MsgApp with `count` entries of `bytes` payload has been sent. */
  onEntriesSent(sent: Readonly<{ count: number; bytes: number }>): void {
    switch (this.state) {
      case 'replicate':
        if (sent.count > 0) {
          this.next = addIndex(this.next, sent.count)
          this.inflights.add(previousIndex(this.next), sent.bytes)
        }
        // Over a full window this message counts as a probe: the next one waits.
        this.isAppendPaused = this.inflights.isFull()
        return
      case 'probe':
        if (sent.count > 0) this.isAppendPaused = true
        return
      case 'snapshot':
        invariant(false, 'sending append in unhandled state StateSnapshot')
        return
      default:
        exhaustive(this.state)
    }
  }

  /**
   * Whether telling `commit` could move the follower's commit index: it stops at what it was sent.
   */
  canBumpCommit(commit: LogIndex): boolean {
    return commit > this.sentCommit && this.sentCommit < previousIndex(this.next)
  }

  /** The follower has everything up to `index`. Returns whether that is news. */
  maybeUpdate(index: LogIndex): boolean {
    if (index <= this.match) return false
    this.match = index
    this.next = maxIndex(this.next, nextIndex(index))
    this.isAppendPaused = false
    return true
  }

  /**
   * The follower rejected an append behind `rejected`; `hint` is where its log could match. Moves
   * `next` back and returns true, or returns false for a reply that is out of date.
   */
  maybeDecreaseTo(rejected: LogIndex, hint: LogIndex): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false
      this.next = nextIndex(this.match)
    } else {
      // Outside replication one message is under way at a time: this must be its answer.
      if (previousIndex(this.next) !== rejected) return false
      this.next = maxIndex(minIndex(rejected, nextIndex(hint)), nextIndex(this.match))
      this.isAppendPaused = false
    }
    this.sentCommit = minIndex(this.sentCommit, previousIndex(this.next))
    return true
  }

  /** Whether no MsgApp may be sent now. */
  isPaused(): boolean {
    return this.state === 'snapshot' || this.isAppendPaused
  }
}
