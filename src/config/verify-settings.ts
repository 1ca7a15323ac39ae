import { gateEntries, isGateOn } from './feature-gates.js'
import type { FlagName } from './flag-table.js'
import { formatDurationMs, goQuote } from './go-value.js'
import { advertiseProblem, bindProblem, type ServerUrl, urlTexts } from './server-url.js'
import type { Settings } from './settings.js'

/** Why the settings are refused: etcd's text; a `panic` ends the process without a log line. */
export type SettingsProblem = Readonly<{ kind: 'error' | 'panic'; text: string }>

type Check = (settings: Settings) => string | undefined

export const ADVERTISE_CLIENT_MISSING =
  '--advertise-client-urls is required when --listen-client-urls is set explicitly'

/** Zap's levels; any of them may be written in capitals, and '' means info. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'dpanic', 'panic', 'fatal'] as const
const ELECTION_TIMEOUT_MS_MAX = 50_000
const TLS_VERSIONS: readonly string[] = ['', 'TLS1.2', 'TLS1.3']

/** Pairs of an older and a newer name of which only one may be given. */
const RENAMED = [
  ['experimental-compact-hash-check-time', 'compact-hash-check-time'],
  ['experimental-corrupt-check-time', 'corrupt-check-time'],
  ['experimental-compaction-batch-limit', 'compaction-batch-limit'],
  ['experimental-compaction-sleep-interval', 'compaction-sleep-interval'],
  ['experimental-watch-progress-notify-interval', 'watch-progress-notify-interval'],
  ['experimental-warning-apply-duration', 'warning-apply-duration'],
  ['experimental-bootstrap-defrag-threshold-megabytes', 'bootstrap-defrag-threshold-megabytes'],
  ['experimental-max-learners', 'max-learners'],
  ['experimental-memory-mlock', 'memory-mlock'],
  ['experimental-snapshot-catchup-entries', 'snapshot-catchup-entries'],
  ['experimental-downgrade-check-time', 'downgrade-check-time'],
  ['experimental-peer-skip-client-san-verification', 'peer-skip-client-san-verification'],
  ['experimental-enable-distributed-tracing', 'enable-distributed-tracing'],
  ['experimental-distributed-tracing-address', 'distributed-tracing-address'],
  ['experimental-distributed-tracing-service-name', 'distributed-tracing-service-name'],
  ['experimental-distributed-tracing-instance-id', 'distributed-tracing-instance-id'],
  ['experimental-distributed-tracing-sampling-rate', 'distributed-tracing-sampling-rate'],
] as const satisfies readonly (readonly [FlagName, FlagName])[]

const renamed: Check = (settings) => {
  for (const [older, newer] of RENAMED) {
    if (settings.isGiven(older) && settings.isGiven(newer)) {
      return `cannot set --${older} and --${newer} at the same time, please use --${newer} only`
    }
  }
  const isTwice =
    settings.get('experimental-warning-unary-request-duration') !== 0 &&
    settings.isGiven('warning-unary-request-duration')
  return isTwice
    ? 'both --experimental-warning-unary-request-duration and ' +
        '--warning-unary-request-duration flags are set. Use only ' +
        '--warning-unary-request-duration'
    : undefined
}

const gates: Check = (settings) => {
  const given = settings.get('feature-gates')
  for (const [gate, { flag }] of gateEntries) {
    const named = given[gate]
    if (flag === undefined || named === undefined || !settings.isGiven(flag)) continue
    const both = `--${flag}=${settings.get(flag)} and --feature-gates=${gate}=${named}`
    return (
      `cannot specify both flags: ${both} at the same time, please just use ` +
      `--feature-gates=${gate}=${named}`
    )
  }
  return undefined
}

/** The outputs in force: the older name counts while the newer is not given. */
export function logOutputs(settings: Settings): readonly string[] {
  const isOlder = settings.isGiven('log-output') && !settings.isGiven('log-outputs')
  const outputs = settings.get(isOlder ? 'log-output' : 'log-outputs')
  return outputs.length === 0 ? ['default'] : outputs
}

const rotation: Check = (settings) => {
  if (!settings.get('enable-log-rotation')) return undefined
  const standard = ['default', 'stdout', 'stderr']
  const files = logOutputs(settings).filter((output) => !standard.includes(output))
  if (files.length > 1 || (files.length === 0 && logOutputs(settings).length === 1)) {
    return '--log-outputs requires a single file path when --log-rotate-config-json is defined'
  }
  try {
    const rules: unknown = JSON.parse(settings.get('log-rotation-config-json'))
    if (typeof rules === 'object' && rules !== null && !Array.isArray(rules)) return undefined
    return 'invalid log rotation config: json: cannot unmarshal into a log rotation config'
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown)
    return `improperly formatted log rotation config: ${reason}`
  }
}

