/**
 * Whether a change of membership may be proposed: the strict checks (facts: ops.md 10). Pure
 * questions.
 */
import type { ErrorCode } from '../base/errors.js'
import type { MemberId } from '../base/ids.js'
import { isStarted, type Member } from './member.js'

/** How long a connection must have lasted to count as healthy, ms. */
export const HEALTH_INTERVAL_MS = 5000
/** How much of the leader's log a learner must have to become a voter. */
export const LEARNER_READY_RATIO = 0.9

/** How many of `voterCount` voters decide. */
export const quorumOf = (voterCount: number): number => Math.floor(voterCount / 2) + 1

const votersOf = (members: readonly Member[]): readonly Member[] =>
  members.filter((member) => !member.isLearner)

/** Voters that have ever run. */
export const startedVoterCount = (members: readonly Member[]): number =>
  votersOf(members).filter(isStarted).length

/**
 * Whether the started voters are a quorum of the cluster with one voter more. One of one always
 * may.
 */
export function isReadyToAddVotingMember(members: readonly Member[]): boolean {
  const voterCount = votersOf(members).length + 1
  const started = startedVoterCount(members)
  return (started === 1 && voterCount === 2) || started >= quorumOf(voterCount)
}

/** Whether the started voters that stay are a quorum of those that stay. */
export function isReadyToRemoveVotingMember(members: readonly Member[], id: MemberId): boolean {
  const staying = votersOf(members).filter((member) => member.id !== id)
  return startedVoterCount(staying) >= quorumOf(staying.length)
}

/** Whether the started voters with the learner, which counts as started, are a quorum. */
export function isReadyToPromoteMember(members: readonly Member[]): boolean {
  const voterCount = votersOf(members).length + 1
  return startedVoterCount(members) + 1 >= quorumOf(voterCount)
}

/** Whether a learner's log is near enough to the leader's. Both are match indexes. */
export const isLearnerCaughtUp = (learnerMatch: number, leaderMatch: number): boolean =>
  learnerMatch >= leaderMatch * LEARNER_READY_RATIO

/** Who is connected, for the checks of health. */
export interface Connections {
  readonly localId: MemberId
  /** Milliseconds on a clock that only goes forward. */
  readonly nowMs: number
  /** Since when the peer has been connected without a break; `undefined` = it is not. */
  activeSinceMs(id: MemberId): number | undefined
}

function isHealthy(id: MemberId, connections: Connections): boolean {
  if (id === connections.localId) return true
  const since = connections.activeSinceMs(id)
  return since !== undefined && since < connections.nowMs - HEALTH_INTERVAL_MS
}

/** May `member` be added? `undefined` = yes. */
export function checkAdd(
  members: readonly Member[],
  member: Pick<Member, 'isLearner'>,
  connections: Connections,
): ErrorCode | undefined {
  if (!member.isLearner && !isReadyToAddVotingMember(members)) return 'NOT_ENOUGH_STARTED_MEMBERS'
  const areHealthy = votersOf(members).every((voter) => isHealthy(voter.id, connections))
  return areHealthy ? undefined : 'UNHEALTHY_CLUSTER'
}

/** May the member `id` be removed? `undefined` = yes. Learners and members that are down may go. */
export function checkRemove(
  members: readonly Member[],
  id: MemberId,
  connections: Connections,
): ErrorCode | undefined {
  if (members.some((member) => member.id === id && member.isLearner)) return undefined
  if (!isReadyToRemoveVotingMember(members, id)) return 'NOT_ENOUGH_STARTED_MEMBERS'
  if (id !== connections.localId && connections.activeSinceMs(id) === undefined) return undefined
  const voters = votersOf(members)
  const healthy = voters.filter((voter) => isHealthy(voter.id, connections)).length
  return healthy - 1 < quorumOf(voters.length - 1) ? 'UNHEALTHY_CLUSTER' : undefined
}

/**
 * May the learner be promoted? `undefined` = yes. Match indexes are the leader's view of progress.
 */
export function checkPromote(
  members: readonly Member[],
  progress: { readonly learnerMatch: number; readonly leaderMatch: number },
): ErrorCode | undefined {
  if (!isLearnerCaughtUp(progress.learnerMatch, progress.leaderMatch)) return 'LEARNER_NOT_READY'
  return isReadyToPromoteMember(members) ? undefined : 'NOT_ENOUGH_STARTED_MEMBERS'
}
