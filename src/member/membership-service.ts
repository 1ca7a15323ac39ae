import type { ErrorCode } from '../base/errors.js'
import type { MemberId } from '../base/ids.js'
import {
  type Member as ClusterMember,
  computeMemberId,
  encodeAddContext,
  encodeMember,
  encodePromoteContext,
} from '../membership/member.js'
import type { Membership } from '../membership/membership.js'
import {
  type Connections,
  checkAdd,
  checkPromote,
  checkRemove,
} from '../membership/reconfiguration.js'
import type { Clock } from '../ports/clock.js'
import type { Log } from '../ports/log.js'
import type { PeerNetwork } from '../ports/peer-network.js'
import type { Status } from '../raft/raw-node.js'
import type { ConfChange } from '../wire/raftpb.js'
import type { LeaderCalls } from './member-parts.js'

/** What a change of membership came to. */
export type MembershipOutcome =
  | { readonly kind: 'changed' }
  | { readonly kind: 'failed'; readonly code: ErrorCode }
export type MembershipDone = (outcome: MembershipOutcome) => void

/** A change to be put through the log; `context` is the JSON that goes with it. */
export interface ProposedChange {
  readonly type: ConfChange['type']
  readonly nodeId: MemberId
  readonly context: string
}

export interface MembershipServiceHost {
  readonly id: MemberId
  readonly isStrict: boolean
  readonly clock: Clock
  readonly log: Log
  readonly network: PeerNetwork
  readonly leaderCalls: LeaderCalls
  membership(): Membership
  isLeader(): boolean
  /** Peer URLs of the leader; undefined when there is none. */
  leaderUrls(): readonly string[] | undefined
  raftStatus(): Status
  propose(change: ProposedChange, done: MembershipDone): void
}

/**
 * Changes of membership as clients ask for them: checked here, decided again when they are applied.
 */
export class MembershipService {
  readonly #host: MembershipServiceHost

  constructor(host: MembershipServiceHost) {
    this.#host = host
  }

  /** A member to be added, with the id that it gets if it is added now. */
  newMember(peerUrls: readonly string[], isLearner: boolean): ClusterMember {
    const urls = [...peerUrls].sort()
    const unixSeconds = Math.floor(this.#host.clock.wallMs() / 1000)
    const id = computeMemberId({ peerUrls: urls, token: '', unixSeconds })
    return { id, peerUrls: urls, isLearner, name: '', clientUrls: [] }
  }

  add(member: ClusterMember, done: MembershipDone): void {
    const { isStrict } = this.#host
    const members = this.#host.membership().members()
    const refusal = isStrict ? checkAdd(members, member, this.#connections()) : undefined
    if (refusal !== undefined) {
      this.#refuse('rejecting member add request', refusal, done)
      return
    }
    const type = member.isLearner ? 'ConfChangeAddLearnerNode' : 'ConfChangeAddNode'
    this.#host.propose({ type, nodeId: member.id, context: encodeAddContext(member) }, done)
  }

  remove(id: MemberId, done: MembershipDone): void {
    const membership = this.#host.membership()
    const isChecked = this.#host.isStrict && membership.member(id) !== undefined
    const refusal = isChecked
      ? checkRemove(membership.members(), id, this.#connections())
      : undefined
    if (refusal === undefined) {
      this.#host.propose({ type: 'ConfChangeRemoveNode', nodeId: id, context: '' }, done)
    } else this.#refuse('rejecting member remove request', refusal, done)
  }

  /**
   * Learners stay learners: the context says so, because whoever applies it takes it from there.
   */
  update(id: MemberId, peerUrls: readonly string[], done: MembershipDone): void {
    const isLearner = this.#host.membership().member(id)?.isLearner ?? false
    const context = encodeMember({ id, peerUrls, isLearner, name: '', clientUrls: [] })
    this.#host.propose({ type: 'ConfChangeUpdateNode', nodeId: id, context }, done)
  }

  /** Only the leader knows how far a learner has come; others ask it. */
  promote(id: MemberId, done: MembershipDone): void {
    if (!this.#host.isLeader()) {
      const urls = this.#host.leaderUrls()
      if (urls === undefined) done({ kind: 'failed', code: 'NO_LEADER' })
      else this.#host.leaderCalls.promote(urls, id, done)
      return
    }
    const member = this.#host.membership().member(id)
    const refusal = member === undefined ? 'MEMBER_NOT_FOUND' : this.#promotionRefusal(member)
    if (refusal !== undefined) done({ kind: 'failed', code: refusal })
    else {
      const context = encodePromoteContext(id)
      this.#host.propose({ type: 'ConfChangeAddNode', nodeId: id, context }, done)
    }
  }

  #promotionRefusal(member: ClusterMember): ErrorCode | undefined {
    if (!member.isLearner) return 'MEMBER_NOT_LEARNER'
    const { progress } = this.#host.raftStatus()
    const learnerMatch = progress.get(member.id)?.match ?? 0
    const leaderMatch = progress.get(this.#host.id)?.match ?? 0
    const members = this.#host.membership().members()
    const refusal = checkPromote(members, { learnerMatch, leaderMatch })
    return this.#host.isStrict || refusal === 'LEARNER_NOT_READY' ? refusal : undefined
  }

  #refuse(message: string, code: ErrorCode, done: MembershipDone): void {
    this.#host.log.warn(message, { code })
    done({ kind: 'failed', code })
  }

  #connections(): Connections {
    return {
      localId: this.#host.id,
      nowMs: this.#host.clock.monotonicMs(),
      activeSinceMs: (id) => this.#host.network.activeSinceMs(id),
    }
  }
}
