import type { ServerConfig } from '../config/server-config.js'
import type { MemberSettings } from '../member/member-settings.js'

/** What the operator's configuration means for the member. */
export function memberSettingsOf(config: ServerConfig): MemberSettings {
  return {
    tickMs: config.heartbeatIntervalMs,
    electionTicks: Math.floor(config.electionTimeoutMs / config.heartbeatIntervalMs),
    electionTimeoutMs: config.electionTimeoutMs,
    snapshotCount: config.snapshotCount,
    catchUpEntries: config.snapshotCatchupEntries,
    requestBytesMax: config.requestBytesMax,
    quotaBytes: config.quotaBackendBytes ?? Number.POSITIVE_INFINITY,
    strictReconfigCheck: config.strictReconfigCheck,
    backendBatchIntervalMs: config.backendBatchIntervalMs,
    compactionBatchLimit: config.compactionBatchRevisionsMax,
    compactionSleepMs: config.compactionSleepIntervalMs,
    warningApplyMs: config.warningApplyDurationMs,
    leaseCheckpoints: config.leaseCheckpoint,
    leaseCheckpointsPersist: config.leaseCheckpointPersist,
  }
}
