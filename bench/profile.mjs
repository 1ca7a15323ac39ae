/**
 * Where each microsecond of a put and of a range goes: a member under --cpu-prof and h2load, its own time by layer.
 * Run after a build: `node bench/profile.mjs [--dist dist] [--requests 100000] [--connections 100] [--streams 10]
 * [--only put]`. Needs h2load.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { putRequest, rangeRequest } from './grpc-frames.mjs'
import { grpcLoad } from './load.mjs'
import { scratchFile, startCluster } from './servers.mjs'

const { values } = parseArgs({
  options: {
    dist: { type: 'string', default: 'dist' },
    requests: { type: 'string', default: '100000' },
    connections: { type: 'string', default: '100' },
    streams: { type: 'string', default: '10' },
    only: { type: 'string', default: '' },
  },
})
const requests = Number(values.requests)
const WARM_UP_PUTS = 10_000
const dist = resolve(values.dist)
const profiles = scratchFile('profiles')
const clients = { connections: Number(values.connections), streams: Number(values.streams) }
const key = Buffer.from('bench/key')

const LOADS = [
  { name: 'put', path: '/etcdserverpb.KV/Put', message: putRequest(key, Buffer.alloc(256, 120)) },
  { name: 'range', path: '/etcdserverpb.KV/Range', message: rangeRequest(key) },
]

/** The modules one by one instead of the bundle, so that a frame names its file. */
const daemon = {
  name: 'profiled',
  command: [
    process.execPath,
    '--cpu-prof',
    '--cpu-prof-interval=200',
    `--cpu-prof-dir=${profiles}`,
    '--input-type=module',
    '--eval',
    `const { main } = await import('${pathToFileURL(join(dist, 'daemon', 'main.js'))}'); main(process.argv.slice(1))`,
    '--',
  ],
  extra: ['--log-level=error'],
}

/** The layer of a frame: the folder of our own code, else undefined. */
function layerOf({ url }) {
  const [, folder] = url.split('/dist/')
  return folder?.split('/')[0]
}

/** A time on the clock that a profile is stamped with, in microseconds. */
const profileClock = () => Number(process.hrtime.bigint() / 1000n)

/**
 * Microseconds by layer between two times: own code, and what Node and its packages do on its behalf. What nobody asked for (the
 * collector, turns of the event loop) has names of its own in brackets; idle time is left out.
 */
function byLayer({ nodes, samples, timeDeltas, startTime }, [from, until]) {
  const parents = new Map()
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node)
  const labels = new Map()
  for (const node of nodes) {
    const { functionName } = node.callFrame
    let label = layerOf(node.callFrame)
    if (label === undefined) {
      let above = parents.get(node.id)
      while (above !== undefined && layerOf(above.callFrame) === undefined) {
        above = parents.get(above.id)
      }
      if (above !== undefined) label = `${layerOf(above.callFrame)}: ${native(node, parents)}`
      else label = functionName.startsWith('(') ? functionName : '(event loop)'
    }
    labels.set(node.id, label)
  }
  const micros = new Map()
  let now = startTime
  samples.forEach((id, at) => {
    now += timeDeltas[at]
    if (now < from || now > until) return
    const label = labels.get(id)
    micros.set(label, (micros.get(label) ?? 0) + timeDeltas[at])
  })
  micros.delete('(idle)')
  return micros
}

/** What a frame of Node or a package does: writing to a socket or a file, or something else. */
function native({ id, callFrame }, parents) {
  if (!/^write|^writev/.test(callFrame.functionName)) return 'Node'
  const caller = parents.get(id)?.callFrame.url ?? ''
  return caller === 'node:fs' ? 'write to a file' : 'write to a socket'
}

async function profile({ name, path, message }) {
  rmSync(profiles, { recursive: true, force: true })
  mkdirSync(profiles, { recursive: true })
  const cluster = await startCluster(daemon, 1)
  let load
  const window = []
  try {
    const [{ child }] = cluster.members
    const work = { port: cluster.port, pids: [child.pid], ...clients }
    const put = LOADS[0]
    await grpcLoad({ ...work, path: put.path, message: put.message, requests: WARM_UP_PUTS })
    await grpcLoad({ ...work, path, message, requests: WARM_UP_PUTS })
    window.push(profileClock())
    load = await grpcLoad({ ...work, path, message, requests })
    window.push(profileClock())
  } finally {
    await cluster.stop()
  }
  const [file] = readdirSync(profiles)
  const micros = byLayer(JSON.parse(readFileSync(join(profiles, file), 'utf8')), window)
  const rows = [...micros].map(([label, sum]) => [label, sum / requests])
  rows.sort(([, a], [, b]) => b - a)
  const total = rows.reduce((sum, [, amount]) => sum + amount, 0)
  process.stdout.write(`\n${name}: ${load.cpuMicros.toFixed(1)} µs CPU, profiled\n\n`)
  process.stdout.write('| where | µs |\n|---|---|\n')
  for (const [label, amount] of rows) {
    if (amount >= 0.1) process.stdout.write(`| ${label} | ${amount.toFixed(1)} |\n`)
  }
  process.stdout.write(`| main thread | ${total.toFixed(1)} |\n`)
}

for (const load of LOADS) if (load.name.includes(values.only)) await profile(load)
