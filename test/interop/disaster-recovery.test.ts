// Goal: what operators do after a disaster works with us. Method: as they do it. A backup by Debian's `etcdctl backup` of a
// running and of a stopped member, ours and Debian's, is copied and started with --force-new-cluster; its peer URL is
// changed, members are added by both APIs, and everything must be there. Then the data directory of a Debian member is
// taken over as it is, and one whose store is lost is refused.
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { temporaryFolder } from './support/cluster.js'
import { etcdctl, mustEtcdctl, V2_PATIENCE } from './support/etcdctl.js'
import { type MemberKind, MemberProcess } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

const KEYS = 30
/** Low, so that the log goes on from a snapshot. */
const SNAPSHOT_COUNT = '20'

interface Tree {
  readonly node: Readonly<{ nodes?: readonly Tree['node'][]; key?: string; value?: string }>
}

/** Every file of the v2 tree by its key. */
async function v2Files(member: MemberProcess): Promise<Readonly<Record<string, string>>> {
  const response = await fetch(`${member.clientUrl}/v2/keys/?recursive=true`)
  const files: Record<string, string> = {}
  const visit = ({ key = '', value, nodes = [] }: Tree['node']): void => {
    if (value !== undefined) files[key] = value
    for (const node of nodes) visit(node)
  }
  visit(((await response.json()) as Tree).node)
  return files
}

