/**
 * What the fan-out of watch events costs, without sockets: every sink only counts bytes.
 *   npm run build && node --expose-gc bench/watch-fanout.mjs [folder of the build, default dist]
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const dist = pathToFileURL(`${resolve(process.argv[2] ?? 'dist')}/`)
const { WatchHub } = await import(new URL('watch/watch-hub.js', dist))
const { WatchRequest, WatchCreateRequest } = await import(new URL('wire/rpc.js', dist))
const { KeyValue } = await import(new URL('wire/mvccpb.js', dist))

const utf8 = new TextEncoder()
const KEY = 'registry/pods/default/web-0'
const VALUE = new Uint8Array(256).fill(120)

class CountingSink {
  queuedBytes = 0
  responses = 0
  bytes = 0
  sendEncoded(parts) {
    this.responses++
    for (const part of parts) this.bytes += part.length
    return true
  }
  onDrain() {}
}

class History {
  currentRevision = 1
  compactedRevision = -1
  previous = undefined
  rows = []
  put(key) {
    const modRevision = ++this.currentRevision
    const kv = KeyValue.encode({
      key: utf8.encode(key),
      value: VALUE,
      createRevision: 2,
      modRevision,
      version: modRevision - 1,
      lease: 0n,
    })
    return { type: 'PUT', key, modRevision, sub: 0, isCreate: false, kv }
  }
  prevKv() {
    return this.previous
  }
  eventsSince({ from, to, revisionsMax }, done) {
    const events = this.rows.slice(from - 2, Math.min(from - 2 + revisionsMax, to - 1))
    done({ kind: 'events', events, nextRevision: from + events.length })
  }
}

function setUp() {
  const history = new History()
  const hub = new WatchHub({
    history,
    clusterId: 0xcdf818194e3a8c32n,
    memberId: 0x8e9e05c52164694dn,
    term: () => 7,
    entropy: { below: () => 0 },
  })
  return { history, hub }
}

function create(stream, options) {
  stream.onRequest(
    WatchRequest.create({
      createRequest: WatchCreateRequest.create({ ...options, key: utf8.encode(options.key) }),
    }),
  )
}

function collect() {
  globalThis.gc?.()
  globalThis.gc?.()
}

const show = (what, figure) => console.log(`${what.padEnd(72)} ${figure}`)

function fanOut(what, { streams, watchesPerStream = 1, events, prevKv = false, keys = 1 }) {
  const { history, hub } = setUp()
  const sinks = []
  for (let at = 0; at < streams; at++) {
    const sink = new CountingSink()
    sinks.push(sink)
    const stream = hub.open({ sink })
    for (let watch = 0; watch < watchesPerStream; watch++) {
      create(stream, { key: KEY, rangeEnd: utf8.encode(keys === 1 ? '' : `${KEY}~`), prevKv })
    }
  }
  history.previous = KeyValue.encode({ key: utf8.encode(KEY), value: VALUE })
  const transaction = () => {
    const made = []
    const revision = history.currentRevision + 1
    for (let at = 0; at < keys; at++) {
      history.currentRevision = revision - 1
      made.push(history.put(keys === 1 ? KEY : `${KEY}/${at}`))
    }
    return made
  }
  const run = (count) => {
    for (let at = 0; at < count; at++) {
      const made = transaction()
      hub.notify(history.currentRevision, made)
    }
  }
  run(Math.ceil(events / 5))
  collect()
  const started = process.hrtime.bigint()
  run(events)
  const ns = Number(process.hrtime.bigint() - started)
  const delivered = events * keys * streams * watchesPerStream
  show(what, `${(ns / delivered / 1e3).toFixed(3)} µs a watcher-event`)
  return sinks
}

fanOut('1,000 streams with one watch of one key', { streams: 1_000, events: 2_000 })
fanOut('the same with prev_kv', { streams: 1_000, events: 2_000, prevKv: true })
fanOut('1 stream with 1,000 watches of one key', {
  streams: 1,
  watchesPerStream: 1_000,
  events: 2_000,
})
fanOut('1,000 streams watching a prefix, transactions of 10 keys', {
  streams: 1_000,
  events: 500,
  keys: 10,
})
fanOut('1 stream with 1 watch (one put, one watcher)', { streams: 1, events: 500_000 })

{
  const { history, hub } = setUp()
  collect()
  const before = process.memoryUsage()
  const streams = []
  for (let at = 0; at < 10_000; at++) {
    const stream = hub.open({ sink: new CountingSink() })
    create(stream, { key: `${KEY}/${at}` })
    streams.push(stream)
  }
  collect()
  const used = process.memoryUsage().heapUsed - before.heapUsed
  show(
    '10,000 idle streams with one watch each, sink and key included',
    `${Math.round(used / 10_000)} bytes each`,
  )
  const events = Array.from({ length: 200_000 }, () => history.put(KEY))
  const started = process.hrtime.bigint()
  for (const event of events) hub.notify(event.modRevision, [event])
  const ns = Number(process.hrtime.bigint() - started)
  show('a put that none of 10,000 watchers watches', `${Math.round(ns / events.length)} ns`)
  for (const stream of streams) stream.close()
}

{
  const { history, hub } = setUp()
  for (let at = 0; at < 10_000; at++) {
    const event = history.put(KEY)
    history.rows.push(event)
    hub.notify(event.modRevision, [event])
  }
  const sinks = Array.from({ length: 1_000 }, () => new CountingSink())
  for (const sink of sinks) create(hub.open({ sink }), { key: KEY, startRevision: 2 })
  const started = process.hrtime.bigint()
  while (hub.syncSome(0)) {}
  const ns = Number(process.hrtime.bigint() - started)
  show(
    '1,000 watchers catch up 10,000 revisions',
    `${(ns / 1e6).toFixed(1)} ms in all, ${(ns / 1e10).toFixed(3)} µs… a watcher-event`.replace(
      '…',
      '',
    ),
  )
}
