// Goal: members of both kinds find each other under a token of a v2 keys service, ours or etcd's, and whoever is kept
// out is told so in etcd's words. Method: real processes; the lines that etcd logs about discovery are compared with ours
// under the same circumstances; the service is taken away while a member waits, and from members that have data.
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Company, keysService, type LogLine, linesOf, makeToken } from './support/discovery.js'
import type { MemberKind, MemberProcess } from './support/member-process.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

const KINDS: readonly MemberKind[] = ['etcd', 'ours']
const MESSAGES = [
  'failed to start etcd',
  'failed to bootstrap; discovery token was already used',
  'do not reuse discovery token; generate a new one to bootstrap a cluster',
  'member has been registered with discovery service',
  'but could not find valid cluster configuration',
  'check data dir if previous bootstrap succeeded',
  'or use a new discovery token if previous bootstrap failed',
  'member with duplicated name has already been registered',
  'cURL the discovery token URL for details',
  'failed to get from discovery server',
  'retry connecting to discovery service',
  'found self from discovery server',
  'found peer from discovery server',
  'found peers from discovery server; waiting for more',
  'found all needed peers from discovery server',
  'running proxy with discovery',
  'discovery failed',
]

/** The cluster as this member tells other members of it; the name of who was ready last may still be on its way. */
const expectListed = ({ name: own, options }: MemberProcess, expected: string[]) =>
  until(`${own} lists all`, async () => {
    const answer = await (await fetch(`${options.peerUrl}/members`)).json()
    const members = answer as { name: string; peerURLs: string[] }[]
    const listed = members.map(({ name, peerURLs }) => `${name}=${peerURLs.join()}`).sort()
    expect(listed).toEqual(expected)
    return true
  })

/** Names, ids and ports differ between two members; everything else of their lines should not. */
function common(lines: readonly LogLine[], member: MemberProcess): unknown {
  const text = JSON.stringify(lines)
    .replaceAll(member.dataDir, 'DATA')
    .replaceAll(`"${member.name}"`, '"NAME"')
    .replace(/"(self|peer)":"[0-9a-f]+"/g, '"$1":"ID"')
    .replace(/\[\d+\]\)"/g, '[INDEX])"')
  return JSON.parse(text)
}

