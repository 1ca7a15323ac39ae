/**
 * What the peer transport costs: round trips of one small append, and appends per second in batches, between
 * two members in one process. Run: npm run build && node bench/peer-stream.mjs [folder of the build]
 */
import { createServer } from 'node:http'

const dist = process.argv[2] ?? new URL('../dist', import.meta.url).pathname
const { SharedEntries } = await import(`${dist}/peer/frame-encoder.js`)
const { PeerTransport } = await import(`${dist}/peer/peer-transport.js`)
const { Entry, Message } = await import(`${dist}/wire/raftpb.js`)

const quiet = {
  isDebugEnabled: false,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

async function start(number) {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${server.address().port}`
  const side = { onMessage: () => undefined }
  const id = BigInt(number)
  const transport = new PeerTransport({
    id,
    clusterId: 1n,
    ownUrls: () => [url],
    log: quiet,
    clock: { monotonicMs: () => performance.now(), wallMs: () => Date.now() },
    dialTimeoutMs: 1000,
    events: {
      deliver: (message) => side.onMessage(message),
      unreachable: () => undefined,
      snapshotSent: () => undefined,
      removedFromCluster: () => undefined,
      isRemoved: () => false,
      isMember: () => true,
      receiveSnapshot: async () => undefined,
    },
  })
  server.on('request', (request, response) => transport.handlePeerRequest(request, response))
  const stop = () => {
    transport.stop()
    server.close()
    server.closeAllConnections()
  }
  return Object.assign(side, { id, url, transport, stop })
}

const entry = (index, bytes) =>
  Entry.create({ term: 1, index: index, data: new Uint8Array(bytes).fill(120) })

function append(from, to, index, entries) {
  return Message.create({
    type: 'MsgApp',
    from: from.id,
    to: to.id,
    term: 1,
    logTerm: 1,
    index: index,
    entries,
    commit: index,
  })
}

async function roundTrips(one, two, count) {
  let index = 0
  two.onMessage = (message) =>
    two.transport.send([
      Message.create({
        type: 'MsgAppResp',
        from: two.id,
        to: one.id,
        term: 1,
        index: message.index,
      }),
    ])
  const start = performance.now()
  const cpu = process.cpuUsage()
  await new Promise((resolve) => {
    one.onMessage = () => {
      if (++index === count) resolve()
      else one.transport.send([append(one, two, index, [entry(index + 1, 256)])])
    }
    one.transport.send([append(one, two, 0, [entry(1, 256)])])
  })
  const { user, system } = process.cpuUsage(cpu)
  console.log(`  CPU of both sides ${((user + system) / count).toFixed(1)} µs a round trip`)
  return ((performance.now() - start) * 1000) / count
}

async function throughput(one, others, shape) {
  let left = shape.batches * others.length
  let waiting = 0
  let finish
  const finished = new Promise((resolve) => {
    finish = resolve
  })
  let batch = 0
  const pump = () => {
    while (waiting < 4 * others.length && batch < shape.batches) {
      const first = batch++ * shape.entries
      const entries = Array.from({ length: shape.entries }, (_, at) =>
        entry(first + at + 1, shape.bytes),
      )
      waiting += others.length
      one.transport.send(others.map((other) => append(one, other, first, entries)))
    }
  }
  for (const other of others) {
    other.onMessage = () => {
      waiting--
      if (--left === 0) finish()
      else pump()
    }
  }
  const start = performance.now()
  pump()
  await finished
  return (shape.batches * shape.entries) / ((performance.now() - start) / 1000)
}

/** Encoding alone, with and without sharing between two followers. */
function encoding() {
  const entries = Array.from({ length: 64 }, (_, at) => entry(at + 1, 256))
  for (const isShared of [false, true]) {
    const shared = new SharedEntries()
    const start = performance.now()
    for (let round = 0; round < 20_000; round++) {
      shared.block(entries)
      if (!isShared) shared.forget()
      shared.block(entries)
      shared.forget()
    }
    const nanos = ((performance.now() - start) * 1e6) / (20_000 * 128)
    console.log(
      `encode for two followers, ${isShared ? 'shared' : 'apart'}: ${nanos.toFixed(0)} ns an entry each`,
    )
  }
}

encoding()
const sides = [await start(1), await start(2), await start(3)]
const [one, two, three] = sides
for (const side of sides) {
  for (const other of sides) if (other !== side) side.transport.addPeer(other.id, [other.url])
}
await new Promise((resolve) => setTimeout(resolve, 500))
await roundTrips(one, two, 3000)
console.log(`round trip of one 256 B append: ${(await roundTrips(one, two, 10_000)).toFixed(1)} µs`)
for (const shape of [
  { batches: 20_000, entries: 1, bytes: 256 },
  { batches: 5000, entries: 64, bytes: 256 },
  { batches: 300, entries: 64, bytes: 16_384 },
]) {
  for (const others of [[two], [two, three]]) {
    await throughput(one, others, { ...shape, batches: shape.batches / 5 })
    const rate = await throughput(one, others, shape)
    const what = `${shape.entries} × ${shape.bytes} B to ${others.length} follower(s)`
    console.log(
      `${what}: ${Math.round(rate)} entries/s, ${((rate * shape.bytes) / 2 ** 20).toFixed(0)} MiB/s`,
    )
  }
}
for (const side of sides) side.stop()