const logging: Check = (settings) => {
  const logger = settings.get('logger')
  if (logger === 'capnslog') return '--logger=capnslog is removed in v3.5'
  if (logger !== 'zap') return `unknown logger option ${goQuote(logger)}`
  if (settings.isGiven('log-output') && settings.isGiven('log-outputs')) {
    return "both '--log-output' and '--log-outputs' are set; only set '--log-outputs'"
  }
  const outputs = logOutputs(settings)
  if (outputs.length > 1 && outputs.includes('default')) {
    return 'multi logoutput for "default" is not supported yet'
  }
  const rotationProblem = rotation(settings)
  if (rotationProblem !== undefined) return rotationProblem
  if (outputs.includes('')) return 'open sink "": open : no such file or directory'
  const format = settings.get('log-format')
  if (format === 'json' || format === 'console') return undefined
  return `unknown log format: ${format}, supported values json, console`
}

const logLevel: Check = (settings) => {
  const given = settings.get('log-level')
  const levels: readonly string[] = LOG_LEVELS
  const isKnown = given === '' || levels.includes(given) || levels.includes(given.toLowerCase())
  return isKnown ? undefined : `unrecognized level: ${goQuote(given)}`
}

const addresses: Check = (settings) => {
  const bind =
    bindProblem(settings.get('listen-peer-urls')) ??
    bindProblem(settings.get('listen-client-urls')) ??
    bindProblem(settings.get('listen-client-http-urls')) ??
    bindProblem(settings.get('listen-metrics-urls'))
  if (bind !== undefined) return bind
  const advertise = (name: string, urls: readonly ServerUrl[]): string | undefined => {
    const problem = advertiseProblem(urls)
    const shown = goQuote(urlTexts(urls).join(','))
    return problem === undefined ? undefined : `--${name} ${shown} must be "host:port" (${problem})`
  }
  return (
    advertise('initial-advertise-peer-urls', settings.get('initial-advertise-peer-urls')) ??
    advertise('advertise-client-urls', settings.get('advertise-client-urls'))
  )
}

/** Whether the settings of v3 discovery name a service, a token or credentials. */
const v3DiscoveryTexts = [
  'discovery-token',
  'discovery-cert',
  'discovery-key',
  'discovery-cacert',
  'discovery-user',
  'discovery-password',
] as const

const bootstrap: Check = (settings) => {
  const state = settings.get('initial-cluster-state')
  if (state !== 'new' && state !== 'existing') return `unexpected clusterState ${goQuote(state)}`
  const endpoints = settings.get('discovery-endpoints')
  const ways = [
    settings.get('discovery') !== '',
    settings.get('initial-cluster') !== '',
    settings.get('discovery-srv') !== '',
    endpoints.length > 0,
  ]
  if (ways.filter((isSet) => isSet).length > 1) {
    const choice =
      endpoints.length > 0
        ? '"initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv"'
        : '"initial-cluster", "discovery" or "discovery-srv"'
    return `multiple discovery or bootstrap flags are set. Choose one of ${choice}`
  }
  const hasV2 = settings.get('discovery') !== '' || settings.get('discovery-proxy') !== ''
  const hasV3 = endpoints.length > 0 || v3DiscoveryTexts.some((name) => settings.get(name) !== '')
  if (hasV2 && hasV3) {
    return (
      'both v2 discovery settings (discovery, discovery-proxy) and v3 discovery ' +
      'settings (discovery-token, discovery-endpoints, discovery-cert, discovery-key, ' +
      'discovery-cacert, discovery-user, discovery-password) are set'
    )
  }
  if ((settings.get('discovery-token') !== '') !== endpoints.length > 0) {
    return 'both --discovery-token and --discovery-endpoints must be set'
  }
  const hasEmpty = endpoints.some((endpoint) => endpoint.trim() === '')
  return hasEmpty ? '--discovery-endpoints must not contain empty endpoints' : undefined
}

