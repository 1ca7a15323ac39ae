import { buggify, mark } from '../base/buggify.js'
import type { ErrorCode } from '../base/errors.js'
import { type MemberId, NO_MEMBER, type RequestId } from '../base/ids.js'
import type { Membership } from '../membership/membership.js'
import type { Clock } from '../ports/clock.js'
import type { PeerNetwork } from '../ports/peer-network.js'
import type { RawNode } from '../raft/raw-node.js'
import { type Operation, sealEncoded } from '../wire/raft-envelope.js'
import type { ConfChange } from '../wire/raftpb.js'
import { encodeV2Operation, type V2Operation } from '../wire/v2-request.js'
import type { Leadership } from './leadership.js'
import { type MemberSettings, requestTimeoutMs } from './member-settings.js'
import type { MembershipDone, ProposedChange } from './membership-service.js'
import type { Proposal, ProposalOutcome, Proposals } from './proposals.js'
import type { RequestIds } from './request-ids.js'

/** Bytes of proposals put into one message to the leader. */
const SUBMIT_BYTES_MAX = 1 << 20

/** Whether the operation's texts come out of their bytes as they went in. */
const isWellFormed = ({ Path, Val, PrevValue }: V2Operation): boolean =>
  Path.isWellFormed() && Val.isWellFormed() && PrevValue.isWellFormed()

type ProposalOptions = Pick<Proposal, 'done' | 'v2' | 'isOfLeadership'>

export type ProposalDone = (outcome: ProposalOutcome) => void

export interface IntakeHost {
  readonly id: MemberId
  readonly settings: MemberSettings
  readonly node: RawNode
  readonly clock: Clock
  readonly network: PeerNetwork
  readonly ids: RequestIds
  readonly leadership: Leadership
  readonly proposals: Proposals
  membership(): Membership
  /** Why nothing is taken now; undefined = go on. */
  refusal(): ErrorCode | undefined
  /** Something waits to be submitted. */
  onQueued(): void
}

/**
 * Takes proposals in: each becomes one log entry. What comes in one turn is given to raft together;
 * what raft does not take now (no leader, a leader that hands over, a full window) waits, until it
 * is taken or its time is over.
 */
export class Intake {
  readonly #host: IntakeHost
  readonly #timeoutMs: number
  #waiting: Proposal[] = []
  #failedCount = 0

  constructor(host: IntakeHost) {
    this.#host = host
    this.#timeoutMs = requestTimeoutMs(host.settings)
  }

  /** Proposals that ended without being known to be applied. */
  get failedCount(): number {
    return this.#failedCount
  }

  /** One v3 operation, already encoded. */
  propose(operation: Operation, encoded: Uint8Array, done: ProposalDone): void {
    this.#propose(operation, encoded, { done, isOfLeadership: false })
  }

  /**
   * The same for what a leader decided by itself: what raft has not taken when it leads no more
   * fails with NOT_LEADER. The next leader, even this one, knows better by then.
   */
  proposeAsLeader(operation: Operation, encoded: Uint8Array, done: ProposalDone): void {
    this.#propose(operation, encoded, { done, isOfLeadership: true })
  }

