// Goal: the command line of `etcd discovery serve`. Method: words in, settings or a text out.
import { expect, test } from 'vitest'
import { parseServiceFlags } from '../../src/discovery/service-flags.js'

test('defaults are a member of its own behind a local address', () => {
  expect(parseServiceFlags(['serve'])).toEqual({
    kind: 'run',
    flags: {
      address: '127.0.0.1:8087',
      urlPrefix: undefined,
      members: [],
      ...{ caFile: '', clientCertFile: '', clientKeyFile: '', certFile: '', keyFile: '' },
      dataDir: 'discovery.etcd',
      listenClientUrl: 'http://127.0.0.1:2379',
      listenPeerUrl: 'http://127.0.0.1:2380',
    },
  })
})

test('a cluster is named by its URLs, short or long', () => {
  const words = ['serve', '-a', ':80', '-h', 'https://d.test', '-e', 'http://a:1, https://b:2']
  const outcome = parseServiceFlags(words)
  expect(outcome).toMatchObject({
    flags: { address: ':80', urlPrefix: 'https://d.test' },
  })
  const members = outcome.kind === 'run' ? outcome.flags.members : []
  expect(members.map(({ href }) => href)).toEqual(['http://a:1/', 'https://b:2/'])
})

test.each([[[]], [['--help']], [['serve', '--help']]])('%j prints the help', (words) => {
  const outcome = parseServiceFlags(words)
  expect(outcome).toMatchObject({ kind: 'print', stderr: '', exitCode: 0 })
  expect(outcome.kind === 'print' ? outcome.stdout : '').toContain('--listen-peer-url')
})

test.each([
  [['start'], 'unknown command "start" for "etcd discovery"'],
  [['serve', '--foo'], "Unknown option '--foo'"],
  [['serve', 'word'], "Unexpected argument 'word'"],
  [['serve', '-e', 'a:1'], '--etcd: Expected `http(s)://host:port`, got "a:1"'],
  [['serve', '-e', 'http://a/v2'], '--etcd: Expected `http(s)://host:port`, got "http://a/v2"'],
  [['serve', '-a', '8087'], '--addr: Expected `host:port`, got "8087"'],
  [['serve', '--cert-file', 'c'], '--cert-file and --key-file belong together'],
  [['serve', '--etcd-key', 'k'], '--etcd-cert and --etcd-key belong together'],
])('%j is refused', (words, why) => {
  const outcome = parseServiceFlags(words)
  expect(outcome).toMatchObject({ kind: 'print', stdout: '', exitCode: 1 })
  expect(outcome.kind === 'print' ? outcome.stderr : '').toContain(`Error: ${why}`)
})
