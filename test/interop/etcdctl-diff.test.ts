// Goal: whoever sits before Debian's etcdctl cannot tell which daemon answers. Method: one long session on a single
// etcd, then the same on a single member of ours with the same ports (hence the same ids); standard output, standard
// error and exit code of every command are compared, times, sizes, the version and random ids aside.
import { beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { runTranscript, type Step } from './support/transcript.js'

const plain = (...lines: readonly string[]): readonly Step[] => lines.map((line) => ({ line }))

const writes = plain(
  'put a 1',
  'put a 2 --prev-kv',
  'put a 3 --prev-kv -w json',
  'put a 4 --prev-kv -w fields',
  'put a 5 --prev-kv -w protobuf',
  'put a --ignore-value',
  'put a 6 --ignore-lease',
  'put missing --ignore-value',
  'put missing x --ignore-lease',
  'put a x --lease 1234',
  'put a x --lease zz',
  'put a',
  "put '' x",
  'put',
  'put a b c',
  'put a x --ignore-value',
  'put b b1',
  'put c/1 one -w json',
  'put c/2 two',
  'put c/3 three',
  'put d 9',
  "put 'e f' 'two words'",
  'put h 世界',
)

const reads = plain(
  'get a',
  'get nothing',
  'get nothing -w json',
  'get a -w json',
  'get a -w fields',
  'get a -w protobuf',
  'get a -w table',
  'get a -w bogus',
  'get a --hex',
  'get a --hex -w json',
  'get a --print-value-only',
  'get a --print-value-only -w json',
  'get --prefix c/',
  'get --prefix c/ -w fields',
  'get --prefix c/ --keys-only',
  'get --prefix c/ --keys-only -w json',
  'get --prefix c/ --limit 2',
  'get --prefix c/ --limit 2 -w json',
  "get --prefix '' --keys-only",
  'get --from-key c/2',
  'get --from-key c/2 --limit 1 -w fields',
  'get a c',
  'get c a',
  'get a c d',
  'get a --rev 2',
  'get a --rev 3 -w json',
  'get b --rev 2',
  'get a --rev 1000',
  'get a --rev -1',
  'get --prefix c --rev 9 -w json',
  "get --prefix '' --sort-by key --order descend --keys-only",
  "get --prefix '' --sort-by key --order ascend --keys-only",
  "get --prefix '' --sort-by create --order descend --keys-only",
  "get --prefix '' --sort-by modify --keys-only",
  "get --prefix '' --sort-by modify --order descend --limit 3 -w json",
  'get --prefix c --sort-by value --order ascend',
  'get --prefix c --sort-by value --order descend --limit 1',
  'get --prefix c --sort-by version --order ascend --limit 1 -w json',
  'get --prefix c --sort-by bogus',
  'get --prefix c --order bogus',
  'get a --consistency s',
  'get a --consistency s -w json',
  'get a --consistency x',
  'get --prefix --from-key a',
  'get',
)

const transactions: readonly Step[] = [
  { line: 'txn', stdin: 'val("a") = "6"\n\nput t1 yes\nget a\n\nput t1 no\n\n' },
  { line: 'txn', stdin: 'val("a") = "zzz"\n\nput t2 yes\n\nget t1\ndel nothing\n\n' },
  { line: 'txn -w json', stdin: 'ver("t1") > "0"\n\nput t1 2 --prev-kv\ndel d --prev-kv\n\n\n' },
  { line: 'txn -w fields', stdin: 'mod("t1") > "0"\ncreate("t1") < "10000"\n\nget c/ c0\n\n\n' },
  { line: 'txn -w protobuf', stdin: 'val("nothing") = ""\n\nput t3 x\n\nget --prefix c/\n\n' },
  { line: 'txn -i', stdin: 'ver("none") = "0"\n\nput t4 made\nget --prefix t\n\n\n' },
  { line: 'txn', stdin: '\nput twice 1\nput twice 2\n\n\n' },
  { line: 'txn', stdin: '\nput twice 1\ndel twice\n\n\n' },
  { line: 'txn', stdin: '\ndel --prefix t\nput t9 1\n\n\n' },
  { line: 'txn', stdin: '\nget a --rev 5000\n\n\n' },
  { line: 'txn', stdin: '\nput t5 x --lease 77\n\n\n' },
  { line: 'txn', stdin: '\nput t1 new\nget t1\n\n\n' },
  { line: 'txn', stdin: '\n\n\n' },
  {
    line: 'txn',
    stdin: `\n${Array.from({ length: 129 }, (_, at) => `put many${at} 1\n`).join('')}\n\n`,
  },
]

const deletions = plain(
  'del nothing',
  'del nothing -w json',
  'del b --prev-kv',
  'del b',
  'put b again',
  'get b -w json',
  'del c/1 -w json --prev-kv',
  'del c/2 -w fields --prev-kv',
  'put c/1 one',
  'put c/2 two',
  'del c/1 c/3 --prev-kv -w json',
  'del --prefix c/ -w protobuf --prev-kv',
  'put z1 1',
  'put z2 2',
  'del --from-key z1',
  'del --prefix --from-key a',
  'del',
  "del '' --prefix --prev-kv -w bogus",
)

/** Each is ended after all that it has to say: what a cut leaves hangs on the moment. */
const watches: readonly Step[] = [
  { line: 'watch a --rev 1', endAfterLines: 24 },
  { line: 'watch a --rev 3 --prev-kv', endAfterLines: 35 },
  { line: 'watch --prefix c/ --rev 1 -w json', endAfterLines: 1 },
  { line: 'watch --prefix c/ --rev 1 -w fields', endAfterLines: 74 },
  { line: 'watch b c0 --rev 1 --prev-kv', endAfterLines: 51 },
  { line: 'watch a --rev 2 -- echo changed', endAfterLines: 32 },
  { line: 'watch' },
  { line: 'watch a b --prefix' },
]

const compactions: readonly Step[] = [
  ...plain(
    'compaction 10',
    'get a --rev 9',
    'get a --rev 10 -w json',
    'get a --rev 5',
    'compaction 10',
    'compaction 5',
    'compaction 100000',
    'compaction',
    'compaction x',
    'compaction 0',
    'compaction 12 --physical',
    'compaction 13 -w json',
    'get a --rev 12',
  ),
  { line: 'watch a --rev 3' },
  { line: 'watch a --rev 3 -w json' },
  { line: 'watch b --rev 14', endAfterLines: 6 },
  ...plain('endpoint hashkv', 'endpoint hashkv --rev 20', 'endpoint hashkv --rev 3'),
  ...plain('endpoint hashkv --rev 100000', 'endpoint hashkv -w json', 'endpoint hashkv -w table'),
]

const granted = /lease ([0-9a-f]{16}) granted/
/** etcd lists a lease's keys in the order of a Go map, which is none. */
const keysInOrder = (step: Step): Step => ({
  ...step,
  mask: [
    [/\[l2 l1\]/, '[l1 l2]'],
    [/\["bDI=","bDE="\]/, '["bDE=","bDI="]'],
    [/"Key" : "l2"\n"Key" : "l1"/, '"Key" : "l1"\n"Key" : "l2"'],
  ],
})
const leases: readonly Step[] = [
  { line: 'lease list' },
  { line: 'lease list -w json' },
  { line: 'lease grant 100', capture: ['L1', granted] },
  { line: 'lease list' },
  { line: 'lease list -w json' },
  { line: 'lease timetolive $L1' },
  ...plain('put l1 x --lease $L1', 'put l2 x --lease $L1', 'get l1 -w json'),
  ...plain('put l1 y --ignore-lease', 'get l1 -w json', 'put l1 --ignore-value --lease $L1'),
  ...plain('lease timetolive $L1 --keys', 'lease timetolive $L1 --keys -w json').map(keysInOrder),
  ...plain('lease timetolive $L1 --keys -w fields').map(keysInOrder),
  ...plain('lease keep-alive --once $L1', 'lease keep-alive --once $L1 -w json'),
  ...plain('put l2 detached', 'lease timetolive $L1 --keys', 'lease revoke $L1'),
  ...plain('lease revoke $L1', 'lease timetolive $L1', 'lease timetolive $L1 -w json'),
  ...plain('lease keep-alive --once $L1', 'get --prefix l --keys-only', 'put l3 x --lease $L1'),
  { line: 'lease grant 1', capture: ['L2', granted] },
  // Not the one before, which may have ended by now.
  { line: 'lease grant 100', capture: ['L6', granted] },
  { line: 'lease revoke $L6 -w json' },
  { line: 'lease grant 60 -w json', capture: ['L3', /"ID":(\d+)/] },
  { line: 'lease grant 60 -w fields', capture: ['L4', /"ID" : (\d+)/] },
  { line: 'lease grant 0', capture: ['L5', granted] },
  ...plain('lease grant', 'lease grant x', 'lease grant 9000000001'),
  ...plain(
    'lease revoke zz',
    'lease revoke',
    'lease timetolive',
    'lease keep-alive',
    'lease bogus',
  ),
]

const index = /("raft(?:Applied)?Index":)\d+/g
/** How many entries a start writes (version negotiation, attributes) is not the user's business. */
const indexMask = [
  [index, '$1<index>'],
  [/("Raft(?:Applied)?Index" : )\d+/g, '$1<index>'],
  [/(\| +2 \| +)\d+( \| +)\d+( \| +\|)/g, '$1<index>$2<index>$3'],
  [/(, 2, )\d+, \d+, $/gm, '$1<index>, <index>, '],
] as const

/** 3.4 answers Alarm without a header, which makes its own `-w fields` crash; 3.5 and ours send one. */
const alarmHeader = (step: Step): Step => ({
  ...step,
  mask: [[/"header":\{[^}]*\},?/g, '']],
})
const cluster: readonly Step[] = [
  ...plain('member list', 'member list -w table', 'member list -w json', 'member list -w fields'),
  ...plain('member list -w protobuf', 'member list --hex', 'version'),
  ...['', ' -w table', ' -w json', ' -w fields', ' --cluster', ' -w protobuf'].map((rest) => ({
    line: `endpoint status${rest}`,
    mask: indexMask,
  })),
  ...plain('endpoint health', 'endpoint health -w table', 'endpoint health -w json'),
  ...plain('endpoint health --cluster', 'endpoint bogus'),
  ...plain('alarm list', 'alarm list -w json', 'alarm disarm', 'alarm list x').map(alarmHeader),
  { line: 'alarm list', alarm: 'NOSPACE' },
  ...plain('alarm list -w json').map(alarmHeader),
  ...plain('put a full', 'get a', 'del a', 'lease grant 10', 'endpoint health'),
  { line: 'txn', stdin: '\nput full 1\n\n\n' },
  { line: 'txn', stdin: '\nget a\n\n\n' },
  ...plain('endpoint status -w json', 'endpoint status -w table').map((step) => ({
    ...step,
    mask: [
      ...indexMask,
      [/(\| +2 \| +)\d+( \| +)\d+( \| +[^|]*\|)/g, '$1<index>$2<index>$3'],
    ] as const,
  })),
  ...plain('alarm disarm', 'alarm list', 'put a free'),
  ...plain('defrag', 'defrag --cluster', 'defrag -w json', 'get a'),
  ...plain('move-leader', 'move-leader zz', 'move-leader 1234', 'move-leader 8e9e05c52164694d'),
]

