// Goal: the v2 client of Python finds an etcd. Method: support/v2_clients.py, a session of python3-etcd, on a cluster of
// three through a follower: keys, compare and swap, directories, presence keys that are
// refreshed, watches, locks; at its end the member it speaks to is killed. INTEROP_OURS=/usr/bin/etcd checks the session.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { type MemberProcess, ROOT } from './support/member-process.js'
import { describeWith } from './support/requirements.js'

const SESSION_MAX_MS = 120_000

/** More writes than the history of events keeps. */
const FLOOD_WRITES = 1100
const WRITES_AT_ONCE = 20

async function flood(clientUrl: string): Promise<void> {
  for (let at = 0; at < FLOOD_WRITES; at += WRITES_AT_ONCE) {
    const write = async (): Promise<number> =>
      (await fetch(`${clientUrl}/v2/keys/flood?value=x`, { method: 'PUT' })).status
    await Promise.all(Array.from({ length: WRITES_AT_ONCE }, write))
  }
}

/** Runs the session on `first`, doing what it asks for; all that was printed. */
function session(first: MemberProcess, others: readonly MemberProcess[]): Promise<string> {
  const script = join(ROOT, 'test/interop/support/v2_clients.py')
  const hosts = [first, ...others].map(({ clientUrl }) => new URL(clientUrl).host)
  const child = spawn('/usr/bin/python3', [script, ...hosts], { timeout: SESSION_MAX_MS })
  const wishes: Readonly<Record<string, () => Promise<void>>> = {
    flood: () => flood(first.clientUrl),
    kill: () => first.kill(),
  }
  let printed = ''
  let complaints = ''
  createInterface({ input: child.stdout }).on('line', (line) => {
    printed += `${line}\n`
    const wish = wishes[line]
    if (wish !== undefined) void wish().finally(() => child.stdin.write('done\n'))
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  child.stdin.on('error', () => undefined)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve(`${printed}${complaints}`))
  })
}

describeWith(['daemon', 'etcdctl', 'python3-etcd'], 'python3-etcd', () => {
  let cluster: Cluster
  logsOnFailure(() => cluster)
  beforeAll(async () => {
    const kinds = ['ours', 'ours', 'ours'] as const
    cluster = await Cluster.start({ name: 'python-v2', kinds, flags: ['--enable-v2'] })
  })
  afterAll(() => cluster?.destroy())

  test('a realistic session through a follower, which is killed in the end', async () => {
    const leader = await cluster.leader()
    const [first = leader, ...others] = cluster.members.filter((member) => member !== leader)
    const printed = await session(first, [...others, leader])
    expect(printed).not.toContain('FAILED')
    expect(printed).toMatch(/^(?:(?:ok .*|flood|kill)\n)+done\n/)
  })
})
