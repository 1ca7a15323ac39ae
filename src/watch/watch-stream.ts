import { buggify, mark } from '../base/buggify.js'
import { errors } from '../base/errors.js'
import { failpoint } from '../base/failpoints.js'
import { latin1FromBytes } from '../base/latin1.js'
import type { WatchCreateRequest, WatchRequest } from '../wire/rpc.js'
import { CONTROL_BYTES_MAX, WATCHES_PER_STREAM_MAX } from './limits.js'
import { type ControlResponse, NO_WATCH_ID, type ResponseEncoder } from './response-encoder.js'
import type { WatchSink } from './watch-sink.js'
import { internSettings, Watcher } from './watcher.js'

/** What a stream needs of its hub. */
export interface WatchHost {
  readonly encoder: ResponseEncoder
  /** Bytes and responses that may wait for one client. */
  readonly streamBytesMax: number
  readonly streamResponsesMax: number
  /** The newest revision that watchers were told of. */
  revision(): number
  add(watcher: Watcher): void
  remove(watcher: Watcher): void
  onBlocked(stream: WatchStream): void
  onUnblocked(stream: WatchStream): void
  onClosed(stream: WatchStream): void
}

export interface WatchStreamOptions {
  readonly sink: WatchSink
  /**
   * Asked for each watch before it is made; the text it returns is sent as cancel_reason. `end` as
   * in Watcher. Default: every watch is allowed.
   */
  readonly mayWatch?: ((key: string, end: string) => string | undefined) | undefined
}

const EMPTY_RANGE = 'mvcc: watcher range is empty'
const DUPLICATE_ID = 'mvcc: duplicate watch ID provided on the WatchStream'
const TOO_MANY = `etcdserver: a stream holds at most ${WATCHES_PER_STREAM_MAX} watches`

/** The watches of one gRPC stream: takes its requests, gives its responses to the sink. */
export class WatchStream {
  readonly #host: WatchHost
  readonly #sink: WatchSink
  readonly #mayWatch: WatchStreamOptions['mayWatch']
  readonly #watchers = new Map<number, Watcher>()
  /** Watchers that wait for the client to read; made when first needed. */
  #parked: Set<Watcher> | undefined = undefined
  #nextId = 0
  #queuedResponses = 0
  #queuedEvents = 0
  #controlBytes = 0
  #isBlocked = false
  #isClosed = false
  /** Watchers that are not synced; kept by the hub. */
  unsyncedCount = 0
  /** Watchers that want progress notifications; kept by the hub. */
  progressCount = 0
  /** When the next one is due, and how far apart they are; 0 = not yet set. Kept by the hub. */
  progressDueMs = 0
  progressPeriodMs = 0

  constructor(host: WatchHost, options: WatchStreamOptions) {
    this.#host = host
    this.#sink = options.sink
    this.#mayWatch = options.mayWatch
    options.sink.onDrain(() => this.#unblock())
  }

  get watcherCount(): number {
    return this.#watchers.size
  }

  /** The client has more waiting than it may: its watchers are not served until it has read. */
  get isBlocked(): boolean {
    return this.#isBlocked
  }

  /** Events in responses that wait for the client, approximately. */
  get pendingEventCount(): number {
    return this.#sink.queuedBytes === 0 ? 0 : this.#queuedEvents
  }

  watchers(): Iterable<Watcher> {
    return this.#watchers.values()
  }

  /**
   * Takes one request. 'overflow' when the client sends requests and does not read the answers: the
   * owner then closes the stream and fails its call. Requests after `close` are ignored.
   */
  onRequest(request: WatchRequest): 'taken' | 'overflow' {
    if (this.#isClosed) return 'taken'
    this.#noteDrained()
    if (request.createRequest !== undefined) this.#create(request.createRequest)
    else if (request.cancelRequest !== undefined) this.#cancel(request.cancelRequest.watchId)
    else if (request.progressRequest !== undefined) this.#answerProgress()
    return this.#controlBytes > CONTROL_BYTES_MAX ? 'overflow' : 'taken'
  }

  /** Ends all watches without a response and frees what they hold. May be called twice. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const watcher of this.#watchers.values()) this.#host.remove(watcher)
    this.#watchers.clear()
    this.#parked = undefined
    this.#host.onClosed(this)
  }

  /** Ends one watch because what it asked for was compacted. */
  cancelCompacted(watcher: Watcher, compactRevision: number): void {
    mark('watch/cancelled-compacted')
    this.#drop(watcher)
    // etcd leaves the revision out of this header: the answer is about no state of the store.
    this.#sendControl(0, {
      watchId: watcher.id,
      canceled: true,
      compactRevision: compactRevision as never,
    })
  }

  /**
   * Tells one watcher, or with NO_WATCH_ID all of them, that they have seen everything up to now.
   */
  sendProgress(watchId: number): void {
    this.#sendControl(this.#host.revision(), { watchId })
  }