const added = /Member +([0-9a-f]+) added/
/** Members come by id, and the id of an added one is random: it may come first or last. */
const unordered = (step: Step): Step => ({ ...step, isUnordered: true })
const membership: readonly Step[] = [
  ...plain('member add', 'member add x', 'member add x http://127.0.0.1:1', 'member update zz'),
  ...plain('member remove', 'member remove zz', 'member remove 1234', 'member promote 1234'),
  ...plain('member update 1234 --peer-urls http://127.0.0.1:1', 'member update 1234'),
  ...plain('member promote', 'member add x --peer-urls 127.0.0.1:1'),
  {
    line: 'member add l1 --learner --peer-urls http://127.0.0.1:1',
    capture: ['M1', added],
    /* Members come by id here too. */
    mask: [[/"l1=([^,"]*),(n1=[^,"]*)"/, '"$2,l1=$1"']],
  },
  ...plain('member list -w json', 'member list -w table').map(unordered),
  ...plain('member list', 'member list -w fields').map(unordered),
  ...plain('member promote $M1', 'member add l2 --learner --peer-urls http://127.0.0.1:2'),
  {
    line: 'member add l3 --learner --peer-urls http://127.0.0.1:1',
    /* An id is made of the URLs and the second: within that second the id exists, and later only the URL. */
    mask: [[/member ID already exist|Peer URLs already exists/g, '<exists>']],
  },
  { line: 'put a with-learner' },
  ...plain('member update $M1 --peer-urls http://127.0.0.1:3,http://127.0.0.1:4'),
  ...plain('member list').map((step) => ({
    ...unordered(step),
    /* 3.4 forgets that an updated member is a learner; late patches of 3.5, and ours, do not. */
    mask: [[/(unstarted.*, )(?:true|false)$/gm, '$1<learner>']] as const,
  })),
  ...plain('member remove $M1', 'member remove $M1', 'member list'),
  ...plain('endpoint status --cluster').map((step) => ({ ...step, mask: indexMask })),
  ...plain('member remove 1234 -w json', 'bogus', 'check bogus', 'check perf --load bogus'),
]

