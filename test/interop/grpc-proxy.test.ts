// Goal: `etcd grpc-proxy` stands in front of a cluster, and whoever talks to it cannot tell. Method: one session of
// Debian's etcdctl directly at a member and through proxies of ours and of etcd, before members of either kind; then
// watches, leases, caching, namespaces, pages and members that go away, with real clients.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority } from './support/certificates.js'
import { Cluster } from './support/cluster.js'
import { etcdctl } from './support/etcdctl.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { ETCD, OURS } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { ProxyProcess } from './support/proxy-process.js'
import { describeWith } from './support/requirements.js'
import { runTranscript, type Step } from './support/transcript.js'
import { until } from './support/until.js'
import { V3Client, type WatchStream } from './support/v3-client.js'

const plain = (...lines: readonly string[]): readonly Step[] => lines.map((line) => ({ line }))
const granted = /lease ([0-9a-f]{16}) granted/

/** What differs by design: entries that a start writes, and the address that was asked. */
const indexes = [
  [/("raft(?:Applied)?Index":)\d+/g, '$1<index>'],
  [/127\.0\.0\.1:\d+/g, '<address>'],
] as const
const masked = (...lines: readonly string[]): readonly Step[] =>
  lines.map((line) => ({ line, mask: indexes }))

const STEPS: readonly Step[] = [
  ...plain('put a 1', 'put a 2 --prev-kv -w json', 'put a', 'put missing --ignore-value'),
  ...plain('put b b1', 'put c/1 one', 'put c/2 two', "put '' x"),
  ...plain('get a -w json', 'get nothing -w json', 'get --prefix c/ -w fields', 'get a c'),
  ...plain('get a --consistency s -w json', 'get a --consistency s -w json', 'get a --rev 2'),
  ...plain('get --prefix c/ --consistency s', 'put c/3 three', 'get --prefix c/ --consistency s'),
  ...plain('get --from-key b --limit 2 -w json', "get --prefix '' --keys-only", 'get a --rev 99'),
  { line: 'txn -w json', stdin: 'val("a") = "2"\n\nput t1 yes\nget a\n\nput t1 no\n\n' },
  { line: 'txn', stdin: 'ver("t1") > "5"\n\nput t1 x\n\ndel t1 --prev-kv\nget --prefix c/\n\n' },
  { line: 'txn', stdin: '\nput twice 1\nput twice 2\n\n\n' },
  ...plain('get a --consistency s', 'del c/1 --prev-kv -w json', 'del --prefix c/ -w json'),
  ...plain('get --prefix c/ --consistency s -w json', 'del nothing'),
  { line: 'watch a --rev 1 --prev-kv', endAfterLines: 7 },
  { line: 'watch --prefix c/ --rev 1 -w json', endAfterLines: 1 },
  { line: 'lease grant 100', capture: ['L1', granted] },
  ...plain('put l1 x --lease $L1', 'lease timetolive $L1 --keys -w json', 'get l1 -w json'),
  ...plain('lease keep-alive --once $L1', 'lease list', 'lease revoke $L1', 'get l1'),
  ...plain('lease keep-alive --once $L1', 'lease revoke $L1', 'lease timetolive $L1'),
  ...plain('compaction 4', 'get a --rev 2', 'get a --rev 2 --consistency s', 'compaction 4'),
  { line: 'watch a --rev 2' },
  ...masked('endpoint status -w json', 'endpoint health', 'defrag'),
  ...plain('alarm list', 'member add x', 'member update zz'),
  ...masked('member list -w json', 'move-leader zz', 'member remove 1234'),
]

describeWith(['etcd', 'etcdctl', 'daemon'], 'etcdctl through a gRPC proxy', () => {
  let direct: readonly string[] = []
  const through = new Map<string, readonly string[]>()

  beforeAll(async () => {
    const place = {
      clientUrl: `http://127.0.0.1:${await freePort()}`,
      peerUrl: `http://127.0.0.1:${await freePort()}`,
    }
    const address = `127.0.0.1:${await freePort()}`
    direct = await runTranscript('etcd', place, STEPS)
    for (const [name, kind, flags] of [
      ['ours before etcd', 'etcd', []],
      ['ours before ours', 'ours', []],
      ['ours with a namespace', 'ours', ['--namespace', 'some/']],
    ] as const) {
      const between = { kind: 'ours', address, flags } as const
      through.set(name, await runTranscript(kind, place, STEPS, between))
    }
  })

  for (const [at, { line }] of STEPS.entries()) {
    test(`${at}: ${line}`, () => {
      for (const [name, texts] of through) expect(texts[at], name).toBe(direct[at])
    })
  }
})

