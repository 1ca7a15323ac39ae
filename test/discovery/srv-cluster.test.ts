// Goal: SRV records become the members of a cluster, named, ordered and refused as etcd does. Method: a DNS server on
// loopback, asked over the wire; addresses of hosts come from a table; chance is a fixed number.
import type { Answer } from 'dns-packet'
import { afterEach, describe, expect, test } from 'vitest'
import { parseServerUrls } from '../../src/config/server-url.js'
import { MachineDns } from '../../src/discovery/dns-lookups.js'
import { fullNames, parseSearchDomains } from '../../src/discovery/search-domains.js'
import { findSrvCluster, orderRecords, type SrvCluster } from '../../src/discovery/srv-cluster.js'
import type { LogFields } from '../../src/ports/log.js'
import { serveDns, type Zone } from './dns-server.js'

const open: { close(): void }[] = []
afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

const record = (name: string, target: string, port: number, priority = 0): Answer => ({
  type: 'SRV',
  name,
  ttl: 60,
  data: { target, port, priority, weight: 0 },
})
const PLAIN = '_etcd-server._tcp.example.test'
const SECURE = '_etcd-server-ssl._tcp.example.test'
const HOSTS: Readonly<Record<string, string>> = {
  'm1.example.test.': '10.0.0.1',
  'm2.example.test.': '10.0.0.2',
  'm3.example.test.': 'fd00::3',
}

interface Found extends SrvCluster {
  readonly lines: readonly (readonly [string, LogFields])[]
  readonly server: string
}

async function find(zone: Zone, advertised: string, service = ''): Promise<Found> {
  const dns = await serveDns(zone)
  open.push(dns)
  const lookups = new MachineDns({
    servers: [dns.server],
    searchDomains: { suffixes: [], dotsMin: 1 },
    lookupHost: async (host) => {
      const address = HOSTS[`${host}.`] ?? HOSTS[host]
      if (address === undefined) throw Object.assign(new Error(host), { code: 'ENOTFOUND' })
      return [{ address, family: address.includes(':') ? 6 : 4 }]
    },
  })
  const lines: [string, LogFields][] = []
  const line = (message: string, fields: LogFields = {}): void => {
    lines.push([message, fields])
  }
  const urls = parseServerUrls([advertised])
  if (urls.kind === 'refused') throw new Error(urls.reason)
  const found = await findSrvCluster({
    ...{ domain: 'example.test', service, name: 'own', advertisedUrls: urls.value, lookups },
    log: { isDebugEnabled: false, debug: line, info: line, warn: line, error: line },
    random: () => 0,
  })
  return { ...found, lines, server: dns.server }
}

describe('members', () => {
  test('are numbered in the order of priority; the own one is found by its address', async () => {
    const zone = {
      [PLAIN]: [
        record(PLAIN, 'm3.example.test', 2380, 30),
        record(PLAIN, 'm2.example.test', 2380, 20),
        record(PLAIN, 'm1.example.test', 2380, 10),
      ],
    }
    const { pairs, failure, server, lines } = await find(zone, 'http://10.0.0.2:2380')
    expect(pairs).toEqual([
      '0=http://m1.example.test:2380',
      'own=http://m2.example.test:2380',
      '1=http://m3.example.test:2380',
    ])
    const text =
      'error querying DNS SRV records for _etcd-server-ssl ' +
      `lookup ${SECURE} on ${server}: no such host`
    expect(failure).toBe(text)
    expect(lines).toEqual([
      [
        'get cluster for etcd-server-ssl SRV',
        {
          'service-scheme': 'https',
          'service-name': 'etcd-server-ssl',
          'server-name': 'own',
          'discovery-srv': 'example.test',
          'advertise-peer-urls': ['http://10.0.0.2:2380'],
          'found-cluster': [],
          error: text,
        },
      ],
      [
        'get cluster for etcd-server SRV',
        {
          'service-scheme': 'http',
          'service-name': 'etcd-server',
          'server-name': 'own',
          'discovery-srv': 'example.test',
          'advertise-peer-urls': ['http://10.0.0.2:2380'],
          'found-cluster': pairs,
        },
      ],
      ['failed to resolve during SRV discovery', { error: text }],
    ])
  })

  test('of both services are joined; the suffix is part of the services’ names', async () => {
    const [secure, plain] = [
      '_etcd-server-ssl-x._tcp.example.test',
      '_etcd-server-x._tcp.example.test',
    ]
    const zone = {
      [secure]: [record(secure, 'm1.example.test', 1)],
      [plain]: [record(plain, 'm2.example.test', 2)],
    }
    const { pairs, failure } = await find(zone, 'https://m1.example.test:1', 'x')
    expect(pairs).toEqual(['own=https://m1.example.test:1', '0=http://m2.example.test:2'])
    expect(failure).toBeUndefined()
  })

  test('whose host is unknown are left out while others are found', async () => {
    const zone = {
      [PLAIN]: [record(PLAIN, 'gone.example.test', 1, 1), record(PLAIN, 'm1.example.test', 2, 2)],
    }
    expect((await find(zone, 'http://10.0.0.1:2')).pairs).toEqual(['own=http://m1.example.test:2'])
  })
})

