// Goal: the Procfile starts a cluster of three as it is. Method: through foreman of npm and of Ruby, on free ports, until
// Debian's etcdctl is content; then both are interrupted and must leave nothing behind.
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from './support/cluster.js'
import { mustEtcdctl } from './support/etcdctl.js'
import { endingOf, ROOT, spawnLogged } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

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
  /* What npx runs for this package. */
  ['npx foreman', join(ROOT, 'node_modules/.bin/nf'), []],
  ['ruby-foreman', '/usr/bin/foreman', ['ruby-foreman']],
] as const) {
  describeWith(['daemon', 'etcdctl', ...needs], `the Procfile through ${name}`, () => {
    test('three members start, serve one cluster, and end with it', async () => {
      const folder = temporaryFolder('procfile')
      const endpoints = await procfile(folder)
      const log = join(folder, 'log')
      const foreman = spawnLogged([command, 'start', '-f', 'Procfile'], {
        log,
        cwd: folder,
        isGroup: true,
      })
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
        const [first = '', second = ''] = endpoints
        const list = await mustEtcdctl({ endpoints: [first], args: ['member', 'list'] })
        expect(list.match(/infra[123]/g)?.sort()).toEqual(['infra1', 'infra2', 'infra3'])
        await mustEtcdctl({ endpoints: [first], args: ['put', 'foo', 'bar'] })
        const read = ['get', 'foo', '--print-value-only']
        expect(await mustEtcdctl({ endpoints: [second], args: read })).toBe('bar')
        children = descendants(foreman.pid ?? 0)
        expect(children.length).toBeGreaterThanOrEqual(3)
        /* As Ctrl-C does: to foreman, the shells between, and the members. */
        process.kill(-(foreman.pid ?? 0), 'SIGINT')
        await endingOf(foreman)
        await until('no member left', () => !children.some(isAlive))
      } catch (error) {
        children = [...children, ...descendants(foreman.pid ?? 0)]
        throw new Error(`${String(error)}\n${readFileSync(log, 'utf8').slice(-4000)}`)
      } finally {
        for (const pid of [foreman.pid ?? 0, ...children].filter(isAlive)) {
          process.kill(pid, 'SIGKILL')
        }
        rmSync(folder, { recursive: true, force: true })
      }
    })
  })
}
