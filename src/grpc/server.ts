import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { InvariantViolation } from '../base/invariant.js'
import { type Http2Application, Http2Connection } from '../http2/connection.js'
import { FlushQueue } from '../http2/flush-queue.js'
import { DEFAULT_HTTP2_LIMITS, type Http2Limits } from '../http2/limits.js'
import type { RequestFields } from '../http2/request-fields.js'
import type { Http2Stream, StreamConsumer } from '../http2/stream.js'
import type { PeerCertificate, RpcMethod, RpcObserver } from '../ports/rpc.js'
import { failureTrailersOnly } from './blocks.js'
import { type CallConnection, type CallHost, ServerCall } from './call.js'
import { DeadlineWheel } from './deadline-wheel.js'
import { DEFAULT_GRPC_LIMITS, type GrpcLimits } from './limits.js'
import { MethodTable, type RequestHead, readRequestHead } from './request-head.js'

/** How often connections are looked after for their time limits. */
const TICK_MS = 1_000

export interface GrpcServerOptions {
  readonly methods: readonly RpcMethod[]
  readonly observer?: RpcObserver
  readonly limits?: Partial<GrpcLimits>
  readonly http2Limits?: Partial<Http2Limits>
  /**
   * A handler threw, or the engine did: the call was answered INTERNAL, or the connection ended.
   */
  readonly onError?: (error: unknown) => void
  /**
   * Shared with other servers of the process, so that one `flush` serves all; by default its own.
   */
  readonly flushQueue?: FlushQueue
  /**
   * Milliseconds of a clock that never goes back: the clock of `deadlineMs`. Default
   * `performance.now`.
   */
  readonly nowMs?: () => number
}

/**
 * Takes a request that is not gRPC. `endsNow` says that it has no body; the consumer is to be given
 * it otherwise.
 */
export type HttpRequestHandler = (
  stream: Http2Stream,
  request: RequestFields,
  endsNow: boolean,
) => StreamConsumer

/**
 * A gRPC server over sockets that others accept. Replies are collected and leave once per turn of
 * the event loop; whoever knows when its turn ends calls `flush` to have them leave at once.
 */
export class GrpcServer implements CallHost {
  readonly limits: GrpcLimits
  readonly observer: RpcObserver | undefined
  readonly deadlines: DeadlineWheel
  readonly nowMs: () => number
  readonly flushQueue: FlushQueue

  readonly #methods: MethodTable
  readonly #http2Limits: Http2Limits
  readonly #onError: (error: unknown) => void
  readonly #connections = new Set<Http2Connection<RequestHead>>()
  readonly #forget = (connection: Http2Connection<RequestHead>): void => {
    this.#connections.delete(connection)
    if (this.#connections.size > 0) return
    this.#stopTicking()
    this.#drained?.()
  }
  #ticker: NodeJS.Timeout | undefined
  #isDraining = false
  #drained: (() => void) | undefined

  constructor(options: GrpcServerOptions) {
    this.limits = { ...DEFAULT_GRPC_LIMITS, ...options.limits }
    this.observer = options.observer
    this.nowMs = options.nowMs ?? (() => performance.now())
    this.deadlines = new DeadlineWheel(this.nowMs)
    this.flushQueue = options.flushQueue ?? new FlushQueue()
    this.#methods = new MethodTable(options.methods)
    this.#http2Limits = { ...DEFAULT_HTTP2_LIMITS, ...options.http2Limits }
    this.#onError = options.onError ?? (() => {})
  }

  /** Open connections. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /**
   * Serves a connection; `head` is what was already read from the socket. `onHttpRequest` takes the
   * requests whose content type is not gRPC's; without it they are refused with 415, as grpc-go
   * does.
   */
  handleConnection(socket: Duplex, head?: Uint8Array, onHttpRequest?: HttpRequestHandler): void {
    const connection = new Http2Connection<RequestHead>({
      socket,
      application: new GrpcConnection(this, this.#methods, socket, onHttpRequest),
      limits: this.#http2Limits,
      flushQueue: this.flushQueue,
      nowMs: this.nowMs,
      onClosed: this.#forget,
      onError: this.#onError,
    })
    this.#connections.add(connection)
    this.#ticker ??= setInterval(() => this.#tick(), TICK_MS)
    connection.start(head)
    if (this.#isDraining) connection.drain()
  }

  onError(error: unknown): void {
    this.#onError(error)
  }

  /** Writes all replies that were collected in this turn. */
  flush(): void {
    this.flushQueue.flush()
  }

  /**
   * Lets calls under way finish, for at most `graceMs`; no new ones begin. Resolves when all is
   * closed.
   */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true
    for (const connection of this.#connections) connection.drain()
    this.flush()
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, graceMs)
        this.#drained = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.close()
  }

  /** Ends everything now. */
  close(): void {
    this.#isDraining = true
    for (const connection of this.#connections) {
      connection.close()
      connection.destroy()
    }
    this.deadlines.stop()
    this.#stopTicking()
  }

  #tick(): void {
    const nowMs = this.nowMs()
    for (const connection of this.#connections) connection.onTick(nowMs)
  }

  #stopTicking(): void {
    if (this.#ticker !== undefined) clearInterval(this.#ticker)
    this.#ticker = undefined
  }
}

/** What the requests of one connection share. */
class GrpcConnection implements Http2Application<RequestHead>, CallConnection {
  assemblingBytes = 0
  readonly #server: GrpcServer
  readonly #methods: MethodTable
  readonly #socket: Duplex
  readonly #onHttpRequest: HttpRequestHandler | undefined
  /** null = not looked up yet. */
  #certificate: PeerCertificate | undefined | null = null

  constructor(
    server: GrpcServer,
    methods: MethodTable,
    socket: Duplex,
    onHttpRequest: HttpRequestHandler | undefined,
  ) {
    this.#server = server
    this.#methods = methods
    this.#socket = socket
    this.#onHttpRequest = onHttpRequest
  }

  get peerCertificate(): PeerCertificate | undefined {
    if (this.#certificate === null) this.#certificate = certificateOf(this.#socket)
    return this.#certificate
  }

  readHead(request: RequestFields): RequestHead {
    return readRequestHead(request, this.#methods)
  }

  onRequest(stream: Http2Stream, head: RequestHead, endsNow: boolean): StreamConsumer {
    const { method } = head
    if (method === undefined) {
      if (head.http !== undefined && this.#onHttpRequest !== undefined) {
        return this.#onHttpRequest(stream, head.http, endsNow)
      }
      const refusal = head.refusal
      if (refusal === undefined) throw new InvariantViolation('a head has a method or a refusal')
      stream.sendTrailers(failureTrailersOnly(refusal.failure, refusal.httpStatus))
      return IGNORED
    }
    const call = new ServerCall({ host: this.#server, connection: this, stream, head, method })
    // A handler may answer at once, and what it queues is told to the call.
    stream.consumer = call
    call.start()
    return call
  }
}

/** Takes the rest of a request that was refused. */
const IGNORED: StreamConsumer = { onData() {}, onEnd() {}, onReset() {}, onWritable() {} }

function certificateOf(socket: Duplex): PeerCertificate | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const certificate = socket.getPeerCertificate()
  const subject = certificate.subject as { CN?: string | string[] } | undefined
  if (subject === undefined) return undefined
  const name = subject.CN ?? ''
  return { commonName: typeof name === 'string' ? name : (name[0] ?? '') }
}