  #propose(operation: Operation, encoded: Uint8Array, options: ProposalOptions): void {
    const { done } = options
    const refusal = this.#host.refusal()
    if (refusal !== undefined) {
      done({ kind: 'failed', code: refusal })
      return
    }
    const id = this.#host.ids.next()
    const data = sealEncoded(operation, encoded, { ID: id, username: '', authRevision: 0 })
    if (data.length > this.#host.settings.requestBytesMax) {
      done({ kind: 'failed', code: 'REQUEST_TOO_LARGE' })
      return
    }
    this.#enqueue(id, data, options)
  }

  /** This member leads no more. */
  onDemoted(): void {
    const outdated = this.#waiting.filter(({ isOfLeadership }) => isOfLeadership)
    if (outdated.length === 0) return
    this.#waiting = this.#waiting.filter(({ isOfLeadership }) => !isOfLeadership)
    for (const { id } of outdated)
      this.#host.proposals.settle(id, { kind: 'failed', code: 'NOT_LEADER' })
  }

  /** One request of the v2 API; its id is set here. */
  proposeV2(operation: V2Operation, done: ProposalDone): void {
    const refusal = this.#host.refusal()
    if (refusal !== undefined) {
      done({ kind: 'failed', code: refusal })
      return
    }
    const id = this.#host.ids.next()
    const known = isWellFormed(operation) ? operation : undefined
    this.#enqueue(id, encodeV2Operation(operation, id), { done, v2: known })
  }

  /**
   * One change of membership. It does not wait for a leader: whoever asked looks at the cluster
   * anew.
   */
  proposeChange(change: ProposedChange, done: MembershipDone): void {
    const { ids, node, proposals } = this.#host
    const refusal = this.#host.refusal()
    if (refusal !== undefined) {
      done({ kind: 'failed', code: refusal })
      return
    }
    const id = ids.next()
    const context = new TextEncoder().encode(change.context)
    proposals.add(
      this.#proposal(id, context, {
        done: (outcome) => done(outcome.kind === 'failed' ? outcome : { kind: 'changed' }),
      }),
    )
    const { type, nodeId } = change
    const confChange: ConfChange = { id, type, nodeId, context }
    if (node.proposeConfChange(confChange) !== 'ok') {
      proposals.settle(id, { kind: 'failed', code: 'NO_LEADER' })
    }
    this.#host.onQueued()
  }

  /** Gives raft what waits. */
  submit(): void {
    if (this.#host.leadership.leaderId === NO_MEMBER) return
    while (this.#waiting.length > 0) {
      const datas: Uint8Array[] = []
      let bytes = 0
      for (const { data } of this.#waiting) {
        const isFull = bytes + data.length > SUBMIT_BYTES_MAX || buggify('member/propose-one')
        if (datas.length > 0 && isFull) break
        datas.push(data)
        bytes += data.length
      }
      if (this.#host.node.propose(datas) !== 'ok') {
        mark('member/proposal-waits')
        return
      }
      if (datas.length === this.#waiting.length) this.#waiting = []
      else this.#waiting = this.#waiting.slice(datas.length)
    }
  }

  /** Ends what is late. */
  expire(nowMs: number): void {
    const { proposals } = this.#host
    proposals.expire(nowMs, ({ startedMs }) => this.#timeoutCode(startedMs))
    if (this.#waiting.length > 0) {
      this.#waiting = this.#waiting.filter(({ id }) => proposals.get(id) !== undefined)
    }
  }

  #enqueue(id: RequestId, data: Uint8Array, options: ProposalOptions): void {
    const proposal = this.#proposal(id, data, options)
    this.#host.proposals.add(proposal)
    this.#waiting.push(proposal)
    this.#host.onQueued()
  }

  #proposal(id: RequestId, data: Uint8Array, options: ProposalOptions): Proposal {
    const startedMs = this.#host.clock.monotonicMs()
    const { done, v2, isOfLeadership = false } = options
    const deadlineMs = startedMs + this.#timeoutMs
    return { id, data, v2, isOfLeadership, startedMs, deadlineMs, done }
  }

  /** etcd's guess at why nothing came in time. */
  #timeoutCode(startedMs: number): ErrorCode {
    this.#failedCount++
    const { leadership, network, settings } = this.#host
    const { electedMs, leaderId } = leadership
    const lostMs = electedMs - 2 * settings.electionTimeoutMs
    if (startedMs > lostMs && startedMs < electedMs) return 'TIMEOUT_LEADER_FAILURE'
    if (leaderId === NO_MEMBER) return 'TIMEOUT'
    if (leadership.isLeader) {
      return this.#isConnectedToQuorumSince(startedMs) ? 'TIMEOUT' : 'TIMEOUT_CONNECTION_LOST'
    }
    const since = network.activeSinceMs(leaderId)
    return since !== undefined && since <= startedMs ? 'TIMEOUT' : 'TIMEOUT_CONNECTION_LOST'
  }

  #isConnectedToQuorumSince(startedMs: number): boolean {
    const { id: self, network } = this.#host
    const voters = this.#host.membership().votingMembers()
    const connected = voters.filter(({ id }) => {
      const since = id === self ? 0 : network.activeSinceMs(id)
      return since !== undefined && since <= startedMs
    })
    return connected.length > voters.length / 2
  }
}