const timing: Check = (settings) => {
  const heartbeat = settings.get('heartbeat-interval')
  const election = settings.get('election-timeout')
  if (heartbeat === 0) return '--heartbeat-interval must be >0 (set to 0ms)'
  if (election === 0) return '--election-timeout must be >0 (set to 0ms)'
  if (5 * heartbeat > election) {
    return (
      `--election-timeout[${election}ms] should be at least as 5 times as ` +
      `--heartbeat-interval[${heartbeat}ms]`
    )
  }
  if (election <= ELECTION_TIMEOUT_MS_MAX) return undefined
  return `--election-timeout[${election}ms] is too long, and should be set less than 50000ms`
}

/** A node that may serve as a proxy needs no address of its own; a file keeps the default. */
const advertiseClient: Check = (settings) => {
  if (settings.source === 'file') return undefined
  const isMissing =
    settings.isGiven('listen-client-urls') && !settings.isGiven('advertise-client-urls')
  const mayBeProxy =
    settings.get('proxy') !== 'off' ||
    (settings.get('discovery') !== '' && settings.get('discovery-fallback') === 'proxy')
  return isMissing && !mayBeProxy ? ADVERTISE_CLIENT_MISSING : undefined
}

/** The newer name when it is given, else the older when that is, else the newer's default. */
export function samplingRate(settings: Settings): number {
  return settings.isGiven('experimental-distributed-tracing-sampling-rate')
    ? settings.get('experimental-distributed-tracing-sampling-rate')
    : settings.get('distributed-tracing-sampling-rate')
}

const background: Check = (settings) => {
  const mode = settings.get('auto-compaction-mode')
  if (!['', 'periodic', 'revision'].includes(mode)) {
    return `unknown auto-compaction-mode ${goQuote(mode)}`
  }
  const isTracing =
    settings.get('enable-distributed-tracing') ||
    settings.get('experimental-enable-distributed-tracing')
  const tracing = 'distributed tracing configurition is not valid'
  if (isTracing && samplingRate(settings) < 0) {
    return `${tracing}: (tracing sampling rate must be positive)`
  }
  if (isTracing && samplingRate(settings) > 1_000_000) {
    return `${tracing}: (tracing sampling rate must be less than 1000000)`
  }
  const isPersisted =
    settings.get('experimental-enable-lease-checkpoint-persist') ||
    isGateOn(settings.get('feature-gates'), 'LeaseCheckpointPersist')
  const isCheckpointed =
    settings.get('experimental-enable-lease-checkpoint') ||
    isGateOn(settings.get('feature-gates'), 'LeaseCheckpoint')
  if (isPersisted && !isCheckpointed) {
    return settings.isGiven('feature-gates')
      ? 'enabling feature gate LeaseCheckpointPersist requires enabling feature gate ' +
          'LeaseCheckpoint'
      : 'setting experimental-enable-lease-checkpoint-persist requires ' +
          'experimental-enable-lease-checkpoint'
  }
  for (const name of ['experimental-compact-hash-check-time', 'compact-hash-check-time'] as const) {
    const checkMs = settings.get(name)
    if (checkMs <= 0) return `--${name} must be >0 (set to ${formatDurationMs(checkMs)})`
  }
  return undefined
}

const tlsVersions: Check = (settings) => {
  const lowest = settings.get('tls-min-version')
  const highest = settings.get('tls-max-version')
  for (const version of [lowest, highest]) {
    if (!TLS_VERSIONS.includes(version)) {
      return `unexpected TLS version ${goQuote(version)} (must be one of: TLS1.2, TLS1.3)`
    }
  }
  if (highest !== '' && lowest > highest) {
    return `min version (${lowest}) is greater than max version (${highest})`
  }
  if (lowest === 'TLS1.3' && settings.get('cipher-suites').length > 0) {
    return 'cipher suites cannot be configured when only TLS1.3 is enabled'
  }
  return undefined
}

const beforeLevel: readonly Check[] = [renamed, gates, logging]
const afterLevel: readonly Check[] = [
  addresses,
  bootstrap,
  timing,
  advertiseClient,
  background,
  tlsVersions,
]

function firstProblem(checks: readonly Check[], settings: Settings): SettingsProblem | undefined {
  for (const check of checks) {
    const text = check(settings)
    if (text !== undefined) return { kind: 'error', text }
  }
  return undefined
}

/** The checks that etcd makes before it starts anything, in its order; the first problem counts. */
export function verifySettings(settings: Settings): SettingsProblem | undefined {
  const early = firstProblem(beforeLevel, settings)
  if (early !== undefined) return early
  const level = logLevel(settings)
  if (level !== undefined) return { kind: 'panic', text: level }
  return firstProblem(afterLevel, settings)
}
