// Goal: the flags and variables of etcd 2.x mean what they meant to etcd 2.3. Method: command lines and environments, and
// the URL lists, refusals and exit codes that etcd 2.3.8 makes of them.
import { expect, test } from 'vitest'
import { environmentName } from '../../src/config/flag.js'
import { legacyFlags } from '../../src/config/flags-legacy.js'
import { configOf, errorOf, exitCodeOf, given, stderrOf } from './given.js'

interface Urls {
  readonly listenClient: readonly string[]
  readonly advertiseClient: readonly string[]
  readonly listenPeer: readonly string[]
  readonly advertisePeer: readonly string[]
}

function urlsOf(argv: readonly string[], environment: Record<string, string> = {}): Urls {
  const config = configOf(given(argv, environment))
  const texts = (urls: readonly Readonly<{ text: string }>[]): string[] =>
    urls.map(({ text }) => text)
  return {
    listenClient: texts(config.listenClientUrls),
    advertiseClient: texts(config.advertiseClientUrls),
    listenPeer: texts(config.listenPeerUrls),
    advertisePeer: texts(config.initialAdvertisePeerUrls),
  }
}

const defaults: Urls = {
  listenClient: ['http://localhost:2379'],
  advertiseClient: ['http://localhost:2379'],
  listenPeer: ['http://localhost:2380'],
  advertisePeer: ['http://localhost:2380'],
}

const meanings: readonly (readonly [readonly string[], Partial<Urls>])[] = [
  [
    ['-addr=10.0.0.1:4001'],
    { listenClient: ['http://[::]:4001'], advertiseClient: ['http://10.0.0.1:4001'] },
  ],
  [
    ['-addr', '10.0.0.1:4001', '-bind-addr', '127.0.0.1:4002'],
    { listenClient: ['http://127.0.0.1:4002'], advertiseClient: ['http://10.0.0.1:4001'] },
  ],
  [['-bind-addr=127.0.0.1:4001'], { listenClient: ['http://127.0.0.1:4001'] }],
  [
    ['-peer-addr=10.0.0.1:7001'],
    { listenPeer: ['http://[::]:7001'], advertisePeer: ['http://10.0.0.1:7001'] },
  ],
  [
    ['-peer-addr=10.0.0.1:7001', '-peer-bind-addr=127.0.0.1:7002'],
    { listenPeer: ['http://127.0.0.1:7002'], advertisePeer: ['http://10.0.0.1:7001'] },
  ],
  [['-peer-bind-addr=127.0.0.1:7001'], { listenPeer: ['http://127.0.0.1:7001'] }],
  [
    ['-addr= [fd00::1]:+4001 '],
    { listenClient: ['http://[::]:4001'], advertiseClient: ['http://[fd00::1]:4001'] },
  ],
  [
    [
      '-listen-client-urls=http://10.0.0.1:4001,http://10.0.0.1:2379',
      '-advertise-client-urls=http://10.0.0.1:4001,http://10.0.0.1:2379',
    ],
    {
      listenClient: ['http://10.0.0.1:2379', 'http://10.0.0.1:4001'],
      advertiseClient: ['http://10.0.0.1:2379', 'http://10.0.0.1:4001'],
    },
  ],
]

test.each(meanings)('%j', (argv, expected) => {
  expect(urlsOf(argv)).toEqual({ ...defaults, ...expected })
})

test('variables stand for the flags', () => {
  const variables = {
    ETCD_ADDR: '10.0.0.1:4001',
    ETCD_BIND_ADDR: '10.0.0.2:4001',
    ETCD_PEER_ADDR: '10.0.0.1:7001',
    ETCD_PEER_BIND_ADDR: '10.0.0.2:7001',
  }
  expect(urlsOf([], variables)).toEqual({
    listenClient: ['http://10.0.0.2:4001'],
    advertiseClient: ['http://10.0.0.1:4001'],
    listenPeer: ['http://10.0.0.2:7001'],
    advertisePeer: ['http://10.0.0.1:7001'],
  })
})

test('certificates make the addresses https, authorities alone do not', () => {
  const client = ['-addr=10.0.0.1:4001', '-peer-addr=10.0.0.1:7001']
  const files = ['-cert-file=c', '-key-file=k', '-peer-ca-file=a']
  expect(urlsOf([...client, ...files])).toEqual({
    listenClient: ['https://[::]:4001'],
    advertiseClient: ['https://10.0.0.1:4001'],
    listenPeer: ['http://[::]:7001'],
    advertisePeer: ['http://10.0.0.1:7001'],
  })
  const peer = urlsOf(['-peer-addr=10.0.0.1:7001', '-peer-cert-file=c', '-peer-key-file=k'])
  expect(peer.advertisePeer).toEqual(['https://10.0.0.1:7001'])
})

