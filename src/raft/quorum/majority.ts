import type { LogIndex, MemberId } from '../../base/ids.js'
import { ZERO_INDEX } from '../../base/ids.js'

export type VoteResult = 'pending' | 'lost' | 'won'

/**
 * The index that nothing holds back: what an empty majority commits. Keeps joint configurations
 * uniform.
 */
export const UNBOUNDED_INDEX = Number.POSITIVE_INFINITY as LogIndex

/**
 * The highest of the first `count` indexes that a majority of them has reached. Sorts that part of
 * `indexes` in place: for the sizes of real groups insertion beats anything that allocates.
 * O(count^2).
 */
export function majorityIndex(indexes: LogIndex[], count: number): LogIndex {
  if (count === 0) return UNBOUNDED_INDEX
  for (let i = 1; i < count; i++) {
    const value = indexes[i] as LogIndex
    let at = i - 1
    while (at >= 0 && (indexes[at] as LogIndex) > value) {
      indexes[at + 1] = indexes[at] as LogIndex
      at -= 1
    }
    indexes[at + 1] = value
  }
  const quorum = Math.floor(count / 2) + 1
  return indexes[count - quorum] as LogIndex
}

/** The commit index of `voters`; who has acknowledged nothing counts as 0. */
export function majorityCommittedIndex(
  voters: ReadonlySet<MemberId>,
  acknowledged: (voter: MemberId) => LogIndex | undefined,
): LogIndex {
  const indexes: LogIndex[] = []
  for (const voter of voters) indexes.push(acknowledged(voter) ?? ZERO_INDEX)
  return majorityIndex(indexes, indexes.length)
}

/**
 * What the votes cast so far decide among `voters`. No voters: won, as in a joint configuration's
 * empty half.
 */
export function majorityVoteResult(
  voters: ReadonlySet<MemberId>,
  votes: ReadonlyMap<MemberId, boolean>,
): VoteResult {
  if (voters.size === 0) return 'won'
  let granted = 0
  let missing = 0
  for (const voter of voters) {
    const vote = votes.get(voter)
    if (vote === undefined) missing += 1
    else if (vote) granted += 1
  }
  const quorum = Math.floor(voters.size / 2) + 1
  if (granted >= quorum) return 'won'
  return granted + missing >= quorum ? 'pending' : 'lost'
}
