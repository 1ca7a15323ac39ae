// Goal: members find each other by SRV records, of both kinds and over TLS with certificates for the domain alone, and
// whoever is not listed is told so in etcd's words. Method: a network namespace with dnsmasq as the only resolver, in
// which all members run; etcd 3.4 has a fault that hides plain records, so those are for members of ours alone.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority } from './support/certificates.js'
import { Company, type LogLine, linesOf } from './support/discovery.js'
import type { MemberKind, MemberProcess } from './support/member-process.js'
import { PrivateNetwork } from './support/private-network.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

const MESSAGES = [
  'get cluster for etcd-server-ssl SRV',
  'get cluster for etcd-server SRV',
  'got bootstrap from DNS for etcd-server',
  'failed to resolve during SRV discovery',
  'failed to start etcd',
  'discovery failed',
]
const [PLAIN_PORTS, NAMED_PORTS] = [[2380, 2480, 2580] as const, [3380, 3480] as const]
const SECURE_PORTS = [4380, 4480, 4580] as const
const STRANGE_PORT = 5380

const records = [
  ...PLAIN_PORTS.map((port) => `--srv-host=_etcd-server._tcp.plain.test,m.plain.test,${port}`),
  ...NAMED_PORTS.map((port) => `--srv-host=_etcd-server-blue._tcp.plain.test,m.plain.test,${port}`),
  ...SECURE_PORTS.map(
    (port) => `--srv-host=_etcd-server-ssl._tcp.secure.test,m.secure.test,${port}`,
  ),
  `--srv-host=_etcd-server-ssl._tcp.strange.test,gone.strange.test,${STRANGE_PORT}`,
  '--host-record=m.plain.test,127.0.0.1',
  '--host-record=m.secure.test,127.0.0.1',
]

