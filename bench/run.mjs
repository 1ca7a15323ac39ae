/**
 * Ours against the etcd on the machine, in one run, with one load generator: every row of docs/performance.md.
 * `node bench/run.mjs [--quick] [--only text] [--keys N]` — needs /usr/bin/etcd, h2load and wrk.
 */
import { existsSync } from 'node:fs'
import { cpus } from 'node:os'
import { putRequest, rangeRequest } from './grpc-frames.mjs'
import {
  fill,
  grpcLoad,
  httpLoad,
  leaderPort,
  openSession,
  unary,
  watchLoad,
  withWaiters,
  withWatches,
} from './load.mjs'
import { OURS, PEER, residentBytes, sleep, startCluster } from './servers.mjs'

const option = (name) => {
  const at = process.argv.indexOf(name)
  return at < 0 ? undefined : process.argv[at + 1]
}
const isQuick = process.argv.includes('--quick')
const only = option('--only')
const manyKeys = Number(option('--keys') ?? (isQuick ? 50_000 : 1_000_000))
const scale = isQuick ? 0.1 : 1

const value = Buffer.alloc(256, 120)
const key = Buffer.from('bench/key')

async function withCluster(kind, count, work, options) {
  const cluster = await startCluster(kind, count, options)
  try {
    return await work(cluster)
  } finally {
    await cluster.stop()
  }
}

/** Puts after which both sides are as fast as they get: Node compiles what runs often while it runs. */
const WARM_UP_PUTS = 24_000

const pidsOf = (cluster) => cluster.members.map(({ child }) => child.pid)

/** The load goes to the leader on both sides: who is elected is chance, and a follower answers later. */
const put = (requests, connections, streams, members) => (kind) =>
  withCluster(kind, members, async (cluster) => {
    const load = {
      port: await leaderPort(cluster),
      pids: pidsOf(cluster),
      path: '/etcdserverpb.KV/Put',
      message: putRequest(key, value),
      connections,
      streams,
    }
    await grpcLoad({ ...load, requests: WARM_UP_PUTS * scale })
    return grpcLoad({ ...load, requests: requests * scale })
  })

const range = (serializable) => (kind) =>
  withCluster(kind, 1, async (cluster) => {
    const session = openSession(cluster.port)
    await unary(session, '/etcdserverpb.KV/Put', putRequest(key, value))
    session.destroy()
    const load = {
      port: cluster.port,
      pids: pidsOf(cluster),
      path: '/etcdserverpb.KV/Range',
      message: rangeRequest(key, { serializable }),
      connections: 100,
      streams: 10,
    }
    await grpcLoad({ ...load, requests: 20_000 * scale })
    return grpcLoad({ ...load, requests: 100_000 * scale })
  })

const watch = (kind) =>
  withCluster(kind, 1, (cluster) =>
    watchLoad({ port: cluster.port, pids: pidsOf(cluster), puts: 1000 * scale }),
  )

/** A machine that others use too is faster in one second than in the next: both sides take turns, and medians count. */
const TURNS = isQuick ? 3 : 7
const TURN_SECONDS = isQuick ? 1 : 2

const median = (amounts) => amounts.sort((a, b) => a - b)[Math.floor(amounts.length / 2)]

function medians(turns) {
  const names = Object.keys(turns[0])
  return Object.fromEntries(names.map((name) => [name, median(turns.map((turn) => turn[name]))]))
}

/** Loads of the v2 API on both sides in turn: what etcd came to and what ours came to. */
const v2 = (script) => () =>
  withCluster(PEER, 1, (peer) =>
    withCluster(OURS, 1, async (own) => {
      const sides = [await v2Load(peer, script), await v2Load(own, script)]
      for (const load of sides) await httpLoad({ ...load, seconds: isQuick ? 1 : 3 })
      const figures = sides.map(() => [])
      for (let turn = 0; turn < TURNS; turn++)
        for (const [at, load] of sides.entries())
          figures[at].push(await httpLoad({ ...load, seconds: TURN_SECONDS }))
      return figures.map(medians)
    }),
  )

async function v2Load(cluster, script) {
  const path = '/v2/keys/bench'
  const made = await fetch(`http://127.0.0.1:${cluster.port}${path}`, {
    method: 'PUT',
    body: new URLSearchParams({ value: 'x'.repeat(256) }),
  })
  if (!made.ok) throw new Error(`no v2 API (${made.status})`)
  return { port: cluster.port, pids: pidsOf(cluster), path, script }
}
const v2Put = `wrk.method = "PUT"; wrk.body = "value=${'x'.repeat(256)}"; wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"`

const v2Waiters = (kind) =>
  withCluster(kind, 1, (cluster) =>
    withWaiters({ port: cluster.port, count: 10_000 }, async () => {
      await sleep(2000)
      return { megabytes: residentBytes(pidsOf(cluster)[0]) / 1e6 }
    }),
  )

/** Kilobytes that each of 10,000 connections with one watch costs. */
const idleWatches = (kind) =>
  withCluster(kind, 1, async (cluster) => {
    const [pid] = pidsOf(cluster)
    const count = 10_000
    // What serving watches needs once is not a connection's.
    await withWatches({ port: cluster.port, count: 100 }, () => sleep(1000))
    const before = residentBytes(pid)
    return withWatches({ port: cluster.port, count }, async () => {
      await sleep(2000)
      return { kilobytes: (residentBytes(pid) - before) / 1000 / count }
    })
  })

