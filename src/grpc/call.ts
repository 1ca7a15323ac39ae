import { constants, gunzipSync, gzipSync } from 'node:zlib'
import { InvariantViolation } from '../base/invariant.js'
import type { Http2Stream, StreamConsumer } from '../http2/stream.js'
import type {
  GrpcStatus,
  PeerCertificate,
  RequestListener,
  RpcFailure,
  RpcMethod,
  RpcObserver,
  StreamCall,
  UnaryCall,
} from '../ports/rpc.js'
import { Reader } from '../wire/reader.js'
import {
  failureTrailers,
  failureTrailersOnly,
  GZIP_RESPONSE_HEADERS,
  OK_TRAILERS,
  OK_TRAILERS_ONLY,
  RESPONSE_HEADERS,
} from './blocks.js'
import type { DeadlineEntry, DeadlineWheel } from './deadline-wheel.js'
import type { GrpcLimits } from './limits.js'
import type { RequestHead } from './request-head.js'
import { STATUS } from './status.js'

/** What all calls of a server share. */
export interface CallHost {
  readonly limits: GrpcLimits
  readonly observer: RpcObserver | undefined
  readonly deadlines: DeadlineWheel
  readonly nowMs: () => number
  /** A handler threw. */
  onError(error: unknown): void
}

/** What all calls of a connection share. */
export interface CallConnection {
  readonly peerCertificate: PeerCertificate | undefined
  /** Bytes of unfinished messages of all calls. */
  assemblingBytes: number
}

/** Bytes before each message: a flag for compression, and its length. */
const PREFIX_BYTES = 5
/** The first buffer for a message that spans chunks, when its whole size is larger. */
const FIRST_BUFFER_BYTES = 32_768

const reader = new Reader(new Uint8Array(0))

/**
 * One call, seen from both sides: the connection hands it the body of the request, the handler its
 * answers. A call of any kind is an object of this class; which methods a handler sees is said by
 * its type.
 *
 * Life: open -> finished (its status is decided; data may still be queued), or open -> cancelled.
 */
