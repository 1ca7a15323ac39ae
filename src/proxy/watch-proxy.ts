import { errors } from '../base/errors.js'
import { revision } from '../base/ids.js'
import { latin1FromBytes } from '../base/latin1.js'
import { bidiStreamMethod } from '../grpc/methods.js'
import type { Log } from '../ports/log.js'
import type { GrpcStatus, RequestListener, RpcMethod, StreamCall } from '../ports/rpc.js'
import type { Codec, Encodable } from '../wire/codec.js'
import type { Event } from '../wire/mvccpb.js'
import * as rpc from '../wire/rpc.js'
import type { MemberKv } from './kv-calls.js'
import type { LeaderWatch } from './leader-watch.js'
import { type Caller, callerOfStream, UpstreamError } from './upstream.js'
import type { Receiver } from './watch-broadcast.js'
import type { WatchBroadcasts } from './watch-broadcasts.js'

/** Watches of one client stream. */
const WATCHES_PER_STREAM_MAX = 16_384
/** What may wait for a client that does not read; beyond it its stream ends. */
const QUEUED_BYTES_MAX = 64 * 1024 * 1024
/** Requests of one stream that wait for the check of an earlier one. */
const WAITING_REQUESTS_MAX = 4096
/** The id of a watch that never was. */
const NO_WATCH_ID = -1

type WatchCall = StreamCall<Encodable<typeof rpc.WatchResponse>>

export interface WatchProxyOptions {
  readonly broadcasts: WatchBroadcasts
  /** Asked whether a client may read what it wants to watch. */
  readonly members: MemberKv
  readonly leader: LeaderWatch
  readonly log: Log
}

const isFiltered = (filters: readonly string[], event: Event): boolean =>
  filters.includes(event.type === 'DELETE' ? 'NODELETE' : 'NOPUT')

/** One watch of a client: takes of the shared responses what it asked for and has not had. */
class ProxiedWatch implements Receiver {
  readonly id: number
  readonly #request: rpc.WatchCreateRequest
  readonly #send: (response: rpc.WatchResponse) => void
  #nextRevision: number
  #header: rpc.ResponseHeader | undefined

  constructor(
    id: number,
    request: rpc.WatchCreateRequest,
    send: (response: rpc.WatchResponse) => void,
  ) {
    this.id = id
    this.#request = request
    this.#send = send
    this.#nextRevision = request.startRevision
  }

  get nextRevision(): number {
    return this.#nextRevision
  }

  get lastHeader(): rpc.ResponseHeader | undefined {
    return this.#header
  }

