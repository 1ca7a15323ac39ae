import { featureProblem } from './availability.js'
import { discoveryConfig } from './discovery-settings.js'
import { gateEntries, isGateOn } from './feature-gates.js'
import { flagTable, type NumberFlagName } from './flag-table.js'
import { INT64, type Parsed, parseDurationMs, parseInteger, refused, value } from './go-value.js'
import { createInitialCluster } from './initial-cluster.js'
import type {
  AutoCompaction,
  LogConfig,
  LogLevel,
  ServerConfig,
  TlsVersion,
  V2ProxyConfig,
} from './server-config.js'
import type { Settings } from './settings.js'
import { clientTls, clientTlsProblem, peerTls, peerTlsProblem } from './tls-settings.js'
import { LOG_LEVELS, logOutputs } from './verify-settings.js'

const HOUR_MS = 3_600_000
const QUOTA_BYTES_DEFAULT = 2 * 1024 ** 3
const BATCH_INTERVAL_MS_DEFAULT = 100
const BATCH_CHANGES_DEFAULT = 10_000
const COMPACTION_BATCH_DEFAULT = 1000
const COMPACTION_SLEEP_MS_DEFAULT = 10
const PROGRESS_NOTIFY_MS_DEFAULT = 600_000
const PEER_TIMEOUT_MS_MIN = 5000
const BCRYPT_COST_DEFAULT = 10

/** The newer flag when given, else the older one when given, else the newer's default. */
function either(settings: Settings, newer: NumberFlagName, older: NumberFlagName): number {
  return settings.get(!settings.isGiven(newer) && settings.isGiven(older) ? older : newer)
}

/** Automatic compaction; texts are etcd's, which makes a duration of anything that is no count. */
export function autoCompaction(settings: Settings): Parsed<AutoCompaction> {
  const mode = settings.get('auto-compaction-mode')
  const hours = settings.get('experimental-auto-compaction-retention')
  const isOlder = settings.isGiven('experimental-auto-compaction-retention')
  const text = isOlder ? String(hours) : settings.get('auto-compaction-retention') || '0'
  const count = /^[+-]?\d+$/.test(text) ? parseInteger(String(BigInt(text)), INT64) : undefined
  let retention: number
  if (count?.kind === 'value' && count.value >= 0) {
    if (mode === '' && count.value > 0) return refused('--auto-compaction-mode is undefined')
    retention = mode === 'revision' ? count.value : count.value * HOUR_MS
  } else {
    const duration = parseDurationMs(text)
    const reason = duration.kind === 'refused' ? duration.reason : undefined
    if (reason !== undefined) return refused(`error parsing CompactionRetention: ${reason}`)
    const durationMs = duration.kind === 'value' ? duration.value : 0
    retention = mode === 'revision' ? durationMs * 1e6 : durationMs
  }
  if (retention === 0) return value({ kind: 'off' })
  if (retention < 0) return refused(`error parsing CompactionRetention: ${text} is negative`)
  if (mode === 'revision') return value({ kind: 'revision', retentionRevisions: retention })
  return value({ kind: 'periodic', retentionMs: retention })
}

/** What etcd finds wrong only while it starts; the process logs it and ends with status 1. */
export function startProblem(settings: Settings): string | undefined {
  const tls = peerTlsProblem(settings) ?? clientTlsProblem(settings)
  if (tls !== undefined) return tls
  const compaction = autoCompaction(settings)
  if (compaction.kind === 'refused') return compaction.reason
  const token = settings.get('auth-token')
  if (!['', 'simple', 'jwt'].includes(token.split(',')[0] ?? '')) {
    return 'auth: invalid auth options'
  }
  const stage = settings.get('v2-deprecation')
  // The API is on without being asked for; only who asks for both contradicts himself.
  const asksForV2 = settings.isGiven('enable-v2') && settings.get('enable-v2')
  if (asksForV2 && stage !== 'not-yet') {
    return `--enable-v2 and --v2-deprecation=${stage} are mutually exclusive`
  }
  return undefined
}

/** Why a flag cannot be obeyed in this version: its name and the missing feature. */
export function missingFeature(settings: Settings): string | undefined {
  for (const flag of flagTable) {
    if (flag.feature === undefined || !settings.isChanged(flag)) continue
    const problem = featureProblem(flag.feature)
    if (problem !== undefined) return `--${flag.name}: ${problem}`
  }
  for (const [gate, { feature }] of gateEntries) {
    if (feature === undefined || !isGateOn(settings.get('feature-gates'), gate)) continue
    const problem = featureProblem(feature)
    if (problem !== undefined) return `--feature-gates=${gate}=true: ${problem}`
  }
  const token = settings.get('auth-token')
  const jwt = token.startsWith('jwt') ? featureProblem('auth-token-jwt') : undefined
  if (jwt !== undefined) return `--auth-token: ${jwt}`
  const none = token === '' ? featureProblem('auth-token-none') : undefined
  if (none !== undefined) return `--auth-token: ${none}`
  const toJournal = logOutputs(settings).includes('systemd/journal')
  const journal = toJournal ? featureProblem('journal-log') : undefined
  return journal === undefined ? undefined : `--log-outputs: ${journal}`
}

