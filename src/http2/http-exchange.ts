import { type ClientRequest, type IncomingMessage, request as sendRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import { Writer } from '../wire/writer.js'
import { writeField } from './hpack-encoder.js'
import { MemorySocket, type SocketOrigin } from './memory-socket.js'
import { ERROR } from './protocol.js'
import type { RequestFields } from './request-fields.js'
import type { Http2Stream, StreamConsumer } from './stream.js'

/** What the plain HTTP requests of one connection may use. */
export interface HttpExchangeLimits {
  /** Requests under way at once; more are refused with REFUSED_STREAM. Default 1,000. */
  readonly exchangesMax: number
  /**
   * Bytes of bodies that handlers have not read, over all requests; the stream that brings more is
   * reset with ENHANCE_YOUR_CALM. Default 16 MiB.
   */
  readonly unreadBytesMax: number
  /** Bytes that wait on one response before it is no longer read. Default 256 KiB. */
  readonly sendQueueBytesMax: number
}

export const DEFAULT_HTTP_EXCHANGE_LIMITS: HttpExchangeLimits = {
  exchangesMax: 1_000,
  unreadBytesMax: 16 << 20,
  sendQueueBytesMax: 256 << 10,
}

export interface HttpExchangesOptions {
  /** The client that all requests come from. */
  readonly origin: SocketOrigin
  /** Serves an HTTP/1.1 connection with one request: `server.emit('connection', socket)`. */
  readonly serve: (socket: Duplex) => unknown
  readonly limits?: Partial<HttpExchangeLimits>
}

/**
 * The plain HTTP requests of one HTTP/2 connection. Each is sent as HTTP/1.1 through memory to the
 * server that also takes HTTP/1.1 connections, so that one set of handlers serves both.
 */
export class HttpExchanges {
  readonly limits: HttpExchangeLimits
  /** Bytes of bodies that handlers have not read. */
  unreadBytes = 0
  readonly #options: HttpExchangesOptions
  #count = 0

  constructor(options: HttpExchangesOptions) {
    this.#options = options
    this.limits = { ...DEFAULT_HTTP_EXCHANGE_LIMITS, ...options.limits }
  }

  /** Requests under way. */
  get count(): number {
    return this.#count
  }

  /** Takes a request; the consumer is to be given its body. */
  readonly begin = (
    stream: Http2Stream,
    request: RequestFields,
    endsNow: boolean,
  ): StreamConsumer => {
    if (this.#count >= this.limits.exchangesMax) {
      stream.reset(ERROR.REFUSED_STREAM)
      return NO_CONSUMER
    }
    if (request.method === 'CONNECT') {
      stream.sendTrailers(BAD_REQUEST)
      return NO_CONSUMER
    }
    const { client, server } = MemorySocket.createPair(this.#options.origin)
    let sending: ClientRequest
    try {
      sending = sendRequest({
        method: request.method,
        path: request.path,
        headers: requestHeaders(request, endsNow),
        createConnection: () => client,
      })
    } catch {
      // Node's client takes fields, methods and paths only that may stand in HTTP/1.1.
      stream.sendTrailers(BAD_REQUEST)
      return NO_CONSUMER
    }
    const exchange = new HttpExchange(this, stream, sending)
    this.#count++
    client.once('close', () => {
      this.#count--
      exchange.releaseUnread()
    })
    this.#options.serve(server)
    return exchange
  }
}

/**
 * One request and its response. Life: open -> finished (the response went to the stream as a whole,
 * or the stream was reset). Both directions wait for each other: the body of the request for the
 * handler, the response for the client.
 */
class HttpExchange implements StreamConsumer {
  readonly #all: HttpExchanges
  readonly #stream: Http2Stream
  readonly #request: ClientRequest
  #response: IncomingMessage | undefined
  #unreadBytes = 0
  #isFinished = false

  constructor(all: HttpExchanges, stream: Http2Stream, request: ClientRequest) {
    this.#all = all
    this.#stream = stream
    this.#request = request
    request.on('continue', () => {
      if (!this.#isFinished) stream.sendHeaders(CONTINUE)
    })
    request.on('drain', () => {
      if (!this.#isFinished) stream.releaseReading()
    })
    request.on('response', (response) => this.#onResponse(response))
    request.on('error', () => this.#break())
    // A whole response may still be on its way to the client when its connection is closed.
    request.on('close', () => {
      if (this.#response?.complete !== true) this.#break()
    })
  }

  /** The connection through memory is gone: nobody will say any more what was read. */
  releaseUnread(): void {
    this.#all.unreadBytes -= this.#unreadBytes
    this.#unreadBytes = 0
  }

  onData(bytes: Uint8Array, start: number, end: number): void {
    if (this.#isFinished) return
    const all = this.#all
    const length = end - start
    if (all.unreadBytes + length > all.limits.unreadBytesMax) {
      this.#finish()
      this.#request.destroy()
      this.#stream.reset(ERROR.ENHANCE_YOUR_CALM)
      return
    }
    all.unreadBytes += length
    this.#unreadBytes += length
    const isRoomy = this.#request.write(Buffer.from(bytes.subarray(start, end)), () => {
      const read = Math.min(length, this.#unreadBytes)
      all.unreadBytes -= read
      this.#unreadBytes -= read
    })
    if (!isRoomy) this.#stream.holdReading()
  }

  onEnd(): void {
    if (!this.#isFinished) this.#request.end()
  }

  onReset(): void {
    this.#finish()
    this.#request.destroy()
  }

  onWritable(): void {
    this.#response?.resume()
  }

  #onResponse(response: IncomingMessage): void {
    if (this.#isFinished) return
    this.#response = response
    const block = responseBlock(response)
    const { statusCode, headers } = response
    const isBodiless =
      this.#request.method === 'HEAD' ||
      statusCode === 204 ||
      statusCode === 304 ||
      headers['content-length'] === '0'
    response.on('error', () => this.#break())
    if (isBodiless) {
      this.#finish()
      this.#stream.sendTrailers(block)
      response.resume()
      return
    }
    this.#stream.sendHeaders(block)
    response.on('data', (chunk: Buffer) => this.#onBody(response, chunk))
    response.on('end', () => this.#onBodyEnd(response))
  }

  #onBody(response: IncomingMessage, chunk: Buffer): void {
    if (this.#isFinished) return
    this.#stream.sendParts([chunk])
    if (this.#stream.queuedBytes > this.#all.limits.sendQueueBytesMax) response.pause()
  }

  #onBodyEnd(response: IncomingMessage): void {
    if (this.#isFinished) return
    if (!response.complete) {
      this.#break()
      return
    }
    this.#finish()
    const { rawTrailers } = response
    if (rawTrailers.length > 0) this.#stream.sendTrailers(fieldBlock(undefined, rawTrailers))
    else this.#stream.sendEnd()
  }

  /** The handler's side went away before its answer was whole. */
  #break(): void {
    if (this.#isFinished) return
    this.#finish()
    this.#stream.reset(ERROR.INTERNAL_ERROR)
  }

  #finish(): void {
    this.#isFinished = true
  }
}

const NO_CONSUMER: StreamConsumer = { onData() {}, onEnd() {}, onReset() {}, onWritable() {} }

/** Fields that are about the HTTP/1.1 connection through memory, or are written anew for it. */
const OWN_REQUEST_FIELDS = new Set(['host', 'content-length', 'te'])
const OWN_RESPONSE_FIELDS = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])
/** Methods for which Node expects a body where nothing is said about one. */
const BODILESS_METHODS = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'])

/**
 * Fields of an HTTP/1.1 request, flat. Its body always has bounds, so that nothing can hide in it.
 */
function requestHeaders(request: RequestFields, endsNow: boolean): readonly string[] {
  const { fields, contentLength } = request
  let host = request.authority
  const headers: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? ''
    const value = fields[at + 1] ?? ''
    if (name === 'host' && host === '') host = value
    if (!OWN_REQUEST_FIELDS.has(name)) headers.push(name, value)
  }
  headers.push('host', host, 'connection', 'close')
  if (contentLength >= 0) headers.push('content-length', String(contentLength))
  else if (!endsNow) headers.push('transfer-encoding', 'chunked')
  else if (!BODILESS_METHODS.has(request.method)) headers.push('content-length', '0')
  return headers
}

function responseBlock(response: IncomingMessage): Uint8Array {
  return fieldBlock(response.statusCode ?? 500, response.rawHeaders)
}

/** A header block of these fields, flat; without a status it is one of trailers. */
function fieldBlock(status: number | undefined, fields: readonly string[]): Uint8Array {
  const writer = new Writer(512)
  if (status !== undefined) writeField(writer, ':status', String(status))
  for (let at = 0; at < fields.length; at += 2) {
    const name = (fields[at] ?? '').toLowerCase()
    if (!OWN_RESPONSE_FIELDS.has(name)) writeField(writer, name, fields[at + 1] ?? '')
  }
  return writer.take()
}

const BAD_REQUEST = fieldBlock(400, [])
const CONTINUE = fieldBlock(100, [])
