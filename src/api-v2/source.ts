/** What the v2 API needs of the member that it speaks for. */
import type { MemberId } from '../base/ids.js'
import type { Member as ClusterMember } from '../membership/member.js'
import type { V2ApplyResult } from '../v2store/apply-request.js'
import type { V2Store } from '../v2store/store.js'
import type { KeyOperation } from './key-request.js'
import type { FollowerStatistics, TrafficStatistics } from './statistics.js'

export type V2Outcome =
  | { readonly kind: 'applied'; readonly result: V2ApplyResult }
  /** etcd's text of why it is not known to be applied: the cause of error 300. */
  | { readonly kind: 'failed'; readonly reason: string }

/** What a change of membership came to. */
export type V2MembershipOutcome =
  | { readonly kind: 'changed' }
  | { readonly kind: 'id-exists' }
  | { readonly kind: 'peer-url-exists' }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'removed' }
  /** Anything else: the client sees an internal error, etcd's log the reason. */
  | { readonly kind: 'failed'; readonly reason: string }

export interface V2Source {
  /** Of the member, as etcd prints it. */
  readonly idText: string
  /** Of the cluster, as etcd prints it. */
  readonly clusterIdText: string
  readonly name: string
  /** When the process started; wall clock, unix milliseconds. */
  readonly startedMs: number

  /** The local tree. Another object after the member took over a snapshot. */
  store(): V2Store
  /** Wall clock, unix milliseconds. */
  nowMs(): number
  /** The commit index, for X-Raft-Index. */
  raftIndex(): number
  term(): number
  /** Whether the cluster has agreed on its version: before, users and roles cannot be looked at. */
  isVersionDecided(): boolean

  /** Puts one request through the log; `done` comes once, within the request timeout. */
  propose(operation: KeyOperation, done: (outcome: V2Outcome) => void): void

  /** All members, by id. */
  members(): readonly ClusterMember[]
  /** 0n = there is none. */
  leaderId(): MemberId
  /** Since when the leader has been leading, as seen here; wall clock, unix milliseconds. */
  leaderSinceMs(): number
  /** A member that is to be added, with the id that it gets. */
  newMember(peerUrls: readonly string[]): ClusterMember
  addMember(member: ClusterMember, done: (outcome: V2MembershipOutcome) => void): void
  removeMember(id: MemberId, done: (outcome: V2MembershipOutcome) => void): void
  updateMember(
    id: MemberId,
    peerUrls: readonly string[],
    done: (outcome: V2MembershipOutcome) => void,
  ): void

  /** Append requests to and from the others. */
  traffic(): TrafficStatistics
  /** The leader's followers by id, as etcd prints it. */
  followers(): ReadonlyMap<string, FollowerStatistics>
}
