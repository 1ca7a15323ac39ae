import { invariant } from '../base/invariant.js'
import type { Writer } from '../wire/writer.js'
import { ERROR, FLAG, FRAME, FRAME_BYTES_MAX, FRAME_HEADER_BYTES } from './protocol.js'
import { type Sender, writeFrameHeader } from './sender.js'

/** Takes what the client sends on one stream. */
export interface StreamConsumer {
  /** Bytes `start` to `end` of `bytes` are body; they live until the call returns. */
  onData(bytes: Uint8Array, start: number, end: number): void
  /** The client sent all of its body. Trailers, if any, are checked and dropped. */
  onEnd(): void
  /**
   * The client reset the stream, broke a rule on it, or its connection ended. Nothing can be sent
   * any more.
   */
  onReset(): void
  /** All that was queued has gone out. */
  onWritable(): void
}

/** What a stream asks of its connection. */
export interface StreamHost {
  /** Everything was sent, END_STREAM included. */
  onStreamSent(stream: Http2Stream): void
  /** The stream was reset from our side. */
  onStreamReset(stream: Http2Stream): void
  /** Lets the client send on, after `holdReading`. */
  grantStream(stream: Http2Stream): void
  /** Host and port of the client, or '@' on a unix socket. */
  readonly remoteAddress: string
}

const NO_PARTS: Uint8Array[] = []

/**
 * One request and its response. States, by the two flags (RFC 9113 5.1): neither = open;
 * isRemoteClosed = half-closed (remote); isLocalClosed = half-closed (local); both, or a reset =
 * closed and forgotten.
 */
export class Http2Stream {
  readonly id: number
  /** Set by the connection right after the application has taken the request. */
  consumer: StreamConsumer
  /**
   * Bytes of DATA that the client still takes on this stream; negative after it shrank its window.
   */
  sendWindow: number
  /** Bytes of DATA that the client may still send. */
  receiveWindow: number
  /** Bytes received since we last granted more. */
  ungranted = 0
  /** Bytes of body received, and as declared by content-length (-1 = not declared). */
  bodyBytes = 0
  contentLength = -1
  isRemoteClosed = false
  isLocalClosed = false
  /** Bytes that wait for windows or the socket. */
  queuedBytes = 0
  /** When data was last sent or queued first, while some waits. */
  progressMs = 0
  /** The application lags behind with its answers: no more window is granted. */
  isReadingHeld = false

  readonly #host: StreamHost
  readonly #sender: Sender
  #parts: Uint8Array[] = NO_PARTS
  #partAt = 0
  #partOffset = 0
  /**
   * Header block of the trailers that follow the queue; empty = END_STREAM on an empty DATA frame.
   */
  #trailers: Uint8Array | undefined
  #dataStart = 0

  constructor(options: {
    readonly id: number
    readonly host: StreamHost
    readonly sender: Sender
    readonly receiveWindow: number
    readonly consumer: StreamConsumer
  }) {
    this.id = options.id
    this.#host = options.host
    this.#sender = options.sender
    this.consumer = options.consumer
    this.receiveWindow = options.receiveWindow
    this.sendWindow = options.sender.initialWindow
  }

  /** The connection's host and port of the client, or '@' on a unix socket. */
  get host(): StreamHost {
    return this.#host
  }

  /** Whether the end of the response was sent or waits behind the queue. */
  get isEnded(): boolean {
    return this.isLocalClosed || this.#trailers !== undefined
  }

  /** Sends response fields as a whole header block. */
  sendHeaders(block: Uint8Array): void {
    if (this.isEnded) return
    this.#sender.headers(this.id, block, false)
  }

  /**
   * Begins a piece of body that the caller writes straight into the output; `closeData` or
   * `abortData` must follow before anything else is done with the connection.
   */
  openData(): Writer {
    const writer = this.#sender.begin()
    writer.reserve(FRAME_HEADER_BYTES)
    this.#dataStart = writer.position
    writer.position += FRAME_HEADER_BYTES
    return writer
  }

  /**
   * Ends what `openData` began: sends it, or queues it when a window or the socket is in the way.
   */
  closeData(): void {
    const { writer } = this.#sender
    const start = this.#dataStart
    const length = writer.position - start - FRAME_HEADER_BYTES
    invariant(length >= 0, 'a piece of body ends behind its start')
    if (this.isEnded) {
      writer.position = start
      return
    }
    if (length <= FRAME_BYTES_MAX && this.#canSend(length)) {
      writeFrameHeader(writer.buffer, start, FRAME.DATA, 0, this.id, length)
      this.#spend(length)
      this.#sender.relieve()
      return
    }
    const copy = writer.buffer.slice(start + FRAME_HEADER_BYTES, writer.position)
    writer.position = start
    this.#enqueue(copy)
    this.#sendNow()
  }