describe('refusals', () => {
  test('a record that leads here under another scheme', async () => {
    const zone = { [PLAIN]: [record(PLAIN, 'm1.example.test', 1)] }
    const { pairs, failure } = await find(zone, 'https://10.0.0.1:1')
    expect(pairs).toEqual([])
    expect(failure).toContain(
      'error querying DNS SRV records for _etcd-server bootstrap at http://m1.example.test:1 from DNS ' +
        'for etcd-server has scheme mismatch with expected peer https://10.0.0.1:1',
    )
  })

  test('hosts that nobody knows, servers that fail, own addresses that cannot be found', async () => {
    const unknown = {
      [PLAIN]: [record(PLAIN, 'gone.example.test', 1)],
      [SECURE]: 'SERVFAIL',
    } as const
    const found = await find(unknown, 'http://10.0.0.1:1')
    expect(found.failure).toBe(
      `error querying DNS SRV records for _etcd-server-ssl lookup ${SECURE} on ${found.server}: server misbehaving; ` +
        `error querying DNS SRV records for _etcd-server lookup gone.example.test. on ${found.server}: no such host`,
    )
    const [, fields] = found.lines.at(-1) ?? ['', {}]
    expect(fields.errorCauses).toHaveLength(2)
    const own = await find({}, 'http://gone.example.test:1')
    const text = `lookup gone.example.test on ${own.server}: no such host`
    expect(own.failure).toBe(`${text}; ${text}`)
    await expect(new MachineDns().address('h:x')).rejects.toThrow('lookup tcp/x: unknown port')
  })
})

describe('order', () => {
  const one = (target: string, priority: number, weight: number) => ({
    ...{ target, priority, weight },
    port: 1,
  })

  test('is by priority, and by chance within one, weighted', () => {
    const records = [one('c', 2, 0), one('a', 1, 10), one('b', 1, 90)]
    const names = (random: number): string =>
      orderRecords(records, () => random)
        .map(({ target }) => target)
        .join('')
    expect(names(0)).toBe('abc')
    expect(names(0.09)).toBe('abc')
    expect(names(0.11)).toBe('bac')
    expect(names(0.99)).toBe('bac')
  })

  test('loses no record, whatever the weights', () => {
    const records = [one('a', 1, 0), one('b', 1, 0), one('c', 1, 5), one('d', 1, 0)]
    const sorted = orderRecords(records, () => 0.999).map(({ target }) => target)
    expect([...sorted].sort()).toEqual(['a', 'b', 'c', 'd'])
  })
})

describe('short names', () => {
  test('are completed as resolv.conf says; the last of search and domain counts', () => {
    const read = parseSearchDomains('domain a.test\nsearch b.test c.test.\noptions ndots:3 x', 'h')
    expect(read).toEqual({ suffixes: ['b.test.', 'c.test.'], dotsMin: 3 })
    expect(fullNames('_s._tcp.x', read)).toEqual([
      '_s._tcp.x.b.test.',
      '_s._tcp.x.c.test.',
      '_s._tcp.x.',
    ])
    expect(fullNames('_s._tcp.x.y', read)[0]).toBe('_s._tcp.x.y.')
    expect(fullNames('x.', read)).toEqual(['x.'])
    expect(parseSearchDomains('', 'host.own.test')).toEqual({ suffixes: ['own.test.'], dotsMin: 1 })
    expect(parseSearchDomains('search .', 'h').suffixes).toEqual(['.'])
    expect(fullNames('x', { suffixes: ['.'], dotsMin: 1 })).toEqual(['x.', 'x.'])
    const many = parseSearchDomains(`search ${'d.test '.repeat(100)}`, 'h')
    expect(many.suffixes).toHaveLength(32)
  })

  test('are asked for one by one until one is known', async () => {
    const name = '_etcd-server._tcp.x.b.test'
    const dns = await serveDns({ [name]: [record(name, 'm1.example.test', 1)] })
    open.push(dns)
    const lookups = new MachineDns({
      servers: [dns.server],
      searchDomains: { suffixes: ['a.test.', 'b.test.'], dotsMin: 1 },
    })
    expect(await lookups.srv('etcd-server', 'x')).toMatchObject([
      { target: 'm1.example.test', port: 1 },
    ])
    expect(dns.asked).toEqual(['_etcd-server._tcp.x', '_etcd-server._tcp.x.a.test', name])
  })
})
