import type { Socket } from 'node:net'
import { failpoint } from '../base/failpoints.js'
import { idToHex, type MemberId } from '../base/ids.js'
import type { LogFields } from '../ports/log.js'
import type { Message } from '../wire/raftpb.js'
import { AppendFrameDecoder } from './append-frames.js'
import { CLUSTER_ID_MISMATCH, INCOMPATIBLE_VERSION, supportsStreams } from './compatibility.js'
import { dial, networkErrorText } from './dial.js'
import { type FrameDecoder, StreamFormatError } from './frame-decoder.js'
import { MessageFrameDecoder } from './message-frames.js'
import { admit } from './message-gate.js'
import type { PeerContext } from './peer-context.js'
import { peerHeaders } from './peer-headers.js'
import { ERROR_BODY_BYTES_MAX } from './peer-limits.js'
import type { PeerStatus } from './peer-status.js'
import { ResponseParser } from './response-parser.js'
import { STREAM_NAMES, STREAM_PATHS, type StreamKind } from './stream-kind.js'
import type { UrlPicker } from './url-picker.js'

export interface StreamReaderOptions {
  readonly context: PeerContext
  readonly kind: StreamKind
  readonly peerId: MemberId
  readonly status: PeerStatus
  readonly picker: UrlPicker
}

/**
 * Keeps one stream dialled to a peer and delivers what the peer writes there. States: waiting (for
 * the next dial) → dialling → reading → waiting …; stopped is the end.
 */
export class StreamReader {
  readonly #options: StreamReaderOptions
  #attempt: StreamAttempt | undefined
  #timer: NodeJS.Timeout | undefined
  #lastDialMs = Number.NEGATIVE_INFINITY
  #isStopped = false

  constructor(options: StreamReaderOptions) {
    this.#options = options
    options.context.log.info('started stream reader with remote peer', this.#fields())
    this.#dial()
  }

  /** Whether the stream stands. */
  get isReading(): boolean {
    return this.#attempt?.isReading ?? false
  }

  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#attempt?.abort()
    this.#options.context.log.info('stopped stream reader with remote peer', this.#fields())
  }

  #dial(): void {
    this.#lastDialMs = this.#options.context.clock.monotonicMs()
    this.#attempt = new StreamAttempt(this.#options, () => this.#onAttemptOver())
  }

  #onAttemptOver(): void {
    this.#attempt = undefined
    if (this.#isStopped) return
    const { clock, timings } = this.#options.context
    const sinceDial = clock.monotonicMs() - this.#lastDialMs
    this.#timer = setTimeout(() => this.#dial(), Math.max(0, timings.dialRetryMs - sinceDial))
  }

  #fields(): LogFields {
    return {
      'stream-reader-type': STREAM_NAMES[this.#options.kind],
      'local-member-id': this.#options.context.idText,
      'remote-peer-id': idToHex(this.#options.peerId),
    }
  }
}

/** One dial and the stream that comes of it. Tells once when it is over; `abort` is silent. */
class StreamAttempt {
  readonly #options: StreamReaderOptions
  readonly #onOver: () => void
  readonly #url: URL
  readonly #parser: ResponseParser
  #socket: Socket | undefined
  #decoder: FrameDecoder | undefined
  #refusal: { readonly status: number; readonly clusterId: string; body: string } | undefined
  #isOver = false
  #receivedBytes = 0
  #heartbeatBytes = 0

