// Goal: three members of ours are a cluster that an operator takes for etcd's. Method: the etcdctl of Debian on three
// processes that are killed, restarted, added, promoted, removed and stopped; then the Procfile through both foremans.
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster, temporaryFolder } from './support/cluster.js'
import { mustEtcdctl } from './support/etcdctl.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { endingOf, ROOT, spawnLogged } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { pause, until } from './support/until.js'
import { V3Client } from './support/v3-client.js'
import { LightWriter } from './support/light-writer.js'

describeWith(['daemon', 'etcdctl'], 'three members of ours', () => {
  let cluster: Cluster
  logsOnFailure(() => cluster)

  beforeAll(async () => {
    cluster = await Cluster.start({ name: 'three', kinds: ['ours', 'ours', 'ours'] })
  })
  afterAll(() => cluster?.destroy())

  test('each lists the three, and all agree on one leader', async () => {
    const lists = await Promise.all(
      cluster.members.map((at) => cluster.ctl(['member', 'list'], { at })),
    )
    expect(new Set(lists).size).toBe(1)
    expect(lists[0]?.split('\n')).toHaveLength(3)
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
    const id = await until('the learner is listed by name', async () => {
      const at = cluster.members[0]
      const list = at && (await cluster.ctl(['member', 'list'], { at }))
      return list?.split('\n').find((line) => line.includes(`, ${learner.name}, `))?.split(', ')[0]
    })
    const voters = cluster.members.filter((member) => member !== learner)
    const [first] = voters
    if (first === undefined) throw new Error('no voter')
    const refused = await cluster.tryCtl(['put', 'a', 'b'], { at: learner })
    expect(refused.stderr).toContain('etcdserver: rpc not supported for learner')
    const local = ['get', 'before', '--consistency', 's', '--print-value-only']
    await until('the learner caught up', async () => {
      return (await cluster.ctl(local, { at: learner })) === 'the end'
    })
    const transfer = await cluster.tryCtl(['move-leader', id], {
      at: await cluster.leader().catch(() => first),
    })
    expect(transfer.code).toBe(1)
    await until('promoted', async () => {
      const said = await cluster.ctl(['member', 'promote', id], { at: first })
      return said.startsWith(`Member ${id} promoted in cluster `)
    })
    await cluster.healthy()
    await cluster.ctl(['put', 'through', 'the fourth'], { at: learner })
    expect((await cluster.hashes()).size).toBe(1)

    const url = learner.options.peerUrl
    const updated = await cluster.ctl(['member', 'update', id, '--peer-urls', `${url},${url}9`.slice(0, -1 - url.length - 1)], {
      at: first,
    })
    expect(updated).toMatch(new RegExp(`^Member ${id} updated in cluster `))
    await cluster.remove(learner)
    expect(await cluster.memberList()).toHaveLength(3)
  })

  test('a removed member stops by itself, and refuses to start again', async () => {
    const member = await cluster.add('ours')
    const id = await cluster.idOf(member)
    const [first] = cluster.members
    if (first === undefined) throw new Error('no member')
    await until('removed', async () => {
      return (await cluster.tryCtl(['member', 'remove', id], { at: first })).code === 0
    })
    const ending = await member.ended()
    expect(ending).toMatchObject({ code: 0, signal: null })
    expect(member.log()).toContain('the member has been permanently removed from the cluster')
    cluster.members.splice(cluster.members.indexOf(member), 1)
    member.start()
    await member.ended()
    await cluster.healthy()
    expect(await cluster.memberList()).toHaveLength(3)
  })

  test('SIGTERM ends each within 3 seconds, by that signal, with nothing lost', async () => {
    await cluster.ctl(['put', 'last', 'word'])
    for (const member of cluster.members) {
      const ending = await member.stop()
      expect(ending).toMatchObject({ code: null, signal: 'SIGTERM' })
      expect(ending.tookMs).toBeLessThan(3000)
      member.start()
      await cluster.healthy()
    }
    expect(await cluster.ctl(['get', 'last', '--print-value-only'])).toBe('word')
  })
})

/** Process ids of everything that `pid` started, directly or not. */
function descendants(pid: number): readonly number[] {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((row) => row.trim().split(/\s+/).map(Number))
  const found: number[] = []
  for (const parents = [pid]; parents.length > 0; ) {
    const parent = parents.pop()
    for (const [child, of] of rows) {
      if (of !== parent || child === undefined) continue
      found.push(child)
      parents.push(child)
    }
  }
  return found
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

/** The Procfile with this machine's free ports and the launcher's full path. */
async function procfile(folder: string): Promise<readonly string[]> {
  let text = readFileSync(join(ROOT, 'Procfile'), 'utf8')
  const ports = new Map<string, string>()
  for (const port of new Set(text.match(/\b[123]23(?:79|80)\b/g))) {
    ports.set(port, String(await freePort()))
  }
  text = text.replace(/\b[123]23(?:79|80)\b/g, (port) => ports.get(port) ?? port)
  text = text.replace(/: bin\/etcd/g, `: ${join(ROOT, 'bin/etcd')}`)
  writeFileSync(join(folder, 'Procfile'), text)
  return ['12379', '22379', '32379'].map((port) => `http://127.0.0.1:${ports.get(port)}`)
}

for (const [name, command, needs] of [
  ['npx foreman', ['npx', 'foreman'], []],
  ['ruby-foreman', ['/usr/bin/foreman'], ['ruby-foreman']],
] as const) {
  describeWith(['daemon', 'etcdctl', ...needs], `the Procfile through ${name}`, () => {
    test('three members start, serve one cluster, and end with it', async () => {
      const folder = temporaryFolder('procfile')
      const endpoints = await procfile(folder)
      const nodeModules = join(ROOT, 'node_modules/.bin')
      const argv = name === 'npx foreman' ? [join(nodeModules, 'nf')] : command
      const log = join(folder, 'log')
      const path = `${nodeModules}:${process.env.PATH ?? ''}`
      const start = [...argv, 'start', '-f', 'Procfile']
      const foreman = spawnLogged(start, { log, cwd: folder, env: { PATH: path } })
      let children: readonly number[] = []
      try {
        await until(
          'three healthy members',
          async () => {
            const health = ['endpoint', 'health']
            return (await mustEtcdctl({ endpoints, args: health })) !== undefined
          },
          40_000,
        )
        children = descendants(foreman.pid ?? 0)
        const [first = '', second = ''] = endpoints
        const list = await mustEtcdctl({ endpoints: [first], args: ['member', 'list'] })
        expect(list.match(/infra[123]/g)?.sort()).toEqual(['infra1', 'infra2', 'infra3'])
        await mustEtcdctl({ endpoints: [first], args: ['put', 'foo', 'bar'] })
        const read = ['get', 'foo', '--print-value-only']
        expect(await mustEtcdctl({ endpoints: [second], args: read })).toBe('bar')
        foreman.kill('SIGTERM')
        await endingOf(foreman)
        await until('no member left', () => !children.some(isAlive))
      } catch (error) {
        throw new Error(`${String(error)}\n${readFileSync(log, 'utf8').slice(-4000)}`)
      } finally {
        foreman.kill('SIGKILL')
        for (const pid of children.filter(isAlive)) process.kill(pid, 'SIGKILL')
        rmSync(folder, { recursive: true, force: true })
      }
    })
  })
}
