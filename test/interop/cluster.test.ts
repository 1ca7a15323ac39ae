// Goal: three members of ours are a cluster that an operator takes for etcd's. Method: the etcdctl of Debian on three
// processes that are killed, restarted, added, promoted, removed and stopped.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { LightWriter } from './support/light-writer.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

describeWith(['daemon', 'etcdctl'], 'three members of ours', () => {
  let cluster: Cluster
  logsOnFailure(() => cluster)

  beforeAll(async () => {
    cluster = await Cluster.start({ name: 'three', kinds: ['ours', 'ours', 'ours'] })
  })
  afterAll(() => cluster?.destroy())

  test('each lists the three, and all agree on one leader', async () => {
    // Each tells what it has applied: the name of who was ready last may still be on its way.
    const [list] = await until('one list', async () => {
      const lists = cluster.members.map((at) => cluster.ctl(['member', 'list'], { at }))
      const different = new Set(await Promise.all(lists))
      return different.size === 1 && [...different]
    })
    expect(list?.split('\n')).toHaveLength(3)
    const leader = await cluster.leader()
    expect(cluster.members).toContain(leader)
    const table = await cluster.ctl(['endpoint', 'status', '-w', 'table'])
    expect(table.match(/\| +true \| +false \|/g)).toHaveLength(1)
    expect(table.match(/\| +false \| +false \|/g)).toHaveLength(2)
  })

  test('what is put on one is read on each, linearizably', async () => {
    for (const [at, from] of cluster.members.entries()) {
      await cluster.ctl(['put', `on-${at}`, `value ${at}`], { at: from })
      for (const to of cluster.members) {
        const value = await cluster.ctl(['get', `on-${at}`, '--print-value-only'], { at: to })
        expect(value).toBe(`value ${at}`)
      }
    }
  })

  test('each member killed in turn under writes and restarted: nothing acknowledged is lost', async () => {
    const writer = new LightWriter(cluster.members.map(({ clientUrl }) => clientUrl))
    writer.start()
    for (const member of cluster.members) {
      await member.kill()
      const before = writer.acknowledgedCount
      await until('writes go on without it', () => writer.acknowledgedCount > before + 20)
      member.start()
      await cluster.healthy()
    }
    await writer.stop()
    for (const at of cluster.members) expect(await writer.lostAt(at.clientUrl)).toEqual([])
    expect((await cluster.hashes()).size).toBe(1)
  })

  test('all three killed at once come back with everything', async () => {
    await cluster.ctl(['put', 'before', 'the end'])
    await Promise.all(cluster.members.map((member) => member.kill()))
    for (const member of cluster.members) member.start()
    await cluster.healthy()
    expect(await cluster.ctl(['get', 'before', '--print-value-only'])).toBe('the end')
    expect((await cluster.hashes()).size).toBe(1)
  })

  test('a paused leader is replaced, and follows when it goes on', async () => {
    const old = await cluster.leader()
    const rest = cluster.members.filter((member) => member !== old)
    old.signal('SIGSTOP')
    try {
      await until('the others serve', async () => {
        const [at] = rest
        return at && (await cluster.ctl(['put', 'paused', 'yes'], { at })) === 'OK'
      })
    } finally {
      old.signal('SIGCONT')
    }
    await cluster.healthy()
    const value = await cluster.ctl(['get', 'paused', '--print-value-only'], { at: old })
    expect(value).toBe('yes')
    expect(rest).toContain(await cluster.leader())
  })

  test('leadership moves to the member that is named', async () => {
    for (const to of cluster.members) {
      await cluster.moveLeader(to)
      expect(await cluster.leader()).toBe(to)
    }
  })

  test('a learner is added, refused most calls, promoted, updated and removed', async () => {
    const learner = await cluster.add('ours', { isLearner: true })
    const local = ['get', 'before', '--consistency', 's', '--print-value-only']
    await until('the learner caught up', async () => {
      return (await cluster.ctl(local, { at: learner })) === 'the end'
    })
    const listed = await until('the learner is listed by name', async () =>
      (await cluster.memberList()).find(({ name }) => name === learner.name),
    )
    expect(listed).toMatchObject({ isStarted: true, isLearner: true })
    const refused = await cluster.tryCtl(['put', 'a', 'b'], { at: learner })
    expect(refused.stderr).toContain('etcdserver: rpc not supported for learner')

    expect(await cluster.promote(learner)).toMatch(
      new RegExp(`Member +${listed.id} promoted in cluster `),
    )
    await cluster.ctl(['put', 'through', 'the fourth'], { at: learner })
    expect((await cluster.hashes()).size).toBe(1)

    const urls = `${learner.options.peerUrl},http://127.0.0.1:${await freePort()}`
    const updated = await cluster.ctl(['member', 'update', listed.id, '--peer-urls', urls])
    expect(updated).toMatch(new RegExp(`Member +${listed.id} updated in cluster `))
    // A list is what one member has applied, which need not be the one that was asked for the change.
    await until('the update is listed', async () =>
      (await cluster.ctl(['member', 'list'])).includes(urls),
    )
    await cluster.remove(learner)
    await until('three are listed', async () => (await cluster.memberList()).length === 3)
  })

  test('a removed member stops by itself, and does not serve again', async () => {
    const member = await cluster.add('ours')
    const id = await cluster.idOf(member)
    cluster.members.splice(cluster.members.indexOf(member), 1)
    try {
      await cluster.strike(id)
      expect(await member.ended()).toMatchObject({ code: 0, signal: null })
      const words = 'the member has been permanently removed from the cluster'
      expect(member.log()).toContain(words)
      member.start()
      await member.ended()
      await cluster.healthy()
      expect(await cluster.memberList()).toHaveLength(3)
    } finally {
      await member.kill()
    }
  })

  test('SIGTERM ends each soon, by that signal, with nothing lost', async () => {
    await cluster.ctl(['put', 'last', 'word'])
    for (const member of cluster.members) {
      const ending = await member.stop()
      // Who takes too long is killed.
      expect(ending).toMatchObject({ code: null, signal: 'SIGTERM' })
      member.start()
      await cluster.healthy()
    }
    expect(await cluster.ctl(['get', 'last', '--print-value-only'])).toBe('word')
  })
})