describeWith(['daemon', 'etcd', 'etcdctl'], 'disaster recovery', () => {
  const members: MemberProcess[] = []
  let folder = ''
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') {
      for (const member of members) console.error(`--- ${member.name}\n${member.log(3000)}`)
    }
    await Promise.all(members.splice(0).map((member) => member.kill()))
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  const ctl = (member: MemberProcess, api: '2' | '3', ...args: string[]): Promise<string> =>
    mustEtcdctl({
      ...{ endpoints: [member.clientUrl], api },
      args: api === '2' ? [...V2_PATIENCE, ...args] : args,
    })
  const serving = (member: MemberProcess): Promise<boolean> =>
    until(`${member.name} serves`, async () => (await fetch(`${member.clientUrl}/health`)).ok)
  const put = async (member: MemberProcess, key: string, value: string): Promise<void> => {
    const body = new URLSearchParams({ value })
    const response = await fetch(`${member.clientUrl}/v2/keys/${key}`, { method: 'PUT', body })
    expect(response.status).toBe(201)
  }

  async function plan(kind: MemberKind, name: string): Promise<MemberProcess> {
    const url = async (): Promise<string> => `http://127.0.0.1:${await freePort()}`
    const [clientUrl, peerUrl] = [await url(), await url()]
    const flags = ['--enable-v2', '--snapshot-count', SNAPSHOT_COUNT]
    const own = join(folder, name)
    const member = new MemberProcess({ kind, name, folder: own, clientUrl, peerUrl, flags })
    members.push(member)
    return member
  }

  const startFlags = (initial: string, state: 'new' | 'existing'): string[] => [
    ...['--enable-v2', '--snapshot-count', SNAPSHOT_COUNT],
    ...['--initial-cluster', initial, '--initial-cluster-state', state],
  ]

  /** A member of its own cluster with v2 keys, a directory among them, before and after a snapshot. */
  async function begun(kind: MemberKind, cutsLog = true): Promise<MemberProcess> {
    folder = temporaryFolder('disaster')
    const member = await plan(kind, 'first')
    const flags = startFlags(`first=${member.options.peerUrl}`, 'new')
    member.start(cutsLog ? flags : flags.filter((flag) => !/^(--snapshot-count|\d+)$/.test(flag)))
    await serving(member)
    for (let at = 0; at < KEYS; at += 1)
      await put(member, `app/part${at % 3}/k${at}`, `value ${at}`)
    return member
  }

  /** `etcdctl backup` of a member into the data directory of a new one, which is started on it. */
  async function restored(from: MemberProcess, ...more: string[]): Promise<MemberProcess> {
    const backup = join(folder, 'backup')
    const args = ['backup', ...more, '--data-dir', from.dataDir, '--backup-dir', backup]
    await mustEtcdctl({ endpoints: [], args, api: '2' })
    await from.kill()
    const member = await plan('ours', 'restored')
    cpSync(backup, member.dataDir, { recursive: true })
    rmSync(backup, { recursive: true })
    member.start([...startFlags('', 'new').slice(0, 3), '--force-new-cluster'])
    await serving(member)
    return member
  }

  /** The address of the lost member is replaced, and the flag is dropped for the next start. */
  async function settled(member: MemberProcess, by: 'http' | 'etcdctl'): Promise<void> {
    const { peerUrl } = member.options
    const [line = ''] = (await ctl(member, '2', 'member', 'list')).split('\n')
    expect(line).toContain('peerURLs=http://localhost:2380')
    const id = line.slice(0, line.indexOf(':'))
    if (by === 'etcdctl') await ctl(member, '2', 'member', 'update', id, peerUrl)
    else {
      const { status } = await fetch(`${member.clientUrl}/v2/members/${id}`, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ peerURLs: [peerUrl] }),
      })
      expect(status).toBe(204)
    }
    await member.stop()
    member.start(startFlags('', 'new').slice(0, 3))
    await serving(member)
    expect(await ctl(member, '2', 'member', 'list')).toContain(`peerURLs=${peerUrl}`)
  }

  async function joined(at: MemberProcess, name: string, api: '2' | '3'): Promise<MemberProcess> {
    const member = await plan('ours', name)
    const { peerUrl } = member.options
    const urls = api === '2' ? [peerUrl] : ['--peer-urls', peerUrl]
    const said = await until('member added', () => ctl(at, api, 'member', 'add', name, ...urls))
    const initial = /ETCD_INITIAL_CLUSTER="([^"]*)"/.exec(said)?.[1] ?? ''
    member.start(startFlags(initial, 'existing'))
    await serving(member)
    return member
  }

  const cases = [
    { kind: 'ours', while: 'running', by: 'http' },
    { kind: 'etcd', while: 'stopped', by: 'etcdctl' },
  ] as const
  test.each(cases)('a backup of a $while member ($kind) becomes a cluster', async (given) => {
    const first = await begun(given.kind)
    const wanted = await v2Files(first)
    expect(Object.keys(wanted)).toHaveLength(KEYS)
    if (given.while === 'stopped') await first.stop()
    const member = await restored(first)
    expect(await v2Files(member)).toEqual(wanted)
    await settled(member, given.by)
    const second = await joined(member, 'second', '2')
    const third = await joined(member, 'third', '3')
    await put(third, 'app/after', 'the disaster')
    const all = { ...wanted, '/app/after': 'the disaster' }
    for (const one of [member, second, third]) {
      await until(`${one.name} has all`, async () => {
        expect(await v2Files(one)).toEqual(all)
        return true
      })
    }
    expect(await ctl(member, '2', 'cluster-health')).toContain('cluster is healthy')
  })

  test('a backup of a stopped member of ours has everything', async () => {
    const first = await begun('ours')
    const wanted = await v2Files(first)
    await first.stop()
    expect(await v2Files(await restored(first))).toEqual(wanted)
  })

  /** A Debian member with both kinds of keys and a lease, stopped; and what it held. */
  async function debian(options = { cutsLog: true }): Promise<{
    first: MemberProcess
    held: Readonly<Record<string, string>>
  }> {
    const first = await begun('etcd', options.cutsLog)
    for (let at = 0; at < KEYS; at += 1)
      await ctl(first, '3', 'put', `v3/${at}`, 'x'.repeat(at * 100))
    await ctl(first, '3', 'del', 'v3/7')
    const lease = /lease (\S+)/.exec(await ctl(first, '3', 'lease', 'grant', '600'))?.[1] ?? ''
    await ctl(first, '3', 'put', 'v3/leased', 'y', '--lease', lease)
    const held = {
      hash: (await ctl(first, '3', 'endpoint', 'hashkv')).replace(/^.*, /, ''),
      keys: await ctl(first, '3', 'get', '--prefix', ''),
      leases: await ctl(first, '3', 'lease', 'list'),
      v2: JSON.stringify(Object.entries(await v2Files(first)).sort()),
    }
    await first.stop()
    return { first, held }
  }

  test('the data directory of a Debian member is taken over with both kinds of keys', async () => {
    const { first, held } = await debian()
    const { clientUrl, peerUrl } = first.options
    const own = join(folder, 'first')
    const flags = ['--enable-v2', '--snapshot-count', SNAPSHOT_COUNT]
    const member = new MemberProcess({
      ...{ kind: 'ours', name: 'first', folder: own, clientUrl, peerUrl, flags },
    })
    members.push(member)
    for (const round of ['at first', 'and from its own store']) {
      member.start()
      await serving(member)
      expect([round, (await ctl(member, '3', 'endpoint', 'hashkv')).replace(/^.*, /, '')]).toEqual([
        round,
        held.hash,
      ])
      expect(await ctl(member, '3', 'get', '--prefix', '')).toBe(held.keys)
      expect(await ctl(member, '3', 'lease', 'list')).toBe(held.leases)
      expect(JSON.stringify(Object.entries(await v2Files(member)).sort())).toBe(held.v2)
      await member.stop()
    }
    expect(member.log()).toContain('"msg":"took over the database of etcd"')
  })

  test('a backup with v3 keys, in whose log entries are missing, keeps both kinds', async () => {
    const { first, held } = await debian({ cutsLog: false })
    const member = await restored(first, '--with-v3')
    expect(await ctl(member, '3', 'get', '--prefix', '')).toBe(held.keys)
    expect(await ctl(member, '3', 'endpoint', 'hashkv')).toContain(held.hash)
    expect(JSON.stringify(Object.entries(await v2Files(member)).sort())).toBe(held.v2)
    await ctl(member, '3', 'put', 'v3/after', 'y')
    await member.restart()
    await serving(member)
    expect(await ctl(member, '3', 'get', 'v3/after', '--print-value-only')).toBe('y')
  })

  test('a data directory whose store is gone is refused, not emptied', async () => {
    const { first } = await debian()
    rmSync(join(first.dataDir, 'member', 'snap', 'db'))
    const { clientUrl, peerUrl } = first.options
    const own = join(folder, 'first')
    const flags = ['--enable-v2', '--snapshot-count', SNAPSHOT_COUNT]
    const member = new MemberProcess({
      ...{ kind: 'ours', name: 'first', folder: own, clientUrl, peerUrl, flags },
    })
    members.push(member)
    member.start()
    expect(await member.ended()).toMatchObject({ code: 1 })
    expect(member.log()).toMatch(
      /database file \(leveldb index 0\) does not match with snapshot \(index \d+\)/,
    )
    const asked = await etcdctl({ endpoints: [clientUrl], args: ['endpoint', 'health'] })
    expect(asked.code).not.toBe(0)
  })
})