  /** Takes back what was written since `openData`. */
  abortData(): void {
    this.#sender.writer.position = this.#dataStart
  }

  /** Sends parts one behind the other. Large ones are not copied: they must not change any more. */
  sendParts(parts: readonly Uint8Array[]): void {
    if (this.isEnded) return
    for (const part of parts) this.#enqueue(part)
    this.#sendNow()
  }

  /** Ends the response with trailers, behind all that is queued. */
  sendTrailers(block: Uint8Array): void {
    if (this.isEnded) return
    if (this.queuedBytes === 0) {
      this.#sender.headers(this.id, block, true)
      this.#sent()
    } else this.#trailers = block
  }

  /** Ends the response without trailers, behind all that is queued. */
  sendEnd(): void {
    if (this.isEnded) return
    if (this.queuedBytes === 0) {
      this.#sender.frame(FRAME.DATA, FLAG.END_STREAM, this.id, 0)
      this.#sent()
    } else this.#trailers = NO_TRAILERS
  }

  /** Ends the stream at once; what is queued is dropped. The consumer is not called any more. */
  reset(code: number = ERROR.CANCEL): void {
    if (this.isLocalClosed) return
    this.#sender.number(FRAME.RST_STREAM, this.id, code)
    this.discard()
    this.#host.onStreamReset(this)
  }

  /** Grants the client no more window while its answers pile up. */
  holdReading(): void {
    this.isReadingHeld = true
  }

  releaseReading(): void {
    if (!this.isReadingHeld) return
    this.isReadingHeld = false
    this.#host.grantStream(this)
  }

  /** Drops the queue; nothing can be sent afterwards. */
  discard(): void {
    this.isLocalClosed = true
    this.#sender.queuedBytes -= this.queuedBytes
    this.queuedBytes = 0
    this.#parts = NO_PARTS
    this.#partAt = 0
    this.#sender.forget(this)
  }

  /**
   * Sends one frame of the queue. The result is false when the stream must wait or has nothing
   * left.
   */
  sendQueued(bytesMax: number): boolean {
    const length = Math.min(
      this.queuedBytes,
      bytesMax,
      FRAME_BYTES_MAX,
      this.sendWindow,
      this.#sender.window,
    )
    if (length <= 0) return false
    this.#sender.frame(FRAME.DATA, 0, this.id, length)
    let left = length
    while (left > 0) {
      const part = this.#parts[this.#partAt]
      invariant(part !== undefined, 'queued bytes lie in parts')
      const take = Math.min(left, part.length - this.#partOffset)
      const isWhole = take === part.length
      this.#sender.payload(
        isWhole ? part : part.subarray(this.#partOffset, this.#partOffset + take),
      )
      left -= take
      this.#partOffset += take
      if (this.#partOffset === part.length) this.#nextPart()
    }
    this.queuedBytes -= length
    this.#sender.queuedBytes -= length
    this.progressMs = 0
    this.#spend(length)
    this.#sender.relieve()
    if (this.queuedBytes > 0) return true
    this.#emptied()
    return false
  }

  #nextPart(): void {
    this.#partOffset = 0
    this.#parts[this.#partAt++] = NO_TRAILERS
    if (this.#partAt === this.#parts.length) {
      this.#parts = NO_PARTS
      this.#partAt = 0
    } else if (this.#partAt >= 64 && this.#partAt * 2 >= this.#parts.length) {
      this.#parts.splice(0, this.#partAt)
      this.#partAt = 0
    }
  }

  #emptied(): void {
    this.#sender.forget(this)
    const trailers = this.#trailers
    if (trailers === undefined) {
      this.consumer.onWritable()
      return
    }
    if (trailers.length === 0) this.#sender.frame(FRAME.DATA, FLAG.END_STREAM, this.id, 0)
    else this.#sender.headers(this.id, trailers, true)
    this.#sent()
  }

  #sent(): void {
    this.isLocalClosed = true
    this.#host.onStreamSent(this)
  }

  #canSend(length: number): boolean {
    return (
      this.queuedBytes === 0 &&
      length <= this.sendWindow &&
      length <= this.#sender.window &&
      !this.#sender.isBlocked
    )
  }

  #spend(length: number): void {
    this.sendWindow -= length
    this.#sender.window -= length
    this.#sender.dataFrames++
  }

  #enqueue(part: Uint8Array): void {
    if (part.length === 0) return
    if (this.#parts === NO_PARTS) this.#parts = []
    this.#parts.push(part)
    this.queuedBytes += part.length
    this.#sender.queuedBytes += part.length
  }

  /** Sends what windows and the socket allow now; the rest waits its turn. */
  #sendNow(): void {
    while (!this.#sender.isBlocked && this.sendQueued(FRAME_BYTES_MAX));
    if (this.queuedBytes > 0) this.#sender.wait(this)
  }
}

const NO_TRAILERS = new Uint8Array(0)
