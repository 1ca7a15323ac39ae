// Goal: `etcd --proxy` stands in front of a cluster as etcd's does. Method: one member of ours (and its peers' list);
// the proxy of this machine's etcd and ours before it, asked the same, while the member runs, is killed and returns.
// Then TLS on both sides, and restarts with what the data directory remembers.
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority } from './support/certificates.js'
import { Cluster, temporaryFolder } from './support/cluster.js'
import { etcdctl, V2_PATIENCE } from './support/etcdctl.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import type { MemberKind, MemberProcess } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { ProxyProcess } from './support/proxy-process.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

/** Longer than a busy machine takes from one request to the next, which must find it left alone. */
const FAILURE_WAIT_MS = 5000
/** Beyond the end: a look at the list while the member is down would find nobody to be tried. */
const REFRESH_INTERVAL_MS = 600_000

interface Placed {
  readonly kind: MemberKind
  readonly url: string
  readonly process: ProxyProcess
}

interface Seen {
  readonly status: number
  readonly body: string
}

async function ask(base: string, path: string, init: RequestInit = {}): Promise<Seen> {
  const response = await fetch(`${base}${path}`, { redirect: 'manual', ...init })
  return { status: response.status, body: await response.text() }
}

const setTo = (value: string): RequestInit => ({
  method: 'PUT',
  body: new URLSearchParams({ value }),
})

describeWith(['etcd', 'etcdctl', 'daemon'], 'the v2 proxy', () => {
  let cluster: Cluster
  let member: MemberProcess
  const proxies: Placed[] = []
  logsOnFailure(() => cluster)

  async function place(kind: MemberKind, mode: string): Promise<Placed> {
    const url = `http://127.0.0.1:${await freePort()}`
    const name = `${kind}-${mode}`
    const process = new ProxyProcess({
      kind,
      name,
      folder: cluster.folder,
      args: [
        ...['--name', 'p', '--data-dir', join(cluster.folder, name), '--proxy', mode],
        ...['--listen-client-urls', url, '--initial-cluster', cluster.initialCluster()],
        ...['--proxy-failure-wait', String(FAILURE_WAIT_MS)],
        ...['--proxy-refresh-interval', String(REFRESH_INTERVAL_MS)],
      ],
    })
    const placed = { kind, url, process }
    proxies.push(placed)
    await process.startUntil('v2 proxy started listening on client requests')
    return placed
  }

  beforeAll(async () => {
    cluster = await Cluster.start({ name: 'v2-proxy', kinds: ['ours'], flags: ['--enable-v2'] })
    member = cluster.members[0] as MemberProcess
    await place('etcd', 'on')
    await place('ours', 'on')
  })
  afterAll(async () => {
    await Promise.all(proxies.map(({ process }) => process.stop()))
    await cluster.destroy()
  })

  /** What each proxy answers to the same request, in turn. */
  async function both(path: string, init?: RequestInit): Promise<readonly Seen[]> {
    const seen: Seen[] = []
    for (const { url } of proxies.slice(0, 2)) seen.push(await ask(url, path, init))
    return seen
  }

  test('requests reach the member through either, with the same answers', async () => {
    await ask(member.clientUrl, '/v2/keys/a', setTo('first'))
    for (const path of ['/v2/keys/a', '/v2/keys/none', '/v2/members', '/health', '/version', '/x'])
      await both(path).then(([theirs, ours]) => expect(ours, path).toEqual(theirs))
    const bad: RequestInit = { ...setTo('x'), body: new URLSearchParams({ value: 'x', ttl: 'y' }) }
    const [theirs, ours] = await both('/v2/keys/a', bad)
    expect(ours).toEqual(theirs)
    const [, written] = await both('/v2/keys/b', setTo('through'))
    expect(written?.status).toBe(200)
    expect((await ask(member.clientUrl, '/v2/keys/b')).body).toContain('"value":"through"')
  })

  test('its own page and its refusals are the same', async () => {
    for (const [path, init] of [
      ['/v2/config/local/proxy'],
      ['/v2/config/local/proxy', { method: 'POST' }],
      ['/v2//keys/a', { method: 'GET' }],
      ['/v2/keys/a', { method: 'OPTIONS' }],
    ] as const) {
      const [theirs, ours] = await both(path, init)
      expect(ours, path).toEqual(theirs)
    }
  })

  test('a long poll and a stream come through as they happen', async () => {
    const { url } = proxies[1] as Placed
    const waiting = ask(url, '/v2/keys/poll?wait=true')
    const stream = await fetch(`${url}/v2/keys/poll?wait=true&stream=true`)
    const reader = (stream.body as ReadableStream<Uint8Array>).getReader()
    // Each comes through a connection of its own, in any order.
    await until('both wait', async () => {
      const { body } = await ask(member.clientUrl, '/v2/stats/store')
      return (JSON.parse(body) as { watchers: number }).watchers === 2
    })
    await ask(member.clientUrl, '/v2/keys/poll', setTo('one'))
    expect((await waiting).body).toContain('"value":"one"')
    const first = Buffer.from((await reader.read()).value ?? []).toString()
    expect(first).toContain('"value":"one"')
    await ask(member.clientUrl, '/v2/keys/poll', setTo('two'))
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toContain('"value":"two"')
    await reader.cancel()
    await until('the member is told', () =>
      (proxies[1] as Placed).process.log().includes('client closed request prematurely'),
    )
  })

  test('the v2 etcdctl works through it', async () => {
    const { url } = proxies[1] as Placed
    const args = [...V2_PATIENCE, 'set', '/tool', 'works']
    const said = await etcdctl({ endpoints: [url], args, api: '2' })
    expect(said).toMatchObject({ stdout: 'works\n', code: 0 })
  })

  test('readonly takes GET only', async () => {
    const theirs = await place('etcd', 'readonly')
    const ours = await place('ours', 'readonly')
    for (const init of [setTo('x'), { method: 'DELETE' }, { method: 'OPTIONS' }, {}]) {
      const seen = await ask(ours.url, '/v2/keys/a', init)
      expect(seen).toEqual(await ask(theirs.url, '/v2/keys/a', init))
    }
    expect(await ask(ours.url, '/v2/keys/a', setTo('x'))).toEqual({ status: 501, body: '' })
  })

  test('a member that is killed is left alone for a while, and found again', async () => {
    await member.kill()
    for (let round = 0; round < 2; round++) {
      const [theirs, ours] = await both('/v2/keys/a')
      expect(ours).toEqual(theirs)
      expect(ours?.status).toBe(round === 0 ? 502 : 503)
    }
    member.start()
    await cluster.healthy()
    await until('the proxy has found it', async () => {
      const { url } = proxies[1] as Placed
      return (await ask(url, '/v2/keys/a')).status === 200
    })
  })

  test('the data directory remembers the cluster, and that it is a proxy', async () => {
    const { process, url } = proxies[1] as Placed
    const file = join(cluster.folder, 'ours-on', 'proxy', 'cluster')
    expect(readFileSync(file, 'utf8')).toBe(
      readFileSync(join(cluster.folder, 'etcd-on', 'proxy', 'cluster'), 'utf8'),
    )
    expect(await process.stop()).toMatchObject({ signal: 'SIGTERM' })
    const again = new ProxyProcess({
      kind: 'ours',
      name: 'again',
      folder: cluster.folder,
      args: [
        ...['--data-dir', join(cluster.folder, 'ours-on'), '--listen-client-urls', url],
        ...['--advertise-client-urls', url],
      ],
    })
    proxies.push({ kind: 'ours', url, process: again })
    await again.startUntil('v2 proxy started listening on client requests')
    expect(again.log()).toContain('proxy using peer URLS from cluster file')
    expect((await ask(url, '/v2/keys/a')).body).toContain('"value":"first"')
    await again.stop()
    mkdirSync(join(cluster.folder, 'ours-on', 'member'))
    again.start()
    await until('it has ended', () => !again.isRunning)
    expect(again.log()).toContain('invalid datadir; both member and proxy directories exist')
  })
})

