/** The member of this process as the v2 API sees it. */
import { type ErrorCode, errors } from '../base/errors.js'
import { idToHex, type MemberId } from '../base/ids.js'
import type { Member } from '../member/member.js'
import type { MembershipOutcome } from '../member/membership-service.js'
import type { Clock } from '../ports/clock.js'
import type { V2ApplyResult } from '../v2store/apply-request.js'
import type { V2MembershipOutcome, V2Source } from './source.js'
import { type FollowerStatistics, NO_TRAFFIC, type TrafficStatistics } from './statistics.js'

export interface MemberSourceOptions {
  readonly member: Member
  readonly clock: Clock
  /** `--name`. */
  readonly name: string
  /** When the process started; wall clock, unix milliseconds. */
  readonly startedMs: number
  /** Since when there has been this leader; wall clock, unix milliseconds. */
  readonly leaderSinceMs: () => number
  /** Append requests to and from peers; without it the figures are zero. */
  readonly traffic?: () => TrafficStatistics
  /** The followers' figures while this member leads; without it there are none. */
  readonly followers?: () => ReadonlyMap<string, FollowerStatistics>
}

/** The text that etcd's v2 API has for a failed proposal. Two differ from those of the v3 API. */
function failureText(code: ErrorCode): string {
  return code === 'CANCELED' ? 'etcdserver: request cancelled' : errors[code].message
}

function membershipOutcome(
  member: Member,
  id: MemberId,
  outcome: MembershipOutcome,
): V2MembershipOutcome {
  if (outcome.kind === 'changed') return { kind: 'changed' }
  switch (outcome.code) {
    case 'MEMBER_EXISTS':
      return { kind: 'id-exists' }
    case 'PEER_URL_EXISTS':
      return { kind: 'peer-url-exists' }
    case 'MEMBER_NOT_FOUND':
      return member.membership.isRemoved(id) ? { kind: 'removed' } : { kind: 'not-found' }
    default:
      return { kind: 'failed', reason: errors[outcome.code].message }
  }
}

/** Binds the v2 API to `member`. */
export function createMemberSource(options: MemberSourceOptions): V2Source {
  const { member, clock } = options
  const traffic = options.traffic ?? (() => NO_TRAFFIC)
  const followers = options.followers ?? (() => new Map<string, FollowerStatistics>())
  return {
    idText: idToHex(member.id),
    clusterIdText: idToHex(member.clusterId),
    name: options.name,
    startedMs: options.startedMs,
    store: () => member.state.v2,
    nowMs: () => clock.wallMs(),
    raftIndex: () => member.committedIndex,
    term: () => member.term,
    isVersionDecided: () => member.membership.version !== undefined,
    propose: (operation, done) =>
      member.proposeV2(operation, (outcome) => {
        if (outcome.kind === 'failed') {
          done({ kind: 'failed', reason: failureText(outcome.code) })
          return
        }
        // What a v2 entry gives is the result of applying it (src/v2store/apply-request.ts).
        done({ kind: 'applied', result: outcome.response as V2ApplyResult })
      }),
    members: () => member.membership.members(),
    leaderId: () => member.leaderId,
    leaderSinceMs: options.leaderSinceMs,
    newMember: (peerUrls) => member.members.newMember(peerUrls, false),
    addMember: (added, done) =>
      member.members.add(added, (outcome) => done(membershipOutcome(member, added.id, outcome))),
    removeMember: (id, done) =>
      member.members.remove(id, (outcome) => done(membershipOutcome(member, id, outcome))),
    updateMember: (id, peerUrls, done) =>
      member.members.update(id, peerUrls, (outcome) =>
        done(membershipOutcome(member, id, outcome)),
      ),
    traffic,
    followers,
  }
}