/** Quota in bytes: 0 = the default, below 0 = none. */
function quota(bytes: number): number | undefined {
  if (bytes < 0) return undefined
  return bytes === 0 ? QUOTA_BYTES_DEFAULT : bytes
}

const orDefault = (given: number, whenZero: number): number => (given > 0 ? given : whenZero)

function logLevel(settings: Settings): LogLevel {
  if (settings.get('debug')) return 'debug'
  const given = settings.get('log-level').toLowerCase()
  return LOG_LEVELS.find((level) => level === given) ?? 'info'
}

/** The log settings, which are also needed to report what is wrong with the others. */
export function buildLogConfig(settings: Settings): LogConfig {
  const outputs = logOutputs(settings).map((output) => (output === 'default' ? 'stderr' : output))
  const format = settings.get('log-format') === 'console' ? 'console' : 'json'
  return { level: logLevel(settings), format, outputs: [...new Set(outputs)].sort() }
}

function tlsVersion(text: string): TlsVersion | undefined {
  return text === 'TLS1.2' || text === 'TLS1.3' ? text : undefined
}

/**
 * The text of --initial-cluster in force: made from the name and the advertised URLs if untouched.
 */
function initialClusterText(settings: Settings): string {
  const text = settings.get('initial-cluster')
  const name = settings.get('name')
  if (name === 'default' || text !== 'default=http://localhost:2380') return text
  const urls = settings.get('initial-advertise-peer-urls')
  return urls.map((url) => `${name}=${url.text}`).join(',')
}

type Part<Keys extends keyof ServerConfig> = Pick<ServerConfig, Keys>

function identity(
  settings: Settings,
): Part<
  | 'name'
  | 'dataDir'
  | 'walDir'
  | 'listenPeerUrls'
  | 'listenClientUrls'
  | 'listenClientHttpUrls'
  | 'listenMetricsUrls'
  | 'initialAdvertisePeerUrls'
  | 'advertiseClientUrls'
  | 'initialCluster'
  | 'initialClusterState'
  | 'initialClusterToken'
  | 'discovery'
> {
  const name = settings.get('name')
  const dataDir = settings.get('data-dir') || `${name}.etcd`
  return {
    name,
    dataDir,
    walDir: settings.get('wal-dir') || `${dataDir}/member/wal`,
    listenPeerUrls: settings.get('listen-peer-urls'),
    listenClientUrls: settings.get('listen-client-urls'),
    listenClientHttpUrls: settings.get('listen-client-http-urls'),
    listenMetricsUrls: settings.get('listen-metrics-urls'),
    initialAdvertisePeerUrls: settings.get('initial-advertise-peer-urls'),
    advertiseClientUrls: settings.get('advertise-client-urls'),
    initialCluster: createInitialCluster(initialClusterText(settings)),
    initialClusterState: settings.get('initial-cluster-state') === 'existing' ? 'existing' : 'new',
    initialClusterToken: settings.get('initial-cluster-token'),
    discovery: discoveryConfig(settings),
  }
}

function security(
  settings: Settings,
): Part<
  | 'clientTls'
  | 'peerTls'
  | 'cipherSuites'
  | 'tlsVersionMin'
  | 'tlsVersionMax'
  | 'selfSignedCertValidityYears'
  | 'corsOrigins'
  | 'hostWhitelist'
  | 'authTokenTtlSeconds'
  | 'bcryptCost'
> {
  const cost = settings.get('bcrypt-cost')
  return {
    clientTls: clientTls(settings),
    peerTls: peerTls(settings),
    cipherSuites: settings.get('cipher-suites'),
    tlsVersionMin: tlsVersion(settings.get('tls-min-version')) ?? 'TLS1.2',
    tlsVersionMax: tlsVersion(settings.get('tls-max-version')),
    selfSignedCertValidityYears: settings.get('self-signed-cert-validity') || 1,
    corsOrigins: settings.get('cors'),
    hostWhitelist: settings.get('host-whitelist'),
    authTokenTtlSeconds: settings.get('auth-token-ttl') || 300,
    bcryptCost: cost >= 4 && cost <= 31 ? cost : BCRYPT_COST_DEFAULT,
  }
}

function storage(
  settings: Settings,
): Part<
  | 'snapshotCount'
  | 'snapshotCatchupEntries'
  | 'snapshotFilesMax'
  | 'walFilesMax'
  | 'quotaBackendBytes'
  | 'backendBatchIntervalMs'
  | 'backendBatchChangesMax'
  | 'autoCompaction'
  | 'compactionBatchRevisionsMax'
  | 'compactionSleepIntervalMs'
