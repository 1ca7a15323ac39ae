import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { invariant } from '../base/invariant.js'
import type { Message } from '../wire/raftpb.js'
import { Writer } from '../wire/writer.js'
import { networkErrorText } from './dial.js'
import type { FrameEncoder } from './frame-encoder.js'
import type { PeerContext } from './peer-context.js'
import { STREAM_BYTES_MAX, STREAM_MESSAGES_MAX } from './peer-limits.js'

/**
 * `XXXXXXXX\r\n`: the size line of a chunk, written when its content is known. Leading zeros are
 * legal.
 */
const CHUNK_HEAD_BYTES = 10
/** Tells the reader that the stream ends by intention. */
const LAST_CHUNK = '0\r\n\r\n'
const OUTPUT_BYTES = 16 * 1024
/**
 * What a slow peer must take in each idle period: Node tells of a write when it is done, not how
 * far it got, so a large one is given its time.
 */
const SLOW_PEER_BYTES = 4 * 1024 * 1024
const CR = 13
const LF = 10
const HEX = '0123456789abcdef'

export interface OutgoingStreamEvents {
  /** Bytes were handed to the kernel. */
  onSent(bytes: number): void
  /** The connection ended without our wish; `lostMessages` were not handed to the kernel. */
  onLost(action: 'write' | 'heartbeat', reason: string, lostMessages: number): void
}

/**
 * One response that we write frames to, for as long as its connection lives. What is written within
 * one turn goes into one chunk and one socket write, made as soon as the code that wrote it has
 * returned: nothing waits for a timer. States: open → closed, once.
 */
export class OutgoingStream {
  readonly #context: PeerContext
  readonly #socket: Socket
  readonly #encoder: FrameEncoder
  readonly #events: OutgoingStreamEvents
  readonly #heartbeat: NodeJS.Timeout
  readonly #onClose = (): void => this.#lose('write', 'EOF')
  readonly #onError = (error: Error): void => this.#lose('write', networkErrorText(error))
  #out = new Writer(OUTPUT_BYTES)
  #isFlushQueued = false
  #isOpen = true
  /** Messages in `#out`, and in writes that the kernel has not taken. */
  #turnMessages = 0
  #waitingMessages = 0
  #lastProgressMs: number

  constructor(
    context: PeerContext,
    response: ServerResponse,
    encoder: FrameEncoder,
    events: OutgoingStreamEvents,
  ) {
    const socket = response.socket
    invariant(socket !== null && response.headersSent, 'a stream is attached to an open response')
    this.#context = context
    this.#socket = socket
    this.#encoder = encoder
    this.#events = events
    this.#lastProgressMs = context.clock.monotonicMs()
    this.#out.position = CHUNK_HEAD_BYTES
    socket.setNoDelay(true)
    socket.on('close', this.#onClose)
    socket.on('error', this.#onError)
    this.#heartbeat = setInterval(() => this.#beat(), context.timings.linkHeartbeatMs)
  }

  get pendingMessages(): number {
    return this.#turnMessages + this.#waitingMessages
  }

  /** Queues one message; false = there is no room, and the message was not taken. */
  send(message: Message): boolean {
    invariant(this.#isOpen, 'a closed stream takes no messages')
    if (this.pendingMessages >= STREAM_MESSAGES_MAX) return false
    if (this.#socket.writableLength + this.#out.position > STREAM_BYTES_MAX) return false
    this.#encoder.message(message, this.#out)
    this.#turnMessages++
    this.#queueFlush()
    return true
  }

  /** Ends the connection: at once, or behind what was sent if the peer takes that quickly. */
  close(isGraceful: boolean): void {
    if (!this.#isOpen) return
    if (isGraceful) this.flush()
    this.#detach()
    const socket = this.#socket
    if (!isGraceful || socket.destroyed) {
      socket.destroy()
      return
    }
    const timer = setTimeout(() => socket.destroy(), this.#context.timings.lingerMs)
    socket.once('close', () => clearTimeout(timer))
    socket.end(LAST_CHUNK, () => socket.destroySoon())
  }

  #queueFlush(): void {
    if (this.#isFlushQueued) return
    this.#isFlushQueued = true
    queueMicrotask(() => {
      if (this.#isOpen) this.flush()
    })
  }

  /** Gives what was written to the socket, without waiting for the end of the turn. */
  flush(): void {
    this.#isFlushQueued = false
    const out = this.#out
    const contentBytes = out.position - CHUNK_HEAD_BYTES
    if (contentBytes === 0) return
    writeChunkHead(out.buffer, contentBytes)
    out.reserve(2)
    out.buffer[out.position++] = CR
    out.buffer[out.position++] = LF
    const messages = this.#turnMessages
    this.#turnMessages = 0
    this.#waitingMessages += messages
    this.#socket.write(out.view(), () => this.#onWritten(messages))
    // The bytes are the socket's until it is empty again; most often it is so at once.
    if (this.#socket.writableLength > 0 || out.buffer.length > OUTPUT_BYTES * 4) {
      this.#out = new Writer(OUTPUT_BYTES)
    }
    this.#out.position = CHUNK_HEAD_BYTES
    this.#events.onSent(contentBytes)
  }

  #onWritten(messages: number): void {
    this.#waitingMessages -= messages
    this.#lastProgressMs = this.#context.clock.monotonicMs()
  }

  #beat(): void {
    const now = this.#context.clock.monotonicMs()
    const isStuck = this.#socket.writableLength > 0
    if (!isStuck) this.#lastProgressMs = now
    const waitingBytes = this.#socket.writableLength
    const allowedMs = this.#context.timings.streamStuckMs * (1 + waitingBytes / SLOW_PEER_BYTES)
    if (now - this.#lastProgressMs > allowedMs) {
      this.#lose('heartbeat', 'i/o timeout')
      return
    }
    // A stuck connection has enough to bring; beats behind it would only pile up.
    if (isStuck) return
    this.#encoder.linkHeartbeat(this.#out)
    this.flush()
  }

  #lose(action: 'write' | 'heartbeat', reason: string): void {
    if (!this.#isOpen) return
    const lost = this.pendingMessages
    this.#detach()
    this.#socket.destroy()
    this.#events.onLost(action, reason, lost)
  }

  #detach(): void {
    this.#isOpen = false
    clearInterval(this.#heartbeat)
    this.#socket.off('close', this.#onClose)
    this.#socket.off('error', this.#onError)
    // A late reset of a connection that we gave up concerns nobody.
    this.#socket.on('error', () => undefined)
  }
}

function writeChunkHead(buffer: Uint8Array, contentBytes: number): void {
  let rest = contentBytes
  for (let at = 7; at >= 0; at--) {
    buffer[at] = HEX.charCodeAt(rest & 15)
    rest >>>= 4
  }
  buffer[8] = CR
  buffer[9] = LF
}
