// Goal: the command line reads as Go's flag package and etcd do, to the word.
// Method: tables of command lines whose texts and exit codes were seen on etcd 3.4.23 or read in the sheet.
import { describe, expect, test } from 'vitest'
import { SERVER_VERSION } from '../../src/base/version.js'
import { configOf, errorOf, exitCodeOf, given, stderrOf } from './given.js'
import { golden } from './golden.js'

const refusedWithUsage: readonly (readonly [readonly string[], string])[] = [
  [['--foo'], 'flag provided but not defined: -foo'],
  [['-foo=1'], 'flag provided but not defined: -foo'],
  [['--version', '--foo'], 'flag provided but not defined: -foo'],
  [['--force=1', '--vv', '--foo'], 'flag provided but not defined: -foo'],
  [['--name'], 'flag needs an argument: -name'],
  [['---name=a'], 'bad flag syntax: ---name=a'],
  [['--=a'], 'bad flag syntax: --=a'],
  [['-=a'], 'bad flag syntax: -=a'],
  [['--snapshot-count', 'abc'], 'invalid value "abc" for flag -snapshot-count: parse error'],
  [
    ['--snapshot-count', '99999999999999999999999'],
    'invalid value "99999999999999999999999" for flag -snapshot-count: value out of range',
  ],
  [['--heartbeat-interval=-1'], 'invalid value "-1" for flag -heartbeat-interval: parse error'],
  [['--quota-backend-bytes=1e3'], 'invalid value "1e3" for flag -quota-backend-bytes: parse error'],
  [['--pre-vote=x'], 'invalid boolean value "x" for -pre-vote: parse error'],
  [
    ['--backend-batch-interval', '5'],
    'invalid value "5" for flag -backend-batch-interval: parse error',
  ],
  [
    ['--backend-batch-interval', ''],
    'invalid value "" for flag -backend-batch-interval: parse error',
  ],
  [
    ['--backend-batch-interval', '99999999999h'],
    'invalid value "99999999999h" for flag -backend-batch-interval: parse error',
  ],
  [
    ['--max-concurrent-streams=-1'],
    'invalid value "-1" for flag -max-concurrent-streams: strconv.ParseUint: parsing "-1": invalid syntax',
  ],
  [
    ['--max-concurrent-streams=4294967296'],
    'invalid value "4294967296" for flag -max-concurrent-streams: strconv.ParseUint: parsing "4294967296": value out of range',
  ],
  [['--proxy=foo'], 'invalid value "foo" for flag -proxy: invalid value'],
  [
    ['--initial-cluster-state=foo'],
    'invalid value "foo" for flag -initial-cluster-state: invalid value',
  ],
  [['--discovery-fallback', 'x'], 'invalid value "x" for flag -discovery-fallback: invalid value'],
  [['--v2-deprecation', 'x'], 'invalid value "x" for flag -v2-deprecation: invalid value'],
  [['--peers', 'a'], 'invalid value "a" for flag -peers: flag "-peers" is no longer supported.'],
  [['--addr', 'x:1'], 'invalid value "x:1" for flag -addr: bad IP in address specification'],
  [
    ['--addr', '1.2.3.4:x'],
    'invalid value "1.2.3.4:x" for flag -addr: bad port in address specification',
  ],
  [['--feature-gates', 'A'], 'invalid value "A" for flag -feature-gates: missing bool value for A'],
  [
    ['--feature-gates', 'A=x'],
    'invalid value "A=x" for flag -feature-gates: invalid value of A=x, err: strconv.ParseBool: parsing "x": invalid syntax',
  ],
  [
    ['--feature-gates', 'Nope=true'],
    'invalid value "Nope=true" for flag -feature-gates: unrecognized feature gate: Nope',
  ],
]

const badUrls: readonly (readonly [string, string])[] = [
  ['foo', 'URL scheme must be http, https, unix, or unixs: foo'],
  ['ftp://a:1', 'URL scheme must be http, https, unix, or unixs: ftp://a:1'],
  ['http://a:1/x', 'URL must not contain a path: http://a:1/x'],
  ['http://a:1/', 'URL must not contain a path: http://a:1/'],
  ['http://a', 'URL address does not have the form "host:port": http://a'],
  ['http:127.0.0.1:1', 'URL address does not have the form "host:port": http:127.0.0.1:1'],
  ['http://[::1:80', 'parse "http://[::1:80": missing \']\' in host'],
  ['http://a b:80', 'parse "http://a b:80": invalid character " " in host name'],
  ['http://a:1%zz', 'parse "http://a:1%zz": invalid port ":1%zz" after host'],
  ['http://%zz:1', 'parse "http://%zz:1": invalid URL escape "%zz"'],
  ['127.0.0.1:1', 'parse "127.0.0.1:1": first path segment in URL cannot contain colon'],
  ['://a', 'parse "://a": missing protocol scheme'],
]

