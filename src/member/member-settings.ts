/** How one member behaves; what the operator's configuration comes to. */
export interface MemberSettings {
  /** Milliseconds a tick of the Raft clock (`--heartbeat-interval`). */
  readonly tickMs: number
  /** The election timeout in ticks. */
  readonly electionTicks: number
  /** Milliseconds without a leader before an election (`--election-timeout`). */
  readonly electionTimeoutMs: number
  /** Applied entries between two snapshots on disk (`--snapshot-count`), at least 1. */
  readonly snapshotCount: number
  /**
   * Entries kept in memory behind the applied index for slow followers
   * (`--snapshot-catchup-entries`).
   */
  readonly catchUpEntries: number
  /**
   * Entries beyond these that gather before the log in memory is cut; at least 1, default 1000. Few
   * cost a cut more often, and mean a snapshot sooner for followers that were away.
   */
  readonly cutSlackEntries?: number
  /** Largest proposal, bytes (`--max-request-bytes`). */
  readonly requestBytesMax: number
  /** Bytes that the backend may take (`--quota-backend-bytes`); Infinity = no limit. */
  readonly quotaBytes: number
  /** Refuse changes of membership that would cost the quorum (`--strict-reconfig-check`). */
  readonly strictReconfigCheck: boolean
  /** Longest wait of a change for the backend's files, ms (`--backend-batch-interval`). */
  readonly backendBatchIntervalMs: number
  /** Rows that one slice of a compaction frees (`--experimental-compaction-batch-limit`). */
  readonly compactionBatchLimit: number
  /** Pause between two slices, ms (`--experimental-compaction-sleep-interval`). */
  readonly compactionSleepMs: number
  /**
   * Applying one request longer than this is logged, ms (`--experimental-warning-apply-duration`).
   */
  readonly warningApplyMs: number
  /** Write remaining lease times to the log (`--experimental-enable-lease-checkpoint`). */
  readonly leaseCheckpoints: boolean
  /** Keep them over restarts (`--experimental-enable-lease-checkpoint-persist`). */
  readonly leaseCheckpointsPersist: boolean
}

/** How far applying may fall behind committing before proposals are refused (facts: ops.md 3). */
export const APPLY_LAG_ENTRIES_MAX = 5000
/** Proposals under way at once; beyond it they are refused as too many requests. */
export const PROPOSALS_MAX = 100_000

/** How long a proposal or read waits before it fails: 5 s and two elections (facts: ops.md 3). */
export const requestTimeoutMs = (settings: MemberSettings): number =>
  5000 + 2 * settings.electionTimeoutMs
