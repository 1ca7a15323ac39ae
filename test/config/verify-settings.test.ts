// Goal: every refusal of the sheet (flags.md 5) with its exact words. Method: one command line for each.
import { describe, expect, test } from 'vitest'
import { configOf, errorOf, exitCodeOf, given, stderrOf } from './given.js'

const L = ['--listen-client-urls=https://127.0.0.1:1', '--advertise-client-urls=https://a:1']
const both = (name: string, text: string): readonly string[] => [
  `--experimental-${name}=${text}`,
  `--${name}=${text}`,
]

const verified: readonly (readonly [readonly string[], string])[] = [
  [
    both('max-learners', '2'),
    'cannot set --experimental-max-learners and --max-learners at the same time, please use --max-learners only',
  ],
  [
    both('warning-unary-request-duration', '1s'),
    'both --experimental-warning-unary-request-duration and --warning-unary-request-duration flags are set. Use only --warning-unary-request-duration',
  ],
  [
    ['--experimental-enable-lease-checkpoint', '--feature-gates=LeaseCheckpoint=false'],
    'cannot specify both flags: --experimental-enable-lease-checkpoint=true and --feature-gates=LeaseCheckpoint=false at the same time, please just use --feature-gates=LeaseCheckpoint=false',
  ],
  [['--logger=capnslog'], '--logger=capnslog is removed in v3.5'],
  [['--logger=foo', '--election-timeout=1'], 'unknown logger option "foo"'],
  [['--log-outputs=default,stdout'], 'multi logoutput for "default" is not supported yet'],
  [
    ['--log-output=stdout', '--log-outputs=stdout'],
    "both '--log-output' and '--log-outputs' are set; only set '--log-outputs'",
  ],
  [
    ['--enable-log-rotation'],
    '--log-outputs requires a single file path when --log-rotate-config-json is defined',
  ],
  [
    ['--enable-log-rotation', '--log-outputs=a,b'],
    '--log-outputs requires a single file path when --log-rotate-config-json is defined',
  ],
  [['--log-outputs='], 'open sink "": open : no such file or directory'],
  [['--log-format=x'], 'unknown log format: x, supported values json, console'],
  [
    ['--listen-peer-urls=http://example.com:2380'],
    'expected IP in URL for binding (http://example.com:2380)',
  ],
  [
    ['--listen-client-urls=http://LOCALHOST:1'],
    'expected IP in URL for binding (http://LOCALHOST:1)',
  ],
  [['--listen-client-http-urls=http://b:1'], 'expected IP in URL for binding (http://b:1)'],
  [['--listen-metrics-urls=http://:1'], 'expected IP in URL for binding (http://:1)'],
  [
    ['--initial-advertise-peer-urls=http://:2380'],
    '--initial-advertise-peer-urls "http://:2380" must be "host:port" (unexpected empty host (http://:2380))',
  ],
  [
    ['--advertise-client-urls=http://:2380'],
    '--advertise-client-urls "http://:2380" must be "host:port" (unexpected empty host (http://:2380))',
  ],
  [
    ['--initial-cluster=a=http://b:1', '--discovery=http://x:1'],
    'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery" or "discovery-srv"',
  ],
  [
    ['--discovery=http://x:1', '--discovery-srv=y'],
    'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery" or "discovery-srv"',
  ],
  [
    ['--discovery-endpoints=a', '--discovery-srv=y'],
    'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv"',
  ],
  [
    ['--discovery-proxy=a', '--discovery-token=y'],
    'both v2 discovery settings (discovery, discovery-proxy) and v3 discovery settings (discovery-token, discovery-endpoints, discovery-cert, discovery-key, discovery-cacert, discovery-user, discovery-password) are set',
  ],
  [['--discovery-token=y'], 'both --discovery-token and --discovery-endpoints must be set'],
  [
    ['--discovery-token=y', '--discovery-endpoints=a,'],
    '--discovery-endpoints must not contain empty endpoints',
  ],
  [['--heartbeat-interval=0'], '--heartbeat-interval must be >0 (set to 0ms)'],
  [['--election-timeout=0'], '--election-timeout must be >0 (set to 0ms)'],
  [
    ['--election-timeout=100'],
    '--election-timeout[100ms] should be at least as 5 times as --heartbeat-interval[100ms]',
  ],
  [
    ['--election-timeout=60000'],
    '--election-timeout[60000ms] is too long, and should be set less than 50000ms',
  ],
  [
    ['--listen-client-urls=http://127.0.0.1:1'],
    '--advertise-client-urls is required when --listen-client-urls is set explicitly',
  ],
  [['--auto-compaction-mode=x'], 'unknown auto-compaction-mode "x"'],
  [
    ['--enable-distributed-tracing', '--distributed-tracing-sampling-rate=-1'],
    'distributed tracing configurition is not valid: (tracing sampling rate must be positive)',
  ],
  [
    [
      '--experimental-enable-distributed-tracing',
      '--experimental-distributed-tracing-sampling-rate=1000001',
    ],
    'distributed tracing configurition is not valid: (tracing sampling rate must be less than 1000000)',
  ],
  [
    ['--experimental-enable-lease-checkpoint-persist'],
    'setting experimental-enable-lease-checkpoint-persist requires experimental-enable-lease-checkpoint',
  ],
  [
    ['--feature-gates=LeaseCheckpointPersist=true'],
    'enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint',
  ],
  [['--compact-hash-check-time=0'], '--compact-hash-check-time must be >0 (set to 0s)'],
  [
    ['--experimental-compact-hash-check-time=-90s'],
    '--experimental-compact-hash-check-time must be >0 (set to -1m30s)',
  ],
  [['--tls-min-version=x'], 'unexpected TLS version "x" (must be one of: TLS1.2, TLS1.3)'],
  [
    ['--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2'],
    'min version (TLS1.3) is greater than max version (TLS1.2)',
  ],
  [
    ['--tls-min-version=TLS1.3', '--cipher-suites=a'],
    'cipher suites cannot be configured when only TLS1.3 is enabled',
  ],
]

