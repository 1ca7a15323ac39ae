// Goal: the v2 client of Node.js finds an etcd. Method: a session of node-etcd (npm) on a cluster of three: keys, compare
// and swap, directories, and watchers that must see every change, in order, while the members they are connected to
// are killed one after the other. INTEROP_OURS=/usr/bin/etcd checks the expectations on the real thing.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { answer, type NodeEtcd, nodeEtcd, type V2Body } from './support/node-etcd-client.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

describeWith(['daemon', 'etcdctl'], 'node-etcd of npm', () => {
  let cluster: Cluster
  let client: NodeEtcd
  logsOnFailure(() => cluster)

  // Each request goes to any member, which may not have heard of the last write: hence the quorum.
  const get = (key: string, options = {}): Promise<V2Body> =>
    answer<V2Body>((done) => client.get(key, { quorum: true, ...options }, done))
  const set = (key: string, value: string | null, options = {}): Promise<V2Body> =>
    answer<V2Body>((done) => client.set(key, value, options, done))
  const refusal = (code: number): object => expect.objectContaining({ errorCode: code })

  beforeAll(async () => {
    const kinds = ['ours', 'ours', 'ours'] as const
    cluster = await Cluster.start({ name: 'node-v2', kinds, flags: ['--enable-v2'] })
    client = nodeEtcd(cluster.endpoints)
  })
  afterAll(() => cluster?.destroy())

  test('sets, reads and deletes', async () => {
    const made = await set('/node/a', 'one & <zwei>')
    expect(made).toMatchObject({ action: 'set', node: { key: '/node/a', value: 'one & <zwei>' } })
    expect((await get('node/a')).node.value).toBe('one & <zwei>')
    expect((await set('node/a', 'two')).prevNode?.value).toBe('one & <zwei>')
    const gone = await answer<V2Body>((done) => client.del('node/a', {}, done))
    expect(gone).toMatchObject({ action: 'delete', prevNode: { value: 'two' } })
    await expect(get('node/a')).rejects.toEqual(refusal(100))
  })

  test('compares before it swaps or deletes', async () => {
    const { modifiedIndex = 0 } = (await set('node/cas', 'v1')).node
    const swap = (value: string, old: string, options = {}): Promise<V2Body> =>
      answer<V2Body>((done) => client.compareAndSwap('node/cas', value, old, options, done))
    expect(await swap('v2', 'v1')).toMatchObject({ action: 'compareAndSwap' })
    await expect(swap('v3', 'v1')).rejects.toEqual(refusal(101))
    await expect(set('node/cas', 'x', { prevIndex: modifiedIndex })).rejects.toEqual(refusal(101))
    await expect(set('node/cas', 'x', { prevExist: false })).rejects.toEqual(refusal(105))
    const deleted = (old: string): Promise<V2Body> =>
      answer<V2Body>((done) => client.compareAndDelete('node/cas', old, {}, done))
    await expect(deleted('v1')).rejects.toEqual(refusal(101))
    expect(await deleted('v2')).toMatchObject({ action: 'compareAndDelete' })
  })

  test('makes, lists and removes directories', async () => {
    const made = await answer<V2Body>((done) => client.mkdir('node/dir', {}, done))
    expect(made.node).toMatchObject({ key: '/node/dir', dir: true })
    for (const name of ['b', 'a', 'sub/c']) await set(`node/dir/${name}`, name)
    const { node } = await get('node/dir', { recursive: true, sorted: true })
    expect(node.nodes?.map(({ key }) => key)).toEqual([
      '/node/dir/a',
      '/node/dir/b',
      '/node/dir/sub',
    ])
    expect(node.nodes?.[2]?.nodes?.[0]?.value).toBe('sub/c')
    const queued: string[] = []
    for (const value of ['first', 'second']) {
      const { key = '' } = (
        await answer<V2Body>((done) => client.create('node/queue', value, {}, done))
      ).node
      queued.push(key)
    }
    expect(queued).toEqual([...queued].sort())
    await expect(answer<V2Body>((done) => client.rmdir('node/dir', {}, done))).rejects.toEqual(
      refusal(108),
    )
    await answer<V2Body>((done) => client.rmdir('node/dir', { recursive: true }, done))
    await expect(get('node/dir/a')).rejects.toEqual(refusal(100))
  })

  test('a key goes when its time is over, and a waiting client is told', async () => {
    const { modifiedIndex = 0 } = (await set('node/brief', 'x', { ttl: 1 })).node
    const event = await answer<V2Body>((done) =>
      client.watchIndex('node/brief', modifiedIndex + 1, {}, done),
    )
    expect(event).toMatchObject({ action: 'expire', prevNode: { value: 'x' } })
  })

  test('statistics and version are told', async () => {
    const names = cluster.members.map(({ name }) => name)
    const own = await answer<Readonly<{ name: string }>>((done) => client.selfStats(done))
    expect(names).toContain(own.name)
    const leading = nodeEtcd([(await cluster.leader()).clientUrl])
    const stats = await answer<Readonly<{ leader: string }>>((done) => leading.leaderStats(done))
    expect(stats.leader).toMatch(/^[0-9a-f]{1,16}$/)
    const version = await answer<Readonly<{ etcdserver: string }>>((done) => client.version(done))
    expect(version.etcdserver).toMatch(/^3\.\d+\.\d+$/)
  })

  test('watchers miss nothing while members are killed under them', async () => {
    const { modifiedIndex = 0 } = (await set('node/watched/start', '')).node
    const follow = (
      by: NodeEtcd,
      options = {},
    ): { seen: string[]; reconnects: () => number; stop(): void } => {
      const seen: string[] = []
      let reconnects = 0
      const watcher = by.watcher('node/watched', modifiedIndex + 1, { ...options, recursive: true })
      watcher.on('set', ({ node }: V2Body) => seen.push(node.value ?? ''))
      watcher.on('reconnect', () => {
        reconnects += 1
      })
      return { seen, reconnects: () => reconnects, stop: () => watcher.stop() }
    }
    const moving = follow(client)
    // Knows one member only, so it has to come back to it.
    const loyal = follow(nodeEtcd(cluster.endpoints.slice(0, 1)), { maxRetries: 0 })
    const expected: string[] = []
    const write = async (): Promise<void> => {
      const value = String(expected.length)
      await until('written', () => set(`node/watched/${value}`, value, { maxRetries: 0 }))
      expected.push(value)
    }
    try {
      for (const member of cluster.members.slice(0, 2)) {
        for (let at = 0; at < 3; at += 1) await write()
        await until('seen so far', () => moving.seen.length >= expected.length, 60_000)
        await member.kill()
        for (let at = 0; at < 3; at += 1) await write()
        member.start()
        await cluster.healthy()
      }
      await write()
      const last = expected.at(-1) ?? ''
      for (const { seen } of [moving, loyal]) {
        await until('the last change', () => seen.includes(last), 60_000)
      }
    } finally {
      moving.stop()
      loyal.stop()
    }
    // A write that was tried twice is two events of one value; none is missing and none is early.
    expect([...new Set(moving.seen)]).toEqual(expected)
    expect([...new Set(loyal.seen)]).toEqual(expected)
    expect(loyal.reconnects()).toBeGreaterThan(0)
  })
})