> {
  const compaction = autoCompaction(settings)
  const batch = either(settings, 'compaction-batch-limit', 'experimental-compaction-batch-limit')
  const sleepMs = either(
    settings,
    'compaction-sleep-interval',
    'experimental-compaction-sleep-interval',
  )
  return {
    snapshotCount: orDefault(settings.get('snapshot-count'), 100_000),
    snapshotCatchupEntries: either(
      settings,
      'snapshot-catchup-entries',
      'experimental-snapshot-catchup-entries',
    ),
    snapshotFilesMax: settings.get('max-snapshots'),
    walFilesMax: settings.get('max-wals'),
    quotaBackendBytes: quota(settings.get('quota-backend-bytes')),
    backendBatchIntervalMs: orDefault(
      settings.get('backend-batch-interval'),
      BATCH_INTERVAL_MS_DEFAULT,
    ),
    backendBatchChangesMax: orDefault(settings.get('backend-batch-limit'), BATCH_CHANGES_DEFAULT),
    autoCompaction: compaction.kind === 'value' ? compaction.value : { kind: 'off' },
    compactionBatchRevisionsMax: orDefault(batch, COMPACTION_BATCH_DEFAULT),
    compactionSleepIntervalMs: orDefault(sleepMs, COMPACTION_SLEEP_MS_DEFAULT),
  }
}

type RestKeys = Exclude<
  keyof ServerConfig,
  | keyof ReturnType<typeof identity>
  | keyof ReturnType<typeof security>
  | keyof ReturnType<typeof storage>
>

function service(settings: Settings): Part<RestKeys> {
  const gates = settings.get('feature-gates')
  return {
    forceNewCluster: settings.get('force-new-cluster'),
    unsafeNoFsync: settings.get('unsafe-no-fsync'),
    strictReconfigCheck: settings.get('strict-reconfig-check'),
    preVote: settings.get('pre-vote'),
    initialElectionTickAdvance: settings.get('initial-election-tick-advance'),
    heartbeatIntervalMs: settings.get('heartbeat-interval'),
    electionTimeoutMs: settings.get('election-timeout'),
    transactionOperationsMax: settings.get('max-txn-ops'),
    requestBytesMax: settings.get('max-request-bytes'),
    concurrentStreamsMax: settings.get('max-concurrent-streams'),
    keepAlive: {
      minTimeMs: settings.get('grpc-keepalive-min-time'),
      intervalMs: settings.get('grpc-keepalive-interval'),
      timeoutMs: settings.get('grpc-keepalive-timeout'),
    },
    raftReadTimeoutMs: Math.max(settings.get('raft-read-timeout'), PEER_TIMEOUT_MS_MIN),
    raftWriteTimeoutMs: Math.max(settings.get('raft-write-timeout'), PEER_TIMEOUT_MS_MIN),
    socketReuseAddress: settings.get('socket-reuse-address'),
    learnersMax: either(settings, 'max-learners', 'experimental-max-learners'),
    leaseCheckpoint:
      settings.get('experimental-enable-lease-checkpoint') || isGateOn(gates, 'LeaseCheckpoint'),
    leaseCheckpointPersist:
      settings.get('experimental-enable-lease-checkpoint-persist') ||
      isGateOn(gates, 'LeaseCheckpointPersist'),
    watchProgressNotifyIntervalMs: orDefault(
      either(
        settings,
        'watch-progress-notify-interval',
        'experimental-watch-progress-notify-interval',
      ),
      PROGRESS_NOTIFY_MS_DEFAULT,
    ),
    warningApplyDurationMs: either(
      settings,
      'warning-apply-duration',
      'experimental-warning-apply-duration',
    ),
    warningUnaryRequestDurationMs: orDefault(
      either(
        settings,
        'warning-unary-request-duration',
        'experimental-warning-unary-request-duration',
      ),
      300,
    ),
    metrics: settings.get('metrics') === 'extensive' ? 'extensive' : 'basic',
    enableGrpcGateway: settings.get('enable-grpc-gateway'),
    enableV2: settings.get('enable-v2'),
    v2Proxy: v2Proxy(settings),
    log: buildLogConfig(settings),
  }
}

function v2Proxy(settings: Settings): V2ProxyConfig {
  const mode = settings.get('proxy')
  return {
    mode: mode === 'on' || mode === 'readonly' ? mode : 'off',
    failureWaitMs: settings.get('proxy-failure-wait'),
    refreshIntervalMs: settings.get('proxy-refresh-interval'),
    dialTimeoutMs: settings.get('proxy-dial-timeout'),
    writeTimeoutMs: settings.get('proxy-write-timeout'),
    readTimeoutMs: settings.get('proxy-read-timeout'),
  }
}

/** Builds the configuration out of settings that passed every check. */
export function buildConfig(settings: Settings): ServerConfig {
  return {
    ...identity(settings),
    ...security(settings),
    ...storage(settings),
    ...service(settings),
  }
}
