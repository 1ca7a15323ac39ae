// Goal: Debian's vip-manager moves an address as a leader key says. Method: two of them, for two hosts, in a network
// namespace, each with an interface of its own; the key of a cluster of three is set, moved, expired and deleted
// through the v2 API, and the addresses of the interfaces are looked at. Needs root, as vip-manager does.
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { endingOf } from './support/member-process.js'
import { NetworkNamespace } from './support/network-namespace.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

const ADDRESS = '10.99.0.7'
const KEY = '/service/batman/leader'
const hosts = ['one', 'two'] as const
type Host = (typeof hosts)[number]

describeWith(['daemon', 'etcdctl', 'vip-manager', 'iproute2'], 'vip-manager', () => {
  let cluster: Cluster
  let namespace: NetworkNamespace
  let managers: readonly ChildProcess[] = []
  logsOnFailure(() => cluster)

  beforeAll(async () => {
    const kinds = ['ours', 'ours', 'ours'] as const
    cluster = await Cluster.start({ name: 'vip', kinds, flags: ['--enable-v2'] })
    namespace = await NetworkNamespace.create({
      folder: join(cluster.folder, 'net'),
      ports: cluster.members.map(({ clientUrl }) => Number(new URL(clientUrl).port)),
      interfaces: { one: '10.99.0.1/24', two: '10.99.0.2/24' },
    })
    managers = hosts.map((host) =>
      namespace.spawn(
        [
          ...['/usr/bin/vip-manager', '--ip', ADDRESS, '--netmask', '24', '--interface', host],
          ...['--trigger-key', KEY, '--trigger-value', host, '--interval', '200'],
          ...['--dcs-type', 'etcd', '--dcs-endpoints', cluster.endpoints.join(',')],
        ],
        join(cluster.folder, `vip-manager-${host}.log`),
      ),
    )
  })
  afterAll(async () => {
    for (const manager of managers) manager.kill('SIGKILL')
    await Promise.all(managers.map(endingOf))
    namespace?.destroy()
    await cluster?.destroy()
  })
  afterEach(() => {
    expect(managers.map(({ exitCode }) => exitCode)).toEqual([null, null])
  })

  const holders = (): Host[] => hosts.filter((host) => namespace.addresses(host).includes(ADDRESS))
  const heldBy = (...wanted: readonly Host[]): Promise<boolean> =>
    until(`held by ${wanted.join() || 'nobody'}`, () => holders().join() === wanted.join())
  const ask = async (method: string, parameters: string): Promise<number> => {
    const url = `${cluster.endpoints[0]}/v2/keys${KEY}?${parameters}`
    const { status } = await fetch(url, { method })
    return status
  }

  test('without the key nobody has the address', async () => {
    await heldBy()
  })

  test('the host that the key names takes it, and leaves it to the next', async () => {
    expect(await ask('PUT', 'value=one&prevExist=false')).toBe(201)
    await heldBy('one')
    expect(await ask('PUT', 'value=two&prevValue=one')).toBe(200)
    await heldBy('two')
  })

  test('the address stays and moves when the leader of the cluster is killed', async () => {
    const leader = await cluster.leader()
    await leader.kill()
    await until('a new leader', async () => (await ask('PUT', 'value=two&prevValue=two')) === 200)
    await heldBy('two')
    expect(await ask('PUT', 'value=one&prevValue=two')).toBe(200)
    await heldBy('one')
    leader.start()
    await cluster.healthy()
  })

  test('a key whose time is over, or that is deleted, takes the address along', async () => {
    expect(await ask('PUT', 'value=one&ttl=1')).toBe(200)
    // It gives the address up for an error, too, while the key may still be there.
    await until('the key is gone', async () => (await ask('GET', '')) === 404)
    await heldBy()
    expect(await ask('PUT', 'value=two')).toBe(201)
    await heldBy('two')
    expect(await ask('DELETE', '')).toBe(200)
    await heldBy()
  })
})