  receive(response: rpc.WatchResponse): void {
    const at = response.header?.revision ?? 0
    const { created, canceled } = response
    const isProgress = !created && !canceled && response.events.length === 0
    if (isProgress && !this.#request.progressNotify) return
    if (this.#nextRevision === 0) this.#nextRevision = at + 1
    const events: Event[] = []
    let last = 0
    for (const event of response.events) {
      const changed = event.kv?.modRevision ?? 0
      if (changed < this.#nextRevision) continue
      last = changed
      if (isFiltered(this.#request.filters, event)) continue
      events.push(this.#request.prevKv ? event : { ...event, prevKv: undefined })
    }
    if (last >= this.#nextRevision) this.#nextRevision = last + 1
    if (events.length === 0 && !isProgress && !created && !canceled) return
    this.#header = response.header
    this.#send({ ...response, events, watchId: this.id, fragment: false })
  }
}

/** The watches of one client stream. */
class WatchSession implements RequestListener<rpc.WatchRequest> {
  readonly #options: WatchProxyOptions
  readonly #call: WatchCall
  readonly #watches = new Map<number, ProxiedWatch>()
  readonly #caller: NonNullable<Caller>
  readonly #release: () => void
  #nextId = 0
  #waiting = 0
  /** Requests are answered in order, though each may have to wait for a member. */
  #last: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: WatchProxyOptions, call: WatchCall) {
    this.#options = options
    this.#call = call
    this.#caller = callerOfStream(call)
    call.onCancel(() => this.#close())
    const { grpc, message } = errors.NO_LEADER
    this.#release = options.leader.guard(call, () => {
      this.#close()
      call.fail({ status: grpc as GrpcStatus, message })
    })
  }

  onRequest(request: rpc.WatchRequest): void {
    if (this.#waiting >= WAITING_REQUESTS_MAX) {
      this.#fail('too many requests are waiting')
      return
    }
    this.#waiting += 1
    const kept = copied(request)
    this.#last = this.#last
      .then(() => this.#handle(kept))
      .finally(() => {
        this.#waiting -= 1
      })
  }

  onRequestsEnd(): void {
    void this.#last.then(() => {
      if (this.#isClosed) return
      this.#close()
      this.#call.end()
    })
  }

  async #handle(request: rpc.WatchRequest): Promise<void> {
    if (this.#isClosed) return
    if (request.createRequest !== undefined) await this.#create(request.createRequest)
    else if (request.cancelRequest !== undefined) this.#cancel(request.cancelRequest.watchId)
    else
      this.#options.log.error('not supported request type by gRPC proxy', { request: 'progress' })
  }

  async #create(given: rpc.WatchCreateRequest): Promise<void> {
    // No key is every key.
    const isAll = given.key.length === 0
    const zero = Uint8Array.of(0)
    const request = isAll ? { ...given, key: zero, rangeEnd: zero } : given
    const problem = await this.#problemOf(request)
    if (this.#isClosed) return
    if (problem !== undefined) {
      this.#send({ ...refused(problem), header: emptyHeader() })
      return
    }
    const key = latin1FromBytes(request.key)
    const end = latin1FromBytes(request.rangeEnd)
    if (end !== '' && end !== '\0' && end <= key) {
      this.#send(refused(''))
      return
    }
    if (this.#watches.size >= WATCHES_PER_STREAM_MAX) {
      this.#send(refused(`etcdserver: a stream holds at most ${WATCHES_PER_STREAM_MAX} watches`))
      return
    }
    const watch = new ProxiedWatch(this.#nextId, request, (response) => {
      this.#send(response)
      if (response.canceled) this.#watches.delete(watch.id)
    })
    this.#nextId += 1
    this.#watches.set(watch.id, watch)
    const { key: from, rangeEnd } = request
    this.#options.broadcasts.add(watch, { key: from, rangeEnd, caller: this.#caller })
  }

  /** Why the client may not watch this, as the member says; undefined = it may. */
  async #problemOf({ key, rangeEnd }: rpc.WatchCreateRequest): Promise<string | undefined> {
    const range = { key, rangeEnd, serializable: true, countOnly: true, limit: 1 }
    try {
      await this.#options.members.mayRead(rpc.RangeRequest.create(range), this.#caller)
      return undefined
    } catch (error) {
      return UpstreamError.from(error).message
    }
  }

  #cancel(id: number): void {
    const watch = this.#watches.get(id)
    if (watch === undefined) return
    this.#watches.delete(id)
    this.#options.broadcasts.remove(watch)
    const header = watch.lastHeader
    this.#send(rpc.WatchResponse.create({ header, watchId: id, canceled: true }))
  }

  #send(response: rpc.WatchResponse): void {
    if (this.#isClosed) return
    this.#call.send(response)
    if (this.#call.queuedBytes > QUEUED_BYTES_MAX) this.#fail('the client does not read')
  }

  #fail(message: string): void {
    this.#close()
    this.#call.fail({ status: 8, message })
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#release()
    for (const watch of this.#watches.values()) this.#options.broadcasts.remove(watch)
    this.#watches.clear()
  }
}

/** The server's bytes live until its handler returns. */
function copied(request: rpc.WatchRequest): rpc.WatchRequest {
  const { createRequest } = request
  if (createRequest === undefined) return request
  const { key, rangeEnd } = createRequest
  return {
    ...request,
    createRequest: {
      ...createRequest,
      key: Uint8Array.from(key),
      rangeEnd: Uint8Array.from(rangeEnd),
    },
  }
}

const emptyHeader = (): rpc.ResponseHeader => rpc.ResponseHeader.create({ revision: revision(0) })

const refused = (cancelReason: string): rpc.WatchResponse =>
  rpc.WatchResponse.create({ watchId: NO_WATCH_ID, created: true, canceled: true, cancelReason })

/** The Watch service. */
export function watchProxyMethod(options: WatchProxyOptions): RpcMethod {
  return bidiStreamMethod<rpc.WatchRequest, Encodable<typeof rpc.WatchResponse>>({
    path: '/etcdserverpb.Watch/Watch',
    request: rpc.WatchRequest as Codec<rpc.WatchRequest, never>,
    response: rpc.WatchResponse as unknown as Codec<never, Encodable<typeof rpc.WatchResponse>>,
    handle: (call) => new WatchSession(options, call),
  })
}