describeWith(['etcd', 'daemon'], 'what etcd grpc-proxy prints', () => {
  const run = (command: readonly string[], args: readonly string[]) => {
    const [program = '', ...rest] = command
    const all = [...rest, 'grpc-proxy', ...args]
    const { stdout, stderr, status } = spawnSync(program, all, {
      encoding: 'utf8',
      timeout: 20_000,
    })
    // Flags came with 3.5 and later.
    const usage = (text: string): string => text.replace(/^Flags:\n(?:\s{2,}.*\n)*/m, '')
    return { stdout: usage(stdout), stderr: usage(stderr), status }
  }
  test.each(
    [
      [],
      ['bogus'],
      ['start', '--bogus'],
      ['start', '--resolver-ttl', '3'],
      ['start', '--resolver-prefix', 'x'],
      ['start', '--resolver-prefix', 'x', '--resolver-ttl', '1', '--advertise-client-url', ''],
    ].map((args) => ({ args })),
  )('$args', ({ args }) => {
    expect(run(OURS, args)).toEqual(run([ETCD], args))
  })

  test.each([
    [['--enable-pprof'], '--enable-pprof: Node.js cannot make profiles in the format of Go\n'],
  ])('%j is refused by name', (args, stderr) => {
    expect(run(OURS, ['start', ...args])).toEqual({ stdout: '', stderr, status: 1 })
  })
})

