/** The load generators: h2load for gRPC, wrk for HTTP/1, and clients of our own for watches and long polls. */
import { spawn } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { frame, putRequest, readFields, watchCreateRequest } from './grpc-frames.mjs'
import { RawStreams } from './raw-streams.mjs'
import { cpuSeconds, scratchFile, sleep } from './servers.mjs'

function run(command, args) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('error', fail)
    child.on('exit', (code) =>
      code === 0 ? done(output) : fail(new Error(`${command}: ${output}`)),
    )
  })
}

/** The value below which a share of the sorted numbers lies. */
const percentile = (sorted, share) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

/**
 * One gRPC method under load. Every reply must be HTTP 200; the latencies come from h2load's log.
 * @returns {{perSecond: number, p50Ms: number, p99Ms: number, cpuMicros: number}}
 */
export async function grpcLoad({ port, pids, path, message, requests, connections, streams }) {
  const data = scratchFile(`request-${process.pid}.bin`)
  const log = scratchFile(`h2load-${process.pid}.log`)
  writeFileSync(data, frame(message))
  rmSync(log, { force: true })
  const cpuBefore = pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const output = await run('h2load', [
    '-n',
    String(requests),
    '-c',
    String(connections),
    '-m',
    String(streams),
    '-t',
    '1',
    '-d',
    data,
    `--log-file=${log}`,
    '-H',
    'content-type: application/grpc',
    '-H',
    'te: trailers',
    `http://127.0.0.1:${port}${path}`,
  ])
  const cpuAfter = pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const perSecond = Number(/finished in [^,]+, ([\d.]+) req\/s/.exec(output)?.[1])
  const succeeded = Number(/(\d+) succeeded/.exec(output)?.[1])
  if (succeeded !== requests)
    throw new Error(`only ${succeeded} of ${requests} succeeded:\n${output}`)
  const micros = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => Number(line.split('\t')[2]))
    .sort((a, b) => a - b)
  rmSync(log, { force: true })
  rmSync(data, { force: true })
  return {
    perSecond,
    p50Ms: percentile(micros, 0.5) / 1000,
    p99Ms: percentile(micros, 0.99) / 1000,
    cpuMicros: ((cpuAfter - cpuBefore) * 1e6) / requests,
  }
}

/**
 * wrk against one path; `script` is Lua.
 * @returns {{perSecond: number, p99Ms: number, cpuMicros: number}}
 */
export async function httpLoad({ port, pids, path, script, seconds = 5, connections = 64 }) {
  const args = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--latency']
  if (script !== undefined) {
    const file = scratchFile(`wrk-${process.pid}.lua`)
    writeFileSync(file, script)
    args.push('-s', file)
  }
  const cpu = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const cpuBefore = cpu()
  const output = await run('wrk', [...args, `http://127.0.0.1:${port}${path}`])
  const cpuAfter = cpu()
  const bad = /Non-2xx or 3xx responses: (\d+)/.exec(output)
  if (bad !== null) throw new Error(`wrk: ${output}`)
  const latency = /99%\s+([\d.]+)(us|ms|s)/.exec(output)
  const scale = { us: 0.001, ms: 1, s: 1000 }
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)[1]),
    p99Ms: Number(latency[1]) * scale[latency[2]],
    cpuMicros: ((cpuAfter - cpuBefore) * 1e6) / Number(/(\d+) requests in/.exec(output)[1]),
  }
}

/** A unary call over a session of node:http2; resolves to the reply's message bytes. */
export function unary(session, path, message) {
  return new Promise((done, fail) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const chunks = []
    let status = ''
    stream.on('response', (headers) => (status = headers['grpc-status'] ?? status))
    stream.on('trailers', (headers) => (status = headers['grpc-status'] ?? status))
    stream.on('data', (chunk) => chunks.push(chunk))
    stream.on('error', fail)
    stream.on('end', () => {
      if (status !== '0') fail(new Error(`${path}: grpc-status ${status}`))
      else done(Buffer.concat(chunks).subarray(5))
    })
    stream.end(frame(message))
  })
}

export const openSession = (port) =>
  connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 1 << 20 } })

