import { revision } from '../../../src/base/ids.js'
import { bytesFromLatin1 } from '../../../src/base/latin1.js'
import type { WatchSink } from '../../../src/watch/watch-sink.js'
import type { WatchStream } from '../../../src/watch/watch-stream.js'
import * as rpc from '../../../src/wire/rpc.js'
import { describeKeyValue, plainKeyValue } from '../describe-response.js'
import type { SimulatedNode } from '../node.js'
import type { Prng } from '../world/prng.js'
import type { ClientContext } from './client.js'

/** What one response of a watch said. */
export interface WatchNews {
  readonly atUs: number
  readonly revision: number
  readonly kind: 'events' | 'progress' | 'compacted' | 'created'
  readonly compactRevision: number
  readonly events: readonly WatchedEvent[]
}
export interface WatchedEvent {
  readonly type: string
  readonly key: string
  readonly mod: number
  readonly kv: string
  /** As a client sees it: its create revision is its mod revision. */
  readonly isCreate: boolean
  readonly previous: string | undefined
}

/** One watch from its creation to the loss of its connection. */
export interface WatchRecord {
  readonly watcher: number
  readonly place: number
  /** As asked for; 0 = from now. */
  readonly startRevision: number
  readonly key: string
  readonly end: string
  readonly wantsPrevious: boolean
  readonly noDelete: boolean
  readonly noPut: boolean
  readonly news: WatchNews[]
}

/** From so many unread bytes on a client takes no further events. */
const QUEUE_BYTES_MAX = 500
/** Longest time a client leaves its responses unread, microseconds. */
const READ_PAUSE_US = 400_000

/** Watches one range for ever: on one member after the other, always going on behind what it has seen. */
export class WatchClient {
  readonly #id: number
  readonly #context: ClientContext
  readonly #prng: Prng
  readonly #startPrng: Prng
  readonly records: WatchRecord[] = []
  #next = 0
  #isStopped = false
  /** Ends the watch that is open. */
  #closeOpen: () => void = () => undefined

  constructor(id: number, context: ClientContext) {
    this.#id = id
    this.#context = context
    this.#prng = context.world.prng.fork(`watcher/${id}`)
    this.#startPrng = context.world.prng.fork(`watch-start/${id}`)
  }

  start(): void {
    this.#later(this.#prng.below(3_000_000))
  }

  /** Ends the watch that is open, and opens no other. */
  close(): void {
    this.#isStopped = true
    this.#closeOpen()
  }