  constructor(options: StreamReaderOptions, onOver: () => void) {
    this.#options = options
    this.#onOver = onOver
    this.#url = options.picker.pick()
    this.#parser = new ResponseParser({
      onHead: (status, headers) => this.#onHead(status, headers),
      onBody: (bytes) => this.#onBody(bytes),
      onEnd: () => this.#onEnd(),
    })
    // Deferred, so that whoever made us knows us before anything can fail.
    queueMicrotask(() => {
      if (!this.#isOver) this.#start()
    })
  }

  get isReading(): boolean {
    return this.#decoder !== undefined && !this.#isOver
  }

  abort(): void {
    this.#isOver = true
    this.#decoder?.stop()
    this.#socket?.destroy()
  }

  #start(): void {
    const { context, kind } = this.#options
    context.log.debug('dial stream reader', {
      from: context.idText,
      to: idToHex(this.#options.peerId),
      address: `${this.#url.protocol}//${this.#url.host}${STREAM_PATHS[kind]}/${context.idText}`,
    })
    let socket: Socket
    try {
      socket = dial(this.#url, context)
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error))
      return
    }
    this.#socket = socket
    socket.setTimeout(context.timings.streamIdleMs, () => {
      if (!socket.connecting) socket.destroy(new Error('i/o timeout'))
    })
    let failure = 'EOF'
    socket.on('error', (error) => {
      failure = networkErrorText(error)
    })
    socket.on('data', (bytes) => this.#onData(bytes))
    socket.on('close', () => {
      this.#fail(this.#refusal === undefined ? failure : this.#refusalText())
    })
    socket.write(this.#requestHead())
  }

  #requestHead(): string {
    const { context, kind, peerId } = this.#options
    const headers = { ...peerHeaders(context), 'X-Raft-To': idToHex(peerId) }
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const path = `${STREAM_PATHS[kind]}/${context.idText}`
    return `GET ${path} HTTP/1.1\r\nHost: ${this.#url.host}\r\n${lines.join('')}\r\n`
  }

  #onData(bytes: Uint8Array): void {
    if (this.#isOver) return
    try {
      this.#parser.feed(bytes)
    } catch (error) {
      // A message that the core cannot take is a fault of ours and must not look like one of the
      // network.
      if (!(error instanceof StreamFormatError)) throw error
      this.#fail(error.message)
    }
    this.#reportBytes()
  }

  #onHead(status: number, headers: ReadonlyMap<string, string>): void {
    if (!supportsStreams(headers.get('x-server-version'))) {
      this.#options.picker.unreachable(this.#url)
      this.#end()
      return
    }
    if (status !== 200) {
      const clusterId = headers.get('x-etcd-cluster-id') ?? ''
      this.#refusal = { status, clusterId, body: '' }
      return
    }
    const { context, kind, peerId, status: peerStatus } = this.#options
    const sink = {
      onFrame: (message: Message | undefined, size: number) => this.#onFrame(message, size),
    }
    this.#decoder =
      kind === 'append'
        ? new AppendFrameDecoder({ remoteId: peerId, localId: context.id }, sink)
        : new MessageFrameDecoder(sink)
    peerStatus.activate()
    context.log.info('established TCP streaming connection with remote peer', this.#fields())
  }

  #onBody(bytes: Uint8Array): void {
    if (this.#decoder !== undefined) {
      this.#decoder.feed(bytes)
      return
    }
    const refusal = this.#refusal
    if (refusal === undefined || refusal.body.length >= ERROR_BODY_BYTES_MAX) return
    refusal.body += Buffer.from(bytes).toString('latin1', 0, ERROR_BODY_BYTES_MAX)
  }

  #onEnd(): void {
    this.#fail(this.#refusal === undefined ? 'EOF' : this.#refusalText())
  }

  #onFrame(message: Message | undefined, size: number): void {
    if (message === undefined) {
      this.#heartbeatBytes += size
      return
    }
    if (failpoint('raftDropHeartbeat')) return
    const { context } = this.#options
    this.#receivedBytes += size
    if (admit(context, message) !== 'admitted') return
    if (message.type === 'MsgApp') context.observer?.appendReceived(message.from, size)
    context.deliver(message)
  }

  #reportBytes(): void {
    const { observer } = this.#options.context
    if (this.#receivedBytes > 0) observer?.received(this.#options.peerId, this.#receivedBytes)
    if (this.#heartbeatBytes > 0) observer?.received(0n as MemberId, this.#heartbeatBytes)
    this.#receivedBytes = 0
    this.#heartbeatBytes = 0
  }

  /**
   * The error of a dial that was answered with anything but a stream (facts: peer-protocol.md 4.1).
   */
  #refusalText(): string {
    const { context, peerId } = this.#options
    const refusal = this.#refusal ?? { status: 0, clusterId: '', body: '' }
    const peer = idToHex(peerId)
    const ids = { 'local-member-id': context.idText, 'remote-peer-id': peer }
    switch (refusal.status) {
      case 410:
        context.reportRemoved()
        return 'the member has been permanently removed from the cluster'
      case 404:
        return `peer ${peer} failed to find local node ${context.idText}`
      case 412:
        break
      default:
        return `unhandled http status ${refusal.status}`
    }
    const body = refusal.body.replace(/\n$/, '')
    if (body === INCOMPATIBLE_VERSION) {
      const line = 'request sent was ignored by remote peer due to server version incompatibility'
      context.log.warn(line, { ...ids, error: body })
      return body
    }
    if (body === CLUSTER_ID_MISMATCH) {
      context.log.warn('request sent was ignored by remote peer due to cluster ID mismatch', {
        ...ids,
        'remote-peer-cluster-id': refusal.clusterId,
        'local-member-cluster-id': context.clusterIdText,
        error: body,
      })
      return body
    }
    return `unhandled error ${JSON.stringify(refusal.body)} when precondition failed`
  }

  /**
   * Ends the attempt with what went wrong; a stream that just ends does not make the peer inactive.
   */
  #fail(reason: string): void {
    if (this.#isOver) return
    this.#isOver = true
    const { status, kind, context, picker } = this.#options
    const source = STREAM_NAMES[kind]
    if (this.#decoder === undefined) {
      picker.unreachable(this.#url)
      status.deactivate({ source, action: 'dial', reason })
    } else {
      const error = reason
      context.log.warn('lost TCP streaming connection with remote peer', {
        ...this.#fields(),
        error,
      })
      if (reason !== 'EOF') status.deactivate({ source, action: 'read', reason })
    }
    this.#end()
  }

  #end(): void {
    this.abort()
    this.#onOver()
  }

  #fields(): LogFields {
    return {
      'stream-reader-type': STREAM_NAMES[this.#options.kind],
      'local-member-id': this.#options.context.idText,
      'remote-peer-id': idToHex(this.#options.peerId),
    }
  }
}
