// Goal: Patroni, which keeps its leader key in the v2 API, holds a pair of PostgreSQL together on us. Method: two Patronis
// with synchronous replication on a cluster of three; the primary (Patroni and PostgreSQL) is killed, our leader is
// killed, the roles are switched, PATRONI_KILLS times; beside it one row after the other is inserted, the leader key
// is watched, and both PostgreSQL are asked whether they take writes. PATRONI_KILLS=10 is the long one.
import { rmSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { PatroniMember, postgresFolder, sql } from './support/patroni.js'
import { LeaderKeyWitness, RowWitness, SplitBrainWitness } from './support/patroni-witnesses.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

const KILLS = Number(process.env.PATRONI_KILLS ?? 1)
const ROUND_MAX_MS = 180_000
/** Bootstrapping, a failover and a rewind take their time on a busy machine. */
const STEP_MAX_MS = 90_000

describeWith(['daemon', 'etcdctl', 'patroni', 'postgresql-15'], 'Patroni on the v2 API', () => {
  let cluster: Cluster
  let folder = ''
  let members: readonly [PatroniMember, PatroniMember]
  let key: LeaderKeyWitness
  let split: SplitBrainWitness
  let rows: RowWitness

  const primary = (): Promise<PatroniMember> =>
    until(
      'a primary',
      async () => {
        for (const member of members)
          if (await member.is('primary').catch(() => false)) return member
        return undefined
      },
      STEP_MAX_MS,
    )
  const otherOf = (member: PatroniMember): PatroniMember =>
    member === members[0] ? members[1] : members[0]
  const synchronous = (member: PatroniMember): Promise<boolean> =>
    until(`${member.name} is the synchronous standby`, () => member.is('sync'), STEP_MAX_MS)
  const moreRows = async (): Promise<void> => {
    const before = rows.acknowledged.length
    await until('rows are acknowledged', () => rows.acknowledged.length > before + 2, STEP_MAX_MS)
  }

  beforeAll(async () => {
    const kinds = ['ours', 'ours', 'ours'] as const
    cluster = await Cluster.start({ name: 'patroni', kinds, flags: ['--enable-v2'] })
    folder = postgresFolder()
    const etcdHosts = cluster.members.map(({ clientUrl }) => new URL(clientUrl).host)
    members = [
      await PatroniMember.create({ name: 'pg1', folder, etcdHosts }),
      await PatroniMember.create({ name: 'pg2', folder, etcdHosts }),
    ]
    members[0].start()
    await primary()
    members[1].start()
    await synchronous(members[1])
    const made = await sql([members[0].port], 'create table witness (row int primary key)')
    expect(made).toMatchObject({ isOk: true })
    key = await LeaderKeyWitness.create(cluster.endpoints)
    split = new SplitBrainWitness(members)
    rows = new RowWitness(members)
    for (const witness of [key, split, rows]) witness.start()
  }, 2 * ROUND_MAX_MS)

  afterAll(async () => {
    for (const witness of [rows, split, key]) await witness?.stop()
    for (const member of members ?? []) await member.kill()
    await cluster?.destroy()
    if (folder !== '') rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
  }, 60_000)

  afterEach(({ task }) => {
    if (task.result?.state !== 'fail') return
    console.error(cluster.logs())
    for (const member of members) console.error(`--- ${member.name}\n${member.log()}`)
  })

  test(
    `the primary is killed ${KILLS} times: the standby takes over, and nobody before the key is gone`,
    async () => {
      for (let at = 0; at < KILLS; at += 1) {
        const before = await primary()
        const standby = otherOf(before)
        await synchronous(standby)
        await moreRows()
        const seen = key.events.length
        await before.kill()
        await until(`${standby.name} takes over`, () => standby.is('primary'), STEP_MAX_MS)
        await until('the key changes hands', () => key.events.at(-1)?.value === standby.name)
        // The key of the dead stays until its time is over, and is then gone once.
        const losses = key.losses(seen)
        expect(losses.map(({ action }) => action)).toEqual(['expire'])
        const [{ heardAtMs = 0, endedAtMs = Number.POSITIVE_INFINITY } = {}] = losses
        expect(heardAtMs).toBeGreaterThanOrEqual(endedAtMs)
        const taken = key.events.slice(seen).filter(({ action }) => action === 'create')
        expect(taken.map(({ value }) => value)).toEqual([standby.name])
        await moreRows()
        before.start()
        await synchronous(before)
      }
    },
    KILLS * ROUND_MAX_MS,
  )

  test(
    `our leader is killed ${KILLS} times: the primary keeps its key`,
    async () => {
      const before = await primary()
      const seen = key.events.length
      for (let at = 0; at < KILLS; at += 1) {
        const leader = await cluster.leader()
        await leader.kill()
        await moreRows()
        const held = key.events.length
        await until('the key is held on', () => key.events.length > held + 1, STEP_MAX_MS)
        leader.start()
        await cluster.healthy()
      }
      expect(key.losses(seen)).toEqual([])
      expect(new Set(key.events.slice(seen).map(({ value }) => value))).toEqual(
        new Set([before.name]),
      )
      expect(await before.is('primary')).toBe(true)
    },
    KILLS * ROUND_MAX_MS,
  )

  test('the roles are switched in order', async () => {
    const before = await primary()
    const after = otherOf(before)
    await synchronous(after)
    expect(await before.switchover(after)).toContain('Successfully switched over')
    await until(`${after.name} leads`, () => after.is('primary'), STEP_MAX_MS)
    await synchronous(before)
    await moreRows()
  })

  test('at no time there were two primaries, and no acknowledged row is lost', async () => {
    await rows.stop()
    await split.stop()
    expect(split.looks).toBeGreaterThan(10)
    expect(split.found).toEqual([])
    const wanted = rows.acknowledged.map(String)
    expect(wanted.length).toBeGreaterThan(10)
    for (const { name, port } of members) {
      const found = await until(`${name} has every row`, async () => {
        const { isOk, stdout } = await sql([port], 'select row from witness')
        const there = new Set(stdout.split('\n'))
        return isOk && wanted.every((row) => there.has(row)) ? there : undefined
      })
      expect(found.size).toBeLessThanOrEqual(rows.tried)
    }
    console.info(
      `patroni: ${wanted.length} of ${rows.tried} rows acknowledged, ${split.looks} looks for two ` +
        `primaries, ${key.events.length} changes of the leader key`,
    )
  })
})
