// Goal: a YAML file is read as etcd reads it. Method: files whose outcome was seen on etcd 3.4.23.
import { expect, test } from 'vitest'
import { configOf, errorOf, exitCodeOf, given, givenYaml, stderrOf } from './given.js'

const JSON_ERROR = 'error unmarshaling JSON: while decoding JSON: json: cannot unmarshal'

test.each([
  ['name: 12', `${JSON_ERROR} number into Go struct field configYAML.name of type string`],
  [
    'election-timeout: abc',
    `${JSON_ERROR} string into Go struct field configYAML.election-timeout of type uint`,
  ],
  [
    'election-timeout: -1',
    `${JSON_ERROR} number -1 into Go struct field configYAML.election-timeout of type uint`,
  ],
  [
    'election-timeout: 1.5',
    `${JSON_ERROR} number 1.5 into Go struct field configYAML.election-timeout of type uint`,
  ],
  [
    'backend-batch-interval: 5s',
    `${JSON_ERROR} string into Go struct field configYAML.backend-batch-interval of type time.Duration`,
  ],
  [
    'max-concurrent-streams: 4294967296',
    `${JSON_ERROR} number 4294967296 into Go struct field configYAML.max-concurrent-streams of type uint32`,
  ],
  [
    'pre-vote: "true"',
    `${JSON_ERROR} string into Go struct field configYAML.pre-vote of type bool`,
  ],
  [
    'listen-peer-urls: [foo]',
    `${JSON_ERROR} array into Go struct field configYAML.listen-peer-urls of type string`,
  ],
  [
    'cipher-suites: a',
    `${JSON_ERROR} string into Go struct field configYAML.cipher-suites of type []string`,
  ],
  [
    'cipher-suites: [1]',
    `${JSON_ERROR} number into Go struct field configYAML.cipher-suites of type string`,
  ],
  [
    'client-transport-security:\n  cert-file: 1',
    `${JSON_ERROR} number into Go struct field securityConfig.client-transport-security.cert-file of type string`,
  ],
  [
    'client-transport-security: 1',
    `${JSON_ERROR} number into Go struct field configYAML.client-transport-security of type embed.securityConfig`,
  ],
  ['- a', `${JSON_ERROR} array into Go value of type embed.configYAML`],
  ['initial-cluster-state: foo', 'unexpected clusterState "foo"'],
  [
    'election-timeout: 1\nelection-timeout: 2',
    '--election-timeout[2ms] should be at least as 5 times as --heartbeat-interval[100ms]',
  ],
  ['election-timeout:\nheartbeat-interval: 0', '--heartbeat-interval must be >0 (set to 0ms)'],
  ['feature-gates: "X=true"', 'unrecognized feature gate: X'],
])('%j is refused with 1', (text, error) => {
  const outcome = givenYaml(text)
  expect(errorOf(outcome)).toBe(error)
  expect(exitCodeOf(outcome)).toBe(1)
})

test.each([
  [
    'listen-peer-urls: foo',
    'unexpected error setting up listen-peer-urls: URL scheme must be http, https, unix, or unixs: foo',
    1,
  ],
  [
    'LISTEN-peer-URLS: foo',
    'unexpected error setting up listen-peer-urls: URL scheme must be http, https, unix, or unixs: foo',
    1,
  ],
  [
    'advertise-client-urls: foo',
    'unexpected error setting up advertise-peer-urls: URL scheme must be http, https, unix, or unixs: foo',
    1,
  ],
  ['proxy: on', 'unexpected error setting up proxyFlag: invalid value', 1],
  ['cors: foo', 'panic: URL scheme must be http, https, unix, or unixs: foo', 2],
])('%j ends the process without a log line', (text, stderr, exitCode) => {
  const outcome = givenYaml(text)
  expect(stderrOf(outcome)).toBe(stderr)
  expect(exitCodeOf(outcome)).toBe(exitCode)
  expect(outcome.kind === 'refuse' && outcome.notices).toEqual([])
})

test('bad YAML is refused with the line', () => {
  expect(errorOf(givenYaml('a: 1\nname: ['))).toMatch(
    /^error converting YAML to JSON: yaml: line \d+: .+/,
  )
  expect(errorOf(givenYaml('name: *y'))).toMatch(/^error converting YAML to JSON: yaml: /)
})

test('a missing file is refused in the words of Go', () => {
  expect(errorOf(given(['--config-file=nope']))).toBe('open nope: no such file or directory')
  expect(errorOf(given([], { ETCD_CONFIG_FILE: 'nope' }))).toBe(
    'open nope: no such file or directory',
  )
})

test('a file excludes flags and environment, and says so', () => {
  const outcome = given(
    ['--config-file=c.yml', '--name=flag', '--election-timeout=1'],
    { ETCD_NAME: 'variable', ETCD_FOO: 'x' },
    { 'c.yml': 'name: file\nunknown-key: 1\nlisten-client-urls: http://127.0.0.1:1\n' },
  )
  const config = configOf(outcome)
  expect(config.name).toBe('file')
  expect(config.electionTimeoutMs).toBe(1000)
  expect(config.advertiseClientUrls.map((url) => url.text)).toEqual(['http://localhost:2379'])
  const first = outcome.kind === 'run' ? outcome.notices[0] : undefined
  expect(first?.fields).toEqual({ path: 'c.yml' })
  expect(first?.message).toMatch(/^loaded server configuration, other configuration /)
})

test('durations are nanoseconds, maps nest, yes is true, an empty file is all defaults', () => {
  const config = configOf(
    givenYaml(`
backend-batch-interval: 5000000
grpc-keepalive-interval: 1e9
pre-vote: no
cors: 'http://a:1'
host-whitelist: b,a
log-outputs: [stdout]
self-signed-cert-validity: 0
socket-options: {reuse-address: yes}
experimental-snapshot-catch-up-entries: 7
client-transport-security:
  cert-file: c
  key-file: k
  trusted-ca-file: ca
peer-transport-security: {allowed-cn: [v, x], skip-client-san-verification: true}
`),
  )
  expect(config).toMatchObject({
    backendBatchIntervalMs: 5,
    preVote: false,
    corsOrigins: ['http://a:1'],
    hostWhitelist: ['a', 'b'],
    selfSignedCertValidityYears: 1,
    socketReuseAddress: true,
    snapshotCatchupEntries: 7,
    clientTls: { certFile: 'c', keyFile: 'k', trustedCaFile: 'ca', certAuth: true },
    peerTls: { allowedCommonNames: ['v', 'x'], skipClientSanVerification: true },
  })
  expect(config.keepAlive.intervalMs).toBe(1000)
  expect(config.log.outputs).toEqual(['stdout'])
  expect(givenYaml('').kind).toBe('run')
})