const atStart: readonly (readonly [readonly string[], string])[] = [
  [
    ['--auto-compaction-retention=x'],
    'error parsing CompactionRetention: time: invalid duration "x"',
  ],
  [
    ['--auto-compaction-retention=-1'],
    'error parsing CompactionRetention: time: missing unit in duration "-1"',
  ],
  [
    ['--auto-compaction-retention=1.5'],
    'error parsing CompactionRetention: time: missing unit in duration "1.5"',
  ],
  [['--cipher-suites=foo'], 'unexpected TLS cipher suite "foo"'],
  [['--cipher-suites='], 'unexpected TLS cipher suite ""'],
  [
    L,
    'TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:1 with HTTPS scheme',
  ],
  [
    ['--listen-metrics-urls=https://127.0.0.1:1'],
    'client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url',
  ],
  [[...L, '--cert-file=c'], 'KeyFile and CertFile must both be present[key: , cert: c]'],
  [
    ['--client-cert-file=c'],
    'ClientKeyFile and ClientCertFile must both be present or both absent: key: , cert: c]',
  ],
  [
    ['--listen-peer-urls=https://127.0.0.1:1'],
    'cannot listen on TLS for 127.0.0.1:1: KeyFile and CertFile are not presented',
  ],
  [['--peer-cert-file=x'], 'KeyFile and CertFile must both be present[key: , cert: x]'],
  [
    ['--peer-auto-tls', '--peer-cert-allowed-cn=a', '--peer-cert-allowed-hostname=b'],
    'AllowedCNs and AllowedHostnames are mutually exclusive (cns=["a"], hostnames=["b"])',
  ],
  [
    ['--listen-client-http-urls=http://localhost:2379'],
    'cannot bind both --listen-client-urls and --listen-client-http-urls on the same url http://localhost:2379',
  ],
  [
    ['--auto-tls', '--self-signed-cert-validity=0'],
    'selfSignedCertValidity is invalid,it should be greater than 0',
  ],
  [['--auth-token=foo'], 'auth: invalid auth options'],
  [
    ['--enable-v2', '--v2-deprecation=write-only'],
    '--enable-v2 and --v2-deprecation=write-only are mutually exclusive',
  ],
]

describe('refused with 1 before anything starts', () => {
  test.each(verified)('%j', (argv, text) => {
    const outcome = given(argv)
    expect(errorOf(outcome)).toBe(text)
    expect(exitCodeOf(outcome)).toBe(1)
    expect(outcome.kind === 'refuse' && outcome.notices.map((n) => n.message)).toContain(
      'failed to verify flags',
    )
  })
})

describe('refused with 1 while starting, under the misleading words of etcd', () => {
  test.each(atStart)('%j', (argv, text) => {
    const outcome = given(argv)
    expect(errorOf(outcome)).toBe(text)
    expect(exitCodeOf(outcome)).toBe(1)
    const last = outcome.kind === 'refuse' ? outcome.notices.at(-1) : undefined
    expect(last).toEqual({ level: 'fatal', message: 'discovery failed', fields: { error: text } })
  })
})

test('a missing advertised client URL is told twice', () => {
  const outcome = given(['--listen-client-urls=http://127.0.0.1:1'])
  const messages = outcome.kind === 'refuse' ? outcome.notices.map((n) => n.message) : []
  expect(messages).toEqual([
    'Running: ',
    'failed to verify flags',
    'advertise client URLs are not set',
  ])
})

test('an unknown log level panics before the addresses are looked at; capitals are fine', () => {
  const outcome = given(['--log-level=foo', '--listen-peer-urls=http://b:1'])
  expect(stderrOf(outcome)).toBe('panic: unrecognized level: "foo"')
  expect(exitCodeOf(outcome)).toBe(2)
  expect(configOf(given(['--log-level=WARN'])).log.level).toBe('warn')
})

test('compaction retention counts hours, revisions or a duration', () => {
  const compaction = (...argv: string[]): unknown => configOf(given(argv)).autoCompaction
  const retention = '--auto-compaction-retention'
  expect(compaction()).toEqual({ kind: 'off' })
  expect(compaction(`${retention}=2`)).toEqual({ kind: 'periodic', retentionMs: 7_200_000 })
  expect(compaction(`${retention}=90s`)).toEqual({ kind: 'periodic', retentionMs: 90_000 })
  expect(compaction('--experimental-auto-compaction-retention=1')).toEqual({
    kind: 'periodic',
    retentionMs: 3_600_000,
  })
  expect(compaction('--auto-compaction-mode=revision', `${retention}=7`)).toEqual({
    kind: 'revision',
    retentionRevisions: 7,
  })
})

test('zero and negative numbers stand for what etcd says', () => {
  const quota = (bytes: string): unknown =>
    configOf(given([`--quota-backend-bytes=${bytes}`])).quotaBackendBytes
  expect([quota('0'), quota('-1'), quota('7')]).toEqual([2 ** 31, undefined, 7])
  expect(configOf(given([]))).toMatchObject({
    backendBatchIntervalMs: 100,
    backendBatchChangesMax: 10_000,
    compactionBatchRevisionsMax: 1000,
    compactionSleepIntervalMs: 10,
    watchProgressNotifyIntervalMs: 600_000,
    dataDir: 'default.etcd',
    walDir: 'default.etcd/member/wal',
  })
})