describeWith(['daemon', 'etcd'], 'v2 discovery', () => {
  const company = new Company('discovery-v2')
  const services = new Map<MemberKind, string>()
  let tokens = 0

  beforeAll(async () => {
    for (const kind of KINDS) services.set(kind, await keysService(company, kind))
  })
  afterAll(() => company.destroy())

  const serviceOf = (kind: MemberKind): string => services.get(kind) ?? ''
  const token = (kind: MemberKind, size: string): Promise<string> => {
    tokens += 1
    return makeToken(serviceOf(kind), `token${tokens}`, size)
  }

  /** What a member logs about discovery until `isDone`, which looks at the lines so far. */
  async function told(
    kind: MemberKind,
    flags: readonly string[],
    isDone: (lines: readonly LogLine[], member: MemberProcess) => boolean,
  ): Promise<unknown> {
    const member = await company.start(kind, flags)
    const lines = await until(`${member.name} tells`, () => {
      const seen = linesOf(member.log(), MESSAGES)
      return isDone(seen, member) && seen
    })
    await member.kill()
    return common(lines, member)
  }

  /** etcd's lines and ours, each with its own token where `flags` makes one. */
  async function expectSame(
    flags: () => Promise<readonly string[]> | readonly string[],
    isDone: (lines: readonly LogLine[], member: MemberProcess) => boolean,
  ): Promise<unknown> {
    const anyToken = (lines: unknown): unknown =>
      JSON.parse(JSON.stringify(lines).replace(/token\d+/g, 'TOKEN'))
    const [first, second] = [await flags(), await flags()]
    const [theirs, ours] = (
      await Promise.all([told('etcd', first, isDone), told('ours', second, isDone)])
    ).map(anyToken)
    expect(ours).toEqual(theirs)
    return theirs
  }
  const hasEnded = (_lines: readonly LogLine[], member: MemberProcess): boolean => !member.isRunning

  test.each([
    { on: 'ours', kinds: ['ours', 'ours', 'ours'] },
    { on: 'etcd', kinds: ['ours', 'etcd', 'ours'] },
  ] as const)('three members meet on a service of kind $on: $kinds', async ({ on, kinds }) => {
    const flags = ['--discovery', await token(on, '3'), '--discovery-fallback=exit']
    const members: MemberProcess[] = []
    for (const kind of kinds) members.push(await company.start(kind, flags))
    await company.healthy(members)
    const expected = members.map(({ name, options }) => `${name}=${options.peerUrl}`).sort()
    for (const member of members) await expectListed(member, expected)

    // One more is kept out; the members go on with the service's data gone from their flags.
    const late = await company.start('ours', flags)
    expect((await late.ended()).code).toBe(1)
    expect(late.log()).toContain('failed to join discovery cluster (discovery: cluster is full)')
    const [first] = members
    if (first === undefined) throw new Error('no member')
    await first.kill()
    first.start(['--logger=zap', '--discovery', 'http://127.0.0.1:1/nowhere'])
    await company.healthy(members)
    await expectListed(first, expected)
    await Promise.all(members.map((member) => member.kill()))
  })

  test('a service without the token, or with a bad size, is told of as etcd does', async () => {
    // The path in the first error names the deepest directory that exists: the registry has one by now.
    for (const on of KINDS) await token(on, '1')
    for (const on of KINDS) {
      const url = `${serviceOf(on)}/v2/keys/_etcd/registry/none`
      await expectSame(() => ['--discovery', url], hasEnded)
      const bad = await token(on, 'many')
      await expectSame(() => ['--discovery', bad], hasEnded)
      await expectSame(() => ['--discovery', `${serviceOf(on)}/version/none`], hasEnded)
    }
    await expectSame(() => ['--discovery', 'http://[::1/token'], hasEnded)
    await expectSame(() => ['--discovery', 'http://127.0.0.1:x/token'], hasEnded)
  })

  test('a full cluster ends the start of one that is not to be a proxy', async () => {
    for (const on of KINDS) {
      const url = await token(on, '1')
      const only = await company.start('ours', ['--discovery', url])
      await company.healthy([only])
      await expectSame(() => ['--discovery', url, '--discovery-fallback=exit'], hasEnded)
      await only.kill()
    }
  })

  test('one beyond the size is a proxy unless told otherwise, and stays one', async () => {
    for (const on of KINDS) {
      const flags = ['--discovery', await token(on, '1'), '--enable-v2']
      const only = await company.start('ours', flags)
      await company.healthy([only])
      const proxy = await company.start('ours', flags)
      const isProxy = async (): Promise<boolean> => {
        const page = await fetch(`${proxy.clientUrl}/v2/config/local/proxy`)
        return (await page.text()) === `{"endpoints":["${only.clientUrl}"]}\n`
      }
      await until('it proxies', isProxy)
      expect(proxy.log()).toContain('discovery cluster is full, falling back to proxy')
      await proxy.kill()
      proxy.start()
      await until('it proxies again', isProxy)
      expect(proxy.log()).toContain('discovery token ignored since the proxy has already been')
      await Promise.all([only.kill(), proxy.kill()])
    }
  })

  test('a member that lost its data is not taken again', async () => {
    const ended: unknown[] = []
    for (const kind of KINDS) {
      const url = await token('etcd', '3')
      const member = await company.start(kind, ['--discovery', url], 'forgetful')
      await until('it is registered', () => linesOf(member.log(), MESSAGES).length >= 2)
      await member.kill()
      member.wipe()
      member.start()
      expect((await member.ended()).code).toBe(1)
      const lines = common(linesOf(member.log(), MESSAGES), member)
      ended.push(JSON.parse(JSON.stringify(lines).replace(/token\d+/g, 'TOKEN')))
    }
    expect(ended[1]).toEqual(ended[0])
  })

  test('two members of one name are told so', async () => {
    const lines: unknown[] = []
    for (const kind of KINDS) {
      const flags = ['--discovery', await token('ours', '2')]
      const first = await company.start('ours', flags, 'twin')
      await until('it is registered', () => linesOf(first.log(), MESSAGES).length >= 2)
      const second = await company.start(kind, flags, 'twin')
      expect((await first.ended()).code).toBe(1)
      expect((await second.ended()).code).toBe(1)
      const seen = common(linesOf(second.log(), MESSAGES), second)
      lines.push(JSON.parse(JSON.stringify(seen).replace(/token\d+/g, 'TOKEN')))
    }
    expect(lines[1]).toEqual(lines[0])
  })

  test('an unreachable service is tried again after two seconds, then four', async () => {
    const isSecond = (lines: readonly LogLine[]): boolean =>
      lines.filter(({ msg }) => msg.startsWith('retry')).length >= 2
    await expectSame(() => ['--discovery', 'http://127.0.0.1:1/token'], isSecond)
    await expectSame(() => ['--discovery', 'token'], isSecond)
  })

  test('a member waits for the others, and tells how many are missing', async () => {
    const waits = (lines: readonly LogLine[]): boolean =>
      lines.some(({ msg }) => msg.endsWith('waiting for more'))
    await expectSame(async () => ['--discovery', await token('etcd', '3')], waits)
    await expectSame(async () => ['--discovery', await token('ours', '3')], waits)
  })

  test('discovery goes through an HTTP proxy', async () => {
    const asked: string[] = []
    const proxy = createServer((incoming, outgoing) => {
      asked.push(`${incoming.method} ${incoming.url?.replace(/\?.*/, '')}`)
      const onward = httpRequest(incoming.url ?? '', {
        method: incoming.method,
        headers: incoming.headers,
      })
      onward.on('response', (answer) => {
        outgoing.writeHead(answer.statusCode ?? 0, answer.headers)
        answer.pipe(outgoing)
      })
      onward.on('error', () => outgoing.destroy())
      incoming.pipe(onward)
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = proxy.address() as AddressInfo
      const url = await token('etcd', '1')
      const member = await company.start('ours', [
        ...['--discovery', url, '--discovery-proxy', `127.0.0.1:${port}`],
      ])
      await company.healthy([member])
      await member.kill()
      expect(asked.slice(0, 2)).toEqual([`GET ${url}/_config/size`, `GET ${url}`])
      expect(asked.some((one) => one.startsWith(`PUT ${url}/`))).toBe(true)
      expect(linesOf(member.log(), ['running proxy with discovery'])).toEqual([
        {
          level: 'info',
          msg: 'running proxy with discovery',
          'proxy-url': `http://127.0.0.1:${port}`,
        },
      ])
    } finally {
      proxy.closeAllConnections()
      await new Promise((resolve) => proxy.close(resolve))
    }
  })
})
