import type { ErrorCode } from '../base/errors.js'
import { type LeaseId, NO_LEASE } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { StoredLease } from '../wire/mvccpb.js'
import type { LeaseCheckpoint } from '../wire/rpc.js'
import { Lease } from './lease.js'
import { compareIds, LeaseDeadlines, sortByExpiry } from './lease-deadlines.js'
import { leaseRowValue } from './lease-row.js'
import {
  CHECKPOINT_INTERVAL_MS,
  CHECKPOINTS_PER_BATCH_MAX,
  EXPIRED_PER_PASS_MAX,
  LEASE_TTL_MAX,
} from './limits.js'

export interface LessorOptions {
  /** Seconds; shorter wishes are raised to it. See `minimumLeaseTtl`. */
  readonly minimumTtl: number
  /** Whether the leader writes remaining times to the log. Default false. */
  readonly checkpoints?: boolean
  /** Default CHECKPOINT_INTERVAL_MS. */
  readonly checkpointIntervalMs?: number
}

export type GrantOutcome =
  | { readonly kind: 'granted'; readonly ttl: number }
  | { readonly kind: 'refused'; readonly code: ErrorCode }

/**
 * What a keep-alive met:
 * - `renewed`: the lease is full again; answer with `ttlOf`.
 * - `renewed-uncheckpoint`: the same, and a checkpoint with remaining 0 should be proposed, so that
 *   the next leader does not start from the old remaining time.
 * - `awaiting-revoke`: it ended and its revoke is under way. Answer `not-found` once the revoke is
 *   applied, or `not-primary` once this member is demoted, whichever comes first.
 * - `not-found`: answered with TTL 0.
 * - `not-primary`: this member does not lead; forward.
 */
export type RenewOutcome =
  | 'renewed'
  | 'renewed-uncheckpoint'
  | 'awaiting-revoke'
  | 'not-found'
  | 'not-primary'

export interface TimeToLive {
  /** Seconds, as granted. */
  readonly grantedTtl: number
  /**
   * Whole seconds left, cut towards zero; may be negative while a revoke is awaited. Infinity on a
   * follower.
   */
  readonly remaining: number
}

/**
 * All leases and the keys attached to them. Which leases exist, their TTLs and their keys follow
 * from the log and are equal on all members; when one ends is decided by the leader alone, which
 * proposes its revoke.
 *
 * States: a lessor is a follower until `promote`, then primary until `demote`. A lease of a primary
 * is alive (before its expiry) or awaits its revoke; only applying the revoke removes it.
 *
 * Time is monotonic milliseconds, passed in. Idle leases cost nothing: a renewal only moves the
 * expiry, and the heap looks again when the earlier one comes up.
 */
export class Lessor {
  readonly #minimumTtl: number
  readonly #leases = new Map<LeaseId, Lease>()
  readonly #leaseOfKey = new Map<string, Lease>()
  readonly #deadlines: LeaseDeadlines
  #isPrimary = false
  #grantedCount = 0
  #revokedCount = 0
  #renewedCount = 0

