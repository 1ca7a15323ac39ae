// Goal: what clients share at a member survives a broken connection: watches go on behind their last event, keep-alives
// are asked again, and one question serves all who ask it. Method: a cluster that the test plays, message by message.
import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { LeaseId, Revision } from '../../src/base/ids.js'
import { KeyNamespace } from '../../src/proxy/key-namespace.js'
import { KeepAlives } from '../../src/proxy/lease-proxy.js'
import { type Upstream, UpstreamError } from '../../src/proxy/upstream.js'
import { WatchBroadcast } from '../../src/proxy/watch-broadcast.js'
import { Event, KeyValue } from '../../src/wire/mvccpb.js'
import * as rpc from '../../src/wire/rpc.js'

class PlayedStream extends EventEmitter {
  readonly written: Uint8Array[] = []
  isCancelled = false

  write(bytes: Uint8Array): void {
    this.written.push(bytes)
  }

  cancel(): void {
    this.isCancelled = true
  }
}

let streams: PlayedStream[] = []
const upstream = {
  bidiStream: () => {
    const stream = new PlayedStream()
    streams.push(stream)
    return stream
  },
} as unknown as Upstream

beforeEach(() => {
  streams = []
  vi.useFakeTimers()
})
afterEach(() => vi.useRealTimers())

const event = (modRevision: number): Event =>
  Event.create({ kv: KeyValue.create({ modRevision: modRevision as Revision }) })
function respond(revision: number, init: Parameters<typeof rpc.WatchResponse.create>[0] = {}) {
  const header = rpc.ResponseHeader.create({ revision: revision as Revision })
  streams.at(-1)?.emit('data', rpc.WatchResponse.encode({ ...init, header }))
}
const asked = (): rpc.WatchCreateRequest | undefined =>
  rpc.WatchRequest.decode(streams.at(-1)?.written[0] ?? new Uint8Array(0)).createRequest

function broadcast(nextRevision: number) {
  const received: rpc.WatchResponse[] = []
  const receiver = { nextRevision, receive: (one: rpc.WatchResponse) => received.push(one) }
  const ended: unknown[] = []
  const shared = new WatchBroadcast({
    upstream,
    namespace: new KeyNamespace(new Uint8Array(0)),
    key: Buffer.from('k'),
    rangeEnd: new Uint8Array(0),
    nextRevision,
    caller: undefined,
    onResponse: () => undefined,
    onEnd: (one) => ended.push(one),
  })
  shared.maybeAdd(receiver)
  shared.start()
  return { shared, received, ended }
}

test('a watch that breaks while it catches up goes on behind its last event', () => {
  const { received } = broadcast(3)
  respond(100, { created: true })
  respond(100, { events: [event(3), event(4)] })
  streams[0]?.emit('error', new UpstreamError(14, 'connection reset'))
  vi.advanceTimersByTime(99)
  expect(streams).toHaveLength(1)
  vi.advanceTimersByTime(1)
  expect(asked()?.startRevision).toBe(5)
  respond(100, { created: true })
  respond(100, { events: [event(5)] })
  expect(received.map(({ created, events }) => [created, events.length])).toEqual([
    [true, 0],
    [false, 2],
    [false, 1],
  ])
})

test('a quiet watch of what is to come goes on behind what it was told of', () => {
  broadcast(0)
  respond(7, { created: true })
  respond(9)
  streams[0]?.emit('end')
  vi.advanceTimersByTime(100)
  expect(asked()?.startRevision).toBe(10)
})

test('a watch that is refused ends for all', () => {
  const { received, ended } = broadcast(0)
  streams[0]?.emit('error', new UpstreamError(7, 'etcdserver: permission denied'))
  expect(received).toMatchObject([
    { canceled: true, cancelReason: 'etcdserver: permission denied' },
  ])
  expect(ended).toHaveLength(1)
  vi.advanceTimersByTime(1000)
  expect(streams).toHaveLength(1)
})

test('one that comes later is told of the creation, unless it wants what is gone by', () => {
  const { shared } = broadcast(5)
  respond(9, { created: true })
  const told: rpc.WatchResponse[] = []
  const late = (nextRevision: number) => ({
    nextRevision,
    receive: (one: rpc.WatchResponse) => told.push(one),
  })
  expect(shared.maybeAdd(late(4))).toBe(false)
  expect(shared.maybeAdd(late(6))).toBe(true)
  expect(told).toMatchObject([{ created: true }])
})

test('one question keeps a lease for all who ask meanwhile, and is asked again after a break', () => {
  const keepAlives = new KeepAlives(upstream)
  const answers: number[] = []
  const id = 5n as LeaseId
  for (let at = 0; at < 3; at++) keepAlives.ask(id, ({ TTL }) => answers.push(TTL))
  const takeBack = keepAlives.ask(6n as LeaseId, () => answers.push(-1))
  const ids = (): bigint[] =>
    (streams.at(-1)?.written ?? []).map((bytes) => rpc.LeaseKeepAliveRequest.decode(bytes).ID)
  expect(ids()).toEqual([5n, 6n])
  takeBack()
  streams[0]?.emit('error', new Error('gone'))
  vi.advanceTimersByTime(100)
  expect(streams).toHaveLength(2)
  expect(ids()).toEqual([5n])
  streams[1]?.emit('data', rpc.LeaseKeepAliveResponse.encode({ ID: id, TTL: 30 }))
  expect(answers).toEqual([30, 30, 30])
  keepAlives.ask(id, () => undefined)
  expect(ids()).toEqual([5n, 5n])
  keepAlives.stop()
  expect(streams[1]?.isCancelled).toBe(true)
})
