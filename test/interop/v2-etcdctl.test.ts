/**
 * Goal: whoever uses `ETCDCTL_API=2 etcdctl`, or the etcdctl of etcd 2.3, cannot tell which daemon answers. Method: one
 * session on the etcd of this machine with --enable-v2 and on ours, side by side, with each of these clients; standard
 * output, standard error and exit code of every command are compared, ids and addresses aside.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { etcdctl, V2_PATIENCE } from './support/etcdctl.js'
import { ETCDCTL_23, type MemberProcess } from './support/member-process.js'
import { describeWith, type Requirement } from './support/requirements.js'
import { until } from './support/until.js'

interface Command {
  readonly args: readonly string[]
  readonly stdin?: string
  /** Run once this one waits at the server. */
  readonly during?: readonly (readonly string[])[]
  /** For commands that do not end: ended after so many lines. */
  readonly lines?: number
  /** The client runs a program for each event, all side by side: lines come in any order. */
  readonly isUnordered?: boolean
}

const plain = (...lines: readonly string[]): readonly Command[] =>
  lines.map((line) => ({ args: line.split(' ') }))

const watching = (line: string, ...during: readonly string[]): Command => ({
  args: line.split(' '),
  during: during.map((command) => command.split(' ')),
})
const following = (line: string, lines: number, ...during: readonly string[]): Command => ({
  ...watching(line, ...during),
  lines,
})

const ECHO =
  'echo "$ETCD_WATCH_ACTION $ETCD_WATCH_KEY $ETCD_WATCH_VALUE $ETCD_WATCH_MODIFIED_INDEX"'

const COMMANDS: readonly Command[] = [
  ...plain(
    'ls',
    'ls /',
    'ls /nothing',
    'get /nothing',
    'get',
    'set /a 1',
    'set /a 2',
    'set a 3',
    'get /a',
    'get a',
    'get /a -q',
    '-o extended get /a',
    '-o json get /a',
    '-o bogus get /a',
    '-o json get /nothing',
    '-o extended set /a 4',
    '-o json set /a 5',
    'set /a',
    'set /a 6 --swap-with-value 5',
    'set /a 7 --swap-with-value 5',
    'set /a 7 --swap-with-index 1',
    'set /nothing 7 --swap-with-value 5',
    'set /ttl 1 --ttl 100',
    'update /ttl 2 --ttl 100',
    'update /ttl 2',
    'update /nothing 1',
    'mk /a 1',
    'mk /m 1',
    'mk /m/below 1',
    'mk --in-order /queue x',
    'mk --in-order /queue y --ttl 100',
    'mkdir /d',
    'mkdir /d',
    'mkdir /a',
    'mkdir /d/e/f --ttl 100',
    'setdir /d2',
    'setdir /d2 --ttl 100',
    'updatedir /d2 --ttl 200',
    'updatedir /nothing --ttl 200',
    'set /d/file value',
    'set /d/_hidden value',
    'set /d x',
    'get /d',
    'ls --sort /',
    'ls --sort -p /',
    'ls --sort --recursive /',
    'ls --sort --recursive -p /d',
    'ls /a',
    'ls -q --sort /d',
    '-o json ls --sort /d',
    'rm /nothing',
    'rm /d',
    'rm --dir /d',
    'rm --dir /d2',
    'rm /a --with-value wrong',
    'rm /a --with-index 1',
    'rm /a --with-value 6',
    'rm /m',
    '-o json rm /ttl',
    'rmdir /nothing',
    'rmdir /d',
    'rmdir /d/e/f',
    'rm --recursive /d',
    'rm --recursive /queue',
    'set /big 1 --ttl 99999999',
    'rm /big',
    'member list',
    'member remove abc',
    'member remove xyz',
    'member update abc http://127.0.0.1:1',
    'member add x',
    'member add x nonsense',
    'cluster-health',
    'nonsense',
    'set /lower value --ttl x',
  ),
  { args: ['set', '/stdin'], stdin: 'from standard input' },
  { args: ['set', '/spaces', 'two words <&> ä€😀'] },
  { args: ['get', '/spaces'] },
  { args: ['-o', 'json', 'get', '/spaces'] },
  { args: ['mk', '/empty', ''] },
  watching('watch /w', 'set /w 1'),
  watching('-o json watch /w', 'set /w 2'),
  watching('-o extended watch /w', 'rm /w'),
  watching('watch --recursive /w', 'set /w/x/y 1'),
  following('watch --recursive --forever /w', 6, 'set /w/a 1', 'update /w/a 2', 'rm /w/a'),
  following('watch --forever /w/b', 2, 'set /w/b 1', 'set /w/b 2'),
  ...plain('watch --after-index 4 --recursive /d', 'watch --after-index 5 /a'),
  {
    args: ['exec-watch', '--recursive', '/e', '--', 'sh', '-c', ECHO],
    lines: 3,
    isUnordered: true,
    during: [
      ['set', '/e/a', '1'],
      ['mkdir', '/e/directory'],
      ['update', '/e/a', '2'],
      ['rm', '/e/a'],
    ],
  },
  ...plain('exec-watch', 'exec-watch /a'),
  // The last one: a second member that is not there takes the quorum away.
  ...plain('member add n2 http://127.0.0.1:1', 'member list'),
]