const idle = (kind) =>
  withCluster(kind, 1, async (cluster) => {
    await sleep(2000)
    return { megabytes: residentBytes(pidsOf(cluster)[0]) / 1e6, milliseconds: cluster.readyMs }
  })

async function large(kind) {
  const cluster = await startCluster(kind, 1)
  await fill({ port: cluster.port, keys: manyKeys })
  await sleep(2000)
  const megabytes = residentBytes(pidsOf(cluster)[0]) / 1e6
  await cluster.stop({ remove: false })
  const again = await startCluster(kind, 1, { keepData: true, data: cluster.members[0].directory })
  const milliseconds = again.readyMs
  await again.stop()
  return { megabytes, milliseconds }
}

/** The ratio of a figure is above 1 when ours is better. */
const ROWS = [
  {
    name: 'Put 256 B, 100 connections x 10 streams',
    goal: 2,
    run: put(100_000, 100, 10, 1),
    figures: ['perSecond', 'p99Ms', 'cpuMicros'],
  },
  {
    name: 'Put 256 B, one client in turn',
    goal: 1.3,
    run: put(8_000, 1, 1, 1),
    figures: ['perSecond', 'p99Ms', 'cpuMicros'],
  },
  {
    name: 'Put 256 B, 3 members',
    goal: 1.5,
    run: put(60_000, 100, 10, 3),
    figures: ['perSecond', 'p99Ms', 'cpuMicros'],
  },
  {
    name: 'Put 256 B, 3 members, one client in turn',
    goal: 1,
    run: put(4_000, 1, 1, 3),
    figures: ['perSecond', 'p99Ms'],
  },
  {
    name: 'Range of one key, linearizable',
    goal: 4,
    run: range(false),
    figures: ['perSecond', 'p99Ms', 'cpuMicros'],
  },
  {
    name: 'Range of one key, serializable',
    goal: 4,
    run: range(true),
    figures: ['perSecond', 'p99Ms', 'cpuMicros'],
  },
  {
    name: 'Watch, 1,000 watchers of one key, events',
    goal: 2,
    run: watch,
    figures: ['perSecond', 'cpuMicros'],
  },
  { name: 'v2 GET', goal: 2, both: v2(undefined), figures: ['perSecond', 'p99Ms', 'cpuMicros'] },
  { name: 'v2 PUT', goal: 2, both: v2(v2Put), figures: ['perSecond', 'p99Ms', 'cpuMicros'] },
  { name: 'v2: 10,000 clients wait', goal: '≤ 200 MB', run: v2Waiters, figures: ['megabytes'] },
  {
    name: '10,000 connections with a watch each',
    goal: '≤ 15 KB',
    run: idleWatches,
    figures: ['kilobytes'],
  },
  {
    name: 'idle member: RSS, start to healthy',
    goal: '≤ 90 MB, ≤ 400 ms',
    run: idle,
    figures: ['megabytes', 'milliseconds'],
  },
  {
    name: `${manyKeys.toLocaleString('en')} keys: RSS, restart to healthy`,
    goal: 1,
    run: large,
    figures: ['megabytes', 'milliseconds'],
  },
]

const UNITS = {
  perSecond: '/s',
  p99Ms: 'ms p99',
  cpuMicros: 'µs CPU',
  megabytes: 'MB',
  kilobytes: 'KB a connection',
  milliseconds: 'ms',
}
const show = (amount) =>
  amount === undefined ? '–' : amount >= 100 ? String(Math.round(amount)) : amount.toFixed(2)

const failed = (error) => ({ failure: String(error.message).split('\n')[0] })

/** What both sides came to in a row: each by itself, one after the other, or both in turns. */
async function measure({ run, both }) {
  if (both !== undefined) return both().catch((error) => [failed(error), failed(error)])
  return [await run(PEER).catch(failed), await run(OURS).catch(failed)]
}

if (!existsSync(PEER.command[0])) {
  process.stdout.write('bench: /usr/bin/etcd is missing (Debian package etcd-server)\n')
  process.exit(1)
}
process.stdout.write(`Machine: ${cpus().length} x ${cpus()[0].model}, Node ${process.version}\n\n`)
process.stdout.write(
  '| work | figure | etcd 3.4.23 | ours | ratio | to reach |\n|---|---|---|---|---|---|\n',
)
for (const row of ROWS) {
  if (only !== undefined && !row.name.includes(only)) continue
  const [theirs, ours] = await measure(row)
  if (theirs.failure !== undefined || ours.failure !== undefined) {
    process.stdout.write(
      `| ${row.name} | | ${theirs.failure ?? 'ok'} | ${ours.failure ?? 'ok'} | – | ${row.goal} |\n`,
    )
    continue
  }
  row.figures.forEach((figure, at) => {
    const ratio =
      figure === 'perSecond' ? ours[figure] / theirs[figure] : theirs[figure] / ours[figure]
    process.stdout.write(
      `| ${row.name} | ${UNITS[figure]} | ${show(theirs[figure])} | ${show(ours[figure])} | ${ratio.toFixed(2)} | ${at === 0 || row.figures[0] === 'megabytes' ? row.goal : 1} |\n`,
    )
  })
}
