import type { LeaseId } from '../base/ids.js'
import { NOT_IN_HEAP } from './lease-heap.js'

/** Stands for "never": members that do not lead expire nothing. */
export const FOREVER = Number.POSITIVE_INFINITY

/**
 * One lease. What follows from the log alone (`id`, `ttl`, `remainingTtl`, `keys`) is equal on all
 * members; the rest is the leader's own bookkeeping of time. Changed by the Lessor only.
 */
export class Lease {
  readonly id: LeaseId
  /** Granted seconds, at least the minimum of the cluster. */
  readonly ttl: number
  /**
   * Seconds that were left at the last checkpoint; 0 = no checkpoint since the lease was last full.
   */
  remainingTtl: number
  /**
   * Attached keys; undefined while there are none, which most leases of a big cluster spare a set.
   */
  keys: Set<string> | undefined = undefined
  /** Monotonic ms at which it ends; FOREVER while this member does not lead. */
  expiryMs = FOREVER
  /** A checkpoint went to the log and has not been applied: the lease may be renewed meanwhile. */
  isCheckpointUnderWay = false
  /**
   * At which time the heap of expiries looks at it: never after `expiryMs`, except while a revoke
   * is awaited.
   */
  expiryDueMs = FOREVER
  expiryPlace = NOT_IN_HEAP
  /** When its remaining time is to be checkpointed. */
  checkpointDueMs = FOREVER
  checkpointPlace = NOT_IN_HEAP

  constructor(id: LeaseId, ttl: number, remainingTtl: number) {
    this.id = id
    this.ttl = ttl
    this.remainingTtl = remainingTtl
  }
}