const parts: readonly (readonly [string, readonly Step[]])[] = [
  ['put', writes],
  ['get', reads],
  ['txn', transactions],
  ['del', deletions],
  ['watch', watches],
  ['compaction', compactions],
  ['lease', leases],
  ['cluster, endpoints, alarms', cluster],
  ['membership', membership],
]

describeWith(['etcd', 'etcdctl', 'daemon'], 'etcdctl on ours and on etcd', () => {
  let theirs: readonly string[] = []
  let ours: readonly string[] = []
  const steps = parts.flatMap(([, all]) => all)

  beforeAll(async () => {
    const place = {
      clientUrl: `http://127.0.0.1:${await freePort()}`,
      peerUrl: `http://127.0.0.1:${await freePort()}`,
    }
    theirs = await runTranscript('etcd', place, steps)
    ours = await runTranscript('ours', place, steps)
  })

  for (const [at, step] of steps.entries()) {
    const part = parts.find(([, all]) => all.includes(step))?.[0] ?? ''
    const stdin = step.stdin === undefined ? '' : ` <<< ${JSON.stringify(step.stdin.slice(0, 80))}`
    test(`${part} ${at}: ${step.line}${stdin}`, () => {
      expect(ours[at]).toBe(theirs[at])
    })
  }
})

if (process.env.INTEROP_CHECK_PERF === 'true') {
  describeWith(['etcdctl', 'daemon'], 'etcdctl check', () => {
    /* Whether the machine was fast enough is not asked: only that each write was taken, and counted. */
    test('perf runs the small load to its end', async () => {
      const cluster = await Cluster.start({ name: 'check-perf', kinds: ['ours'] })
      try {
        const output = await cluster.tryCtl(['check', 'perf'], { timeoutMs: 120_000 })
        const said = output.stdout + output.stderr
        expect(said).toMatch(/(?:PASS: Throughput is|FAIL: Throughput too low:) [1-9]\d* writes\/s/)
        expect(said).not.toContain('too many errors')
      } finally {
        await cluster.destroy()
      }
    })
  })
}
