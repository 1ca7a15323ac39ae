/** Numbers of the lease rules (facts: etcd's own defaults and limits). */
import { invariant } from '../base/invariant.js'

/** The longest TTL that can be asked for, in seconds: 285 years. */
export const LEASE_TTL_MAX = 9_000_000_000
/** How often the leader looks for leases that ended. */
export const EXPIRY_PASS_MS = 500
/** Leases that one pass hands out for revoking; the rest waits for the next pass. */
export const EXPIRED_PER_PASS_MAX = 500
/** A lease that was handed out and is still there after this long is handed out again. */
export const REVOKE_RETRY_MS = 3_000
/** From so many leases on, a new leader spreads ends that have piled up. */
export const PILE_UP_LEASES = 1_000
/**
 * How many leases may end in one second after spreading: below what the passes can revoke, 1,000.
 */
export const SPREAD_LEASES_PER_SECOND = 750
/** Between two checkpoints of one lease; leases with less left are not checkpointed. */
export const CHECKPOINT_INTERVAL_MS = 300_000
/** Checkpoints in one log entry. */
export const CHECKPOINTS_PER_BATCH_MAX = 1_000
/** Batches that one pass may propose. */
export const CHECKPOINT_BATCHES_PER_PASS_MAX = 500

invariant(
  SPREAD_LEASES_PER_SECOND < (EXPIRED_PER_PASS_MAX * 1_000) / EXPIRY_PASS_MS,
  'spread leases leave room for those that end by themselves',
)

/**
 * The shortest TTL that is granted, in seconds: nobody renews faster than a leader can be elected.
 */
export function minimumLeaseTtl(electionTimeoutMs: number): number {
  return Math.ceil((3 * electionTimeoutMs) / 2 / 1_000)
}
