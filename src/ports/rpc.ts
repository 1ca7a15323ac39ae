/**
 * Where the services meet the gRPC server: a table of methods, and what a handler is given for a
 * call. Handlers know nothing of HTTP/2; the server knows nothing of etcd. Types only.
 */
import type { Codec } from '../wire/codec.js'

/** gRPC status codes by number (grpc.io/docs/guides/status-codes). */
export type GrpcStatus = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15 | 16

/** How a call that failed is answered. `message` is sent percent-encoded as `grpc-message`. */
export interface RpcFailure {
  readonly status: GrpcStatus
  readonly message: string
}

/** What the client proved about itself in the TLS handshake. */
export interface PeerCertificate {
  /** Subject common name; '' when there is none. */
  readonly commonName: string
}

/** What every handler can ask about its call. Metadata is decoded on first use only. */
export interface CallContext {
  /**
   * First value of a request metadata key (lower-case), or undefined. `-bin` values as latin1 of
   * the bytes.
   */
  metadata(key: string): string | undefined
  /** `host:port` of the client, or the path of a unix socket. */
  readonly remoteAddress: string
  /** Present only on a verified client certificate. */
  readonly peerCertificate: PeerCertificate | undefined
  /**
   * Milliseconds of the monotonic clock at which the client stops waiting; Infinity when it did not
   * say.
   */
  readonly deadlineMs: number
  /**
   * True once the client cancelled, its deadline passed or its connection ended: a reply goes
   * nowhere.
   */
  readonly isCancelled: boolean
  /**
   * Runs once, when `isCancelled` becomes true before the call was finished; replaces an earlier
   * listener.
   */
  onCancel(listener: () => void): void
}

/**
 * A call with one request and one response. Exactly one of `reply` and `fail` is called, at any
 * later time.
 */
export interface UnaryCall<Response> extends CallContext {
  /** Encodes and sends the response, with status 0. Ignored once cancelled. */
  reply(response: Response): void
  /** Ends the call with a status other than 0. Ignored once cancelled. */
  fail(failure: RpcFailure): void
}

/** A call with a stream of responses; also of requests when the method says so. */
export interface StreamCall<Response> extends CallContext {
  /**
   * Queues one response. The result is false while more than the send limit waits for the client to
   * read: the handler should stop until `onDrain`. Ignored once cancelled or ended.
   */
  send(response: Response): boolean
  /**
   * The same for a response that is already encoded, given in parts which together are one message,
   * so that what many calls share is encoded once. The parts must not change afterwards.
   */
  sendEncoded(parts: readonly Uint8Array[]): boolean
  /** Bytes queued and not yet given to the socket. */
  readonly queuedBytes: number
  /**
   * Runs each time the queue has emptied after `send` returned false; replaces an earlier listener.
   */
  onDrain(listener: () => void): void
  /** Ends the call with status 0. Responses queued before are still sent. */
  end(): void
  /** Ends the call with another status, after the responses queued before. */
  fail(failure: RpcFailure): void
}

/** Takes the requests of a client stream, one at a time and in order. */
export interface RequestListener<Request> {
  onRequest(request: Request): void
  /** The client half-closed: no more requests. */
  onRequestsEnd(): void
}

export interface UnaryMethod<Request, Response> {
  readonly kind: 'unary'
  /** `/package.Service/Method`. */
  readonly path: string
  readonly request: Codec<Request, unknown>
  readonly response: Codec<unknown, Response>
  /**
   * `bytes` is the request as it came; like every bytes field inside `request` it is a view that
   * lives only until the handler returns. A handler that throws answers INTERNAL, an
   * InvariantViolation ends the process.
   */
  handle(request: Request, call: UnaryCall<Response>, bytes: Uint8Array): void
}

/** One request, many responses. */
export interface ServerStreamMethod<Request, Response> {
  readonly kind: 'server-stream'
  readonly path: string
  readonly request: Codec<Request, unknown>
  readonly response: Codec<unknown, Response>
  handle(request: Request, call: StreamCall<Response>): void
}

/** Many requests; one or many responses. */
export interface ClientStreamMethod<Request, Response> {
  readonly kind: 'client-stream' | 'bidi-stream'
  readonly path: string
  readonly request: Codec<Request, unknown>
  readonly response: Codec<unknown, Response>
  handle(call: StreamCall<Response>): RequestListener<Request>
}

/** A method as the server's table holds it: its message types are known to the method alone. */
export type RpcMethod =
  | UnaryMethod<unknown, unknown>
  | ServerStreamMethod<unknown, unknown>
  | ClientStreamMethod<unknown, unknown>

/** Told of every call, for metrics. Must be quick and must not throw. */
export interface RpcObserver {
  started(method: RpcMethod): void
  /** `bytes` of one message without its five-byte prefix. */
  received(method: RpcMethod, bytes: number): void
  sent(method: RpcMethod, bytes: number): void
  /** `tookMs` from the request's head to the last of the reply. */
  handled(method: RpcMethod, status: GrpcStatus, tookMs: number): void
}