/**
 * A leader that loses its quorum goes on for this time at least, and who lists members asks for the
 * leader, too: a stalled machine must not take longer from one command to the next.
 */
const ELECTION = ['--election-timeout', '5000']

const lineCount = (text: string): number => text.split('\n').length - 1

async function watcherCount(member: MemberProcess): Promise<number> {
  const response = await fetch(`${member.clientUrl}/v2/stats/store`)
  const { watchers } = (await response.json()) as { watchers: number }
  return watchers
}

/** What an etcdctl of its own changes: the program, Debian's where it is missing. */
type Client = Readonly<{ program?: string }>

async function run(member: MemberProcess, command: Command, client: Client): Promise<string> {
  const endpoints = [member.clientUrl]
  const { args, stdin, lines, isUnordered = false, during = [] } = command
  // A watcher that was ended with its client may still be counted for a moment.
  if (during.length > 0) await until('nobody waits', async () => (await watcherCount(member)) === 0)
  const main = etcdctl({
    ...client,
    endpoints,
    args: [...V2_PATIENCE, ...args],
    api: '2',
    ...(stdin === undefined ? {} : { stdin }),
    ...(lines === undefined ? {} : { enough: (text: string) => lineCount(text) >= lines }),
  })
  for (const other of during) {
    await until(`somebody waits: ${args.join(' ')}`, async () => (await watcherCount(member)) > 0)
    await etcdctl({ ...client, endpoints, args: [...V2_PATIENCE, ...other], api: '2' })
  }
  const { stdout, stderr, code } = await main
  const out = isUnordered ? stdout.split('\n').sort().join('\n') : stdout
  const text = `stdout:\n${out}\nstderr:\n${stderr}\nexit code: ${code}`
  const shown = masked(text, member)
  // Members are listed by their ids, which say nothing.
  return args[0] === 'member' ? shown.split(/\n|,/).sort().join('\n') : shown
}

function masked(text: string, member: MemberProcess): string {
  return text
    .replaceAll(member.clientUrl, 'CLIENT')
    .replaceAll(member.options.peerUrl, 'PEER')
    .replaceAll(`${member.name}=`, 'NAME=')
    .replace(/INITIAL_CLUSTER="(.*)"/, 'INITIAL_CLUSTER=\n$1\n')
    .replaceAll(`name=${member.name}`, 'name=NAME')
    .replace(/\b[0-9a-f]{10,16}\b/g, 'ID')
    .replace(/"expiration":"[^"]*"/g, '"expiration":"T"')
    .replace(/"ttl":\d+/g, '"ttl":0')
}

