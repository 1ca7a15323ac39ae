import type { LeaseId } from '../base/ids.js'
import type { LeaseCheckpoint } from '../wire/rpc.js'
import { FOREVER, type Lease } from './lease.js'
import { type HeapAccess, LeaseHeap } from './lease-heap.js'
import { PILE_UP_LEASES, REVOKE_RETRY_MS, SPREAD_LEASES_PER_SECOND } from './limits.js'

const byExpiry: HeapAccess<Lease> = {
  dueMs: (lease) => lease.expiryDueMs,
  place: (lease) => lease.expiryPlace,
  setPlace: (lease, place) => {
    lease.expiryPlace = place
  },
}
const byCheckpoint: HeapAccess<Lease> = {
  dueMs: (lease) => lease.checkpointDueMs,
  place: (lease) => lease.checkpointPlace,
  setPlace: (lease, place) => {
    lease.checkpointPlace = place
  },
}

/**
 * When leases end and when their remaining time is to be checkpointed: what only the leader keeps.
 * Empty on other members.
 */
export class LeaseDeadlines {
  readonly #checkpoints: boolean
  readonly #checkpointIntervalMs: number
  readonly #expiries = new LeaseHeap<Lease>(byExpiry)
  readonly #checkpointTimes = new LeaseHeap<Lease>(byCheckpoint)

  constructor(options: Readonly<{ checkpoints: boolean; checkpointIntervalMs: number }>) {
    this.#checkpoints = options.checkpoints
    this.#checkpointIntervalMs = options.checkpointIntervalMs
  }

  /** Gives every lease what is owed to it and `extendMs` more; replaces all deadlines before. */
  begin(leases: readonly Lease[], options: Readonly<{ extendMs: number; nowMs: number }>): void {
    const { extendMs, nowMs } = options
    this.#expiries.clear()
    this.#checkpointTimes.clear()
    for (const lease of leases) {
      lease.expiryMs = nowMs + extendMs + timeLeftAtLeast(lease) * 1_000
      lease.isCheckpointUnderWay = false
    }
    if (leases.length > PILE_UP_LEASES) spread(leases)
    for (const lease of leases) {
      lease.expiryDueMs = lease.expiryMs
      this.#expiries.put(lease)
      this.scheduleCheckpoint(lease, nowMs)
    }
  }

  /** Nothing ends here any more. */
  end(leases: Iterable<Lease>): void {
    this.#expiries.clear()
    this.#checkpointTimes.clear()
    for (const lease of leases) {
      lease.expiryMs = FOREVER
      lease.expiryDueMs = FOREVER
      lease.checkpointDueMs = FOREVER
      lease.isCheckpointUnderWay = false
    }
  }

  /** The lease is full from now on. Cost: O(1) when that is later than before, else log n. */
  fill(lease: Lease, nowMs: number): void {
    lease.expiryMs = nowMs + lease.ttl * 1_000
    // The heap is touched only when it would look too late: it finds out by itself that an expiry
    // moved away.
    if (lease.expiryPlace >= 0 && lease.expiryDueMs <= lease.expiryMs) return
    lease.expiryDueMs = lease.expiryMs
    this.#expiries.put(lease)
  }

  /** Puts the next checkpoint an interval ahead, if the lease has more than that left. */
  scheduleCheckpoint(lease: Lease, nowMs: number): void {
    if (!this.#checkpoints) return
    if (timeLeftAtLeast(lease) * 1_000 <= this.#checkpointIntervalMs) return
    lease.checkpointDueMs = nowMs + this.#checkpointIntervalMs
    this.#checkpointTimes.put(lease)
  }

  /** The lease is gone. */
  remove(lease: Lease): void {
    this.#expiries.maybeRemove(lease)
    this.#checkpointTimes.maybeRemove(lease)
  }

  /** Ended leases to revoke; see `Lessor.expired`. */
  expired(nowMs: number, max: number): LeaseId[] {
    const ended: LeaseId[] = []
    while (ended.length < max) {
      const lease = this.#expiries.soonest
      if (lease === undefined || lease.expiryDueMs > nowMs) break
      if (lease.expiryMs > nowMs) {
        lease.expiryDueMs = lease.expiryMs
      } else {
        ended.push(lease.id)
        lease.expiryDueMs = nowMs + REVOKE_RETRY_MS
      }
      this.#expiries.put(lease)
    }
    return ended
  }

  /** Checkpoints to propose; see `Lessor.dueCheckpoints`. */
  dueCheckpoints(nowMs: number, max: number): LeaseCheckpoint[] {
    const due: LeaseCheckpoint[] = []
    while (due.length < max) {
      const lease = this.#checkpointTimes.soonest
      if (lease === undefined || lease.checkpointDueMs > nowMs) break
      this.#checkpointTimes.maybeRemove(lease)
      if (lease.expiryMs <= nowMs) continue
      const remainingTtl = Math.ceil((lease.expiryMs - nowMs) / 1_000)
      if (remainingTtl >= lease.ttl) {
        this.scheduleCheckpoint(lease, nowMs)
        continue
      }
      lease.isCheckpointUnderWay = true
      due.push({ ID: lease.id, remaining_TTL: remainingTtl })
    }
    return due
  }

  /** See `Lessor.nextExpiryInMs`. */
  nextExpiryInMs(nowMs: number): number {
    const lease = this.#expiries.soonest
    return lease === undefined ? FOREVER : Math.max(lease.expiryDueMs - nowMs, 0)
  }
}

/** Leases in the order in which they end, equal ends by id. Cost: n log n. */
export function sortByExpiry(leases: Iterable<Lease>): Lease[] {
  return [...leases].sort((a, b) => {
    if (a.expiryMs !== b.expiryMs) return a.expiryMs < b.expiryMs ? -1 : 1
    return compareIds(a.id, b.id)
  })
}

/** Signed order of ids, for sorting different ones. */
export function compareIds(a: LeaseId, b: LeaseId): number {
  return a < b ? -1 : 1
}

/**
 * Delays ends just so much that no second holds more of them than can be revoked. Never ends one
 * sooner.
 */
function spread(leases: readonly Lease[]): void {
  const sorted = sortByExpiry(leases)
  for (let at = SPREAD_LEASES_PER_SECOND; at < sorted.length; at++) {
    const lease = sorted[at] as Lease
    const ahead = sorted[at - SPREAD_LEASES_PER_SECOND] as Lease
    lease.expiryMs = Math.max(lease.expiryMs, ahead.expiryMs + 1_000)
  }
}

/** Seconds that a new leader owes the lease. */
function timeLeftAtLeast(lease: Lease): number {
  return lease.remainingTtl > 0 ? lease.remainingTtl : lease.ttl
}