describeWith(['etcdctl', 'daemon'], 'a gRPC proxy of ours', () => {
  let cluster: Cluster
  const proxies: ProxyProcess[] = []
  logsOnFailure(() => cluster)

  async function start(name: string, ...flags: readonly string[]): Promise<string> {
    const address = `127.0.0.1:${await freePort()}`
    const args = ['grpc-proxy', 'start', '--listen-addr', address, ...flags]
    const proxy = new ProxyProcess({ kind: 'ours', name, folder: cluster.folder, args })
    proxies.push(proxy)
    await proxy.startUntil('started gRPC proxy')
    return address
  }
  const endpoints = (): string => cluster.endpoints.map((url) => new URL(url).host).join(',')
  const page = async (address: string, path: string): Promise<string> =>
    (await fetch(`http://${address}${path}`)).text()
  const figure = async (address: string, name: string): Promise<number> =>
    Number(new RegExp(`^${name} (\\d+)`, 'm').exec(await page(address, '/proxy/metrics'))?.[1])

  beforeAll(async () => {
    cluster = await Cluster.start({ name: 'grpc-proxy', kinds: ['ours', 'ours', 'ours'] })
  })
  afterAll(async () => {
    await Promise.all(proxies.map((proxy) => proxy.stop()))
    await cluster?.destroy()
  })

  test('many watches of a key are one at the members, and all see every change in order', async () => {
    const address = await start('watches', '--endpoints', endpoints())
    const seen = new Map<number, string[]>()
    const watches: WatchStream[] = []
    let createdCount = 0
    const clients = Array.from({ length: 12 }, () => new V3Client(`http://${address}`))
    for (const [at, client] of clients.entries()) {
      const values: string[] = []
      seen.set(at, values)
      const watch = client.watch(
        { key: 'w', start_revision: at % 2 },
        ({ events, created }) => {
          if (created) createdCount += 1
          values.push(...events.map(({ kv }) => String(kv.value)))
        },
        () => undefined,
      )
      watches.push(watch)
      // The even ones begin later than the odd ones and see what comes after them.
      if (at === 5) await cluster.ctl(['put', 'w', 'early'])
    }
    await until('all watches are there', () => createdCount === clients.length)
    await until('watches share', async () => {
      await cluster.ctl(['put', 'w', 'more'])
      return (await figure(address, 'etcd_grpc_proxy_watchers_coalescing_total')) > 5
    })
    await cluster.ctl(['put', 'w', 'last'])
    await until('all have the last', () =>
      [...seen.values()].every((values) => values.at(-1) === 'last'),
    )
    const whole = seen.get(1) ?? []
    expect(whole[0]).toBe('early')
    for (const values of seen.values()) {
      expect(values).toEqual(whole.slice(whole.length - values.length))
      expect(values.length).toBeGreaterThan(0)
    }
    for (const watch of watches) watch.cancel()
    for (const client of clients) client.close()
    await until(
      'no watch is left when its client is gone',
      async () => (await figure(address, 'etcd_grpc_proxy_watchers_coalescing_total')) === 0,
    )
  })

  test('serializable reads come from the cache until the proxy writes', async () => {
    const address = await start('cache', '--endpoints', endpoints())
    const ctl = (args: readonly string[]) => etcdctl({ endpoints: [address], args })
    await ctl(['put', 'k', '1'])
    await ctl(['get', 'k'])
    await cluster.ctl(['put', 'k', '2'])
    expect((await ctl(['get', 'k', '--consistency', 's'])).stdout).toBe('k\n1\n')
    expect(await figure(address, 'etcd_grpc_proxy_cache_hits_total')).toBe(1)
    expect((await ctl(['get', 'k'])).stdout).toBe('k\n2\n')
    await ctl(['put', 'k', '3'])
    await until('it is 3 everywhere', async () => {
      const { stdout } = await ctl(['get', 'k', '--consistency', 's'])
      return stdout === 'k\n3\n'
    })
  })

  test('a namespace is all that its clients see, and a proxy registers in it', async () => {
    const flags = ['--namespace', 'app/', '--resolver-prefix', 'proxies', '--resolver-ttl', '2']
    const address = await start('namespace', '--endpoints', endpoints(), ...flags)
    const ctl = (args: readonly string[]) => etcdctl({ endpoints: [address], args })
    await ctl(['put', 'inside', '1'])
    expect(await cluster.ctl(['get', 'app/inside', '--print-value-only'])).toBe('1')
    // It serves before it is registered.
    await until('all that is in the namespace', async () => {
      const all = await ctl(['get', '', '--prefix', '--keys-only'])
      expect(all.stdout.split('\n').filter((line) => line !== '')).toEqual([
        'inside',
        'proxies/127.0.0.1:23790',
      ])
      return true
    })
    await until('it is a member', async () => {
      const { stdout } = await ctl(['member', 'list', '-w', 'json'])
      expect(JSON.parse(stdout)).toMatchObject({
        members: [{ clientURLs: ['127.0.0.1:23790'] }],
      })
      return true
    })
    await until('the registration is in the form of etcd', async () => {
      const value = await cluster.ctl(['get', 'app/proxies', '--prefix', '--print-value-only'])
      return value.startsWith('{"Op":0,"Addr":"127.0.0.1:23790","Metadata":"{')
    })
    await proxies.at(-1)?.stop()
    await until(
      'it is gone with the proxy',
      async () => (await cluster.ctl(['get', 'app/proxies', '--prefix'])) === '',
    )
  })

  test('goes on while a member is down, leases, watches and pages included', async () => {
    const order = ['--experimental-serializable-ordering', '--advertise-client-url', '']
    const address = await start('failover', '--endpoints', endpoints(), ...order)
    const ctl = (args: readonly string[]) =>
      etcdctl({ endpoints: [address], args: ['--command-timeout', '10s', ...args] })
    const { stdout } = await ctl(['lease', 'grant', '5'])
    const lease = /lease (\w+) granted/.exec(stdout)?.[1] ?? ''
    await ctl(['put', 'leased', 'x', '--lease', lease])
    let isDone = false
    const kept = etcdctl({
      endpoints: [address],
      args: ['lease', 'keep-alive', lease],
      enough: () => isDone,
      timeoutMs: 120_000,
    })
    const client = new V3Client(`http://${address}`)
    const values: string[] = []
    client.watch(
      { key: 'f' },
      ({ events }) => values.push(...events.map(({ kv }) => String(kv.value))),
      () => undefined,
    )
    await until('the watch is there', async () => {
      await ctl(['put', 'f', 'first'])
      return values.length > 0
    })
    for (const member of cluster.members) {
      values.length = 0
      await member.kill()
      await until('writes go on', async () => (await ctl(['put', 'f', member.name])).code === 0)
      await until('the watch goes on', () => values.at(-1) === member.name)
      member.start()
      await cluster.healthy()
    }
    expect((await ctl(['get', 'leased'])).stdout).toBe('leased\nx\n')
    isDone = true
    expect((await kept).stdout).toContain(`lease ${lease} keepalived with TTL(5)`)
    expect(await page(address, '/health')).toBe('{"health":"true","reason":""}')
    expect(await page(address, '/proxy/health')).toBe('{"health":"true","reason":""}')
    expect(await page(address, '/metrics')).toContain('etcd_server_has_leader 1')
    expect((await ctl(['member', 'list'])).stdout.split('\n')).toHaveLength(4)
    client.close()
  })

  test('TLS on both sides; a certificate with a name is not for members', async () => {
    const authority = await Authority.create(cluster.folder)
    const server = await authority.issue('server')
    const secure = new Cluster({
      name: 'grpc-proxy-tls',
      scheme: 'https',
      flags: ['--cert-file', server.certFile, '--key-file', server.keyFile, '--peer-auto-tls'],
    })
    try {
      await secure.startAll(['ours'])
      const upstream = ['--endpoints', secure.endpoints.join(','), '--cacert', authority.caFile]
      const listen = ['--cert-file', server.certFile, '--key-file', server.keyFile]
      const metrics = `127.0.0.1:${await freePort()}`
      const pages = ['--metrics-addr', `http://${metrics}`]
      const address = await start('tls', ...upstream, ...listen, ...pages)
      const args = ['--cacert', authority.caFile, 'put', 'a', '1']
      await until('it serves', async () => {
        const { code } = await etcdctl({ endpoints: [address], args })
        return code === 0
      })
      expect(await page(metrics, '/health')).toBe('{"health":"true","reason":""}')
      expect(await page(metrics, '/metrics')).toContain('etcd_server_has_leader 1')
      const [program, ...rest] = OURS
      const named = ['--cert', server.certFile, '--key', server.keyFile]
      const words = ['grpc-proxy', 'start', ...upstream, ...named]
      const refused = spawnSync(program, [...rest, ...words], { encoding: 'utf8', timeout: 20_000 })
      expect(refused.stderr).toBe(
        `cert has non empty Common Name (CN): ${join(cluster.folder, 'server.pem')}\n`,
      )
      expect(refused.status).toBe(1)
    } finally {
      await secure.destroy()
    }
  })
})
