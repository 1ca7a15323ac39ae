// Goal: the etcd client of Node.js finds an etcd. Method: a session of etcd3 (npm) on a cluster of three: transactions,
// leases it keeps alive by itself, watches that outlive a leader, locks, elections, and its software transactions.
import { Etcd3, type MultiRangeBuilder } from 'etcd3'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { describeWith } from './support/requirements.js'
import { pause, until } from './support/until.js'

describeWith(['daemon', 'etcdctl'], 'etcd3 of npm', () => {
  let cluster: Cluster
  let client: Etcd3
  logsOnFailure(() => cluster)

  beforeAll(async () => {
    cluster = await Cluster.start({ name: 'node', kinds: ['ours', 'ours', 'ours'] })
    client = new Etcd3({ hosts: [...cluster.endpoints] })
  })
  afterAll(async () => {
    client?.close()
    await cluster?.destroy()
  })

  test('puts, reads, ranges and deletes', async () => {
    await client.put('node/a').value('one')
    expect(await client.get('node/a').string()).toBe('one')
    expect(await client.get('node/none').string()).toBeNull()
    const before = await client.put('node/a').value('two').getPrevious()
    expect(before?.value.toString()).toBe('one')
    for (let at = 0; at < 10; at += 1) await client.put(`node/many/${at}`).value(String(at))
    const all = (): MultiRangeBuilder => client.getAll().prefix('node/many/')
    expect(await all().count()).toBe(10)
    expect(await all().sort('Key', 'Descend').limit(3).keys()).toEqual([
      'node/many/9',
      'node/many/8',
      'node/many/7',
    ])
    expect(await client.delete().prefix('node/many/')).toMatchObject({ deleted: '10' })
    expect(await client.get('node/a').exists()).toBe(true)
  })

  test('a transaction takes the branch its comparison says', async () => {
    await client.put('node/balance').value(100)
    const taken = await client
      .if('node/balance', 'Value', '==', '100')
      .and('node/balance', 'Version', '>', 0)
      .then(client.put('node/balance').value(90))
      .else(client.get('node/balance'))
      .commit()
    expect(taken.succeeded).toBe(true)
    const other = await client
      .if('node/balance', 'Value', '==', '100')
      .then(client.put('node/balance').value(0))
      .else(client.get('node/balance'))
      .commit()
    expect(other.succeeded).toBe(false)
    expect(await client.get('node/balance').number()).toBe(90)
  })

  test('a lease lives while it is kept alive, and its keys go with it', async () => {
    // Longer than the machine may stall between two of its signs of life.
    const lease = client.lease(5)
    await lease.put('node/leased').value('x')
    await pause(8000)
    expect(await client.get('node/leased').string()).toBe('x')
    await lease.revoke()
    expect(await client.get('node/leased').string()).toBeNull()

    const left = client.lease(5)
    await left.put('node/left').value('x')
    left.release()
    await until('the lease expires', async () => (await client.get('node/left').string()) === null)
  })

  test('a watch outlives the leader and misses nothing', async () => {
    const seen: string[] = []
    const watcher = await client.watch().prefix('node/watched/').create()
    watcher.on('put', ({ value }) => seen.push(value.toString()))
    const expected: string[] = []
    const write = async (): Promise<void> => {
      const value = String(expected.length)
      await until('written', () => client.put(`node/watched/${value}`).value(value))
      expected.push(value)
    }
    for (let at = 0; at < 5; at += 1) await write()
    const leader = await cluster.leader()
    await leader.kill()
    for (let at = 0; at < 5; at += 1) await write()
    leader.start()
    await cluster.healthy()
    const other = cluster.members.find((member) => member !== leader)
    if (other !== undefined) await cluster.moveLeader(other)
    for (let at = 0; at < 5; at += 1) await write()
    await until('the last event', () => seen.includes(String(expected.length - 1)))
    /* A put that was tried twice is two events of one value; none is missing and none comes before its predecessor. */
    expect([...new Set(seen)]).toEqual(expected)
    await watcher.cancel()
  })

  test('a lock is held by one at a time', async () => {
    let inside = 0
    let most = 0
    const work = async (): Promise<void> => {
      inside += 1
      most = Math.max(most, inside)
      await pause(20)
      inside -= 1
    }
    const first = await client.lock('node/lock').ttl(10).acquire()
    await expect(client.lock('node/lock').acquire()).rejects.toThrow()
    await first.release()
    for (let at = 0; at < 3; at += 1) await client.lock('node/lock').do(work)
    expect(most).toBe(1)
  })

  test('software transactions do not lose updates', async () => {
    await client.put('node/stm').value(0)
    const add = (): Promise<unknown> =>
      client.stm({ retries: 100 }).transact(async (tx) => {
        const value = await tx.get('node/stm').number()
        await tx.put('node/stm').value((value ?? 0) + 1)
      })
    await Promise.all(Array.from({ length: 10 }, add))
    expect(await client.get('node/stm').number()).toBe(10)
  })

  test('an election has one leader, and the next after it resigns', async () => {
    const election = client.election('node/election', 10)
    const first = election.campaign('first')
    await until('first is elected', async () => (await election.leader()) === 'first')
    const second = client.election('node/election', 10).campaign('second')
    await first.resign()
    await until('second is elected', async () => (await election.leader()) === 'second')
    await second.resign()
  })

  test('members and status are told', async () => {
    const { members } = await client.cluster.memberList({})
    expect(members).toHaveLength(3)
    const status = await client.maintenance.status()
    expect(members.map(({ ID }) => ID)).toContain(status.leader)
  })
})