describe('a wrong command line prints the reason and the usage, and ends with 2', () => {
  test.each(refusedWithUsage)('%j', (argv, text) => {
    const outcome = given(argv)
    expect(stderrOf(outcome)).toBe(text)
    expect(exitCodeOf(outcome)).toBe(2)
    expect(outcome.kind === 'print' && outcome.stderr).toContain('\nUsage:\n')
  })

  test.each(badUrls)('URL %j', (url, reason) => {
    const outcome = given(['--listen-peer-urls', url])
    expect(stderrOf(outcome)).toBe(`invalid value "${url}" for flag -listen-peer-urls: ${reason}`)
    expect(exitCodeOf(outcome)).toBe(2)
  })
})

test.each([
  [['word']],
  [['--', 'word']],
  [['--name=a', 'word']],
  [['--pre-vote', 'word']],
])('a word that is no flag is refused with 1: %j', (argv) => {
  const outcome = given(argv)
  expect(errorOf(outcome)).toBe("'word' is not a valid flag")
  expect(exitCodeOf(outcome)).toBe(1)
})

test('one dash and two, = and a separate word mean the same; the last one wins', () => {
  for (const argv of [['-name=a'], ['--name=a'], ['-name', 'a'], ['--name=b', '--name', 'a']]) {
    expect(configOf(given(argv)).name).toBe('a')
  }
})

test('integers are read in the bases of Go', () => {
  expect(configOf(given(['--election-timeout', '0x7d0'])).electionTimeoutMs).toBe(2000)
  expect(configOf(given(['--election-timeout', '03720'])).electionTimeoutMs).toBe(2000)
  expect(configOf(given(['--quota-backend-bytes=1_000'])).quotaBackendBytes).toBe(1000)
})

test('ignored flags of 2.x are silent and take no separate word', () => {
  const outcome = given(['--force', '--vv=3', '-snapshot', '--name', 'a'])
  expect(configOf(outcome).name).toBe('a')
})

test('--version prints four lines and counts before the environment', () => {
  const outcome = given(['--version'], { ETCD_NAME: 'x', ETCD_ELECTION_TIMEOUT: 'bad' })
  expect(outcome.kind).toBe('print')
  const lines = outcome.kind === 'print' ? outcome.stdout.split('\n') : []
  expect(lines[0]).toBe(`etcd Version: ${SERVER_VERSION}`)
  expect(lines.slice(1, 4).map((line) => line.split(':')[0])).toEqual([
    'Git SHA',
    'Go Version',
    'Go OS/Arch',
  ])
  expect(lines).toHaveLength(5)
})

test.each([['-h'], ['-help'], ['--help'], ['--help=x']])('%s prints usage and flags', (flag) => {
  const outcome = given([flag, '--nonsense'])
  expect(exitCodeOf(outcome)).toBe(0)
  const text = outcome.kind === 'print' ? outcome.stderr + outcome.stdout : ''
  expect(text).toBe(golden('test/golden/config/help.txt', text))
})

test('a URL list is sorted, each URL once; an empty text or a URL it has changes nothing', () => {
  const texts = (argv: readonly string[]): readonly string[] =>
    configOf(given([...argv, '--advertise-client-urls=http://a:1'])).listenClientUrls.map(
      (url) => url.text,
    )
  const [one, two] = ['http://127.0.0.1:1', 'http://127.0.0.1:2']
  expect(texts([`--listen-client-urls=${two}, ${one},${two}`])).toEqual([one, two])
  expect(texts(['--listen-client-urls='])).toEqual(['http://localhost:2379'])
  expect(texts([`--listen-client-urls=${one},${two}`, `--listen-client-urls=${two}`])).toEqual([
    one,
    two,
  ])
  expect(texts(['--listen-client-urls=HTTP://127.0.0.1:1'])).toEqual([one])
  expect(texts(['--listen-client-urls=unix://a:1,http://[::1]:3'])).toEqual([
    'http://[::1]:3',
    'unix://a:1',
  ])
})