export class ServerCall
  implements StreamConsumer, DeadlineEntry, UnaryCall<unknown>, StreamCall<unknown>
{
  wheelTick = -1
  wheelNext: DeadlineEntry | undefined = undefined
  wheelPrevious: DeadlineEntry | undefined = undefined
  isCancelled = false
  readonly deadlineMs: number

  readonly #host: CallHost
  readonly #connection: CallConnection
  readonly #stream: Http2Stream
  readonly #head: RequestHead
  readonly #method: RpcMethod
  readonly #startedMs: number
  #isFinished = false
  #hasHeaders = false
  #hasRequest = false
  #wantsDrain = false
  #listener: RequestListener<unknown> | undefined
  #cancelListener: (() => void) | undefined
  #drainListener: (() => void) | undefined
  /** A message that has begun, with its prefix. */
  #partial: Uint8Array | undefined
  #partialRead = 0

  constructor(options: {
    readonly host: CallHost
    readonly connection: CallConnection
    readonly stream: Http2Stream
    readonly head: RequestHead
    readonly method: RpcMethod
  }) {
    this.#host = options.host
    this.#connection = options.connection
    this.#stream = options.stream
    this.#head = options.head
    this.#method = options.method
    const { timeoutMs } = options.head
    this.#startedMs = options.host.nowMs()
    this.deadlineMs = this.#startedMs + timeoutMs
  }

  /** Begins the call; a method with a stream of requests meets its handler here. */
  start(): void {
    this.#host.observer?.started(this.#method)
    if (this.deadlineMs !== Number.POSITIVE_INFINITY) {
      this.#host.deadlines.add(this, this.deadlineMs)
    }
    const method = this.#method
    if (method.kind !== 'client-stream' && method.kind !== 'bidi-stream') return
    try {
      this.#listener = method.handle(this)
    } catch (error) {
      this.#onThrown(error)
    }
  }

  metadata(key: string): string | undefined {
    const { fields } = this.#head
    for (let at = 0; at < fields.length; at += 2) {
      if (fields[at] !== key) continue
      const value = fields[at + 1] ?? ''
      if (!key.endsWith('-bin')) return value
      const [first = ''] = value.split(',')
      return Buffer.from(first, 'base64').toString('latin1')
    }
    return undefined
  }

  get remoteAddress(): string {
    return this.#stream.host.remoteAddress
  }

  get peerCertificate(): PeerCertificate | undefined {
    return this.#connection.peerCertificate
  }

  get queuedBytes(): number {
    return this.#stream.queuedBytes
  }

  onCancel(listener: () => void): void {
    this.#cancelListener = listener
  }

  onDrain(listener: () => void): void {
    this.#drainListener = listener
  }

  reply(response: unknown): void {
    if (this.#isFinished) return
    if (this.#sendMessage(response)) this.#finishOk()
  }

  send(response: unknown): boolean {
    if (this.#isFinished) return true
    return !this.#sendMessage(response) || this.#hasRoom()
  }

  sendEncoded(parts: readonly Uint8Array[]): boolean {
    if (this.#isFinished) return true
    let length = 0
    for (const part of parts) length += part.length
    if (!this.#isSendable(length)) return true
    this.#sendHeaders()
    this.#host.observer?.sent(this.#method, length)
    if (this.#head.encoding === 'gzip') this.#sendGzip(Buffer.concat(parts))
    else if (length <= COPIED_BYTES_MAX) {
      const writer = this.#stream.openData()
      writer.reserve(PREFIX_BYTES + length)
      writePrefix(writer.buffer, writer.position, 0, length)
      writer.position += PREFIX_BYTES
      for (const part of parts) writer.raw(part)
      this.#stream.closeData()
    } else this.#stream.sendParts([prefix(0, length), ...parts])
    return this.#hasRoom()
  }

  end(): void {
    if (!this.#isFinished) this.#finishOk()
  }

  fail(failure: RpcFailure): void {
    if (this.#isFinished) return
    this.#finish(failure.status)
    this.#stream.sendTrailers(
      this.#hasHeaders ? failureTrailers(failure) : failureTrailersOnly(failure),
    )
  }

  onData(bytes: Uint8Array, start: number, end: number): void {
    let at = start
    while (at < end) {
      if (this.#isFinished) return
      if (this.#partial !== undefined) {
        at = this.#continueMessage(this.#partial, bytes, at, end)
        continue
      }
      if (end - at < PREFIX_BYTES) {
        this.#beginPartial(PREFIX_BYTES, bytes, at, end)
        return
      }
      const length = messageLength(bytes, at)
      if (!this.#isReceivable(length)) return
      const from = at + PREFIX_BYTES
      if (end - from < length) {
        this.#beginPartial(PREFIX_BYTES + length, bytes, at, end)
        return
      }
      const flag = bytes[at] ?? 0
      at = from + length
      this.#onMessage(flag, bytes, from, at)
    }
  }

  onEnd(): void {
    if (this.#isFinished) return
    if (this.#partial !== undefined) {
      this.fail({ status: STATUS.INTERNAL, message: 'unexpected EOF' })
      return
    }
    try {
      if (this.#listener !== undefined) this.#listener.onRequestsEnd()
      else if (!this.#hasRequest) {
        this.fail({
          status: STATUS.INTERNAL,
          message:
            'cardinality violation: received no request message from non-client-streaming RPC',
        })
      }
    } catch (error) {
      this.#onThrown(error)
    }
  }

  onReset(): void {
    this.#cancel(STATUS.CANCELLED)
  }

  onWritable(): void {
    this.#stream.releaseReading()
    if (!this.#wantsDrain || this.#isFinished) return
    this.#wantsDrain = false
    try {
      this.#drainListener?.()
    } catch (error) {
      this.#onThrown(error)
    }
  }

  onDeadline(): void {
    if (this.#isFinished) return
    this.#cancel(STATUS.DEADLINE_EXCEEDED)
    const failure = { status: STATUS.DEADLINE_EXCEEDED, message: 'context deadline exceeded' }
    this.#stream.sendTrailers(
      this.#hasHeaders ? failureTrailers(failure) : failureTrailersOnly(failure),
    )
  }

  #cancel(status: GrpcStatus): void {
    if (this.#isFinished) return
    this.isCancelled = true
    this.#finish(status)
    const listener = this.#cancelListener
    this.#cancelListener = undefined
    try {
      listener?.()
    } catch (error) {
      this.#onThrown(error)
    }
  }

  #finishOk(): void {
    this.#finish(STATUS.OK)
    this.#stream.sendTrailers(this.#hasHeaders ? OK_TRAILERS : OK_TRAILERS_ONLY)
  }

  #finish(status: GrpcStatus): void {
    this.#isFinished = true
    this.#host.deadlines.remove(this)
    this.#dropPartial()
    this.#host.observer?.handled(this.#method, status, this.#host.nowMs() - this.#startedMs)
  }

  #sendHeaders(): void {
    if (this.#hasHeaders) return
    this.#hasHeaders = true
    this.#stream.sendHeaders(
      this.#head.encoding === 'gzip' ? GZIP_RESPONSE_HEADERS : RESPONSE_HEADERS,
    )
  }

  /** Returns false when the call was ended instead, for the message could not be sent. */
  #sendMessage(response: unknown): boolean {
    if (this.#head.encoding === 'gzip') {
      const encoded = this.#method.response.encode(response)
      if (!this.#isSendable(encoded.length)) return false
      this.#sendHeaders()
      this.#sendGzip(encoded)
      this.#host.observer?.sent(this.#method, encoded.length)
      return true
    }
    this.#sendHeaders()
    const writer = this.#stream.openData()
    writer.reserve(PREFIX_BYTES)
    const start = writer.position
    writer.position += PREFIX_BYTES
    try {
      this.#method.response.write(response, writer)
    } catch (error) {
      this.#stream.abortData()
      this.#onThrown(error)
      return false
    }
    const length = writer.position - start - PREFIX_BYTES
    if (length > this.#host.limits.sendBytesMax) {
      this.#stream.abortData()
      return this.#isSendable(length)
    }
    writePrefix(writer.buffer, start, 0, length)
    this.#stream.closeData()
    this.#host.observer?.sent(this.#method, length)
    return true
  }

  #sendGzip(encoded: Uint8Array): void {
    const compressed = gzipSync(encoded)
    this.#stream.sendParts([prefix(1, compressed.length), compressed])
  }

  #isSendable(length: number): boolean {
    const { sendBytesMax } = this.#host.limits
    if (length <= sendBytesMax) return true
    this.fail({
      status: STATUS.RESOURCE_EXHAUSTED,
      message: `grpc: trying to send message larger than max (${length} vs. ${sendBytesMax})`,
    })
    return false
  }

  #hasRoom(): boolean {
    if (this.#stream.queuedBytes <= this.#host.limits.sendQueueBytesMax) return true
    this.#wantsDrain = true
    return false
  }

  #isReceivable(length: number): boolean {
    const { receiveBytesMax } = this.#host.limits
    if (length <= receiveBytesMax) return true
    this.fail({
      status: STATUS.RESOURCE_EXHAUSTED,
      message: `grpc: received message larger than max (${length} vs. ${receiveBytesMax})`,
    })
    return false
  }

  #beginPartial(needed: number, bytes: Uint8Array, start: number, end: number): void {
    const have = end - start
    const size = Math.min(needed, Math.max(FIRST_BUFFER_BYTES, have))
    if (!this.#isAssemblable(size)) return
    const partial = new Uint8Array(size)
    partial.set(bytes.subarray(start, end))
    this.#partial = partial
    this.#partialRead = have
  }

  /** Counts buffers of unfinished messages; one connection may not hold any amount of them. */
  #isAssemblable(more: number): boolean {
    const connection = this.#connection
    if (connection.assemblingBytes + more > this.#host.limits.assemblingBytesMax) {
      this.fail({
        status: STATUS.RESOURCE_EXHAUSTED,
        message: 'too many unfinished messages on one connection',
      })
      return false
    }
    connection.assemblingBytes += more
    return true
  }

  #dropPartial(): void {
    if (this.#partial === undefined) return
    this.#connection.assemblingBytes -= this.#partial.length
    this.#partial = undefined
  }

  /** Returns how far the bytes were used. */
  #continueMessage(partial: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
    let needed = PREFIX_BYTES
    if (this.#partialRead >= PREFIX_BYTES) needed += messageLength(partial, 0)
    const take = Math.min(needed - this.#partialRead, end - start)
    const target = this.#roomFor(partial, this.#partialRead + take, needed)
    if (target === undefined) return end
    target.set(bytes.subarray(start, start + take), this.#partialRead)
    this.#partialRead += take
    if (this.#partialRead < needed) return start + take
    const length = messageLength(target, 0)
    if (needed === PREFIX_BYTES) {
      if (!this.#isReceivable(length)) return end
      if (length > 0) return start + take
    }
    this.#dropPartial()
    this.#onMessage(target[0] ?? 0, target, PREFIX_BYTES, PREFIX_BYTES + length)
    return start + take
  }

  /** The buffer, grown when it must hold more; it doubles, but never beyond the message. */
  #roomFor(partial: Uint8Array, size: number, needed: number): Uint8Array | undefined {
    if (size <= partial.length) return partial
    const grownSize = Math.min(needed, Math.max(size, partial.length * 2, 256))
    if (!this.#isAssemblable(grownSize - partial.length)) return undefined
    const grown = new Uint8Array(grownSize)
    grown.set(partial.subarray(0, this.#partialRead))
    this.#partial = grown
    return grown
  }

  #onMessage(flag: number, bytes: Uint8Array, start: number, end: number): void {
    if (flag === 0) {
      this.#onRequest(bytes, start, end)
      return
    }
    const failure = this.#compressionFailure(flag)
    if (failure !== undefined) {
      this.fail(failure)
      return
    }
    const { receiveBytesMax } = this.#host.limits
    let plain: Uint8Array
    try {
      plain = gunzipSync(bytes.subarray(start, end), {
        maxOutputLength: receiveBytesMax,
        finishFlush: constants.Z_FINISH,
      })
    } catch (error) {
      this.fail(decompressionFailure(error, receiveBytesMax))
      return
    }
    this.#onRequest(plain, 0, plain.length)
  }

  #compressionFailure(flag: number): RpcFailure | undefined {
    if (flag !== 1) {
      const message = `grpc: received unexpected payload format ${flag}`
      return { status: STATUS.INTERNAL, message }
    }
    if (this.#head.encoding === 'gzip') return undefined
    const message = 'grpc: compressed flag set with identity or empty encoding'
    return { status: STATUS.INTERNAL, message }
  }

  #onRequest(bytes: Uint8Array, start: number, end: number): void {
    const method = this.#method
    if (this.#hasRequest && this.#listener === undefined) {
      this.fail({
        status: STATUS.INTERNAL,
        message:
          'cardinality violation: received multiple request messages for non-client-streaming RPC',
      })
      return
    }
    this.#hasRequest = true
    this.#host.observer?.received(method, end - start)
    let request: unknown
    try {
      reader.bytesIn = bytes
      reader.position = start
      request = method.request.read(reader, end)
    } catch (error) {
      if (error instanceof InvariantViolation) this.#onThrown(error)
      else {
        const message = `grpc: error unmarshalling request: ${(error as Error).message}`
        this.fail({ status: STATUS.INTERNAL, message })
      }
      return
    }
    try {
      if (method.kind === 'unary') {
        method.handle(
          request,
          this,
          new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start),
        )
      } else if (method.kind === 'server-stream') method.handle(request, this)
      else {
        this.#listener?.onRequest(request)
        if (this.#stream.queuedBytes > this.#host.limits.sendQueueBytesMax) {
          this.#stream.holdReading()
        }
      }
    } catch (error) {
      this.#onThrown(error)
    }
  }

  #onThrown(error: unknown): void {
    if (error instanceof InvariantViolation) {
      // Thrown where no catch block of ours or of the caller's can swallow it: the process ends.
      setImmediate(() => {
        throw error
      })
    } else this.#host.onError(error)
    this.fail({ status: STATUS.INTERNAL, message: 'internal error' })
  }
}

/** Shared messages up to this size are copied into the output; larger ones are referenced. */
const COPIED_BYTES_MAX = 4096

function decompressionFailure(error: unknown, bytesMax: number): RpcFailure {
  if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
    const message = `grpc: received message after decompression larger than max ${bytesMax}`
    return { status: STATUS.RESOURCE_EXHAUSTED, message }
  }
  const reason = error instanceof Error ? error.message : String(error)
  const message = `grpc: failed to decompress the received message: ${reason}`
  return { status: STATUS.INTERNAL, message }
}

function messageLength(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at + 1] ?? 0) * 0x100_0000 +
    (((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0))
  )
}

function prefix(flag: number, length: number): Uint8Array {
  const bytes = new Uint8Array(PREFIX_BYTES)
  writePrefix(bytes, 0, flag, length)
  return bytes
}

function writePrefix(buffer: Uint8Array, at: number, flag: number, length: number): void {
  buffer[at] = flag
  buffer[at + 1] = length >>> 24
  buffer[at + 2] = length >>> 16
  buffer[at + 3] = length >>> 8
  buffer[at + 4] = length
}
