import type { LogIndex, MemberId } from '../../base/ids.js'
import { minIndex } from '../log-position.js'
import { majorityCommittedIndex, majorityVoteResult, type VoteResult } from './majority.js'

/**
 * Two majorities that must both agree (Raft §6); with no outgoing voters it is the incoming one
 * alone.
 */
export interface JointVoters {
  readonly incoming: ReadonlySet<MemberId>
  readonly outgoing: ReadonlySet<MemberId>
}

/** The highest index that both majorities have reached. */
export function jointCommittedIndex(
  voters: JointVoters,
  acknowledged: (voter: MemberId) => LogIndex | undefined,
): LogIndex {
  return minIndex(
    majorityCommittedIndex(voters.incoming, acknowledged),
    majorityCommittedIndex(voters.outgoing, acknowledged),
  )
}

/** Won when both are won, lost when either is lost. */
export function jointVoteResult(
  voters: JointVoters,
  votes: ReadonlyMap<MemberId, boolean>,
): VoteResult {
  const incoming = majorityVoteResult(voters.incoming, votes)
  const outgoing = majorityVoteResult(voters.outgoing, votes)
  if (incoming === outgoing) return incoming
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending'
}
