// Goal: ETCD_* variables set flags as in etcd. Method: outcomes and notices for small environments.
import { expect, test } from 'vitest'
import { configOf, errorOf, exitCodeOf, given } from './given.js'

const messages = (outcome: ReturnType<typeof given>): readonly string[] =>
  outcome.kind === 'print' ? [] : outcome.notices.map(({ level, message }) => `${level} ${message}`)

test('a variable sets its flag and is reported', () => {
  const outcome = given([], { ETCD_NAME: 'a' })
  expect(configOf(outcome).name).toBe('a')
  expect(outcome.kind === 'run' && outcome.notices[0]).toEqual({
    level: 'info',
    message: 'recognized and used environment variable',
    fields: { 'variable-name': 'ETCD_NAME', 'variable-value': 'a' },
  })
})

test.each(['a', ''])('flag and variable (%j) together are fatal', (text) => {
  const outcome = given(['--name', 'b'], { ETCD_NAME: text })
  expect(exitCodeOf(outcome)).toBe(1)
  expect(outcome.kind === 'refuse' && outcome.notices).toEqual([
    {
      level: 'fatal',
      message:
        'conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag))',
      fields: { 'environment-variable': 'ETCD_NAME' },
    },
  ])
})

test('an empty variable is as good as none, but is a stranger', () => {
  const outcome = given([], { ETCD_NAME: '' })
  expect(configOf(outcome).name).toBe('default')
  expect(messages(outcome)[0]).toBe('warn unrecognized environment variable')
})

test('an unknown variable with our prefix is a warning, others are nobody’s business', () => {
  const outcome = given([], { ETCD_FOO: 'b', PATH: '/bin', ETCDCTL_API: '3' })
  const warnings = outcome.kind === 'run' ? outcome.notices.filter((n) => n.level === 'warn') : []
  expect(warnings[0]).toEqual({
    level: 'warn',
    message: 'unrecognized environment variable',
    fields: { 'environment-variable': 'ETCD_FOO=b' },
  })
  expect(warnings.filter((n) => n.message.startsWith('unrecognized'))).toHaveLength(1)
})

test.each([
  [{ ETCD_ELECTION_TIMEOUT: 'x' }, 'invalid value "x" for ETCD_ELECTION_TIMEOUT: parse error'],
  [{ ETCD_ENABLE_PPROF: 'yes' }, 'invalid value "yes" for ETCD_ENABLE_PPROF: parse error'],
  [
    { ETCD_LISTEN_PEER_URLS: 'foo' },
    'invalid value "foo" for ETCD_LISTEN_PEER_URLS: URL scheme must be http, https, unix, or unixs: foo',
  ],
  [
    { ETCD_ELECTION_TIMEOUT: 'x', ETCD_HEARTBEAT_INTERVAL: 'y' },
    'invalid value "y" for ETCD_HEARTBEAT_INTERVAL: parse error',
  ],
])('a bad variable is refused with 1: %j', (environment, text) => {
  const outcome = given([], environment)
  expect(errorOf(outcome)).toBe(text)
  expect(exitCodeOf(outcome)).toBe(1)
})

test('ETCD_VERSION is set aside with a warning; ETCD_UNSUPPORTED_ARCH without', () => {
  const outcome = given([], { ETCD_VERSION: '3.4', ETCD_UNSUPPORTED_ARCH: 'arm' })
  expect(outcome.kind).toBe('run')
  expect(messages(outcome)[0]).toBe('warn cannot set special environment variable')
  expect(messages(outcome)).not.toContain('warn unrecognized environment variable')
})

test('deprecated flags of 3.5 warn, from either source', () => {
  const text = 'is deprecated in 3.5 and will be decommissioned in 3.6.'
  expect(messages(given(['--proxy=off']))).toContain(`warn --proxy ${text}`)
  expect(messages(given([], { ETCD_ENABLE_V2: 'false' }))).toContain(`warn --enable-v2 ${text}`)
})

test('peer timeouts below 5s are raised and reported', () => {
  const outcome = given(['--raft-read-timeout=1s', '--raft-write-timeout=6s'])
  expect(configOf(outcome)).toMatchObject({ raftReadTimeoutMs: 5000, raftWriteTimeoutMs: 6000 })
  expect(messages(outcome)).toContain('info raft-read-timeout increased to minimum value: 5s')
  expect(messages(outcome).join()).not.toContain('raft-write-timeout')
})
