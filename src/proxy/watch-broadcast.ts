import type { Metadata } from '@grpc/grpc-js'
import { revision } from '../base/ids.js'
import type { Event } from '../wire/mvccpb.js'
import * as rpc from '../wire/rpc.js'
import type { KeyNamespace } from './key-namespace.js'
import type { Caller } from './upstream.js'
import { metadataOf, type Upstream, UpstreamError, type UpstreamStream } from './upstream.js'

const WATCH = '/etcdserverpb.Watch/Watch'
/** Between two attempts to take a watch up again, ms. */
const RESUME_PAUSE_MS = 100
/** gRPC codes with which a member, not the way to it, refuses a watch. */
const FINAL_CODES: readonly number[] = [3, 7, 12, 16]

/** One watch of a client. */
export interface Receiver {
  /** The least revision of the next event; 0 = what comes after the creation. */
  readonly nextRevision: number
  receive(response: rpc.WatchResponse): void
}

export interface BroadcastOptions {
  readonly upstream: Upstream
  readonly namespace: KeyNamespace
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
  readonly nextRevision: number
  /** On whose behalf it is asked. */
  readonly caller: Caller
  /** A response came, and all receivers have it. */
  readonly onResponse: (broadcast: WatchBroadcast) => void
  /** No more responses come. */
  readonly onEnd: (broadcast: WatchBroadcast) => void
}

/**
 * One watch at a member whose responses go to many watches of clients. When the connection breaks
 * it goes on from the revision it had come to, so that nobody misses or repeats an event.
 */
export class WatchBroadcast {
  readonly receivers = new Set<Receiver>()
  readonly #options: BroadcastOptions
  readonly #metadata: Metadata
  #nextRevision: number
  #created: rpc.WatchResponse | undefined
  #stream: UpstreamStream | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(options: BroadcastOptions) {
    this.#options = options
    this.#metadata = metadataOf(options.caller)
    this.#nextRevision = options.nextRevision
  }

  get nextRevision(): number {
    return this.#nextRevision
  }

  /** The member has said that the watch is there. */
  get isCreated(): boolean {
    return this.#created !== undefined
  }

  /**
   * Takes a watch in, unless it wants events that are gone by. One that comes later is told of its
   * creation here; the others hear of it from the member.
   */
  maybeAdd(receiver: Receiver): boolean {
    const { nextRevision } = receiver
    const isBehind = this.#nextRevision > nextRevision
    if (isBehind || (this.#nextRevision === 0 && nextRevision !== 0)) return false
    this.receivers.add(receiver)
    if (this.#created !== undefined) receiver.receive(this.#created)
    return true
  }

  start(): void {
    const { upstream, namespace, key, rangeEnd } = this.#options
    const stream = upstream.bidiStream(WATCH, this.#metadata)
    this.#stream = stream
    stream.on('data', (bytes: Buffer) => this.#receive(rpc.WatchResponse.decode(bytes)))
    stream.on('error', (error) => this.#resume(stream, UpstreamError.from(error)))
    stream.on('end', () => this.#resume(stream, undefined))
    const range = namespace.outerRange({ key, rangeEnd })
    stream.write(
      rpc.WatchRequest.encode({
        createRequest: rpc.WatchCreateRequest.create({
          ...range,
          startRevision: revision(this.#nextRevision),
          progressNotify: true,
          prevKv: true,
        }),
      }),
    )
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#stream?.cancel()
  }

  #resume(stream: UpstreamStream, failure: UpstreamError | undefined): void {
    if (this.#isStopped || stream !== this.#stream) return
    this.#stream = undefined
    if (failure !== undefined && FINAL_CODES.includes(failure.status)) {
      this.#end(failure.message)
      return
    }
    this.#timer = setTimeout(() => this.start(), RESUME_PAUSE_MS)
  }

  #end(cancelReason: string): void {
    const response = rpc.WatchResponse.create({ canceled: true, cancelReason })
    for (const receiver of this.receivers) receiver.receive(response)
    this.stop()
    this.#options.onEnd(this)
  }

  #receive(outer: rpc.WatchResponse): void {
    if (this.#isStopped) return
    const { namespace, onResponse, onEnd } = this.#options
    const events: readonly Event[] = namespace.isEmpty
      ? outer.events
      : outer.events.map((event) => namespace.innerEvent(event))
    const response = { ...outer, events }
    const at = outer.header?.revision ?? 0
    const isResumed = outer.created && this.#created !== undefined
    // A watch in the past keeps its start at its creation: the events in between are to come.
    // While it catches up, a response's header is ahead of its events.
    const last = events.at(-1)?.kv?.modRevision
    if (last !== undefined) this.#nextRevision = last + 1
    else if (!outer.created || this.#nextRevision === 0) this.#nextRevision = at + 1
    if (outer.created && !isResumed) this.#created = response
    if (!isResumed) for (const receiver of this.receivers) receiver.receive(response)
    if (outer.canceled) {
      this.stop()
      onEnd(this)
    } else onResponse(this)
  }
}