/** The client port of the cluster's leader. */
export async function leaderPort(cluster) {
  for (const { port } of cluster.members) {
    const session = openSession(port)
    const status = readFields(
      await unary(session, '/etcdserverpb.Maintenance/Status', Buffer.alloc(0)),
    )
    session.destroy()
    if (readFields(status.get(1)).get(2) === status.get(4)) return port
  }
  throw new Error('no member says that it leads')
}

/** `watchers` watches of one key on ten connections, then `puts` puts: events delivered a second. */
export async function watchLoad({ port, pids, watchers = 1000, puts = 300 }) {
  const key = 'bench/watched'
  const connections = Array.from({ length: 10 }, () => new RawStreams(port))
  const until = async (count) => {
    for (let tries = 0; ; tries++) {
      let total = 0
      for (const { count: own, failure } of connections) {
        if (failure !== undefined) throw failure
        total += own
      }
      if (total >= count) return
      if (tries > 60_000) throw new Error(`${total} of ${count} watch responses came`)
      await sleep(1)
    }
  }
  for (let at = 0; at < watchers; at++) {
    const connection = connections[at % connections.length]
    connection.open('/etcdserverpb.Watch/Watch', watchCreateRequest(key))
  }
  await until(watchers)
  const writer = openSession(port)
  const cpuBefore = pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const startedMs = performance.now()
  for (let at = 0; at < puts; at++)
    await unary(writer, '/etcdserverpb.KV/Put', putRequest(key, `value ${at}`))
  await until(watchers * (puts + 1))
  const seconds = (performance.now() - startedMs) / 1000
  const cpuAfter = pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  writer.destroy()
  for (const connection of connections) connection.close()
  const events = watchers * puts
  return { perSecond: events / seconds, cpuMicros: ((cpuAfter - cpuBefore) * 1e6) / events }
}

/** Holds `count` connections with one watch each while `work` runs. */
export async function withWatches({ port, count }, work) {
  const connections = []
  try {
    // As many at once as a listening socket's queue takes.
    for (let at = 0; at < count; at += 100) {
      const fresh = Array.from({ length: 100 }, () => new RawStreams(port))
      connections.push(...fresh)
      for (const connection of fresh)
        connection.open('/etcdserverpb.Watch/Watch', watchCreateRequest('bench/watched'))
      while (fresh.some((connection) => connection.count === 0)) {
        const broken = fresh.find(({ failure }) => failure !== undefined)
        if (broken !== undefined) throw broken.failure
        await sleep(1)
      }
    }
    return await work()
  } finally {
    for (const connection of connections) connection.close()
  }
}

/** Holds `count` long polls of one v2 key, each on a connection of its own, while `work` runs. */
export async function withWaiters({ port, count }, work) {
  const path = '/v2/keys/bench?wait=true'
  const sockets = []
  const open = () =>
    new Promise((done, fail) => {
      const socket = connectSocket(port, '127.0.0.1', () =>
        socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`),
      )
      sockets.push(socket)
      socket.on('error', fail)
      socket.once('data', (head) =>
        String(head).startsWith('HTTP/1.1 200') ? done() : fail(new Error(String(head))),
      )
    })
  try {
    // As many at once as a listening socket's queue takes.
    for (let at = 0; at < count; at += 100) await Promise.all(Array.from({ length: 100 }, open))
    return await work()
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/** Fills the store with keys of 64 and values of 256 bytes, 128 to a transaction. */
export async function fill({ port, keys }) {
  const { field } = await import('./grpc-frames.mjs')
  const session = openSession(port)
  const value = Buffer.alloc(256, 118)
  const perTxn = 128
  let next = 0
  const worker = async () => {
    while (next < keys) {
      const from = next
      next += perTxn
      const ops = []
      for (let at = from; at < Math.min(from + perTxn, keys); at++) {
        ops.push(
          field(2, field(2, putRequest(`bench/${String(at * 7919).padStart(58, '0')}`, value))),
        )
      }
      await unary(session, '/etcdserverpb.KV/Txn', Buffer.concat(ops))
    }
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  session.destroy()
}
