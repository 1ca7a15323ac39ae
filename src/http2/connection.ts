import type { Duplex } from 'node:stream'
import { InvariantViolation } from '../base/invariant.js'
import { ClosedStreams } from './closed-streams.js'
import { FloodGuard } from './flood-guard.js'
import type { FlushQueue } from './flush-queue.js'
import { FrameReader, type FrameSink, readStreamId, readUint32 } from './frame-reader.js'
import { HeaderBlocks } from './header-blocks.js'
import { latin1Bytes } from './latin1.js'
import type { Http2Limits } from './limits.js'
import { PingPolicy } from './ping-policy.js'
import {
  ERROR,
  FLAG,
  FRAME,
  Http2ConnectionError,
  INITIAL_WINDOW_BYTES,
  SETTING,
  WINDOW_BYTES_MAX,
} from './protocol.js'
import { areRegularFields, type RequestFields } from './request-fields.js'
import { Sender, type SenderOwner } from './sender.js'
import { Http2Stream, type StreamConsumer, type StreamHost } from './stream.js'

/**
 * What is served over the connections. `Head` is whatever the application makes of a request's
 * fields.
 */
export interface Http2Application<Head> {
  /**
   * Reads a request's fields; the result is kept and given again for each request with the same
   * bytes.
   */
  readHead(request: RequestFields): Head
  /** A request begins. The consumer takes its body; `endsNow` says that there is none. */
  onRequest(stream: Http2Stream, head: Head, endsNow: boolean): StreamConsumer
}

export interface Http2ConnectionOptions<Head> {
  readonly socket: Duplex
  readonly application: Http2Application<Head>
  readonly limits: Http2Limits
  readonly flushQueue: FlushQueue
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs: () => number
  /** The connection has ended and may be forgotten. */
  readonly onClosed: (connection: Http2Connection<Head>) => void
  /** Something threw that must not; the connection was ended for it. */
  readonly onError: (error: unknown) => void
}

/** Payload of the ping that tells when a client has seen the first GOAWAY of a graceful end. */
const DRAIN_PING = latin1Bytes('draining')
/** Payload of keep-alive pings. */
const ALIVE_PING = latin1Bytes('alive???')
/**
 * How long a client may take to answer that ping; afterwards the last stream is named without it.
 */
const DRAIN_PING_TIMEOUT_MS = 5_000
/**
 * How long a connection that was ended for an error may linger, so that the client can read why.
 */
const LINGER_MS = 1_000

const NO_BYTES = new Uint8Array(0)

/** Before the application has answered with its own consumer, and after a stream was given up. */
const NO_CONSUMER: StreamConsumer = {
  onData() {},
  onEnd() {},
  onReset() {},
  onWritable() {},
}

/**
 * One HTTP/2 connection, server side (RFC 9113). It is fed by its socket and by `onTick`;
 * everything else follows from those. Errors of a stream end the stream, errors of the connection
 * say GOAWAY and end it; neither touches another connection.
 *
 * Life: reading -> draining (GOAWAY sent, streams finish) -> closing (nothing is read) -> closed.
 */
export class Http2Connection<Head> implements FrameSink, SenderOwner, StreamHost {
  readonly #options: Http2ConnectionOptions<Head>
  readonly #limits: Http2Limits
  readonly #socket: Duplex
  readonly #sender: Sender
  readonly #reader: FrameReader
  readonly #blocks: HeaderBlocks<Head>
  readonly #flood: FloodGuard
  readonly #pings: PingPolicy
  readonly #streams = new Map<number, Http2Stream>()
  readonly #closedStreams = new ClosedStreams()
  /** Streams that are answered while their client still sends: reset at the end of the turn. */
  #answered: Http2Stream[] = []

  #state: 'reading' | 'draining' | 'closing' | 'closed' = 'reading'
  #hasSettings = false
  #lastStreamId = 0
  /** The last stream that we promised to answer in the final GOAWAY. */
  #acceptedIdMax = WINDOW_BYTES_MAX
  #receiveWindow: number
  #ungranted = 0

  /** Coarse times, on the clock of the options. */
  #nowMs: number
  #lastReadMs: number
  #unfinishedSinceMs = 0
  #blockedSinceMs = 0
  #idleSinceMs: number
  #pingSentMs = 0
  #closeAtMs = 0
  #drainingSinceMs = 0
  #dataFramesAtPing = 0
  #dataFramesAtUpdate = 0
  #headersSent = 0
  #headersAtPing = 0
  #remoteAddress: string | undefined

