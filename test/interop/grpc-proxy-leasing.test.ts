// Goal: `etcd grpc-proxy --experimental-leasing-prefix` answers linearizable reads from memory and is never out of date,
// beside proxies of ours and of etcd. Method: real clients at two or three proxies before one cluster, each write read at
// once through the others; the member's own count of transactions and reads tells what was answered from memory.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { mustEtcdctl } from './support/etcdctl.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import type { MemberKind } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { ProxyProcess } from './support/proxy-process.js'
import { describeWith } from './support/requirements.js'
import { pause, until } from './support/until.js'
import { V3Client } from './support/v3-client.js'

const PREFIX = 'leases/'

describeWith(['daemon', 'etcd', 'etcdctl'], 'a leasing gRPC proxy', () => {
  let cluster: Cluster
  const proxies: ProxyProcess[] = []
  const clients: V3Client[] = []
  logsOnFailure(() => cluster)

  beforeAll(async () => {
    cluster = await Cluster.start({ name: 'leasing', kinds: ['ours'] })
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close()
    await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()))
  })
  afterAll(() => cluster?.destroy())

  async function start(kind: MemberKind, ...flags: readonly string[]): Promise<string> {
    const address = `127.0.0.1:${await freePort()}`
    const endpoints = cluster.endpoints.map((url) => new URL(url).host).join(',')
    const words = ['grpc-proxy', 'start', '--endpoints', endpoints, '--listen-addr', address]
    const args = [...words, '--experimental-leasing-prefix', PREFIX, ...flags]
    const name = `${kind}-${proxies.length}`
    const proxy = new ProxyProcess({ kind, name, folder: cluster.folder, args })
    proxies.push(proxy)
    await proxy.startUntil('listening for gRPC proxy client requests')
    return address
  }
  const ctl = (address: string, ...args: readonly string[]): Promise<string> =>
    mustEtcdctl({ endpoints: [address], args })
  /** How many calls of the KV service the member has answered. */
  async function asked(): Promise<number> {
    const [url = ''] = cluster.endpoints
    const page = await (await fetch(`${url}/metrics`)).text()
    const pattern = /grpc_server_started_total\{.*grpc_service="etcdserverpb\.KV".*\} (\d+)/g
    return [...page.matchAll(pattern)].reduce((sum, [, count]) => sum + Number(count), 0)
  }
  const leaseKeys = (): Promise<string> => cluster.ctl(['get', PREFIX, '--prefix', '--keys-only'])
  /** Reads until the key is held: a proxy has its lease a moment after its start. */
  async function held(address: string, key: string): Promise<void> {
    await until(`${key} is held`, async () => {
      await ctl(address, 'get', key)
      return (await leaseKeys()).includes(`${PREFIX}${key}`)
    })
  }

  test('answers reads of a key it holds without a question, its own writes included', async () => {
    const address = await start('ours')
    await ctl(address, 'put', 'a', '1')
    expect(await ctl(address, 'get', 'a', '-w', 'json')).toContain('"version":1')
    await held(address, 'a')
    const before = await asked()
    for (let time = 0; time < 5; time++) expect(await ctl(address, 'get', 'a')).toBe('a\n1')
    expect(await ctl(address, 'get', 'a', '--keys-only')).toBe('a\n')
    const client = new V3Client(`http://${address}`)
    clients.push(client)
    expect(await client.range({ key: 'a', count_only: true })).toMatchObject({
      kvs: [],
      count: '1',
    })
    expect(await asked()).toBe(before)
    await ctl(address, 'put', 'a', '2')
    expect(await asked()).toBe(before + 1)
    const own = await ctl(address, 'get', 'a', '-w', 'json')
    expect(await asked()).toBe(before + 1)
    const kvs = (json: string): unknown => JSON.parse(json).kvs
    expect(kvs(own)).toEqual(kvs(await cluster.ctl(['get', 'a', '-w', 'json'])))
    expect(await ctl(address, 'put', 'a', '3', '--prev-kv')).toBe('OK\na\n2')
    await ctl(address, 'put', 'a', '--ignore-value')
    expect(await ctl(address, 'get', 'a')).toBe('a\n3')
    expect(await ctl(address, 'del', 'a')).toBe('1')
    expect(await ctl(address, 'del', 'a')).toBe('0')
    await ctl(address, 'get', 'absent')
    expect(await ctl(address, 'del', 'absent')).toBe('0')
    const after = await asked()
    expect(await ctl(address, 'get', 'a')).toBe('')
    const txn = 'ver("a") = "0"\n\nget a\n\nput a no\n\n'
    const answer = await mustEtcdctl({ endpoints: [address], args: ['txn'], stdin: txn })
    expect(answer).toBe('SUCCESS\n')
    expect(await asked()).toBe(after)
  })

  test('reads that only a member can answer go there', async () => {
    const address = await start('ours')
    for (const key of ['r1', 'r2', 'r3']) await ctl(address, 'put', key, key)
    await held(address, 'r1')
    expect(await ctl(address, 'get', 'r', '--prefix')).toBe('r1\nr1\nr2\nr2\nr3\nr3')
    const first = JSON.parse(await ctl(address, 'get', 'r1', '-w', 'json')).kvs[0].mod_revision
    await ctl(address, 'put', 'r1', 'later')
    expect(await ctl(address, 'get', 'r1', '--rev', String(first))).toBe('r1\nr1')
    expect(await ctl(address, 'get', 'r1')).toBe('r1\nlater')
    expect(await ctl(address, 'del', 'r', '--prefix', '--prev-kv')).toBe(
      '3\nr1\nlater\nr2\nr2\nr3\nr3',
    )
    expect(await ctl(address, 'get', 'r1')).toBe('')
  })

  test('a key that goes with a lease of its client is not kept behind it', async () => {
    const address = await start('ours')
    await ctl(address, 'put', 'l', 'for ever')
    await held(address, 'l')
    const lease = /lease (\w+) granted/.exec(await ctl(address, 'lease', 'grant', '600'))?.[1] ?? ''
    await ctl(address, 'put', 'l', 'for a while', '--lease', lease)
    expect(await ctl(address, 'get', 'l')).toBe('l\nfor a while')
    await ctl(address, 'lease', 'revoke', lease)
    expect(await ctl(address, 'get', 'l')).toBe('')
  })

  for (const others of [['ours'], ['etcd', 'ours']] as const) {
    test(`beside ${others.join(' and ')}, no proxy reads what was before a write`, async () => {
      const addresses = [await start('ours')]
      for (const kind of others) addresses.push(await start(kind))
      const all = addresses.map((address) => new V3Client(`http://${address}`))
      clients.push(...all)
      const keys = ['x', 'y']
      await Promise.all(addresses.map((address) => ctl(address, 'put', `warm-${address}`, '')))
      // Each owner keeps a key for two seconds after its return, so some are held and some are not.
      for (let round = 0; round < 24; round++) {
        const key = keys[round % keys.length] ?? ''
        const writer = all[round % all.length]
        await writer?.put(key, `${round}`)
        for (const reader of all) {
          const { kvs } = await reader.range({ key })
          expect(String(kvs[0]?.value), `round ${round}`).toBe(`${round}`)
        }
        if (round === 11) await pause(2100)
      }
      const [own = ''] = addresses
      await ctl(own, 'del', 'x', 'z')
      for (const reader of all) expect((await reader.range({ key: 'y' })).kvs).toEqual([])
      const stdin = '\nput x t\nput y t\n\n\n'
      await mustEtcdctl({ endpoints: addresses.slice(-1), args: ['txn'], stdin })
      for (const reader of all)
        expect(String((await reader.range({ key: 'y' })).kvs[0]?.value)).toBe('t')
    })
  }

  test('what it held goes on when it ends, or loses its lease', async () => {
    const first = await start('ours')
    const second = await start('ours', '--namespace', '')
    await ctl(first, 'put', 'left', 'behind')
    await held(first, 'left')
    const lease = JSON.parse(
      await cluster.ctl(['get', `${PREFIX}left`, '-w', 'json']),
    ).kvs[0].lease.toString()
    expect(lease).not.toBe('0')
    await proxies[0]?.stop()
    expect(await leaseKeys()).not.toContain(`${PREFIX}left`)
    await ctl(second, 'put', 'left', 'found')
    await held(second, 'left')
    await cluster.ctl(['del', `${PREFIX}left`])
    await cluster.ctl(['put', 'left', 'behind its back'])
    await until(
      'a key whose lease key is gone is not answered from memory',
      async () => (await ctl(second, 'get', 'left')) === 'left\nbehind its back',
    )
    await cluster.member('ours1').restart()
    await cluster.healthy()
    await until('it goes on after a restart of the member', async () => {
      await ctl(second, 'put', 'left', 'again')
      return (await ctl(second, 'get', 'left')) === 'left\nagain'
    })
  })
})