  /**
   * Queues one response with events; `isBlocked` says afterwards whether there is room for more.
   */
  send(parts: readonly Uint8Array[], eventCount: number): void {
    if (this.#isClosed) return
    this.#noteDrained()
    this.#queuedResponses++
    this.#queuedEvents += eventCount
    failpoint('beforeSendWatchResponse')
    const hasRoom = this.#sink.sendEncoded(parts)
    const { streamBytesMax, streamResponsesMax } = this.#host
    if (
      hasRoom &&
      !buggify('watch/block-early') &&
      this.#queuedResponses < streamResponsesMax &&
      this.#sink.queuedBytes <= streamBytesMax
    ) {
      return
    }
    this.#isBlocked = true
    this.#host.onBlocked(this)
  }

  park(watcher: Watcher): void {
    mark('watch/parked')
    this.#parked ??= new Set()
    this.#parked.add(watcher)
  }

  unpark(watcher: Watcher): void {
    this.#parked?.delete(watcher)
  }

  /** Hands out the parked watchers; none are parked afterwards. */
  takeParked(): Iterable<Watcher> {
    const parked = this.#parked
    this.#parked = undefined
    return parked ?? []
  }

  /**
   * Looks whether the client has read everything; the sink's own sign comes only when the sink was
   * full.
   */
  maybeUnblock(): void {
    if (this.#sink.queuedBytes === 0) this.#unblock()
  }

  #unblock(): void {
    if (!this.#isBlocked || this.#isClosed) return
    this.#isBlocked = false
    this.#queuedResponses = 0
    this.#host.onUnblocked(this)
  }

  #noteDrained(): void {
    if (this.#sink.queuedBytes > 0) return
    this.#queuedResponses = 0
    this.#queuedEvents = 0
    this.#controlBytes = 0
  }

  #sendControl(revision: number, response: ControlResponse): void {
    if (this.#isClosed) return
    this.#noteDrained()
    const encoded = this.#host.encoder.control(revision, response)
    this.#controlBytes += encoded.length
    failpoint('beforeSendWatchResponse')
    const hasRoom = this.#sink.sendEncoded([encoded])
    if (hasRoom || this.#isBlocked) return
    this.#isBlocked = true
    this.#host.onBlocked(this)
  }

  #create(request: WatchCreateRequest): void {
    const key = request.key.length === 0 ? '\0' : latin1FromBytes(request.key)
    const end = latin1FromBytes(request.rangeEnd)
    const refusal = this.#refusalOf(request, key, end)
    if (refusal !== undefined) {
      this.#sendControl(this.#host.revision(), {
        watchId: NO_WATCH_ID,
        created: true,
        canceled: true,
        cancelReason: refusal,
      })
      return
    }
    const id = request.watchId === 0 ? this.#takeId() : request.watchId
    const from = request.startRevision === 0 ? this.#host.revision() + 1 : request.startRevision
    const watcher = new Watcher(
      { stream: this, id, key, end, from },
      internSettings({
        noPut: request.filters.includes('NOPUT'),
        noDelete: request.filters.includes('NODELETE'),
        wantsPrevious: request.prevKv,
        wantsFragments: request.fragment,
        wantsProgress: request.progressNotify,
      }),
    )
    this.#watchers.set(id, watcher)
    this.#sendControl(this.#host.revision(), { watchId: id, created: true })
    this.#host.add(watcher)
  }

  /** Why the watch cannot be made, in the order in which etcd finds out. */
  #refusalOf(request: WatchCreateRequest, key: string, end: string): string | undefined {
    if (request.startRevision < 0) return errors.COMPACTED.message
    const forbidden = this.#mayWatch?.(key, end)
    if (forbidden !== undefined) return forbidden
    if (end !== '' && end !== '\0' && key >= end) return EMPTY_RANGE
    if (request.watchId !== 0 && this.#watchers.has(request.watchId)) return DUPLICATE_ID
    return this.#watchers.size >= WATCHES_PER_STREAM_MAX ? TOO_MANY : undefined
  }

  #takeId(): number {
    while (this.#watchers.has(this.#nextId)) this.#nextId++
    return this.#nextId++
  }

  #cancel(watchId: number): void {
    const watcher = this.#watchers.get(watchId)
    if (watcher === undefined) return
    this.#drop(watcher)
    this.#sendControl(this.#host.revision(), { watchId, canceled: true })
  }

  #drop(watcher: Watcher): void {
    this.#watchers.delete(watcher.id)
    this.#host.remove(watcher)
  }

  /** As etcd 3.5.8 on: silence unless every watcher of the stream has seen everything. */
  #answerProgress(): void {
    if (this.#watchers.size === 0 || this.unsyncedCount > 0 || this.#isBlocked) return
    this.sendProgress(NO_WATCH_ID)
  }
}