test('the older authority files also ask clients for certificates', () => {
  const { clientTls, peerTls } = configOf(given(['-ca-file=a', '-peer-ca-file=b']))
  expect(clientTls).toMatchObject({ trustedCaFile: 'a', certAuth: true })
  expect(peerTls).toMatchObject({ trustedCaFile: 'b', certAuth: true })
})

const conflicts: readonly (readonly [readonly string[], string])[] = [
  [
    ['-addr=10.0.0.1:1', '-advertise-client-urls=http://a:1'],
    'Set only one of flags -advertise-client-urls and -addr',
  ],
  [
    ['-bind-addr=10.0.0.1:1', '-listen-client-urls=http://10.0.0.1:2'],
    'Set only one of flags -listen-client-urls and -bind-addr',
  ],
  [
    ['-addr=10.0.0.1:1', '-listen-client-urls=http://10.0.0.1:2'],
    'Set only one of flags -listen-client-urls and -bind-addr',
  ],
  [
    ['-peer-addr=10.0.0.1:1', '-initial-advertise-peer-urls=http://a:1'],
    'Set only one of flags -initial-advertise-peer-urls and -peer-addr',
  ],
  [
    ['-peer-addr=10.0.0.1:1', '-listen-peer-urls=http://10.0.0.1:2'],
    'Set only one of flags -listen-peer-urls and -peer-bind-addr',
  ],
  [
    [
      '-addr=10.0.0.1:1',
      '-advertise-client-urls=http://a:1',
      '-peer-bind-addr=10.0.0.1:1',
      '-listen-peer-urls=http://10.0.0.1:2',
    ],
    'Set only one of flags -listen-peer-urls and -peer-bind-addr',
  ],
]

test.each(conflicts)('%j is refused', (argv, text) => {
  const outcome = given(argv)
  expect(errorOf(outcome)).toBe(text)
  expect(exitCodeOf(outcome)).toBe(1)
})

const malformed: readonly (readonly [string, string])[] = [
  ['10.0.0.1', 'address 10.0.0.1: missing port in address'],
  ['fd00::1:4001', 'address fd00::1:4001: too many colons in address'],
  ['host:1', 'bad IP in address specification'],
  [':1', 'bad IP in address specification'],
  ['[fe80::1%lo]:1', 'bad IP in address specification'],
  ['10.0.0.1:x', 'bad port in address specification'],
  ['10.0.0.1:', 'bad port in address specification'],
]

test.each(malformed)('an address %j is refused', (text, reason) => {
  for (const name of ['addr', 'bind-addr', 'peer-addr', 'peer-bind-addr']) {
    const onLine = given([`-${name}=${text}`])
    expect(stderrOf(onLine)).toBe(`invalid value "${text}" for flag -${name}: ${reason}`)
    expect(exitCodeOf(onLine)).toBe(2)
    const variable = environmentName(name)
    const inEnvironment = given([], { [variable]: text })
    expect(errorOf(inEnvironment)).toBe(`invalid value "${text}" for ${variable}: ${reason}`)
    expect(exitCodeOf(inEnvironment)).toBe(1)
  }
})

test('flags of 0.4 are ignored, take no separate word, and have variables', () => {
  const ignored = legacyFlags.filter(({ kind }) => kind === 'ignored').map(({ name }) => name)
  expect(ignored).toContain('cluster-active-size')
  for (const name of ignored) {
    expect(urlsOf([`-${name}`])).toEqual(defaults)
    expect(urlsOf([`-${name}=whatever`])).toEqual(defaults)
    expect(urlsOf([], { [environmentName(name)]: 'whatever' })).toEqual(defaults)
    expect(errorOf(given([`-${name}`, 'word']))).toBe("'word' is not a valid flag")
  }
})

test('lists of peers of 0.4 are refused', () => {
  for (const name of ['peers', 'peers-file']) {
    const reason = `flag "-${name}" is no longer supported.`
    const onLine = given([`-${name}`, '10.0.0.1:7001'])
    expect(stderrOf(onLine)).toBe(`invalid value "10.0.0.1:7001" for flag -${name}: ${reason}`)
    expect(exitCodeOf(onLine)).toBe(2)
    const variable = environmentName(name)
    const inEnvironment = given([], { [variable]: 'x' })
    expect(errorOf(inEnvironment)).toBe(`invalid value "x" for ${variable}: ${reason}`)
    expect(exitCodeOf(inEnvironment)).toBe(1)
  }
})