  constructor(options: LessorOptions) {
    invariant(options.minimumTtl > 0, 'a lease lives at least a second')
    this.#minimumTtl = options.minimumTtl
    this.#deadlines = new LeaseDeadlines({
      checkpoints: options.checkpoints ?? false,
      checkpointIntervalMs: options.checkpointIntervalMs ?? CHECKPOINT_INTERVAL_MS,
    })
  }

  /** Leases that exist. */
  get size(): number {
    return this.#leases.size
  }

  /** Keys that hang on a lease. */
  get attachedKeyCount(): number {
    return this.#leaseOfKey.size
  }

  /** Whether this member decides which leases end. */
  get isPrimary(): boolean {
    return this.#isPrimary
  }

  /** Since the start of the process, for metrics. */
  get grantedCount(): number {
    return this.#grantedCount
  }

  /** Since the start of the process, for metrics. */
  get revokedCount(): number {
    return this.#revokedCount
  }

  /** Since the start of the process, for metrics. */
  get renewedCount(): number {
    return this.#renewedCount
  }

  has(id: LeaseId): boolean {
    return this.#leases.has(id)
  }

  /** Granted seconds; undefined when there is no such lease. */
  ttlOf(id: LeaseId): number | undefined {
    return this.#leases.get(id)?.ttl
  }

  /**
   * Applies a grant. Errors: LEASE_NOT_FOUND for id 0 (the proposer picks one), LEASE_EXISTS,
   * LEASE_TTL_TOO_LARGE.
   */
  grant(id: LeaseId, ttl: number, nowMs: number): GrantOutcome {
    if (id === NO_LEASE) return { kind: 'refused', code: 'LEASE_NOT_FOUND' }
    if (ttl > LEASE_TTL_MAX) return { kind: 'refused', code: 'LEASE_TTL_TOO_LARGE' }
    if (this.#leases.has(id)) return { kind: 'refused', code: 'LEASE_EXISTS' }
    const lease = new Lease(id, Math.max(ttl, this.#minimumTtl), 0)
    this.#leases.set(id, lease)
    this.#grantedCount++
    if (this.#isPrimary) {
      this.#deadlines.fill(lease, nowMs)
      this.#deadlines.scheduleCheckpoint(lease, nowMs)
    }
    return { kind: 'granted', ttl: lease.ttl }
  }

  /**
   * Applies a revoke: removes the lease and detaches what still hangs on it. The keys to delete, in
   * one transaction and in this order, are those of `keysOf` before. Returns false when there is no
   * such lease.
   */
  revoke(id: LeaseId): boolean {
    const lease = this.#leases.get(id)
    if (lease === undefined) return false
    if (lease.keys !== undefined) {
      for (const key of lease.keys) this.#leaseOfKey.delete(key)
    }
    this.#leases.delete(id)
    this.#deadlines.remove(lease)
    this.#revokedCount++
    return true
  }

  /** Fills the lease up again. Cost: O(1), without allocation; log n right after a promotion. */
  renew(id: LeaseId, nowMs: number): RenewOutcome {
    if (!this.#isPrimary) return 'not-primary'
    const lease = this.#leases.get(id)
    if (lease === undefined) return 'not-found'
    if (lease.expiryMs <= nowMs) return 'awaiting-revoke'
    this.#deadlines.fill(lease, nowMs)
    this.#renewedCount++
    return lease.remainingTtl > 0 || lease.isCheckpointUnderWay ? 'renewed-uncheckpoint' : 'renewed'
  }

  /**
   * Applies a checkpoint: what was left of the lease, in seconds; 0 = full. False when there is no
   * such lease.
   */
  checkpoint(id: LeaseId, remainingTtl: number, nowMs: number): boolean {
    const lease = this.#leases.get(id)
    if (lease === undefined) return false
    lease.remainingTtl = Math.max(remainingTtl, 0)
    lease.isCheckpointUnderWay = false
    if (this.#isPrimary) this.#deadlines.scheduleCheckpoint(lease, nowMs)
    return true
  }

  /** The lease that a key hangs on; 0n = none. */
  leaseOf(key: string): LeaseId {
    return this.#leaseOfKey.get(key)?.id ?? NO_LEASE
  }

  /**
   * Hangs the key on the lease instead of on another. Ignored when there is no such lease: rows of
   * a store may name leases that were revoked since, and a put is refused before it comes here.
   */
  attach(id: LeaseId, key: string): void {
    const lease = this.#leases.get(id)
    if (lease === undefined) return
    const before = this.#leaseOfKey.get(key)
    if (before === lease) return
    if (before !== undefined) this.#unhook(before, key)
    if (lease.keys === undefined) lease.keys = new Set([key])
    else lease.keys.add(key)
    this.#leaseOfKey.set(key, lease)
  }

  /** Takes the key off the lease; does nothing when it does not hang on it. */
  detach(id: LeaseId, key: string): void {
    const lease = this.#leaseOfKey.get(key)
    if (lease === undefined || lease.id !== id) return
    this.#unhook(lease, key)
    this.#leaseOfKey.delete(key)
  }

  /** Keys attached to the lease, in unsigned bytewise order; empty when there is no such lease. */
  keysOf(id: LeaseId): string[] {
    const keys = this.#leases.get(id)?.keys
    return keys === undefined ? [] : [...keys].sort(compareKeys)
  }

  /** undefined when there is no such lease. */
  timeToLive(id: LeaseId, nowMs: number): TimeToLive | undefined {
    const lease = this.#leases.get(id)
    if (lease === undefined) return undefined
    const remaining = Math.trunc((lease.expiryMs - nowMs) / 1_000)
    return { grantedTtl: lease.ttl, remaining: remaining === 0 ? 0 : remaining }
  }

  /**
   * All leases, those that end first in front; equal ends (all of them, on a follower) by id. Cost:
   * n log n.
   */
  list(): LeaseId[] {
    return sortByExpiry(this.#leases.values()).map((lease) => lease.id)
  }

  /**
   * This member leads from now on: every lease gets the time that was left at its last checkpoint,
   * or its full TTL, plus `extendMs` (an election timeout), because nobody knows how much of it the
   * old leader saw pass.
   */
  promote(extendMs: number, nowMs: number): void {
    this.#isPrimary = true
    this.#deadlines.begin([...this.#leases.values()], { extendMs, nowMs })
  }

  /** This member leads no more: nothing expires here. */
  demote(): void {
    this.#isPrimary = false
    this.#deadlines.end(this.#leases.values())
  }

  /**
   * Leases that have ended and whose revoke is to be proposed, those that ended first in front; at
   * most `max`. The same lease comes again after REVOKE_RETRY_MS if it still exists then. Empty on
   * a follower.
   */
  expired(nowMs: number, max = EXPIRED_PER_PASS_MAX): LeaseId[] {
    return this.#deadlines.expired(nowMs, max)
  }

  /**
   * Checkpoints to propose now, at most `max` in one entry; call again while it gives `max` of
   * them. Empty on a follower and when checkpoints are off.
   */
  dueCheckpoints(nowMs: number, max = CHECKPOINTS_PER_BATCH_MAX): LeaseCheckpoint[] {
    return this.#deadlines.dueCheckpoints(nowMs, max)
  }

  /**
   * Milliseconds until `expired` may give something; 0 = now, Infinity = not before something
   * changes.
   */
  nextExpiryInMs(nowMs: number): number {
    return this.#deadlines.nextExpiryInMs(nowMs)
  }

  /**
   * Replaces everything by what bucket `lease` holds; keys are attached again by the store. Not
   * primary then.
   */
  restore(rows: Iterable<StoredLease>): void {
    this.demote()
    this.#leases.clear()
    this.#leaseOfKey.clear()
    for (const row of rows) {
      const ttl = Math.max(row.TTL, this.#minimumTtl)
      this.#leases.set(row.ID, new Lease(row.ID, ttl, row.RemainingTTL))
    }
  }

  /**
   * What bucket `lease` holds for it under `leaseRowKey(id)`; undefined when there is no such
   * lease.
   */
  rowOf(id: LeaseId): Uint8Array | undefined {
    const lease = this.#leases.get(id)
    return lease === undefined ? undefined : leaseRowValue(lease)
  }

  /** Every lease as bucket `lease` holds it, in the order of the ids. Cost: n log n. */
  rows(): StoredLease[] {
    const rows: StoredLease[] = []
    for (const lease of this.#leases.values()) {
      rows.push({ ID: lease.id, TTL: lease.ttl, RemainingTTL: lease.remainingTtl })
    }
    return rows.sort((a, b) => compareIds(a.ID, b.ID))
  }

  #unhook(lease: Lease, key: string): void {
    const { keys } = lease
    invariant(keys !== undefined, 'a lease that a key hangs on has keys')
    invariant(keys.has(key), 'an attached key is among the keys of its lease')
    if (keys.size === 1) lease.keys = undefined
    else keys.delete(key)
  }
}

function compareKeys(a: string, b: string): number {
  return a < b ? -1 : 1
}
