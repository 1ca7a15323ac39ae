import { Metadata } from '@grpc/grpc-js'
import { errors } from '../base/errors.js'
import type { LeaseId } from '../base/ids.js'
import { bidiStreamMethod, unaryMethod } from '../grpc/methods.js'
import type { GrpcStatus, RpcMethod, StreamCall } from '../ports/rpc.js'
import type { Codec, Encodable } from '../wire/codec.js'
import * as rpc from '../wire/rpc.js'
import type { KeyNamespace } from './key-namespace.js'
import type { LeaderWatch } from './leader-watch.js'
import { rawMessage } from './raw-message.js'
import { type Upstream, UpstreamError, type UpstreamStream } from './upstream.js'

const KEEP_ALIVE = '/etcdserverpb.Lease/LeaseKeepAlive'
const TIME_TO_LIVE = '/etcdserverpb.Lease/LeaseTimeToLive'
/** Before the stream to a member is opened again, ms. */
const REOPEN_PAUSE_MS = 100
/** Answers that one client may be owed on one stream. */
const OWED_MAX = 65_536

type KeepAliveCall = StreamCall<Encodable<typeof rpc.LeaseKeepAliveResponse>>
type Waiting = (response: rpc.LeaseKeepAliveResponse) => void

/**
 * Keeps leases alive for all clients over one stream to a member: requests for a lease that is
 * asked about already wait for that answer.
 */
export class KeepAlives {
  readonly #upstream: Upstream
  readonly #waiting = new Map<LeaseId, Set<Waiting>>()
  #stream: UpstreamStream | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(upstream: Upstream) {
    this.#upstream = upstream
  }

  /** Asks for the lease to be kept; the answer comes once. The result takes the request back. */
  ask(id: LeaseId, onAnswer: Waiting): () => void {
    const known = this.#waiting.get(id)
    const waiting = known ?? new Set()
    waiting.add(onAnswer)
    if (known === undefined) {
      this.#waiting.set(id, waiting)
      this.#send(id)
    }
    return () => {
      waiting.delete(onAnswer)
    }
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#stream?.cancel()
  }

  #send(id: LeaseId): void {
    if (this.#timer !== undefined) return
    this.#stream ??= this.#open()
    this.#stream.write(rpc.LeaseKeepAliveRequest.encode({ ID: id }))
  }

  #open(): UpstreamStream {
    const stream = this.#upstream.bidiStream(KEEP_ALIVE, new Metadata())
    stream.on('data', (bytes: Buffer) => this.#answer(rpc.LeaseKeepAliveResponse.decode(bytes)))
    const onBreak = (): void => {
      if (stream !== this.#stream || this.#isStopped) return
      this.#stream = undefined
      this.#timer = setTimeout(() => this.#reopen(), REOPEN_PAUSE_MS)
    }
    stream.on('error', onBreak)
    stream.on('end', onBreak)
    return stream
  }

  /** Asks again what was not answered; what nobody waits for any more is forgotten. */
  #reopen(): void {
    this.#timer = undefined
    for (const [id, waiting] of this.#waiting) {
      if (waiting.size === 0) this.#waiting.delete(id)
      else this.#send(id)
    }
  }

  #answer(response: rpc.LeaseKeepAliveResponse): void {
    const waiting = this.#waiting.get(response.ID)
    this.#waiting.delete(response.ID)
    for (const onAnswer of waiting ?? []) onAnswer(response)
  }
}

export interface LeaseProxyOptions {
  readonly upstream: Upstream
  readonly namespace: KeyNamespace
  readonly keepAlives: KeepAlives
  readonly leader: LeaderWatch
}

function keepAliveMethod({ keepAlives, leader }: LeaseProxyOptions): RpcMethod {
  return bidiStreamMethod<rpc.LeaseKeepAliveRequest, Encodable<typeof rpc.LeaseKeepAliveResponse>>({
    path: KEEP_ALIVE,
    request: rpc.LeaseKeepAliveRequest as Codec<rpc.LeaseKeepAliveRequest, never>,
    response: rpc.LeaseKeepAliveResponse as unknown as Codec<
      never,
      Encodable<typeof rpc.LeaseKeepAliveResponse>
    >,
    handle: (call) => keepAliveSession(call, keepAlives, leader),
  })
}

function keepAliveSession(call: KeepAliveCall, keepAlives: KeepAlives, leader: LeaderWatch) {
  const owed = new Set<() => void>()
  let hasEnded = false
  const release = leader.guard(call, () => {
    forget()
    const { grpc, message } = errors.NO_LEADER
    call.fail({ status: grpc as GrpcStatus, message })
  })
  const forget = (): void => {
    release()
    for (const takeBack of owed) takeBack()
    owed.clear()
  }
  const endWhenDone = (): void => {
    if (!hasEnded || owed.size > 0) return
    release()
    call.end()
  }
  call.onCancel(forget)
  return {
    onRequest: ({ ID }: rpc.LeaseKeepAliveRequest): void => {
      if (owed.size >= OWED_MAX) {
        forget()
        call.fail({ status: 8, message: 'too many keep-alives are waiting' })
        return
      }
      const takeBack = keepAlives.ask(ID, (response) => {
        owed.delete(takeBack)
        call.send(response)
        endWhenDone()
      })
      owed.add(takeBack)
    },
    onRequestsEnd: (): void => {
      hasEnded = true
      endWhenDone()
    },
  }
}

/** Keys outside the namespace are not the client's to see. */
function timeToLiveMethod({ upstream, namespace }: LeaseProxyOptions): RpcMethod {
  return unaryMethod<Uint8Array, Uint8Array>({
    path: TIME_TO_LIVE,
    request: rawMessage,
    response: rawMessage,
    handle: (request, call) => {
      upstream.unary(TIME_TO_LIVE, Uint8Array.from(request), call).then(
        (answer) => call.reply(namespace.isEmpty ? answer : withInnerKeys(answer, namespace)),
        (error) => call.fail(UpstreamError.from(error)),
      )
    },
  })
}

function withInnerKeys(answer: Uint8Array, namespace: KeyNamespace): Uint8Array {
  const response = rpc.LeaseTimeToLiveResponse.decode(answer)
  const keys = response.keys.filter((key) => namespace.isInside(key))
  return rpc.LeaseTimeToLiveResponse.encode({
    ...response,
    keys: keys.map((key) => namespace.inner(key)),
  })
}

/** What of the Lease service is more than passed on. */
export function leaseProxyMethods(options: LeaseProxyOptions): RpcMethod[] {
  return [keepAliveMethod(options), timeToLiveMethod(options)]
}
