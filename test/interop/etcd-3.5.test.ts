// Goal: what etcd 3.5 leaves behind is taken over, and its tools cannot tell us from it. Method: a real etcd 3.5 (built by
// tools/etcd-3.5.sh) writes a data directory with snapshots, leases, deletions and a compaction, and a backup that its
// etcdutl restores; ours starts on both. Then its etcdctl runs the same commands on either.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { temporaryFolder } from './support/cluster.js'
import { mustEtcdctl } from './support/etcdctl.js'
import { ETCDCTL_35, ETCDUTL_35, type MemberKind, MemberProcess } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

const KEYS = 60

describeWith(['daemon', 'etcd-3.5', 'etcdctl-3.5', 'etcdutl-3.5'], 'etcd 3.5', () => {
  const folder = temporaryFolder('etcd-3.5')
  const members: MemberProcess[] = []
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail')
      for (const member of members) console.error(`--- ${member.name}\n${member.log(3000)}`)
    await Promise.all(members.splice(0).map((member) => member.kill()))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))

  interface Place {
    readonly clientUrl: string
    readonly peerUrl: string
  }
  const place = async (): Promise<Place> => ({
    clientUrl: `http://127.0.0.1:${await freePort()}`,
    peerUrl: `http://127.0.0.1:${await freePort()}`,
  })
  /** A member in the folder of this name: one on the data of another is started in the same one. */
  async function start(kind: MemberKind, own: string, at: Place): Promise<MemberProcess> {
    const flags = ['--initial-cluster', `n=${at.peerUrl}`, '--snapshot-count', '20']
    const member = new MemberProcess({ kind, name: 'n', folder: join(folder, own), ...at, flags })
    members.push(member)
    member.start()
    await until(`${kind} serves`, async () => (await fetch(`${at.clientUrl}/health`)).ok)
    return member
  }
  const ctl = (member: MemberProcess, ...args: readonly string[]): Promise<string> =>
    mustEtcdctl({ program: ETCDCTL_35, endpoints: [member.clientUrl], args })

  /** Keys with and without leases, deletions and a compaction; the lease's id. */
  async function fill(member: MemberProcess): Promise<string> {
    for (let at = 0; at < KEYS; at += 1) await ctl(member, 'put', `k${at}`, `value ${at}`)
    const granted = await ctl(member, 'lease', 'grant', '1000')
    const lease = /lease (\w+) granted/.exec(granted)?.[1] ?? ''
    await ctl(member, 'put', 'leased', 'x', '--lease', lease)
    await ctl(member, 'compact', '20')
    await ctl(member, 'del', 'k5')
    await ctl(member, 'put', 'k6', 'again')
    return lease
  }
  const hashOf = async (member: MemberProcess): Promise<string> =>
    (await ctl(member, 'endpoint', 'hashkv')).split(', ')[1] ?? ''

  async function expectAll(member: MemberProcess, lease: string): Promise<void> {
    expect(await ctl(member, 'get', 'k5')).toBe('')
    expect(await ctl(member, 'get', 'k6')).toBe('k6\nagain')
    expect(await ctl(member, 'get', 'k', '--prefix', '--count-only', '-w', 'fields')).toContain(
      `"Count" : ${KEYS - 1}`,
    )
    expect(await ctl(member, 'get', 'k6', '--rev', '30')).toBe('k6\nvalue 6')
    const life = await ctl(member, 'lease', 'timetolive', lease, '--keys')
    expect(life).toContain('attached keys([leased])')
  }

  test('a data directory is taken over, and goes on', async () => {
    const at = await place()
    const theirs = await start('etcd-3.5', 'taken', at)
    const lease = await fill(theirs)
    const hash = await hashOf(theirs)
    await theirs.stop()
    const ours = await start('ours', 'taken', at)
    await expectAll(ours, lease)
    expect(await hashOf(ours)).toBe(hash)
    await ctl(ours, 'put', 'after', 'the change')
    await ours.restart()
    await until('it serves again', async () => (await fetch(`${at.clientUrl}/health`)).ok)
    expect(await ctl(ours, 'get', 'after')).toBe('after\nthe change')
    await expectAll(ours, lease)
  })

  test('a backup that etcdutl has restored is started with', async () => {
    const theirs = await start('etcd-3.5', 'saved', await place())
    const lease = await fill(theirs)
    const file = join(folder, 'backup.db')
    await ctl(theirs, 'snapshot', 'save', file)
    await theirs.kill()
    const at = await place()
    const into = ['--data-dir', join(folder, 'restored', 'data'), '--name', 'n']
    const urls = ['--initial-cluster', `n=${at.peerUrl}`]
    const restored = spawnSync(
      ETCDUTL_35,
      ['snapshot', 'restore', file, ...into, ...urls, '--initial-advertise-peer-urls', at.peerUrl],
      { encoding: 'utf8' },
    )
    expect(restored.status, restored.stderr).toBe(0)
    const ours = await start('ours', 'restored', at)
    await expectAll(ours, lease)
    await ctl(ours, 'put', 'after', 'the backup')
    expect(await ctl(ours, 'get', 'after')).toBe('after\nthe backup')
  })
})
