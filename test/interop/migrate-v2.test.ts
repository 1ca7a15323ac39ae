// Goal: `etcd migrate-v2` copies a v2 tree into v3 keys and says so truthfully. Method: the real command between clusters of
// ours and of Debian's etcd: what it leaves is compared with the tree, times to live are read from the target, a run is
// killed in the middle and gone on with while the source changed, a dry run must change nothing, and a run that follows
// must bring over every kind of change.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { OURS } from './support/member-process.js'
import { describeWith } from './support/requirements.js'
import { pause, until } from './support/until.js'

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const alive = new Set<ChildProcess>()

/** Starts the command; `ended` resolves with what it said. */
function migrate(...words: readonly string[]): { child: ChildProcess; ended: Promise<Run> } {
  const [program, ...rest] = OURS
  const child = spawn(program, [...rest, 'migrate-v2', ...words])
  alive.add(child)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<Run>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      alive.delete(child)
      resolve({ code, stdout, stderr })
    })
  })
  return { child, ended }
}

/** More than some transactions. */
const KEYS = 3000
const WRITES_AT_ONCE = 50

describeWith(['daemon', 'etcd', 'etcdctl'], 'migrate-v2', () => {
  let ours: Cluster
  let debian: Cluster
  logsOnFailure(() => ours)
  beforeAll(async () => {
    const flags = ['--enable-v2']
    ours = await Cluster.start({ name: 'migrate', kinds: ['ours', 'ours', 'ours'], flags })
    debian = await Cluster.start({ name: 'migrate-etcd', kinds: ['etcd'], flags })
  })
  afterEach(() => {
    for (const child of alive) child.kill('SIGKILL')
  })
  afterAll(async () => {
    await ours?.destroy()
    await debian?.destroy()
  })

  const v2 = async (
    cluster: Cluster,
    method: string,
    key: string,
    form: Readonly<Record<string, string>> = {},
  ): Promise<void> => {
    const query = method === 'DELETE' ? `?${new URLSearchParams(form)}` : ''
    const body = method === 'DELETE' ? {} : { body: new URLSearchParams(form) }
    const url = `${cluster.endpoints[0]}/v2/keys${encodeURI(key)}${query}`
    const response = await fetch(url, { method, ...body })
    if (!response.ok) throw new Error(`${method} ${key}: ${await response.text()}`)
  }
  const fill = async (cluster: Cluster, prefix: string, count: number): Promise<void> => {
    for (let at = 0; at < count; at += WRITES_AT_ONCE) {
      const some = Array.from({ length: WRITES_AT_ONCE }, (_, of) => at + of)
      await Promise.all(
        some.map((n) => v2(cluster, 'PUT', `${prefix}/d${n % 7}/${n}`, { value: `v${n}` })),
      )
    }
  }
  /** All v3 keys with this prefix. */
  const v3 = async (
    cluster: Cluster,
    prefix: string,
  ): Promise<Readonly<Record<string, string>>> => {
    const text = await cluster.ctl(['get', '--prefix', prefix, '-w', 'json'])
    const { kvs = [] } = JSON.parse(text) as { kvs?: { key: string; value?: string }[] }
    const decoded = (base64: string): string => Buffer.from(base64, 'base64').toString()
    return Object.fromEntries(kvs.map(({ key, value = '' }) => [decoded(key), decoded(value)]))
  }
  const from = (cluster: Cluster): string[] => ['--from', cluster.endpoints.join(',')]
  const to = (cluster: Cluster): string[] => ['--to', cluster.endpoints.join(',')]

  const directions = [
    ['ours', 'ours'],
    ['etcd', 'ours'],
    ['ours', 'etcd'],
    ['etcd', 'etcd'],
  ] as const
  test.each(directions)('from %s to %s: values, nesting, stripped prefix', async (source, goal) => {
    const [a, b] = [source === 'ours' ? ours : debian, goal === 'ours' ? ours : debian]
    const prefix = `/of-${source}-${goal}`
    const text = 'Grüße & <x>\n"\u2028'
    await v2(a, 'PUT', `${prefix}/one`, { value: text })
    await v2(a, 'PUT', `${prefix}/deep/er/two words`, { value: '' })
    await v2(a, 'PUT', `${prefix}/empty`, { dir: 'true' })
    await v2(a, 'PUT', `/beside-${source}-${goal}`, { value: 'not copied' })
    const whole = await migrate(...from(a), ...to(b), '--prefix', prefix).ended
    expect(whole).toMatchObject({ code: 0 })
    expect(whole.stdout).toContain('copied 2 keys and deleted 0')
    expect(whole.stdout).toContain('1 empty directories that were left out')
    expect(await v3(b, prefix)).toEqual({
      [`${prefix}/one`]: text,
      [`${prefix}/deep/er/two words`]: '',
    })
    const again = await migrate(...from(a), ...to(b), '--prefix', prefix).ended
    expect(again).toMatchObject({ code: 1 })
    expect(again.stderr).toContain(`the target has 2 keys below ${prefix}/ already`)
    const stripped = ['--strip', '--overwrite', '--prefix', `${prefix}/deep`]
    expect(await migrate(...from(a), ...to(b), ...stripped).ended).toMatchObject({ code: 0 })
    expect(await v3(b, '/er/')).toEqual({ '/er/two words': '' })
    await b.ctl(['del', '--prefix', '/er/'])
  })

  test('times to live become leases, which keys that end together share', async () => {
    await v2(debian, 'PUT', '/ttl/a', { value: '1', ttl: '300' })
    await v2(debian, 'PUT', '/ttl/dir', { dir: 'true', ttl: '500' })
    await v2(debian, 'PUT', '/ttl/dir/c', { value: '3' })
    await v2(debian, 'PUT', '/ttl/dir/d', { value: '2' })
    await v2(debian, 'PUT', '/ttl/stays', { value: '4' })
    const run = await migrate(...from(debian), ...to(ours), '--prefix', '/ttl').ended
    expect(run).toMatchObject({ code: 0 })
    const leaseOf = async (key: string): Promise<string> => {
      const text = await ours.ctl(['get', key, '-w', 'fields'])
      const id = /^"Lease" : (\d+)/m.exec(text)?.[1] ?? ''
      return BigInt(id).toString(16)
    }
    const v2Left = async (key: string): Promise<number> => {
      const response = await fetch(`${debian.endpoints[0]}/v2/keys${key}`)
      return ((await response.json()) as { node: { ttl: number } }).node.ttl
    }
    // Asked before and after: the time between the questions may be any. The lease is longer by
    // the time for which the tree was on its way.
    const expectLeased = async (key: string, endsWith: string): Promise<void> => {
      const lease = await leaseOf(key)
      const before = await v2Left(endsWith)
      const said = await ours.ctl(['lease', 'timetolive', lease])
      const leased = Number(/remaining\((\d+)s\)/.exec(said)?.[1])
      expect(leased).toBeLessThanOrEqual(before + 5)
      expect(leased).toBeGreaterThanOrEqual((await v2Left(endsWith)) - 2)
    }
    expect(await leaseOf('/ttl/dir/c')).toBe(await leaseOf('/ttl/dir/d'))
    expect(await leaseOf('/ttl/a')).not.toBe(await leaseOf('/ttl/dir/c'))
    expect(await leaseOf('/ttl/stays')).toBe('0')
    await expectLeased('/ttl/a', '/ttl/a')
    await expectLeased('/ttl/dir/c', '/ttl/dir')
  })

  test('a dry run says what it would do and changes nothing', async () => {
    await v2(ours, 'PUT', '/dry/a', { value: 'abc', ttl: '100' })
    await v2(ours, 'PUT', '/dry/b', { dir: 'true' })
    // By a read through the leader: a member's own status may be behind.
    const revision = async (): Promise<string> =>
      /"Revision" : (\d+)/.exec(await ours.ctl(['get', 'x', '-w', 'fields']))?.[1] ?? ''
    const before = await revision()
    // In the leader's list the first to end comes first, in a follower's the smallest id: sorted here.
    const leases = async (): Promise<readonly string[]> =>
      (await ours.ctl(['lease', 'list'])).split('\n').sort()
    const leasesBefore = await leases()
    const state = join(ours.folder, 'dry-state')
    const words = ['--prefix', '/dry', '--dry-run', '--state', state]
    const { code, stdout } = await migrate(...from(ours), ...to(ours), ...words).ended
    expect(code).toBe(0)
    expect(stdout).toMatch(/^put \/dry\/a \(3 bytes, (?:99|100|9\d) s to live\)$/m)
    expect(stdout).toContain('skip /dry/b (empty directory)')
    expect(stdout).toContain('dry run: 1 keys, 9 bytes, 1 leases')
    expect(await revision()).toBe(before)
    expect(await leases()).toEqual(leasesBefore)
    expect(existsSync(state)).toBe(false)
  })

  test('killed in the middle, it goes on with what changed meanwhile', async () => {
    await fill(debian, '/big', KEYS)
    const state = join(ours.folder, 'state')
    const words = [...from(debian), ...to(ours), '--prefix', '/big', '--state', state]
    const confirmed = (): number => {
      const text = existsSync(state) ? readFileSync(state, 'utf8') : ''
      return text.split('\n').filter((line) => line.startsWith('{"done"')).length
    }
    // A run that had all before it was killed is followed by one from the beginning.
    const copied = await until(
      'a run is killed in the middle',
      async () => {
        rmSync(state, { force: true })
        await ours.ctl(['del', '--prefix', '/big'])
        const first = migrate(...words)
        while (confirmed() < 2 && first.child.exitCode === null) await pause(1)
        first.child.kill('SIGKILL')
        await first.ended
        const found = await v3(ours, '/big')
        return Object.keys(found).length < KEYS && found
      },
      60_000,
    )
    expect(Object.keys(copied).length).toBeGreaterThan(0)

    const [changed = '', deleted = '', foreign = ''] = Object.keys(copied)
    await v2(debian, 'PUT', changed, { value: 'changed' })
    await v2(debian, 'DELETE', deleted)
    await v2(debian, 'DELETE', foreign)
    await ours.ctl(['put', foreign, 'by somebody else'])
    await v2(debian, 'PUT', '/big/late', { value: 'new' })
    const second = await migrate(...words).ended
    expect(second).toMatchObject({ code: 0, stderr: expect.stringMatching(/ 100 %\n$/) })
    const written = Number(/copied (\d+) keys and deleted 2/.exec(second.stdout)?.[1])
    expect(written).toBeLessThan(KEYS)

    const wanted: Record<string, string> = {}
    for (let n = 0; n < KEYS; n += 1) wanted[`/big/d${n % 7}/${n}`] = `v${n}`
    delete wanted[deleted]
    wanted[changed] = 'changed'
    // The target's own change of a key that the source has no more is nobody's to undo.
    wanted[foreign] = 'by somebody else'
    wanted['/big/late'] = 'new'
    expect(await v3(ours, '/big')).toEqual(wanted)
    const third = await migrate(...words).ended
    expect(third.stdout).toContain('copied 0 keys and deleted 0')
    const other = await migrate(...from(ours), ...to(ours), '--state', state).ended
    expect(other).toMatchObject({ code: 1 })
    expect(other.stderr).toContain('is the state of another migration')
  })

  test('following brings every kind of change over, and a refreshed key stays', async () => {
    await v2(debian, 'PUT', '/live/a', { value: '1' })
    await v2(debian, 'PUT', '/live/b', { value: '1' })
    await v2(debian, 'PUT', '/live/presence', { value: 'here', ttl: '60' })
    const run = migrate(...from(debian), ...to(ours), '--prefix', '/live', '--follow')
    const become = (wanted: Readonly<Record<string, string>>): Promise<boolean> =>
      until(`the target is ${JSON.stringify(wanted)}`, async () => {
        expect(await v3(ours, '/live')).toEqual(wanted)
        return true
      })
    await become({ '/live/a': '1', '/live/b': '1', '/live/presence': 'here' })
    // So short only now: the start of the run may have taken its time.
    await v2(debian, 'PUT', '/live/presence', { value: 'here', ttl: '8' })
    for (let beat = 0; beat < 6; beat += 1) {
      await pause(2000)
      await v2(debian, 'PUT', '/live/presence', { ttl: '8', refresh: 'true', prevExist: 'true' })
    }
    await v2(debian, 'PUT', '/live/a', { value: '2', prevValue: '1' })
    await v2(debian, 'DELETE', '/live/b')
    await v2(debian, 'PUT', '/live/c/d', { value: '3' })
    await become({ '/live/a': '2', '/live/presence': 'here', '/live/c/d': '3' })
    await v2(debian, 'DELETE', '/live/c', { recursive: 'true' })
    await become({ '/live/a': '2' })
    // The leader of the target dies, and the changes find another way.
    const leader = await ours.leader()
    await leader.kill()
    await v2(debian, 'PUT', '/live/e', { value: '4' })
    await become({ '/live/a': '2', '/live/e': '4' })
    leader.start()
    await ours.healthy()
    run.child.kill('SIGINT')
    expect(await run.ended).toMatchObject({ code: 0 })
  })

  test('a user of the target logs in, and again when the token has ended', async () => {
    const flags = ['--auth-token-ttl', '1']
    const guarded = await Cluster.start({ name: 'migrate-users', kinds: ['etcd'], flags })
    try {
      await guarded.ctl(['user', 'add', 'root:pass'])
      await guarded.ctl(['user', 'grant-role', 'root', 'root'])
      await guarded.ctl(['auth', 'enable'])
      await v2(debian, 'PUT', '/users/a', { value: '1' })
      const words = [...from(debian), ...to(guarded), '--prefix', '/users', '--follow']
      const stranger = await migrate(...words, '--to-user', 'root:wrong').ended
      expect(stranger).toMatchObject({ code: 1 })
      expect(stranger.stderr).toContain('authentication failed, invalid user ID or password')
      const run = migrate(...words, '--to-user', 'root:pass')
      const valueOfKey = (key: string): Promise<string> =>
        guarded.ctl(['--user', 'root:pass', 'get', key, '--print-value-only'])
      await until('the first key', async () => (await valueOfKey('/users/a')) === '1')
      await pause(4000)
      await v2(debian, 'PUT', '/users/b', { value: '2' })
      await until('the next key', async () => (await valueOfKey('/users/b')) === '2')
      run.child.kill('SIGINT')
      expect(await run.ended).toMatchObject({ code: 0 })
    } finally {
      await guarded.destroy()
    }
  })

  test('refusals: no such tree, a key that is to be stripped, nobody there', async () => {
    await v2(ours, 'PUT', '/file', { value: 'x' })
    const missing = await migrate(...from(ours), ...to(ours), '--prefix', '/nope').ended
    expect(missing).toMatchObject({ code: 1, stderr: 'migrate-v2: the source has no /nope\n' })
    const words = ['--prefix', '/file', '--strip']
    const file = await migrate(...from(ours), ...to(ours), ...words).ended
    expect(file).toMatchObject({ code: 1 })
    expect(file.stderr).toContain('--strip needs a directory, and /file is a key')
    expect(await migrate('--help').ended).toMatchObject({ code: 0 })
    expect(await migrate('--from', 'a:1').ended).toMatchObject({ code: 2 })
  })
})
