// Goal: a real etcd member and ours sit in one cluster and neither notices. Method: clusters of both kinds with default
// flags; leadership on either side; writes, leases and watches through each member; each member killed and restarted;
// a member of the rarer kind added and removed.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { LightWriter } from './support/light-writer.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import type { MemberKind } from './support/member-process.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'
import { prefixEnd, V3Client } from './support/v3-client.js'
import { writeAllKinds } from './support/write-all-kinds.js'

async function checkLeases(cluster: Cluster): Promise<void> {
  for (const at of cluster.members) {
    const granted = await cluster.ctl(['lease', 'grant', '60'], { at })
    const id = /lease ([0-9a-f]+) granted with TTL\(60s\)/.exec(granted)?.[1] ?? 'none'
    await cluster.ctl(['put', `leased/${at.name}`, 'x', '--lease', id], { at })
    for (const through of cluster.members) {
      // A leader answers about leases from what it has applied: this waits until it has the lease and its key.
      expect(await cluster.ctl(['get', `leased/${at.name}`], { at: through })).toContain('\nx')
      const kept = await cluster.ctl(['lease', 'keep-alive', '--once', id], { at: through })
      expect(kept).toBe(`lease ${id} keepalived with TTL(60)`)
      const life = await cluster.ctl(['lease', 'timetolive', id, '--keys'], { at: through })
      expect(life).toMatch(
        /granted with TTL\(60s\), remaining\((?:60|5\d)s\), attached keys\(\[leased/,
      )
    }
    await cluster.ctl(['lease', 'revoke', id], { at })
    expect(await cluster.ctl(['get', `leased/${at.name}`], { at })).toBe('')
  }
  const [at] = cluster.members
  if (at === undefined) throw new Error('no member')
  // Long enough to live until its key is put, on a machine that stalls too.
  const granted = await cluster.ctl(['lease', 'grant', '5'], { at })
  const id = /lease ([0-9a-f]+) granted/.exec(granted)?.[1] ?? 'none'
  await cluster.ctl(['put', 'expires', 'x', '--lease', id], { at })
  await until('the lease expires', async () => (await cluster.ctl(['get', 'expires'])) === '')
}

async function checkWatches(cluster: Cluster): Promise<void> {
  const key = 'watched/'
  const clients = cluster.members.map(({ clientUrl }) => new V3Client(clientUrl))
  try {
    const first = await clients[0]?.put(`${key}0`, 'first')
    const start_revision = Number(first?.header.revision)
    const seen = clients.map((client) => {
      const values: string[] = []
      const create = { key, range_end: prefixEnd(key), start_revision }
      client.watch(
        create,
        ({ events }) => values.push(...events.map(({ type, kv }) => `${type} ${kv.value}`)),
        () => {},
      )
      return values
    })
    const expected = ['PUT first']
    for (const [at, client] of clients.entries()) {
      await client.put(`${key}${at}`, `from ${at}`)
      expected.push(`PUT from ${at}`)
    }
    for (const values of seen) {
      await until('all events', () => values.length >= expected.length)
      expect(values).toEqual(expected)
    }
  } finally {
    for (const client of clients) client.close()
  }
}

async function checkKills(cluster: Cluster): Promise<void> {
  const writer = new LightWriter(cluster.members.map(({ clientUrl }) => clientUrl))
  writer.start()
  for (const member of cluster.members) {
    await member.kill()
    const before = writer.acknowledgedCount
    await until('writes go on without it', () => writer.acknowledgedCount > before + 10)
    member.start()
    await cluster.healthy()
  }
  await writer.stop()
  for (const { clientUrl } of cluster.members) expect(await writer.lostAt(clientUrl)).toEqual([])
}

for (const [title, kinds, added, version] of [
  ['two of etcd and one of ours', ['etcd', 'etcd', 'ours'], 'ours', '3.4.0'],
  ['two of ours and one of etcd', ['ours', 'ours', 'etcd'], 'etcd', '3.4.0'],
  ['one of ours and two of etcd 3.5', ['ours', 'etcd-3.5', 'etcd-3.5'], 'ours', '3.5.0'],
] as const) {
  const theirs = kinds.find((kind) => kind !== 'ours') ?? 'etcd'
  describeWith([theirs, 'etcdctl', 'daemon'], title, () => {
    let cluster: Cluster
    logsOnFailure(() => cluster)

    beforeAll(async () => {
      cluster = await Cluster.start({ name: 'mixed', kinds })
    })
    afterAll(() => cluster?.destroy())

    const sides: readonly MemberKind[] = [theirs, 'ours']
    for (const side of sides) {
      test(`with the leader on the side of ${side}: writes, leases and watches through each`, async () => {
        const leader = cluster.members.find(({ options }) => options.kind === side)
        if (leader === undefined) throw new Error(`no member of ${side}`)
        await cluster.moveLeader(leader)
        await writeAllKinds(cluster, `led-by-${side}`)
        await checkLeases(cluster)
        await checkWatches(cluster)
        expect(await cluster.leader()).toBe(leader)
        expect((await cluster.hashes()).size).toBe(1)
      })
    }

    test('all report the cluster version of the lower one', async () => {
      // The leader asks all for their versions every five seconds, and is content with 3.0 while one is silent.
      for (const { clientUrl, name } of cluster.members)
        await until(`${name} reports it`, async () => {
          const shown = (await (await fetch(`${clientUrl}/version`)).json()) as object
          expect(shown).toHaveProperty('etcdcluster', version)
          return true
        })
    })

    test('compaction on one is compaction on all, and HashKV still agrees', async () => {
      const [{ revision = 0 } = {}] = await cluster.status()
      await cluster.ctl(['compaction', String(revision - 5)])
      for (const at of cluster.members) {
        const old = await cluster.tryCtl(['get', 'x', '--rev', '3'], { at })
        expect(old.stderr).toContain('etcdserver: mvcc: required revision has been compacted')
      }
      expect((await cluster.hashes()).size).toBe(1)
    })

    // The versions restart alike: once is enough.
    if (version === '3.4.0')
      test('each is killed under writes and restarted: nothing lost, HashKV equal', async () => {
        await checkKills(cluster)
        expect((await cluster.hashes()).size).toBe(1)
      })

    test(`a member of ${added} joins, serves, and leaves`, async () => {
      const member = await cluster.add(added)
      await writeAllKinds(cluster, 'four')
      expect((await cluster.hashes()).size).toBe(1)
      await cluster.remove(member)
      await writeAllKinds(cluster, 'three')
    })
  })
}