describeWith(['etcdctl', 'daemon'], 'the v2 proxy over TLS', () => {
  const folder = temporaryFolder('v2-proxy-certificates')
  let cluster: Cluster
  let proxy: ProxyProcess | undefined
  logsOnFailure(() => cluster)

  afterAll(async () => {
    await proxy?.stop()
    await cluster?.destroy()
    rmSync(folder, { recursive: true, force: true })
  })

  test('shows its certificate to members that ask for one, and asks its clients for theirs', async () => {
    const authority = await Authority.create(folder)
    const { certFile, keyFile } = await authority.issue('all')
    const side = (prefix: string): readonly string[] => [
      ...[`--${prefix}cert-file`, certFile, `--${prefix}key-file`, keyFile],
      ...[`--${prefix}trusted-ca-file`, authority.caFile, `--${prefix}client-cert-auth`],
    ]
    const flags = [...side(''), ...side('peer-')]
    cluster = new Cluster({ name: 'v2-proxy-tls', scheme: 'https', flags })
    await cluster.startAll(['ours'])
    const url = `https://127.0.0.1:${await freePort()}`
    proxy = new ProxyProcess({
      kind: 'ours',
      name: 'proxy',
      folder: cluster.folder,
      args: [
        ...['--data-dir', join(cluster.folder, 'proxy'), '--proxy', 'on', ...flags],
        ...['--listen-client-urls', url, '--initial-cluster', cluster.initialCluster()],
      ],
    })
    await proxy.startUntil('endpoints found')
    const files = ['--ca-file', authority.caFile, '--cert-file', certFile, '--key-file', keyFile]
    const set = (args: readonly string[]) =>
      etcdctl({
        endpoints: [url],
        args: [...V2_PATIENCE, ...args, 'set', '/tls', 'works'],
        api: '2',
      })
    await until('the member serves', async () => (await set(files)).code === 0)
    expect(await set(files)).toMatchObject({ stdout: 'works\n', code: 0 })
    expect((await set(files.slice(0, 2))).code).not.toBe(0)
    const refusal = 'rejected connection on client endpoint'
    await until('the proxy says so', () => proxy?.log().includes(refusal))
  })
})
