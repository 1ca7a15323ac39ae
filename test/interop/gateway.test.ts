// Goal: `etcd gateway` stands in front of a cluster for any client, while members come and go. Method: three members of
// ours behind the gateway of ours and of etcd, used by etcdctl; one member killed and started again. What is printed is
// compared with the machine's etcd.
import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { etcdctl } from './support/etcdctl.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { ETCD, OURS } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { ProxyProcess } from './support/proxy-process.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

describeWith(['etcd', 'daemon'], 'what etcd gateway prints', () => {
  const run = (command: readonly string[], args: readonly string[]) => {
    const [program = '', ...rest] = command
    const { stdout, stderr, status } = spawnSync(program, [...rest, ...args], { encoding: 'utf8' })
    // Descriptions are our own, and log lines are compared elsewhere.
    const plain = (text: string): string =>
      text.replace(/^(\s+(?:-h, )?--\S+ ?\w*?)\s{2,}[^(\n]*?( \(default .*\))?$/gm, '$1$2')
    const said = plain(stderr).replace(/^\{"level":.*\n/gm, '')
    return { stdout: plain(stdout), stderr: said, status }
  }

  test.each(
    [
      [],
      ['foo'],
      ['-h'],
      ['--foo'],
      ['start', '--help'],
      ['start', '--foo'],
      ['start', '-x'],
      ['start', '-endpoints=a'],
      ['start', '--listen-addr'],
      ['start', '--retry-delay=x'],
      ['start', '--insecure-discovery=x'],
      ['start', '--endpoints='],
      ['start', '--endpoints', '::1'],
      ['start', '--listen-addr', 'nowhere'],
      ['start', '--listen-addr', '127.0.0.1:2379'],
      ['start', '--listen-addr', ':2379'],
    ].map((args) => ({ args })),
  )('$args', ({ args }) => {
    const words = ['gateway', ...args]
    expect(run(OURS, words)).toEqual(run([ETCD], words))
  })
})

describeWith(['etcd', 'etcdctl', 'daemon'], 'etcd gateway', () => {
  let cluster: Cluster
  const gateways: ProxyProcess[] = []
  const addresses: string[] = []
  logsOnFailure(() => cluster)

  beforeAll(async () => {
    cluster = await Cluster.start({ name: 'gateway', kinds: ['ours', 'ours', 'ours'] })
    for (const kind of ['etcd', 'ours'] as const) {
      const address = `127.0.0.1:${await freePort()}`
      const gateway = new ProxyProcess({
        kind,
        name: `${kind}-gateway`,
        folder: cluster.folder,
        args: [
          ...['gateway', 'start', '--listen-addr', address, '--retry-delay', '300ms'],
          ...['--endpoints', cluster.endpoints.join(',')],
        ],
      })
      gateways.push(gateway)
      addresses.push(address)
      await gateway.startUntil('ready to proxy client requests')
    }
  })
  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop()))
    await cluster?.destroy()
  })

  const through = (args: readonly string[]) =>
    Promise.all(addresses.map((address) => etcdctl({ endpoints: [address], args })))

  test('clients work through it, and not all at one member', async () => {
    const [theirs, ours] = await through(['put', 'a', '1'])
    expect(ours).toEqual(theirs)
    const seen = new Set<string>()
    for (let round = 0; round < 3; round++) {
      const [, status] = await through(['endpoint', 'status', '-w', 'json'])
      seen.add(/"member_id":(\d+)/.exec(status?.stdout ?? '')?.[1] ?? '')
    }
    // How many connections a command makes is the client's affair.
    expect(seen.size).toBeGreaterThan(1)
  })

  test('a member that is killed is left out, and taken in again', async () => {
    const [member] = cluster.members
    await member?.kill()
    const [, gateway] = gateways
    for (let round = 0; round < 4; round++) {
      const results = await through(['get', 'a', '--consistency', 's'])
      for (const result of results) expect(result.stdout).toBe('a\n1\n')
    }
    expect(gateway?.log()).toContain('deactivated endpoint')
    member?.start()
    await until('it is active again', () => gateway?.log().includes('"msg":"activated"') === true)
    await cluster.healthy()
    await through(['get', 'a'])
  })

  test('a signal ends it as it ends etcd', async () => {
    const endings = await Promise.all(gateways.map((gateway) => gateway.stop()))
    expect(endings.map((ending) => [ending?.code, ending?.signal])).toEqual([
      [null, 'SIGTERM'],
      [null, 'SIGTERM'],
    ])
  })
})