describeWith(['daemon', 'etcd', 'etcdctl', 'dnsmasq', 'unshare', 'ip'], 'discovery by DNS', () => {
  const company = new Company('discovery-dns')
  let network: PrivateNetwork
  let authority: Authority

  beforeAll(async () => {
    network = await PrivateNetwork.start(company.folder, records)
    authority = await Authority.create(company.folder)
  })
  afterAll(async () => {
    await company.destroy()
    await network.destroy()
  })

  /** A member inside that advertises this host and port to its peers. */
  function start(
    kind: MemberKind,
    peer: Readonly<{ scheme: 'http' | 'https'; host: string; port: number }>,
    flags: readonly string[],
  ): Promise<MemberProcess> {
    const { scheme, host, port } = peer
    return company.start(
      kind,
      [
        ...['--initial-advertise-peer-urls', `${scheme}://${host}:${port}`],
        ...['--advertise-client-urls', `http://127.0.0.1:${port + 1}`, ...flags],
      ],
      undefined,
      {
        clientUrl: `http://127.0.0.1:${port + 1}`,
        peerUrl: `${scheme}://127.0.0.1:${port}`,
        within: [...network.within, 'env', `SSL_CERT_FILE=${authority.caFile}`],
      },
    )
  }

  async function expectWhole(members: readonly MemberProcess[], host: string): Promise<void> {
    const expected = members.map(({ name }) => name).sort()
    await until('all members are started', async () => {
      for (const { clientUrl } of members) {
        const list = ['etcdctl', `--endpoints=${clientUrl}`, 'member', 'list']
        const { stdout } = await network.run(list)
        const rows = stdout
          .trim()
          .split('\n')
          .map((row) => row.split(', '))
        expect(rows.map(([, , name]) => name).sort()).toEqual(expected)
        expect(rows.every(([, , , peers]) => peers?.includes(`://${host}:`))).toBe(true)
      }
      return true
    })
  }
  const stopAll = (members: readonly MemberProcess[]) =>
    Promise.all(members.map((member) => member.kill()))

  test('three members by plain records, with and without a name of the service', async () => {
    const domain = ['--discovery-srv', 'plain.test']
    const named = [...domain, '--discovery-srv-name', 'blue']
    const host = 'm.plain.test'
    for (const [ports, flags] of [
      [PLAIN_PORTS, domain],
      [NAMED_PORTS, named],
    ] as const) {
      const members: MemberProcess[] = []
      for (const port of ports) {
        members.push(await start('ours', { scheme: 'http', host, port }, flags))
      }
      await expectWhole(members, host)
      await stopAll(members)
    }
  })

  const tlsFlags = (files: { certFile: string; keyFile: string }): readonly string[] => [
    ...['--discovery-srv', 'secure.test', '--peer-cert-file', files.certFile],
    ...['--peer-key-file', files.keyFile, '--peer-client-cert-auth=false'],
  ]

  test('members of both kinds over TLS, by certificates for the domain', async () => {
    const flags = tlsFlags(await authority.issue('domain', 'domain', 'secure.test'))
    const members: MemberProcess[] = []
    const host = 'm.secure.test'
    for (const [at, kind] of (['ours', 'etcd', 'ours'] as const).entries()) {
      const port = SECURE_PORTS[at] ?? 0
      members.push(await start(kind, { scheme: 'https', host, port }, flags))
    }
    await expectWhole(members, host)
    await stopAll(members)
  })

  test('a certificate for another domain does not count', async () => {
    const flags = tlsFlags(await authority.issue('other', 'other', 'm.secure.test'))
    const members: MemberProcess[] = []
    for (const port of SECURE_PORTS.slice(0, 2)) {
      members.push(await start('ours', { scheme: 'https', host: 'm.secure.test', port }, flags))
    }
    const [first] = members
    await until('the refusal is logged', () => first?.log().includes('secure.test. is not in'))
    await stopAll(members)
  })

  /** What a member of each kind that cannot start logs about DNS. */
  async function refusals(
    peer: Readonly<{ scheme: 'http' | 'https'; host: string; port: number }>,
    flags: readonly string[],
  ): Promise<{ theirs: LogLine[]; ours: LogLine[] }> {
    const seen: LogLine[][] = []
    for (const kind of ['etcd', 'ours'] as const) {
      const member = await start(kind, peer, flags)
      expect((await member.ended()).code).toBe(1)
      const text = JSON.stringify(linesOf(member.log(), MESSAGES))
      seen.push(
        JSON.parse(
          text.replaceAll(`"${member.name}`, '"NAME').replaceAll(`${member.name}\\`, 'NAME\\'),
        ),
      )
    }
    const [theirs = [], ours = []] = seen
    return { theirs, ours }
  }
  const failure = (lines: readonly LogLine[]): string =>
    String(lines.find(({ msg }) => msg === 'discovery failed')?.error)

  test('a member that is not listed is refused as etcd refuses it', async () => {
    const flags = tlsFlags(await authority.issue('domain', 'domain', 'secure.test'))
    const { theirs, ours } = await refusals(
      { scheme: 'https', host: 'm.secure.test', port: STRANGE_PORT },
      flags,
    )
    expect(failure(ours)).toBe(failure(theirs))
    expect(failure(ours)).toContain(
      'cannot find local etcd member \\"NAME\\" in SRV records'.replaceAll('\\', ''),
    )
    const asked = (lines: LogLine[]) => lines.filter(({ msg }) => msg.endsWith('SRV'))
    // The records come in an order of chance, and etcd numbers them as they come.
    const sorted = (lines: LogLine[]) =>
      JSON.parse(JSON.stringify(asked(lines)).replace(/\d=(https:[^"]*:\d+)/g, 'N=$1')).map(
        (line: Record<string, unknown>) => ({
          ...line,
          'found-cluster': [...(line['found-cluster'] as string[])].sort(),
        }),
      )
    expect(sorted(ours)).toEqual(sorted(theirs))
    expect(asked(ours)).toHaveLength(2)
  })

  test('a domain without records, and one whose hosts are unknown, are told of alike', async () => {
    // etcd 3.4 tells of the failure of the first service only, later ones of both.
    const peer = { scheme: 'http', host: '127.0.0.1', port: STRANGE_PORT } as const
    for (const domain of ['none.test', 'strange.test']) {
      const { theirs, ours } = await refusals(peer, ['--discovery-srv', domain])
      expect(failure(theirs)).toContain('error querying DNS SRV records for _etcd-server-ssl')
      expect(failure(ours)).toBe(
        `${failure(theirs)}; error querying DNS SRV records for _etcd-server ` +
          `lookup _etcd-server._tcp.${domain} on 127.0.0.1:53: no such host`,
      )
    }
  })
})