/** A tree as a snapshot holds it, for `import`, which only the client of 2.3 has. */
function snapshotFile(folder: string): string {
  const path = join(folder, 'import.json')
  const node = (Path: string, rest: object) => ({
    ...{ Path, CreatedIndex: 1, ModifiedIndex: 1, ExpireTime: '0001-01-01T00:00:00Z', Value: '' },
    ...{ Children: null, ...rest },
  })
  const soon = new Date(Date.now() + 100_000).toISOString()
  const Children = {
    a: node('/imported/a', { Value: 'one' }),
    ends: node('/imported/ends', { Value: 'two', ExpireTime: soon }),
    _h: node('/imported/_h', { Value: 'hidden' }),
  }
  const imported = node('/imported', { Children })
  const EventHistory = {
    Queue: { Events: [], Size: 0, Front: 0, Back: 0, Capacity: 1000 },
    ...{ StartIndex: 0, LastIndex: 0 },
  }
  const content = {
    Root: node('/', { Children: { imported } }),
    WatcherHub: { EventHistory },
    ...{ CurrentIndex: 1, Stats: {}, CurrentVersion: 2 },
  }
  writeFileSync(path, JSON.stringify(content))
  return path
}

/**
 * The client ends before its last writes have arrived, or without them, whichever daemon it writes to, and what it says
 * hangs on that: it is asked to import until all is there.
 */
async function expectImported(
  member: MemberProcess,
  client: Client,
  folder: string,
): Promise<void> {
  const of = async (line: string): Promise<string> => {
    const endpoints = [member.clientUrl]
    const args = [...V2_PATIENCE, ...line.split(' ')]
    return (await etcdctl({ ...client, endpoints, args, api: '2' })).stdout
  }
  const file = snapshotFile(folder)
  await until('all keys are imported', async () => {
    const said = await of(`import --snap ${file} -c 2 --hidden /imported/_h`)
    return (
      said.includes('finished importing 3 keys') &&
      (await of('ls --sort --recursive /imported')) === '/imported/a\n/imported/ends\n' &&
      (await of('get /imported/a')) === 'one\n' &&
      (await of('get /imported/ends')) === 'two\n' &&
      (await of('get /imported/_h')) === 'hidden\n'
    )
  })
}

/** What this client alone has: commands, and what is to be seen of them. */
interface Only {
  readonly commands: readonly Command[]
  readonly expect: (member: MemberProcess, client: Client, folder: string) => Promise<void>
}

function session(needs: readonly Requirement[], title: string, client: Client, only?: Only): void {
  describeWith(needs, title, () => {
    const clusters: Cluster[] = []
    const members: MemberProcess[] = []

    beforeAll(async () => {
      for (const kind of ['etcd', 'ours'] as const) {
        const flags = [...ELECTION, ...(kind === 'etcd' ? ['--enable-v2'] : [])]
        const cluster = await Cluster.start({ name: `v2-etcdctl-${kind}`, kinds: [kind], flags })
        clusters.push(cluster)
        members.push(...cluster.members)
      }
    })
    afterAll(async () => {
      for (const cluster of clusters) await cluster.destroy()
    })

    test('every command says the same', async () => {
      const [etcd, ours] = members
      if (etcd === undefined || ours === undefined) throw new Error('both run')
      const seen: { expected: string; actual: string }[] = []
      const runAll = async (commands: readonly Command[]): Promise<void> => {
        for (const command of commands) {
          const line = `etcdctl ${command.args.join(' ')}`
          const [expected, actual] = await Promise.all([
            run(etcd, command, client),
            run(ours, command, client),
          ])
          seen.push({ expected: `${line}\n${expected}`, actual: `${line}\n${actual}` })
        }
      }
      const folder = clusters[0]?.folder ?? ''
      await runAll([...COMMANDS.slice(0, -2), ...(only?.commands ?? [])])
      for (const member of members) await only?.expect(member, client, folder)
      // These take the quorum away.
      await runAll(COMMANDS.slice(-2))
      expect(seen.map(({ actual }) => actual)).toEqual(seen.map(({ expected }) => expected))
    })
  })
}

session(['daemon', 'etcd', 'etcdctl'], 'etcdctl with API 2', {})
session(
  ['daemon', 'etcd', 'etcdctl-2.3'],
  'etcdctl of etcd 2.3',
  { program: ETCDCTL_23 },
  { commands: plain('import', 'import --snap absent'), expect: expectImported },
)
