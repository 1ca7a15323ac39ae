/**
 * What an empty unary call costs: a server with a handler that does nothing, under h2load, with CPU time of
 * the server process per call. Run after a build: `node bench/grpc-empty.mjs [--dist dist] [--calls 200000]
 * [--connections 100] [--streams 10] [--message-bytes 300]`; `--serve` only serves (for --cpu-prof).
 */
import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    dist: { type: 'string', default: 'dist' },
    calls: { type: 'string', default: '200000' },
    connections: { type: 'string', default: '100' },
    streams: { type: 'string', default: '10' },
    'message-bytes': { type: 'string', default: '300' },
    port: { type: 'string', default: '0' },
    serve: { type: 'boolean', default: false },
  },
})

async function serve() {
  const load = (file) => import(pathToFileURL(resolve(values.dist, file)).href)
  const { GrpcServer } = await load('grpc/server.js')
  const { bytes, counter, define } = await load('wire/codec.js')
  const Request = define('bench.Request', { key: bytes(1), value: bytes(2) })
  const Response = define('bench.Response', { revision: counter(1), term: counter(2) })
  const empty = {
    kind: 'unary',
    path: '/bench.Bench/Empty',
    request: Request,
    response: Response,
    handle: (_request, call) => call.reply({ revision: 1_000_000, term: 3 }),
  }
  const grpc = new GrpcServer({ methods: [empty], onError: (error) => console.error(error) })
  const server = createServer({ noDelay: true }, (socket) => grpc.handleConnection(socket))
  server.listen(Number(values.port), '127.0.0.1', () => {
    process.send?.({ port: server.address().port })
    if (process.send === undefined) console.log(server.address().port)
  })
  process.on('message', (message) => {
    if (message === 'cpu') process.send({ cpu: process.cpuUsage(), rss: process.memoryUsage.rss() })
    else process.exit(0)
  })
  process.on('SIGTERM', () => process.exit(0))
}

/** One gRPC message of `size` bytes of value, as h2load sends it. */
function message(size) {
  const body = Buffer.concat([
    Buffer.from([0x0a, 3]),
    Buffer.from('key'),
    Buffer.from([0x12, (size & 0x7f) | 0x80, size >>> 7]),
    Buffer.alloc(size, 'v'),
  ])
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(body.length, 1)
  return Buffer.concat([prefix, body])
}

async function measure() {
  const folder = resolve('.tmp', `grpc-empty-${process.pid}`)
  mkdirSync(folder, { recursive: true })
  const data = join(folder, 'request')
  writeFileSync(data, message(Number(values['message-bytes'])))
  const child = spawn(
    process.execPath,
    [fileURLToPath(import.meta.url), '--serve', '--dist', values.dist],
    { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] },
  )
  const next = () => new Promise((done) => child.once('message', done))
  const { port } = await next()
  const ask = () => {
    child.send('cpu')
    return next()
  }
  const load = (calls) =>
    new Promise((done) => {
      const h2load = spawn(
        'h2load',
        [
          ...['-n', String(calls), '-c', values.connections, '-m', values.streams],
          ...[`--data=${data}`, '-H', 'content-type: application/grpc', '-H', 'te: trailers'],
          `http://127.0.0.1:${port}/bench.Bench/Empty`,
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      let out = ''
      h2load.stdout.on('data', (chunk) => {
        out += chunk
      })
      h2load.on('close', () => done(out))
    })
  await load(20_000)
  const before = await ask()
  const calls = Number(values.calls)
  const out = await load(calls)
  const after = await ask()
  child.send('end')
  rmSync(folder, { recursive: true })
  const cpuMicros = after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system
  console.log(
    out
      .split('\n')
      .filter((line) => /finished|requests:|time for|req\/s/.test(line))
      .join('\n'),
  )
  console.log(
    `CPU of the server: ${(cpuMicros / calls).toFixed(2)} us a call, rss ${after.rss >> 20} MiB`,
  )
}

await (values.serve ? serve() : measure())
