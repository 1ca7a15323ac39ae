import { buggify, mark } from '../base/buggify.js'
import type { ErrorCode } from '../base/errors.js'
import type { LeaseId } from '../base/ids.js'
import { exhaustive } from '../base/invariant.js'
import type { Lessor } from '../lease/lessor.js'
import { CHECKPOINT_BATCHES_PER_PASS_MAX, EXPIRY_PASS_MS } from '../lease/limits.js'
import { LeaseCheckpointRequest, LeaseRevokeRequest } from '../wire/rpc.js'
import type { LeaseAnswer } from './member-parts.js'
import type { ProposalOutcome } from './proposals.js'

export interface LeaseKeeperHost {
  lessor(): Lessor
  nowMs(): number
  propose(
    operation: 'leaseRevoke' | 'leaseCheckpoint',
    encoded: Uint8Array,
    done: (outcome: ProposalOutcome) => void,
  ): void
  /** Asks a quorum whether this member leads still. */
  confirmLeadership(done: (isLeading: boolean) => void): void
  /** Between two calls of `tick`, ms. */
  readonly tickMs: number
  /** Carries a keep-alive to the leader. */
  forward(id: LeaseId, done: (answer: LeaseAnswer) => void): void
}

/**
 * A member that was not ticked for so many intervals may have been succeeded without knowing it.
 */
const STALLED_TICKS = 3
/** How long a keep-alive waits for the revoke of its lease, ms. */
const AWAIT_REVOKE_MS = 7000
/** Keep-alives of one lease that wait for its revoke; more are refused. */
const AWAITING_PER_LEASE_MAX = 1000

interface Awaiting {
  readonly deadlineMs: number
  readonly dones: Renewed[]
}

type Renewed = (
  outcome: LeaseAnswer | { readonly kind: 'failed'; readonly code: ErrorCode },
) => void

/** The leader's work on leases, pass by pass: revoking what ended, checkpoints, and renewals. */
export class LeaseKeeper {
  readonly #host: LeaseKeeperHost
  /**
   * Keep-alives of leases that ended and whose revoke is under way, those that wait longest in
   * front.
   */
  readonly #awaiting = new Map<LeaseId, Awaiting>()
  #nextPassMs = 0
  #tickedMs = Number.NEGATIVE_INFINITY
  #expiredCount = 0
  /** How often this member ceased to lead. */
  #demotions = 0

  constructor(host: LeaseKeeperHost) {
    this.#host = host
  }

  /** Revokes proposed since the start, for metrics. */
  get expiredCount(): number {
    return this.#expiredCount
  }

  tick(): void {
    const nowMs = this.#host.nowMs()
    const lessor = this.#host.lessor()
    this.#tickedMs = nowMs
    this.#expireAwaiting(nowMs)
    if (!lessor.isPrimary || nowMs < this.#nextPassMs) return
    this.#nextPassMs = nowMs + EXPIRY_PASS_MS
    this.#revoke(buggify('member/revoke-one') ? lessor.expired(nowMs, 1) : lessor.expired(nowMs))
    for (let batch = 0; batch < CHECKPOINT_BATCHES_PER_PASS_MAX; batch++) {
      const checkpoints = lessor.dueCheckpoints(nowMs)
      if (checkpoints.length === 0) return
      const encoded = LeaseCheckpointRequest.encode({ checkpoints })
      this.#host.propose('leaseCheckpoint', encoded, () => undefined)
    }
  }

  /**
   * A leader that stood still may be one no more, and its successor may have renewed what it thinks
   * has ended. So a quorum is asked before anything is revoked (etcd issue 15247). An answer that
   * comes when it was deposed and elected again says nothing: every lease has its whole time anew.
   */
  #revoke(ended: readonly LeaseId[]): void {
    if (ended.length === 0) return
    const demotions = this.#demotions
    this.#host.confirmLeadership((isLeading) => {
      const isSameLeadership = demotions === this.#demotions
      if (!isLeading || !isSameLeadership || !this.#host.lessor().isPrimary) return
      mark('member/leader-confirmed')
      for (const ID of ended) {
        this.#expiredCount++
        this.#host.propose('leaseRevoke', LeaseRevokeRequest.encode({ ID }), () => undefined)
      }
    })
  }

  /** Renews here when this member leads, else at the leader. */
  renew(id: LeaseId, done: Renewed): void {
    const isStalled = this.#host.nowMs() - this.#tickedMs > STALLED_TICKS * this.#host.tickMs
    if (!isStalled || !this.#host.lessor().isPrimary) {
      this.#renew(id, done)
      return
    }
    this.#host.confirmLeadership((isLeading) => {
      if (isLeading) this.#renew(id, done)
      else this.#host.forward(id, done)
    })
  }

  #renew(id: LeaseId, done: Renewed): void {
    const lessor = this.#host.lessor()
    const outcome = lessor.renew(id, this.#host.nowMs())
    switch (outcome) {
      case 'renewed':
        done({ kind: 'renewed', ttlSeconds: lessor.ttlOf(id) ?? 0 })
        return
      case 'renewed-uncheckpoint': {
        const checkpoints = [{ ID: id, remaining_TTL: 0 }]
        const encoded = LeaseCheckpointRequest.encode({ checkpoints })
        this.#host.propose('leaseCheckpoint', encoded, () => undefined)
        done({ kind: 'renewed', ttlSeconds: lessor.ttlOf(id) ?? 0 })
        return
      }
      case 'awaiting-revoke': {
        mark('member/lease-awaits-revoke')
        this.#await(id, done)
        return
      }
      case 'not-found':
        done({ kind: 'failed', code: 'LEASE_NOT_FOUND' })
        return
      case 'not-primary':
        this.#host.forward(id, done)
        return
      default:
        exhaustive(outcome)
    }
  }

  /** A revoke was applied. */
  onRevoked(id: LeaseId): void {
    const waiting = this.#awaiting.get(id)
    if (waiting === undefined) return
    this.#awaiting.delete(id)
    for (const done of waiting.dones) done({ kind: 'failed', code: 'LEASE_NOT_FOUND' })
  }

  /** This member leads no more: whoever waited asks the next leader. */
  onDemoted(): void {
    this.#demotions++
    for (const { dones } of this.#awaiting.values()) {
      for (const done of dones) done({ kind: 'failed', code: 'NOT_PRIMARY_LESSOR' })
    }
    this.#awaiting.clear()
  }

  #await(id: LeaseId, done: Renewed): void {
    const known = this.#awaiting.get(id)
    if (known === undefined) {
      const deadlineMs = this.#host.nowMs() + AWAIT_REVOKE_MS
      this.#awaiting.set(id, { deadlineMs, dones: [done] })
    } else if (known.dones.length < AWAITING_PER_LEASE_MAX) known.dones.push(done)
    else done({ kind: 'failed', code: 'TOO_MANY_REQUESTS' })
  }

  /**
   * Without a quorum a revoke is never applied: nobody waits for one longer than for a proposal.
   */
  #expireAwaiting(nowMs: number): void {
    for (const [id, { deadlineMs, dones }] of this.#awaiting) {
      if (deadlineMs > nowMs) return
      this.#awaiting.delete(id)
      for (const done of dones) done({ kind: 'failed', code: 'TIMEOUT' })
    }
  }
}