  constructor(options: Http2ConnectionOptions<Head>) {
    this.#options = options
    this.#limits = options.limits
    this.#socket = options.socket
    this.#sender = new Sender({
      socket: options.socket,
      queue: options.flushQueue,
      owner: this,
      outputBacklogBytesMax: options.limits.outputBacklogBytesMax,
    })
    this.#reader = new FrameReader(this)
    this.#blocks = new HeaderBlocks(options.limits, options.application)
    this.#flood = new FloodGuard(options.limits)
    this.#pings = new PingPolicy(options.limits.keepaliveMinTimeMs)
    this.#receiveWindow = options.limits.connectionWindowBytes
    this.#nowMs = options.nowMs()
    this.#lastReadMs = this.#nowMs
    this.#idleSinceMs = this.#nowMs
    this.#unfinishedSinceMs = this.#nowMs
  }

  /**
   * Sends our preface, and reads from the socket from now on; `head` is what was read from it
   * before.
   */
  start(head: Uint8Array = NO_BYTES): void {
    const { concurrentStreamsMax, streamWindowBytes, headerListBytesMax } = this.#limits
    const settings: (readonly [id: number, value: number])[] = [
      [SETTING.INITIAL_WINDOW_SIZE, streamWindowBytes],
      [SETTING.MAX_HEADER_LIST_SIZE, headerListBytesMax],
    ]
    // Left out, there is no limit: the same as the largest number, and as grpc-go does.
    if (concurrentStreamsMax < 0xffff_ffff) {
      settings.push([SETTING.MAX_CONCURRENT_STREAMS, concurrentStreamsMax])
    }
    this.#sender.settings(settings)
    const more = this.#limits.connectionWindowBytes - INITIAL_WINDOW_BYTES
    if (more > 0) this.#sender.number(FRAME.WINDOW_UPDATE, 0, more)
    const socket = this.#socket
    socket.on('data', (chunk: Buffer) => this.#onChunk(chunk))
    socket.on('drain', () => this.#onDrain())
    socket.on('error', () => socket.destroy())
    socket.on('end', () => this.#onClosed())
    socket.on('close', () => this.#onClosed())
    if (head.length > 0) this.#onChunk(head)
  }

  /** Streams under way. */
  get streamCount(): number {
    return this.#streams.size
  }

  /** The socket, for questions about the client. */
  get socket(): Duplex {
    return this.#socket
  }

  get remoteAddress(): string {
    if (this.#remoteAddress === undefined) {
      const { remoteAddress, remotePort } = this.#socket as {
        remoteAddress?: string
        remotePort?: number
      }
      const host = remoteAddress?.includes(':') ? `[${remoteAddress}]` : remoteAddress
      this.#remoteAddress = host === undefined ? '@' : `${host}:${remotePort ?? 0}`
    }
    return this.#remoteAddress
  }

  /** Ends the connection gracefully: no new streams, those under way finish (RFC 9113 6.8). */
  drain(): void {
    if (this.#state !== 'reading') return
    this.#state = 'draining'
    this.#drainingSinceMs = this.#nowMs
    this.#sender.goAway(WINDOW_BYTES_MAX, ERROR.NO_ERROR, NO_BYTES)
    this.#ping(DRAIN_PING)
    if (!this.#hasSettings) this.#finishDrain()
  }

  /** Ends the connection now. Streams under way are told that they were reset. */
  close(code: number = ERROR.NO_ERROR, message = ''): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#reader.stop()
    this.#state = 'closing'
    this.#closeAtMs = this.#nowMs + LINGER_MS
    this.#sender.goAway(this.#lastStreamId, code, latin1Bytes(message))
    this.#abandonStreams()
    this.#sender.flush()
    this.#socket.end()
  }

  /** Ends the connection without a word. */
  destroy(): void {
    this.#socket.destroy()
    this.#onClosed()
  }

  /** Looks after everything that has a time limit. Called about once a second. */
  onTick(nowMs: number): void {
    this.#nowMs = nowMs
    const limits = this.#limits
    if (this.#state === 'closing') {
      if (nowMs >= this.#closeAtMs) this.destroy()
      return
    }
    if (this.#state === 'draining' && nowMs - this.#drainingSinceMs > DRAIN_PING_TIMEOUT_MS) {
      this.#finishDrain()
    }
    const isUnfinished = !this.#hasSettings || this.#reader.isInsideFrame || this.#blocks.isOpen
    if (!isUnfinished) this.#unfinishedSinceMs = 0
    else if (this.#unfinishedSinceMs === 0) this.#unfinishedSinceMs = nowMs
    else if (nowMs - this.#unfinishedSinceMs > limits.headersTimeoutMs) {
      this.close(ERROR.ENHANCE_YOUR_CALM, 'too_slow')
      return
    }
    if (!this.#sender.isBlocked) this.#blockedSinceMs = 0
    else if (this.#blockedSinceMs === 0) this.#blockedSinceMs = nowMs
    else if (nowMs - this.#blockedSinceMs > limits.stallTimeoutMs) {
      this.destroy()
      return
    }
    if (this.#sender.queuedBytes > 0) this.#resetStalledStreams(nowMs)
    if (this.#streams.size > 0) this.#idleSinceMs = nowMs
    else if (limits.idleTimeoutMs > 0 && nowMs - this.#idleSinceMs > limits.idleTimeoutMs) {
      this.drain()
    }
    this.#keepAlive(nowMs)
  }

  onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (type !== FRAME.CONTINUATION && this.#blocks.isOpen) {
      throw protocolError('a header block was interrupted')
    }
    if (!this.#hasSettings && (type !== FRAME.SETTINGS || (flags & FLAG.ACK) !== 0)) {
      throw protocolError('the first frame must be SETTINGS')
    }
    // What is unfinished counts from when it began: a whole frame outside of header blocks restarts
    // the clock.
    if (!this.#blocks.isOpen) this.#unfinishedSinceMs = 0
    switch (type) {
      case FRAME.DATA:
        this.#onData(flags, streamId, bytes, start, end)
        break
      case FRAME.HEADERS:
        this.#onHeaders(flags, streamId, bytes, start, end)
        break
      case FRAME.PRIORITY:
        this.#onPriority(streamId, bytes, start, end)
        break
      case FRAME.RST_STREAM:
        this.#onRstStream(streamId, end - start)
        break
      case FRAME.SETTINGS:
        this.#onSettings(flags, streamId, bytes, start, end)
        break
      case FRAME.PUSH_PROMISE:
        throw protocolError('a client must not push')
      case FRAME.PING:
        this.#onPing(flags, streamId, bytes, start, end)
        break
      case FRAME.GOAWAY:
        this.#onGoAway(streamId, end - start)
        break
      case FRAME.WINDOW_UPDATE:
        this.#onWindowUpdate(streamId, bytes, start, end)
        break
      case FRAME.CONTINUATION:
        this.#onContinuation(flags, streamId, bytes, start, end)
        break
      default:
        this.#flood.count('ignored', this.#nowMs)
    }
  }

  onFrameTooLarge(): void {
    throw new Http2ConnectionError(ERROR.FRAME_SIZE_ERROR, 'a frame is larger than the maximum')
  }

  onBadPreface(): void {
    throw protocolError('the connection preface is not valid')
  }

  beforeFlush(): void {
    if (this.#answered.length === 0) return
    const answered = this.#answered
    this.#answered = []
    for (const stream of answered) {
      if (stream.isRemoteClosed || !this.#streams.delete(stream.id)) continue
      this.#sender.number(FRAME.RST_STREAM, stream.id, ERROR.NO_ERROR)
      this.#closedStreams.add(stream.id, true)
    }
    this.#afterStreamEnd()
  }

  onBacklog(isOver: boolean): void {
    if (isOver) this.#socket.pause()
    else this.#socket.resume()
  }

  onStreamSent(stream: Http2Stream): void {
    this.#headersSent++
    if (stream.isRemoteClosed) this.#forget(stream, false)
    else this.#answered.push(stream)
  }

  onStreamReset(stream: Http2Stream): void {
    this.#forget(stream, true)
  }

  grantStream(stream: Http2Stream): void {
    if (stream.isReadingHeld || stream.isRemoteClosed || stream.ungranted === 0) return
    stream.receiveWindow += stream.ungranted
    this.#sender.number(FRAME.WINDOW_UPDATE, stream.id, stream.ungranted)
    stream.ungranted = 0
  }

  #onChunk(chunk: Uint8Array): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#nowMs = this.#options.nowMs()
    this.#lastReadMs = this.#nowMs
    this.#pingSentMs = 0
    const sender = this.#sender
    sender.isHeld = true
    try {
      this.#reader.push(chunk)
    } catch (error) {
      this.#onFailure(error)
    } finally {
      sender.isHeld = false
    }
    sender.flush()
  }

  #onFailure(error: unknown): void {
    if (error instanceof Http2ConnectionError) {
      this.close(error.code, error.message)
      return
    }
    if (error instanceof InvariantViolation) throw error
    this.#options.onError(error)
    this.close(ERROR.INTERNAL_ERROR)
  }

  #onDrain(): void {
    if (this.#state === 'closed') return
    this.#blockedSinceMs = 0
    this.#sender.onDrain()
  }

  #onClosed(): void {
    if (this.#state === 'closed') return
    this.#reader.stop()
    this.#state = 'closed'
    this.#abandonStreams()
    if (!this.#socket.destroyed) this.#socket.end()
    this.#options.onClosed(this)
  }

  #abandonStreams(): void {
    const streams = [...this.#streams.values()]
    this.#streams.clear()
    this.#answered = []
    for (const stream of streams) {
      stream.discard()
      stream.consumer.onReset()
    }
  }

  #onHeaders(flags: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id === 0 || (id & 1) === 0) throw protocolError('a request has an odd stream id')
    let start = from
    let end = to
    if ((flags & FLAG.PADDED) !== 0) {
      end -= bytes[start] ?? 0
      start++
    }
    let isBad = false
    if ((flags & FLAG.PRIORITY) !== 0) {
      isBad = start + 5 <= end && readStreamId(bytes, start) === id
      start += 5
    }
    if (start > end) throw protocolError('the padding is larger than its frame')
    const endsStream = (flags & FLAG.END_STREAM) !== 0
    if ((flags & FLAG.END_HEADERS) !== 0) {
      this.#onHeaderBlock(id, endsStream, isBad, bytes, start, end)
      return
    }
    this.#blocks.open({ id, endsStream, isBad }, bytes, start, end)
  }

  #onContinuation(flags: number, id: number, bytes: Uint8Array, start: number, end: number): void {
    const open = this.#blocks.append(id, bytes, start, end)
    if ((flags & FLAG.END_HEADERS) === 0) return
    const block = this.#blocks.close()
    this.#onHeaderBlock(id, open.endsStream, open.isBad, block, 0, block.length)
  }

  #onHeaderBlock(
    id: number,
    endsStream: boolean,
    isBad: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (id <= this.#lastStreamId) {
      this.#onTrailers(id, endsStream, this.#blocks.trailers(bytes, start, end))
      return
    }
    const head = this.#blocks.head(bytes, start, end)
    this.#lastStreamId = id
    if (id > this.#acceptedIdMax) return
    if (typeof head === 'string' || isBad) {
      if (head === 'too-large') this.#refuseTooLarge(id, endsStream)
      else this.#resetUnknown(id, ERROR.PROTOCOL_ERROR)
      return
    }
    if (
      this.#streams.size >= this.#limits.concurrentStreamsMax ||
      this.#sender.queuedBytes > this.#limits.queuedBytesMax
    ) {
      this.#resetUnknown(id, ERROR.REFUSED_STREAM)
      return
    }
    if (endsStream && head.contentLength > 0) {
      this.#resetUnknown(id, ERROR.PROTOCOL_ERROR)
      return
    }
    const stream = new Http2Stream({
      id,
      host: this,
      sender: this.#sender,
      receiveWindow: this.#limits.streamWindowBytes,
      consumer: NO_CONSUMER,
    })
    stream.contentLength = head.contentLength
    this.#streams.set(id, stream)
    stream.isRemoteClosed = endsStream
    const consumer = this.#options.application.onRequest(stream, head.head, endsStream)
    stream.consumer = consumer
    if (endsStream && !stream.isLocalClosed) consumer.onEnd()
  }

  #onTrailers(id: number, endsStream: boolean, fields: readonly string[]): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      const was = this.#closedStreams.find(id)
      if (was === 'reset') return
      throw was === 'ended'
        ? new Http2ConnectionError(ERROR.STREAM_CLOSED, 'HEADERS on a closed stream')
        : protocolError('stream ids must grow')
    }
    if (stream.isRemoteClosed) {
      this.#failStream(stream, ERROR.STREAM_CLOSED)
    } else if (!endsStream || !areRegularFields(fields)) {
      this.#failStream(stream, ERROR.PROTOCOL_ERROR)
    } else this.#onRemoteEnd(stream)
  }

  #onData(flags: number, id: number, bytes: Uint8Array, from: number, to: number): void {
    if (id === 0) throw protocolError('DATA needs a stream')
    const length = to - from
    let start = from
    let end = to
    if ((flags & FLAG.PADDED) !== 0) {
      end -= bytes[start] ?? 0
      start++
      if (start > end) throw protocolError('the padding is larger than its frame')
    }
    const endsStream = (flags & FLAG.END_STREAM) !== 0
    if (start === end && !endsStream) this.#flood.count('empty', this.#nowMs)
    this.#takeFromWindow(length)
    const stream = this.#streams.get(id)
    if (stream === undefined || stream.isRemoteClosed) {
      this.#onDataOfClosed(id, stream)
      return
    }
    stream.receiveWindow -= length
    stream.bodyBytes += end - start
    if (stream.receiveWindow < 0) {
      this.#failStream(stream, ERROR.FLOW_CONTROL_ERROR)
      return
    }
    if (
      stream.contentLength >= 0 &&
      (stream.bodyBytes > stream.contentLength ||
        (endsStream && stream.bodyBytes !== stream.contentLength))
    ) {
      this.#failStream(stream, ERROR.PROTOCOL_ERROR)
      return
    }
    if (!endsStream && length > 0) {
      stream.ungranted += length
      if (stream.ungranted * 2 >= this.#limits.streamWindowBytes) this.grantStream(stream)
    }
    if (end > start && !stream.isLocalClosed) stream.consumer.onData(bytes, start, end)
    if (endsStream) this.#onRemoteEnd(stream)
  }

  #onDataOfClosed(id: number, stream: Http2Stream | undefined): void {
    if (id > this.#lastStreamId) throw protocolError('DATA on an idle stream')
    if (id > this.#acceptedIdMax) return
    if (stream !== undefined) {
      this.#failStream(stream, ERROR.STREAM_CLOSED)
    } else if (this.#closedStreams.find(id) !== 'reset') {
      this.#resetUnknown(id, ERROR.STREAM_CLOSED)
    }
  }

  /**
   * Counts bytes against the connection's window, and grants them again once half of it is used.
   */
  #takeFromWindow(length: number): void {
    this.#receiveWindow -= length
    if (this.#receiveWindow < 0) {
      throw new Http2ConnectionError(ERROR.FLOW_CONTROL_ERROR, 'more DATA than the window allows')
    }
    this.#ungranted += length
    if (this.#ungranted * 2 < this.#limits.connectionWindowBytes) return
    this.#receiveWindow += this.#ungranted
    this.#sender.number(FRAME.WINDOW_UPDATE, 0, this.#ungranted)
    this.#ungranted = 0
  }

  #onRemoteEnd(stream: Http2Stream): void {
    stream.isRemoteClosed = true
    if (stream.isLocalClosed) this.#forget(stream, false)
    else stream.consumer.onEnd()
  }

  #onPriority(id: number, bytes: Uint8Array, start: number, end: number): void {
    if (id === 0) throw protocolError('PRIORITY needs a stream')
    this.#flood.count('ignored', this.#nowMs)
    const isSized = end - start === 5
    if (isSized && readStreamId(bytes, start) !== id) return
    const code = isSized ? ERROR.PROTOCOL_ERROR : ERROR.FRAME_SIZE_ERROR
    const stream = this.#streams.get(id)
    if (stream !== undefined) this.#failStream(stream, code)
    else if (id <= this.#lastStreamId) this.#resetUnknown(id, code)
    else throw new Http2ConnectionError(code, 'PRIORITY is not valid')
  }

  #onRstStream(id: number, length: number): void {
    if (length !== 4) throw sizeError('RST_STREAM has four bytes')
    if (id === 0 || id > this.#lastStreamId) throw protocolError('RST_STREAM on an idle stream')
    this.#flood.count('reset', this.#nowMs)
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    stream.discard()
    stream.isRemoteClosed = true
    this.#forget(stream, false)
    stream.consumer.onReset()
  }

  #onSettings(flags: number, id: number, bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (id !== 0) throw protocolError('SETTINGS belongs to the connection')
    if ((flags & FLAG.ACK) !== 0) {
      if (length !== 0) throw sizeError('a SETTINGS acknowledgement is empty')
      return
    }
    if (length % 6 !== 0) throw sizeError('SETTINGS come in six bytes each')
    this.#flood.count('settings', this.#nowMs)
    for (let at = start; at < end; at += 6) {
      this.#onSetting(((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0), readUint32(bytes, at + 2))
    }
    this.#hasSettings = true
    this.#sender.frame(FRAME.SETTINGS, FLAG.ACK, 0, 0)
    // Behind the acknowledgement, so that the client knows why there is more.
    this.#sender.pump()
  }

  #onSetting(id: number, value: number): void {
    switch (id) {
      case SETTING.ENABLE_PUSH:
        if (value > 1) throw protocolError('ENABLE_PUSH is 0 or 1')
        break
      case SETTING.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_BYTES_MAX) throw windowError()
        this.#onInitialWindow(value)
        break
      case SETTING.MAX_FRAME_SIZE:
        // We never send frames beyond the smallest maximum there can be.
        if (value < 16_384 || value > 0xff_ffff) throw protocolError('MAX_FRAME_SIZE is not valid')
        break
      default:
        // HEADER_TABLE_SIZE says nothing to us while we insert nothing; unknown settings are
        // ignored.
        break
    }
  }

  #onInitialWindow(value: number): void {
    const change = value - this.#sender.initialWindow
    this.#sender.initialWindow = value
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change
      if (stream.sendWindow > WINDOW_BYTES_MAX) throw windowError()
      if (change > 0 && stream.queuedBytes > 0) this.#sender.wait(stream)
    }
  }

  #onPing(flags: number, id: number, bytes: Uint8Array, start: number, end: number): void {
    if (id !== 0) throw protocolError('PING belongs to the connection')
    if (end - start !== 8) throw sizeError('PING has eight bytes')
    if ((flags & FLAG.ACK) !== 0) {
      if (this.#state === 'draining' && isSame(bytes, start, DRAIN_PING)) this.#finishDrain()
      return
    }
    this.#flood.count('ping', this.#nowMs)
    this.#sender.frame(FRAME.PING, FLAG.ACK, 0, 8).raw(bytes.subarray(start, end))
    const hasSentSince =
      this.#sender.dataFrames !== this.#dataFramesAtPing ||
      this.#headersSent !== this.#headersAtPing
    this.#dataFramesAtPing = this.#sender.dataFrames
    this.#headersAtPing = this.#headersSent
    const hasStreams = this.#streams.size > 0
    if (this.#pings.isTooMany(this.#nowMs, { hasStreams, hasSentSince })) {
      throw new Http2ConnectionError(ERROR.ENHANCE_YOUR_CALM, 'too_many_pings')
    }
  }

  #onGoAway(id: number, length: number): void {
    if (id !== 0) throw protocolError('GOAWAY belongs to the connection')
    if (length < 8) throw sizeError('GOAWAY has at least eight bytes')
    // The client opens no more streams; what is under way goes on, then it or we close.
    this.drain()
  }

  #onWindowUpdate(id: number, bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== 4) throw sizeError('WINDOW_UPDATE has four bytes')
    const increment = readStreamId(bytes, start)
    const { dataFrames } = this.#sender
    for (; this.#dataFramesAtUpdate < dataFrames; this.#dataFramesAtUpdate++) {
      this.#flood.dataSent()
    }
    this.#flood.count('window-update', this.#nowMs)
    if (id === 0) {
      if (increment === 0) throw protocolError('a window grows by more than 0')
      this.#sender.window += increment
      if (this.#sender.window > WINDOW_BYTES_MAX) throw windowError()
      this.#sender.pump()
      return
    }
    if (id > this.#lastStreamId) throw protocolError('WINDOW_UPDATE on an idle stream')
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    if (increment === 0) {
      this.#failStream(stream, ERROR.PROTOCOL_ERROR)
      return
    }
    stream.sendWindow += increment
    if (stream.sendWindow > WINDOW_BYTES_MAX) this.#failStream(stream, ERROR.FLOW_CONTROL_ERROR)
    else if (stream.queuedBytes > 0) {
      this.#sender.wait(stream)
      this.#sender.pump()
    }
  }

  /** Ends a stream for an error of the client. */
  #failStream(stream: Http2Stream, code: number): void {
    this.#sender.number(FRAME.RST_STREAM, stream.id, code)
    stream.discard()
    this.#forget(stream, true)
    // Making us reset streams costs a client as little as resetting them itself.
    this.#flood.count('reset', this.#nowMs)
    stream.consumer.onReset()
  }

  #resetUnknown(id: number, code: number): void {
    this.#flood.count('reset', this.#nowMs)
    this.#sender.number(FRAME.RST_STREAM, id, code)
    this.#closedStreams.add(id, true)
  }

  /** 431 with nothing behind it, as RFC 9113 10.5.1 suggests. */
  #refuseTooLarge(id: number, endsStream: boolean): void {
    this.#flood.count('reset', this.#nowMs)
    this.#sender.headers(id, STATUS_431, true)
    if (!endsStream) this.#sender.number(FRAME.RST_STREAM, id, ERROR.NO_ERROR)
    this.#closedStreams.add(id, true)
  }

  #forget(stream: Http2Stream, wasResetByUs: boolean): void {
    if (!this.#streams.delete(stream.id)) return
    this.#closedStreams.add(stream.id, wasResetByUs)
    if (this.#streams.size === 0) this.#afterStreamEnd()
  }

  #afterStreamEnd(): void {
    if (this.#streams.size > 0) return
    this.#idleSinceMs = this.#nowMs
    if (this.#state === 'draining' && this.#acceptedIdMax !== WINDOW_BYTES_MAX) this.#endDrained()
  }

  /** The client has seen the first GOAWAY: now the last stream is known. */
  #finishDrain(): void {
    if (this.#acceptedIdMax !== WINDOW_BYTES_MAX) return
    this.#acceptedIdMax = this.#lastStreamId
    this.#sender.goAway(this.#lastStreamId, ERROR.NO_ERROR, NO_BYTES)
    if (this.#streams.size === 0) this.#endDrained()
  }

  #endDrained(): void {
    this.#state = 'closing'
    this.#reader.stop()
    this.#closeAtMs = this.#nowMs + LINGER_MS
    this.#sender.flush()
    this.#socket.end()
  }

  #ping(payload: Uint8Array): void {
    this.#sender.frame(FRAME.PING, 0, 0, 8).raw(payload)
  }

  #keepAlive(nowMs: number): void {
    const { keepaliveIntervalMs, keepaliveTimeoutMs } = this.#limits
    if (this.#pingSentMs > 0) {
      if (nowMs - this.#pingSentMs > keepaliveTimeoutMs) this.destroy()
    } else if (keepaliveIntervalMs > 0 && nowMs - this.#lastReadMs > keepaliveIntervalMs) {
      this.#pingSentMs = nowMs
      this.#ping(ALIVE_PING)
    }
  }

  /** Replies that are finished but not read must not lie here for ever. */
  #resetStalledStreams(nowMs: number): void {
    for (const stream of this.#streams.values()) {
      if (stream.queuedBytes === 0 || !stream.isEnded) continue
      if (stream.progressMs === 0) stream.progressMs = nowMs
      else if (nowMs - stream.progressMs > this.#limits.stallTimeoutMs) {
        stream.reset(ERROR.CANCEL)
        stream.consumer.onReset()
      }
    }
  }
}

/** `:status: 431`: literal without indexing, name of index 8. */
const STATUS_431 = Uint8Array.of(0x08, 0x03, 0x34, 0x33, 0x31)

const protocolError = (message: string): Http2ConnectionError =>
  new Http2ConnectionError(ERROR.PROTOCOL_ERROR, message)

const sizeError = (message: string): Http2ConnectionError =>
  new Http2ConnectionError(ERROR.FRAME_SIZE_ERROR, message)

const windowError = (): Http2ConnectionError =>
  new Http2ConnectionError(ERROR.FLOW_CONTROL_ERROR, 'a window grew beyond 2^31 - 1')

function isSame(bytes: Uint8Array, start: number, other: Uint8Array): boolean {
  for (let at = 0; at < other.length; at++) if (bytes[start + at] !== other[at]) return false
  return true
}
