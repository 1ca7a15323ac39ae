import { StreamFormatError } from './frame-decoder.js'
import { RESPONSE_HEAD_BYTES_MAX } from './peer-limits.js'

export interface ResponseSink {
  /** The status line and the headers (names in lower case). */
  onHead(status: number, headers: ReadonlyMap<string, string>): void
  /** Bytes of the body, valid during the call. */
  onBody(bytes: Uint8Array): void
  /** The body ended as its framing says. */
  onEnd(): void
}

type State =
  | 'head'
  | 'size'
  | 'chunk'
  | 'chunk-end'
  | 'trailer'
  | 'length'
  | 'until-close'
  | 'ended'

const LF = 10
const CR = 13
/** A chunk's size line may carry extensions, but not endlessly; trailers neither. */
const LINE_BYTES_MAX = 1024

/**
 * One HTTP/1.1 response as it arrives in pieces. Ours and not Node's client: a stream lives for
 * weeks, and each layer between the socket and the decoder costs every message
 * (bench/peer-stream.ts).
 */
export class ResponseParser {
  readonly #sink: ResponseSink
  #state: State = 'head'
  #head = ''
  /** Bytes of the current chunk or of the whole body still to come. */
  #left = 0
  #lineBytes = 0
  #hasSizeDigits = false
  #isInExtension = false

  constructor(sink: ResponseSink) {
    this.#sink = sink
  }

  /** Takes the next bytes. Throws StreamFormatError when they are not HTTP. */
  feed(bytes: Uint8Array): void {
    let at = 0
    while (at < bytes.length && this.#state !== 'ended') at = this.#step(bytes, at)
  }

  /** Consumes from `at`; returns where the rest begins. */
  #step(bytes: Uint8Array, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(bytes, at)
      case 'size':
        this.#readSize(bytes[at] ?? 0)
        return at + 1
      case 'chunk':
      case 'length':
        return this.#readBody(bytes, at)
      case 'chunk-end':
      case 'trailer':
        this.#readLine(bytes[at] ?? 0)
        return at + 1
      case 'until-close':
        this.#sink.onBody(bytes.subarray(at))
        return bytes.length
      default:
        return bytes.length
    }
  }

  #readHead(bytes: Uint8Array, start: number): number {
    let at = start
    while (at < bytes.length) {
      this.#head += String.fromCharCode(bytes[at++] ?? 0)
      if (this.#head.length > RESPONSE_HEAD_BYTES_MAX) {
        throw new StreamFormatError('net/http: server response headers exceeded limit')
      }
      if (this.#head.endsWith('\r\n\r\n')) {
        this.#takeHead()
        break
      }
    }
    return at
  }

  #takeHead(): void {
    const [statusLine = '', ...lines] = this.#head.slice(0, -4).split('\r\n')
    this.#head = ''
    const match = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine)
    if (match === null) {
      throw new StreamFormatError(`malformed HTTP response ${JSON.stringify(statusLine)}`)
    }
    const status = Number(match[1])
    if (status < 200) return
    const headers = new Map<string, string>()
    for (const line of lines) {
      const colon = line.indexOf(':')
      if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
    }
    this.#state = this.#bodyState(status, headers)
    this.#sink.onHead(status, headers)
    if (this.#state === 'length' && this.#left === 0) this.#end()
  }

  #bodyState(status: number, headers: ReadonlyMap<string, string>): State {
    if (status === 204 || status === 304) return 'length'
    if (headers.get('transfer-encoding')?.toLowerCase() === 'chunked') return 'size'
    const length = headers.get('content-length')
    if (length === undefined) return 'until-close'
    this.#left = Number(length)
    if (!Number.isSafeInteger(this.#left) || this.#left < 0) {
      throw new StreamFormatError(`bad Content-Length ${JSON.stringify(length)}`)
    }
    return 'length'
  }

  #readSize(byte: number): void {
    if (++this.#lineBytes > LINE_BYTES_MAX) throw new StreamFormatError('chunk line is too long')
    if (byte === LF) {
      if (!this.#hasSizeDigits) throw new StreamFormatError('malformed chunked encoding')
      this.#state = this.#left === 0 ? 'trailer' : 'chunk'
      this.#lineBytes = 0
      this.#hasSizeDigits = false
      this.#isInExtension = false
      return
    }
    if (byte === CR || this.#isInExtension) return
    const digit = hexDigit(byte)
    if (digit < 0) {
      if (byte !== 0x3b && byte !== 0x20) {
        throw new StreamFormatError('invalid byte in chunk length')
      }
      this.#isInExtension = true
      return
    }
    this.#hasSizeDigits = true
    this.#left = this.#left * 16 + digit
    if (!Number.isSafeInteger(this.#left))
      throw new StreamFormatError('http chunk length too large')
  }

  #readBody(bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.length, at + this.#left)
    this.#left -= end - at
    const isDone = this.#left === 0
    const isChunk = this.#state === 'chunk'
    if (isDone && isChunk) this.#state = 'chunk-end'
    this.#sink.onBody(bytes.subarray(at, end))
    if (isDone && !isChunk) this.#end()
    return end
  }

  /** The line end behind a chunk, or a line of the trailer: an empty one ends the body. */
  #readLine(byte: number): void {
    if (byte !== LF) {
      if (byte !== CR && this.#state === 'chunk-end') {
        throw new StreamFormatError('malformed chunked encoding')
      }
      if (byte !== CR) this.#lineBytes++
      if (this.#lineBytes > LINE_BYTES_MAX) throw new StreamFormatError('trailer is too long')
      return
    }
    if (this.#state === 'chunk-end') {
      this.#state = 'size'
      return
    }
    if (this.#lineBytes === 0) this.#end()
    this.#lineBytes = 0
  }

  #end(): void {
    this.#state = 'ended'
    this.#sink.onEnd()
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
