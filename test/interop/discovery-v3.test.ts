// Goal: members find each other through the gRPC API of a cluster of ours or of etcd, and whoever is kept out is told why
// in etcd's words. Method: real processes; tokens made with etcdctl, one of them behind TLS with client certificates and a
// password. The etcd at hand (3.4) cannot do this itself: its lines are from the source of 3.6.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority, type CertificateFiles } from './support/certificates.js'
import { Company, linesOf } from './support/discovery.js'
import { mustEtcdctl } from './support/etcdctl.js'
import type { MemberKind, MemberProcess } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

const REFUSED = 'failed to bootstrap; discovery token was already used'

describeWith(['daemon', 'etcd', 'etcdctl'], 'v3 discovery', () => {
  const company = new Company('discovery-v3')
  const services = new Map<MemberKind, MemberProcess>()

  /** A member on its own that others keep their tokens on. */
  async function startService(kind: MemberKind): Promise<MemberProcess> {
    const port = await freePort()
    const peerUrl = `http://127.0.0.1:${port}`
    const flags = ['--initial-cluster', `service-${kind}=${peerUrl}`]
    return company.start(kind, flags, `service-${kind}`, { peerUrl })
  }
  const ctl = (kind: MemberKind, args: readonly string[]): Promise<string> =>
    mustEtcdctl({ endpoints: [services.get(kind)?.clientUrl ?? ''], args })
  const registry = (token: string, rest: string): string => `/_etcd/registry/${token}/${rest}`
  const makeToken = (kind: MemberKind, token: string, size: string): Promise<string> =>
    ctl(kind, ['put', '--', registry(token, '_config/size'), size])
  const flagsFor = (kind: MemberKind, token: string): readonly string[] => [
    ...['--discovery-token', token, '--discovery-endpoints', services.get(kind)?.clientUrl ?? ''],
  ]

  beforeAll(async () => {
    for (const kind of ['ours', 'etcd'] as const) services.set(kind, await startService(kind))
    await company.healthy()
  })
  afterAll(() => company.destroy())

  /** Starts a member that cannot join; its last error about it. */
  async function refusal(flags: readonly string[]): Promise<unknown> {
    const member = await company.start('ours', flags)
    expect((await member.ended()).code).toBe(1)
    const [line] = linesOf(member.log(), [REFUSED])
    return line?.error
  }

  test.each([
    ['ours', 3],
    ['etcd', 2],
  ] as const)('members meet on a service of kind %s, %i of them', async (on, size) => {
    await makeToken(on, 'meet', String(size))
    const members: MemberProcess[] = []
    // One endpoint of the list leads nowhere: the other one serves.
    const endpoints = `http://127.0.0.1:1,${services.get(on)?.clientUrl}`
    const flags = ['--discovery-token', 'meet', '--discovery-endpoints', endpoints]
    for (let count = 0; count < size; count += 1) members.push(await company.start('ours', flags))
    await company.healthy(members)
    const expected = members.map(({ name, options }) => `${name}=${options.peerUrl}`).sort()
    const found = await ctl(on, [
      'get',
      '--prefix',
      registry('meet', 'members'),
      '--print-value-only',
    ])
    expect(
      found
        .trim()
        .split('\n')
        .filter((line) => line !== '')
        .sort(),
    ).toEqual(expected)
    const list = await mustEtcdctl({
      endpoints: members.map(({ clientUrl }) => clientUrl),
      args: ['member', 'list'],
    })
    expect(list.trim().split('\n')).toHaveLength(size)

    expect(await refusal(flags)).toBe(
      'failed to join discovery cluster (discovery: cluster is full)',
    )
    // With data the service is not asked again.
    const [first] = members
    if (first === undefined) throw new Error('no member')
    await first.kill()
    first.start(['--discovery-token', 'x', '--discovery-endpoints', 'http://127.0.0.1:1'])
    await company.healthy(members)
    await Promise.all(members.map((member) => member.kill()))
  })

  test('a token without a size, or with a bad one, ends the start', async () => {
    expect(await refusal(flagsFor('etcd', 'none'))).toBe(
      'failed to join discovery cluster (discovery: size key not found)',
    )
    for (const [on, size] of [
      ['ours', '-1'],
      ['etcd', '1x'],
    ] as const) {
      await makeToken(on, `bad${size}`, size)
      expect(await refusal(flagsFor(on, `bad${size}`))).toBe(
        'failed to join discovery cluster (discovery: size key is bad)',
      )
    }
  })

  test('a member waits, and goes on when the service was away meanwhile', async () => {
    const on = 'etcd'
    await makeToken(on, 'slow', '2')
    const member = await company.start('ours', flagsFor(on, 'slow'))
    const waits = 'waiting for peers from discovery service'
    await until('it waits', () => linesOf(member.log(), [waits]).length > 0)
    const service = services.get(on)
    if (service === undefined) throw new Error('no service')
    await service.kill()
    const retries = 'retry connecting to discovery service'
    await until('it tries again', () => linesOf(member.log(), [retries]).length > 0)
    service.start()
    await company.healthy([service])
    const other = await company.start('ours', flagsFor(on, 'slow'))
    await company.healthy([member, other])
    await Promise.all([member.kill(), other.kill()])
  })

  test('an unreachable service is tried again after two seconds, then four', async () => {
    const flags = [
      ...['--discovery-token', 't', '--discovery-endpoints', 'http://127.0.0.1:1'],
      // The refusal must come before it, on a machine that stalls too.
      '--discovery-request-timeout=3s',
    ]
    const member = await company.start('ours', flags)
    const retries = 'retry connecting to discovery service'
    const lines = await until('two retries', () => {
      const seen = linesOf(member.log(), [retries])
      return seen.length >= 2 && seen
    })
    const common = { 'discovery-token': 't', 'discovery-endpoints': 'http://127.0.0.1:1' }
    expect(lines.slice(0, 2)).toEqual(
      ['2s', '4s'].map((backoff) => ({
        ...{ level: 'warn', msg: retries, ...common, reason: 'cluster status check', backoff },
      })),
    )
    const [failed] = linesOf(member.log(), ['failed to get cluster size from discovery service'])
    expect(failed).toEqual({
      level: 'warn',
      msg: 'failed to get cluster size from discovery service',
      ...common,
      clusterSizeKey: '/_etcd/registry/t/_config/size',
      error: 'context deadline exceeded',
    })
    const [why] = linesOf(member.log(), ['retrying of unary invoker failed'])
    expect(why?.error).toBe(
      'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: ' +
        'dial tcp 127.0.0.1:1: connect: connection refused"',
    )
    await member.kill()
  })

  test('the service may ask for certificates and a password', async () => {
    const authority = await Authority.create(company.folder, 'service-ca')
    const files = await authority.issue('service')
    const clientUrl = `https://127.0.0.1:${await freePort()}`
    const peerUrl = `http://127.0.0.1:${await freePort()}`
    const service = await company.start(
      'etcd',
      [
        ...['--initial-cluster', `guarded=${peerUrl}`, '--client-cert-auth'],
        ...['--cert-file', files.certFile, '--key-file', files.keyFile],
        ...['--trusted-ca-file', authority.caFile],
      ],
      'guarded',
      { clientUrl, peerUrl },
    )
    const client = await authority.issue('client', '')
    const tls = ['--cacert', authority.caFile, '--cert', client.certFile, '--key', client.keyFile]
    const guarded = (args: readonly string[]): Promise<string> =>
      mustEtcdctl({ endpoints: [clientUrl], args: [...tls, ...args] })
    await until('the service serves', () => guarded(['endpoint', 'health']).then(() => true))
    await guarded(['put', registry('t', '_config/size'), '1'])
    await guarded(['user', 'add', 'root:secret'])
    await guarded(['user', 'grant-role', 'root', 'root'])
    await guarded(['auth', 'enable'])

    const reach = [
      ...['--discovery-token', 't', '--discovery-endpoints', clientUrl],
      '--discovery-request-timeout=1s',
    ]
    const trust = ['--discovery-cacert', authority.caFile]
    const show = (pair: CertificateFiles): readonly string[] => [
      ...['--discovery-cert', pair.certFile, '--discovery-key', pair.keyFile],
    ]
    const log = async (flags: readonly string[], text: string): Promise<void> => {
      const member = await company.start('ours', flags)
      await until(text, () => member.log().includes(text))
      await member.kill()
    }
    const user = ['--discovery-user', 'root', '--discovery-password', 'secret']
    expect(await refusal([...reach, ...trust, '--discovery-cert', client.certFile])).toBe(
      'failed to join discovery cluster (KeyFile and CertFile must both be present' +
        `[key: , cert: ${client.certFile}])`,
    )
    expect(await refusal([...reach, '--discovery-cacert', '/none'])).toBe(
      'failed to join discovery cluster (open /none: no such file or directory)',
    )
    await log([...reach, ...show(client)], 'code = Unavailable')
    await log([...reach, ...trust, ...show(client)], 'etcdserver: permission denied')
    const wrong = ['--discovery-user', 'root', '--discovery-password', 'wrong']
    await log(
      [...reach, ...trust, ...show(client), ...wrong],
      'etcdserver: authentication failed, invalid user ID or password',
    )
    const skip = ['--discovery-insecure-skip-tls-verify', '--discovery-insecure-transport=false']
    for (const trusting of [trust, skip]) {
      await guarded(['--user', 'root:secret', 'del', '--prefix', registry('t', 'members')])
      const member = await company.start('ours', [...reach, ...show(client), ...user, ...trusting])
      await company.healthy([member])
      await member.kill()
    }
    await service.kill()
  })
})
