/**
 * Goal: whoever still runs etcd 2.3 can put ours in its place. Method: real members of 2.3.8 get keys, ends, history,
 * users and changes of membership, and are stopped; members of ours start on their data directories, and what clients
 * see is compared with what 2.3 showed, or with what Debian's 3.4 shows on a copy where it starts on one. Then backups by
 * the etcdctl of 2.3, and what becomes of a member of ours among running ones of 2.3, and when they follow one by one.
 */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { temporaryFolder } from './support/cluster.js'
import { mustEtcdctl, V2_PATIENCE } from './support/etcdctl.js'
import { ETCDCTL_23, type MemberKind, MemberProcess } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'
import {
  askV2,
  enableV2Auth,
  fillV2,
  ofClusterVersion,
  setV2,
  treeOf,
  usersOf,
  v2Index,
} from './support/v2-content.js'

const SNAPSHOTS = ['--snapshot-count', '30']
/** Writes to a member of ours after the change: more than a snapshot's worth. */
const LATER = 70

/** Writes between two changes: enough for a snapshot, so that who was away is behind the log. */
const MOVED = 40

interface V2Event {
  readonly node: Readonly<{ createdIndex: number; nodes: readonly unknown[] }>
}

describeWith(['daemon', 'etcd', 'etcdctl', 'etcd-2.3', 'etcdctl-2.3'], 'data of etcd 2.3', () => {
  const members: MemberProcess[] = []
  let folder = ''
  beforeEach(() => {
    folder = temporaryFolder('etcd-2.3')
  })
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') {
      for (const member of members) console.error(`--- ${member.name}\n${member.log(2500)}`)
    }
    await Promise.all(members.splice(0).map((member) => member.kill()))
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  async function plan(kind: MemberKind, name: string): Promise<MemberProcess> {
    const url = async (): Promise<string> => `http://127.0.0.1:${await freePort()}`
    const [clientUrl, peerUrl] = [await url(), await url()]
    const own = join(folder, name)
    const member = new MemberProcess({ kind, name, folder: own, clientUrl, peerUrl, flags: [] })
    members.push(member)
    return member
  }

  /** The same member run by another program, on its own data directory or on a copy of it. */
  function heirOf(member: MemberProcess, kind: MemberKind, onCopy = false): MemberProcess {
    const copy = join(folder, `${member.name}-${kind}`)
    if (onCopy) cpSync(member.dataDir, join(copy, 'data'), { recursive: true })
    const flags = kind === 'etcd' ? ['--enable-v2'] : []
    const place = onCopy ? { folder: copy } : {}
    const heir = new MemberProcess({ ...member.options, ...place, kind, flags })
    members.push(heir)
    return heir
  }

  const initialOf = (...of: readonly MemberProcess[]): readonly string[] => [
    '--initial-cluster',
    of.map(({ name, options }) => `${name}=${options.peerUrl}`).join(','),
  ]
  const serving = (member: MemberProcess): Promise<boolean> =>
    until(`${member.name} serves`, async () => (await fetch(`${member.clientUrl}/health`)).ok)
  const ctl = (member: MemberProcess, ...args: string[]): Promise<string> =>
    mustEtcdctl({
      ...{ program: ETCDCTL_23, api: '2', endpoints: [member.clientUrl] },
      args: [...V2_PATIENCE, ...args],
    })

  /** A new cluster of 2.3, who leads first: when another one goes, the rest go on at once. */
  async function begun(names: readonly string[], ...flags: string[]): Promise<MemberProcess[]> {
    const started: MemberProcess[] = []
    for (const name of names) started.push(await plan('etcd-2.3', name))
    for (const member of started) member.start([...initialOf(...started), ...flags])
    for (const member of started) await serving(member)
    for (const member of started) {
      await ofClusterVersion(member, '2.3.0')
      // It looks only twice a second whether the version allows this.
      const hasUsers = async () => (await askV2(member, '/v2/auth/enable')).status === 200
      await until(`${member.name} has users`, hasUsers)
    }
    const [any] = started
    const list = any === undefined ? '' : await ctl(any, 'member', 'list')
    const leads = /name=(\S+) .*isLeader=true/.exec(list)?.[1]
    return started.sort((a, b) => Number(b.name === leads) - Number(a.name === leads))
  }

  async function alone(...flags: string[]): Promise<MemberProcess> {
    const [member] = await begun(['first'], ...flags)
    if (member === undefined) throw new Error('one began')
    return member
  }

  test('a member with snapshots goes on where it stopped, whatever ended meanwhile', async () => {
    const old = await alone(...SNAPSHOTS)
    const index = await fillV2(old)
    await enableV2Auth(old)
    const [tree, users] = [await treeOf(old, index), await usersOf(old)]
    const membersOf = async (of: MemberProcess) => (await askV2(of, '/v2/members')).body
    const listed = await membersOf(old)
    await setV2(old, 'open/ends-meanwhile', { value: 'x', ttl: '1' })
    await old.kill()
    const ours = heirOf(old, 'ours')
    ours.start(SNAPSHOTS)
    await serving(ours)
    await ofClusterVersion(ours, '3.5.0')
    const past = async (since: number): Promise<V2Event> => {
      const path = `/v2/keys/open/ends-meanwhile?wait=true&waitIndex=${since}`
      return JSON.parse((await askV2(ours, path)).body) as V2Event
    }
    const { node } = await past(index)
    expect(await past(node.createdIndex + 1)).toMatchObject({
      action: 'expire',
      prevNode: { key: '/open/ends-meanwhile', value: 'x', createdIndex: node.createdIndex },
    })
    expect(await treeOf(ours, index)).toEqual(tree)
    expect(await membersOf(ours)).toBe(listed)
    for (let at = 0; at < LATER; at += 1) await setV2(ours, `open/later/k${at}`, { value: 'x' })
    await ours.kill()
    ours.start()
    await serving(ours)
    const { body } = await askV2(ours, '/v2/keys/open/later')
    expect((JSON.parse(body) as V2Event).node.nodes).toHaveLength(LATER)
    expect(await usersOf(ours)).toEqual(users)
  })

  /* Etcd 3.4 starts on a snapshot only with a database as new beside it, which the v3 demo of 2.3 makes at a v3 write. */
  test.each([
    ['without snapshots', async () => []],
    [
      'with the v3 demo and snapshots',
      async () => [
        ...['--experimental-v3demo', ...SNAPSHOTS],
        ...['--experimental-gRPC-addr', `127.0.0.1:${await freePort()}`],
      ],
    ],
  ])('a member %s becomes what it becomes with etcd 3.4', async (_, flags) => {
    const more = await flags()
    const old = await alone(...more)
    const index = await fillV2(old)
    await enableV2Auth(old)
    const address = more.at(-1)
    const v3 = (endpoint: string, ...args: string[]): Promise<string> =>
      mustEtcdctl({ endpoints: [endpoint], args })
    if (address !== undefined) await v3(address, 'put', 'v3', 'key')
    await old.stop()
    const seen: unknown[] = []
    for (const kind of ['etcd', 'ours'] as const) {
      const heir = heirOf(old, kind, true)
      heir.start()
      await serving(heir)
      await ofClusterVersion(heir, kind === 'ours' ? '3.5.0' : '3.4.0')
      seen.push({
        index: await v2Index(heir),
        tree: await treeOf(heir, index),
        users: await usersOf(heir),
        members: (await askV2(heir, '/v2/members')).body,
        v3: await v3(heir.clientUrl, 'get', '--prefix', ''),
      })
      await heir.kill()
    }
    expect(seen[1]).toEqual(seen[0])
  })

  test('a cluster with a removed, an added and a lagging member, and a backup of it', async () => {
    const [first, removed, lagging] = await begun(['one', 'two', 'three'], ...SNAPSHOTS)
    if (first === undefined || removed === undefined || lagging === undefined)
      throw new Error('three')
    const line = (await ctl(first, 'member', 'list'))
      .split('\n')
      .find((listed) => listed.includes(`name=${removed.name} `))
    const id = line?.split(':')[0] ?? ''
    await ctl(first, 'member', 'remove', id)
    await removed.ended()
    const added = await plan('etcd-2.3', 'added')
    await ctl(first, 'member', 'add', 'added', added.options.peerUrl)
    const initial = initialOf(first, lagging, added)
    added.start([...initial, '--initial-cluster-state', 'existing', ...SNAPSHOTS])
    await serving(added)
    await lagging.stop()
    const index = await fillV2(first)
    await enableV2Auth(first)
    const [tree, users] = [await treeOf(first, index), await usersOf(first)]
    const restored = await plan('ours', 'restored')
    await ctl(first, 'backup', '--data-dir', first.dataDir, '--backup-dir', restored.dataDir)
    await Promise.all([first.stop(), added.stop()])

    const heirs = [first, lagging, added].map((member) => heirOf(member, 'ours'))
    for (const heir of heirs) heir.start()
    for (const heir of heirs) await serving(heir)
    for (const heir of heirs) {
      await ofClusterVersion(heir, '3.5.0')
      expect(await treeOf(heir, index)).toEqual(tree)
    }
    expect(await usersOf(lagging)).toEqual(users)
    expect(heirs[1]?.log()).toContain('"applied snapshot"')
    const gone = heirOf(removed, 'ours')
    gone.start()
    await gone.ended()
    expect(gone.log()).toContain('the member has been permanently removed from the cluster')

    restored.start(['--force-new-cluster'])
    await serving(restored)
    expect(await treeOf(restored, index)).toEqual(tree)
    expect((await ctl(restored, 'member', 'list')).split('\n')).toHaveLength(1)
  })

  test('running members of 2.3 and ours refuse each other, and the data stays of use to 2.3', async () => {
    const [first, second, third] = await begun(['first', 'second', 'third'])
    if (first === undefined || second === undefined || third === undefined) throw new Error('three')
    await third.stop()
    const ours = heirOf(third, 'ours')
    ours.start()
    const refusal = 'request sent was ignored by remote peer due to server version incompatibility'
    await until('ours is told so', () => ours.log().includes(refusal))
    const check = '"failed version compatibility check"'
    await until('ours refuses, too', () => ours.log().includes(check))
    const theirs = 'local version is too low: remote['
    await until('2.3 says so', () => first.log().includes(theirs) || second.log().includes(theirs))
    // It asks for votes all the while, and gets none.
    await until('it tried', () => ours.log().split('is starting a new election').length > 2)
    await setV2(first, 'meanwhile', { value: 'x' })
    await ours.stop()
    third.start()
    await until(
      '2.3 goes on',
      async () => (await askV2(third, '/v2/keys/meanwhile')).status === 200,
    )
    const joining = await plan('ours', 'joining')
    await ctl(first, 'member', 'add', 'joining', joining.options.peerUrl)
    const initial = initialOf(first, second, third, joining)
    joining.start([...initial, '--initial-cluster-state', 'existing'])
    expect((await joining.ended()).code).toBe(1)
    expect(joining.log()).toContain('"error":"incompatible with current running cluster"')
    expect(joining.log()).toContain('cluster version of remote member is not compatible; too low')
  })

  test('members are changed one by one, and nothing that was acknowledged is lost', async () => {
    // Who leads is the last, and in the end has entries that nobody acknowledged.
    const old = (await begun(['first', 'second', 'third'], ...SNAPSHOTS)).reverse()
    const heirs = old.map((member) => heirOf(member, 'ours'))
    const [first, last] = [heirs[0], old[2]]
    if (first === undefined || last === undefined) throw new Error('three')
    for (const [at, heir] of heirs.entries()) {
      // Until the second of ours, those of 2.3 have the quorum.
      const serving = at < 2 ? last : first
      const write = async (key: string): Promise<boolean> => {
        await setV2(serving, `before${at}/${key}`, { value: 'x' })
        return true
      }
      await until(`writes go on before change ${at}`, () => write('first'), 40_000)
      // An election on a busy machine may refuse a write, which is then not acknowledged.
      for (let n = 0; n < MOVED; n += 1)
        await until(`k${n} is written before change ${at}`, () => write(`k${n}`))
      const lost = at === 2 && expect(setV2(last, 'lost', { value: 'x' })).rejects.toThrow()
      await old[at]?.stop()
      await lost
      heir.start()
    }
    for (const heir of heirs) {
      await ofClusterVersion(heir, '3.5.0')
      for (const at of heirs.keys()) {
        const held = async (): Promise<number> => {
          const { body } = await askV2(heir, `/v2/keys/before${at}`)
          return (JSON.parse(body) as V2Event).node.nodes.length
        }
        await until(`${heir.name} has all`, async () => (await held()) === MOVED + 1)
      }
      expect((await askV2(heir, '/v2/keys/lost')).status).toBe(404)
    }
  })
})
