import type { LogIndex, MemberId } from '../base/ids.js'
import type { ConfState, HardState } from '../wire/raftpb.js'
import type { Raft } from './raft.js'
import type { SoftState } from './ready.js'
import type { Progress, ProgressState } from './tracker/progress.js'

/** What a member knows of itself, at the cost of a few fields. */
export interface BasicStatus {
  readonly id: MemberId
  readonly hardState: HardState
  readonly softState: SoftState
  /** Last index that the state machine has acknowledged. */
  readonly applied: LogIndex
  /** To whom leadership is being handed; 0 = to nobody. */
  readonly leadTransferee: MemberId
}

/** How far a member has come, as its leader sees it. */
export interface ProgressStatus {
  readonly state: ProgressState
  /** Highest index known to be in the member's log. */
  readonly match: LogIndex
  /** Index of the next entry to send. */
  readonly next: LogIndex
  readonly isLearner: boolean
  readonly isPaused: boolean
  /** Heard from since the last quorum check. */
  readonly recentActive: boolean
  /** Index of the snapshot under way; 0 = none. */
  readonly pendingSnapshot: LogIndex
  /** MsgApp under way. */
  readonly inflightCount: number
  readonly inflightIsFull: boolean
}

/** The whole picture; costs a copy of the configuration, and on a leader of all progress. */
export interface Status extends BasicStatus {
  readonly config: ConfState
  /** By ascending member id; empty unless this member leads. */
  readonly progress: ReadonlyMap<MemberId, ProgressStatus>
}

export function basicStatusOf(raft: Raft): BasicStatus {
  return {
    id: raft.id,
    hardState: raft.hardState(),
    softState: raft.softState(),
    applied: raft.log.applied,
    leadTransferee: raft.leadTransferee,
  }
}

export function progressStatusOf(member: Progress): ProgressStatus {
  return {
    state: member.state,
    match: member.match,
    next: member.next,
    isLearner: member.isLearner,
    isPaused: member.isPaused(),
    recentActive: member.recentActive,
    pendingSnapshot: member.pendingSnapshot,
    inflightCount: member.inflights.count,
    inflightIsFull: member.inflights.isFull(),
  }
}

export function statusOf(raft: Raft): Status {
  const progress = new Map<MemberId, ProgressStatus>()
  if (raft.role === 'leader') {
    for (const member of raft.tracker.members) progress.set(member.id, progressStatusOf(member))
  }
  return { ...basicStatusOf(raft), config: raft.tracker.confState(), progress }
}