  #later(delayUs: number): void {
    this.#context.world.queue.after(delayUs, () => this.#connect())
  }

  #connect(): void {
    if (this.#isStopped) return
    const node = this.#prng.pick(this.#context.nodes)
    if (!node.isUp) {
      this.#later(200_000)
      return
    }
    const prng = this.#prng
    const isAll = prng.perMille(500)
    const { keyCount } = this.#context.options
    const isFresh = prng.perMille(100)
    const settings = this.records.at(-1)
    const record: WatchRecord =
      settings !== undefined && !isFresh
        ? { ...settings, place: node.place, startRevision: this.#next, news: [] }
        : {
            watcher: this.#id,
            place: node.place,
            startRevision: this.#startRevision(),
            key: isAll ? 'k' : `k${String(prng.below(keyCount)).padStart(2, '0')}`,
            end: isAll ? 'l' : '',
            wantsPrevious: prng.perMille(500),
            noDelete: prng.perMille(100),
            noPut: prng.perMille(100),
            news: [],
          }
    if (isFresh || settings === undefined) this.#next = record.startRevision
    this.records.push(record)
    this.#open(node, record)
  }

  /** From now, from the beginning, or from somewhere in the past or the future. */
  #startRevision(): number {
    const seen = this.#next - 1
    const around = Math.max(1, seen + this.#startPrng.between(-30, 30))
    return this.#prng.pick([0, 0, 1, 1, 2, this.#startPrng.pick([50, around])])
  }

  #open(node: SimulatedNode, record: WatchRecord): void {
    const { world } = this.#context
    const { incarnation } = node
    let isGone = false
    const pending: { readonly bytes: Uint8Array; readonly isTooMuch: boolean }[] = []
    let isFull = false
    let queuedBytes = 0
    let drain: () => void = () => undefined
    let stream: WatchStream | undefined
    const leave = (): void => {
      if (isGone) return
      isGone = true
      offDeath()
      node.run(incarnation, () => stream?.close())
      this.#later(this.#prng.below(500_000))
    }
    const readSome = (): void => {
      if (isGone) return
      const taken = pending.splice(0)
      const wasFull = queuedBytes > 0
      queuedBytes = 0
      isFull = false
      for (const { bytes, isTooMuch } of taken) {
        const response = rpc.WatchResponse.decode(bytes)
        if (isTooMuch && response.events.length > 0)
          world.fail('queue-bounds', `watcher ${this.#id} was sent events when it was full`)
        this.#receive(record, response, leave)
      }
      // A paused process hears of it later: by then it may have filled the client again.
      if (wasFull) node.run(incarnation, () => !isFull && drain())
    }
    const scheduleRead = (): void => {
      const pause = this.#prng.perMille(50) ? READ_PAUSE_US : 2000
      world.queue.after(this.#prng.below(pause) + 20, readSome)
    }
    const sink: WatchSink = {
      sendEncoded: (parts) => {
        const bytes = joined(parts)
        if (queuedBytes === 0) scheduleRead()
        queuedBytes += bytes.length
        pending.push({ bytes, isTooMuch: isFull })
        isFull = queuedBytes >= QUEUE_BYTES_MAX
        return !isFull
      },
      get queuedBytes() {
        return queuedBytes
      },
      onDrain: (listener) => {
        drain = listener
      },
    }
    const offDeath = node.onDeath(leave)
    this.#closeOpen = leave
    world.queue.after(50, () =>
      node.run(incarnation, () => {
        const { member } = node
        if (member === undefined || !member.isServing) {
          leave()
          return
        }
        stream = member.hub.open({ sink })
        stream.onRequest(
          rpc.WatchRequest.create({
            createRequest: rpc.WatchCreateRequest.create({
              key: bytesFromLatin1(record.key),
              rangeEnd: bytesFromLatin1(record.end),
              startRevision: revision(record.startRevision),
              prevKv: record.wantsPrevious,
              progressNotify: this.#prng.perMille(300),
              filters: [
                ...(record.noPut ? (['NOPUT'] as const) : []),
                ...(record.noDelete ? (['NODELETE'] as const) : []),
              ],
            }),
          }),
        )
        world.queue.after(this.#prng.between(500_000, 20_000_000), leave)
        this.#askProgress(node, incarnation, () => {
          if (!isGone) stream?.onRequest(rpc.WatchRequest.create({ progressRequest: {} }))
        })
      }),
    )
    world.queue.after(25_000_000, leave)
  }

  #askProgress(node: SimulatedNode, incarnation: number, ask: () => void): void {
    const { world } = this.#context
    if (!this.#prng.perMille(300)) return
    for (let count = 0; count < 5; count++) {
      world.queue.after(this.#prng.below(10_000_000), () => node.run(incarnation, ask))
    }
  }

  #receive(record: WatchRecord, response: rpc.WatchResponse, leave: () => void): void {
    const { world } = this.#context
    const events = response.events.map((event): WatchedEvent => {
      const kv = event.kv === undefined ? undefined : plainKeyValue(event.kv)
      return {
        type: event.type,
        key: kv?.key ?? '',
        mod: kv?.mod ?? 0,
        kv: kv === undefined ? '' : describeKeyValue(kv),
        isCreate: kv !== undefined && kv.create === kv.mod,
        previous:
          event.prevKv === undefined ? undefined : describeKeyValue(plainKeyValue(event.prevKv)),
      }
    })
    const at = response.header?.revision ?? 0
    const { compactRevision } = response
    let kind: WatchNews['kind'] = events.length > 0 ? 'events' : 'progress'
    if (compactRevision > 0) kind = 'compacted'
    else if (response.created) kind = 'created'
    else if (response.canceled) {
      leave()
      return
    }
    record.news.push({ atUs: world.nowUs, revision: at, kind, compactRevision, events })
    world.trace.event(record.place, `watch-${kind}`, this.#id, at, events.length)
    const last = events.at(-1)
    if (last !== undefined) this.#next = last.mod + 1
    else if (kind === 'progress') this.#next = Math.max(this.#next, at + 1)
    else if (kind === 'created' && record.startRevision === 0) this.#next = at + 1
    else if (kind === 'compacted') {
      this.#next = compactRevision
      leave()
    }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
