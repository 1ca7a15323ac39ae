import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { Writer } from '../wire/writer.js'
import type { Flushable, FlushQueue } from './flush-queue.js'
import {
  FLAG,
  FRAME,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
} from './protocol.js'
import type { Http2Stream } from './stream.js'

/** Size of a pooled output buffer: holds the replies of a usual turn. */
const OUTPUT_BUFFER_BYTES = 16_384
/** Output buffers that are kept for the next turn, over all connections. */
const POOLED_BUFFERS_MAX = 512
/**
 * Output of one turn beyond which it is written before the turn ends, so that the socket can push
 * back.
 */
const FLUSH_BYTES = 65_536
/**
 * Payloads from this size on go to the socket as they are instead of being copied behind their
 * header.
 */
const REFERENCED_BYTES_MIN = 4096

const NOTHING = new Uint8Array(0)
const pool: Uint8Array[] = []

/** What the sender asks of its connection. */
export interface SenderOwner {
  /** Runs right before collected output is written, and may add to it. */
  beforeFlush(): void
  /**
   * The socket is blocked and more than the limit waits for it (true), or it has drained (false).
   */
  onBacklog(isOver: boolean): void
}

export interface SenderOptions {
  readonly socket: Duplex
  readonly queue: FlushQueue
  readonly owner: SenderOwner
  readonly outputBacklogBytesMax: number
}

/**
 * The outgoing half of a connection: collects frames in one buffer per turn, keeps the connection's
 * send window, and moves queued data of streams when windows or the socket open. Buffers are held
 * only while there is output, so an idle connection has none.
 */
export class Sender implements Flushable {
  /**
   * Where frames are collected; write to it between `begin` and the next call of anything else
   * here.
   */
  readonly writer = new Writer(0)
  /** Bytes of DATA that the client still takes on the whole connection. */
  window = INITIAL_WINDOW_BYTES
  /** What a new stream may send: the client's SETTINGS_INITIAL_WINDOW_SIZE. */
  initialWindow = INITIAL_WINDOW_BYTES
  /** The socket takes no more for now: DATA waits on its stream. */
  isBlocked = false
  /** True while the connection reads a chunk: it flushes by itself at the chunk's end. */
  isHeld = false
  /** Bytes that wait on all streams. */
  queuedBytes = 0
  /** DATA frames sent so far. */
  dataFrames = 0

  readonly #options: SenderOptions
  /** Streams with queued data that their own windows let through, in the order of their turns. */
  readonly #waiting = new Set<Http2Stream>()
  /** Finished parts of the output before what is collected in `writer` from `#sealedTo` on. */
  #parts: Uint8Array[] | undefined
  #partBytes = 0
  #sealedTo = 0
  /**
   * Whether the socket takes bytes at once or says that it did not. Only a plain net.Socket is
   * believed: TLS keeps them for a while, and other streams may hand them on and still count them
   * as written. Those are given copies, which are small and exact.
   */
  readonly #isDirect: boolean
  #isDirty = false
  #isOverBacklog = false

  constructor(options: SenderOptions) {
    this.#options = options
    this.#isDirect = options.socket instanceof Socket && !(options.socket instanceof TLSSocket)
    this.writer.buffer = NOTHING
  }

  /** Prepares for output and returns where it goes. */
  begin(): Writer {
    const writer = this.writer
    if (writer.buffer.length === 0) {
      writer.buffer = pool.pop() ?? new Uint8Array(OUTPUT_BUFFER_BYTES)
    }
    if (!this.#isDirty && !this.isHeld) {
      this.#isDirty = true
      this.#options.queue.add(this)
    }
    return writer
  }

  /** Appends a frame header and returns the writer for its payload. */
  frame(type: number, flags: number, streamId: number, length: number): Writer {
    const writer = this.begin()
    writer.reserve(FRAME_HEADER_BYTES)
    writeFrameHeader(writer.buffer, writer.position, type, flags, streamId, length)
    writer.position += FRAME_HEADER_BYTES
    return writer
  }

  /** Appends a header block, in CONTINUATION frames where it is larger than a frame. */
  headers(streamId: number, block: Uint8Array, endStream: boolean): void {
    const streamFlag = endStream ? FLAG.END_STREAM : 0
    if (block.length <= FRAME_BYTES_MAX) {
      const writer = this.frame(
        FRAME.HEADERS,
        FLAG.END_HEADERS | streamFlag,
        streamId,
        block.length,
      )
      writer.reserve(block.length)
      const { buffer } = writer
      let position = writer.position
      for (let at = 0; at < block.length; at++) buffer[position++] = block[at] ?? 0
      writer.position = position
      return
    }
    for (let at = 0; at < block.length; at += FRAME_BYTES_MAX) {
      const end = Math.min(at + FRAME_BYTES_MAX, block.length)
      const type = at === 0 ? FRAME.HEADERS : FRAME.CONTINUATION
      const flags = (at === 0 ? streamFlag : 0) | (end === block.length ? FLAG.END_HEADERS : 0)
      this.frame(type, flags, streamId, end - at).raw(block.subarray(at, end))
    }
  }

  /**
   * Appends bytes of a frame's payload; large ones are referenced, and must not change any more.
   */
  payload(bytes: Uint8Array): void {
    if (bytes.length < REFERENCED_BYTES_MIN) {
      this.writer.raw(bytes)
      return
    }
    this.#seal()
    this.#parts?.push(bytes)
    this.#partBytes += bytes.length
  }

  /** Appends a frame of one 32-bit number: RST_STREAM, WINDOW_UPDATE. */
  number(type: number, streamId: number, value: number): void {
    const writer = this.frame(type, 0, streamId, 4)
    writeUint32(writer, value)
  }

  settings(settings: readonly (readonly [id: number, value: number])[]): void {
    const writer = this.frame(FRAME.SETTINGS, 0, 0, settings.length * 6)
    for (const [id, value] of settings) {
      writer.reserve(6)
      writer.buffer[writer.position++] = id >>> 8
      writer.buffer[writer.position++] = id
      writeUint32(writer, value)
    }
  }

  goAway(lastStreamId: number, code: number, debugData: Uint8Array): void {
    const writer = this.frame(FRAME.GOAWAY, 0, 0, 8 + debugData.length)
    writeUint32(writer, lastStreamId)
    writeUint32(writer, code)
    writer.raw(debugData)
  }

  /** A stream has data that waits: it takes its turn when windows and the socket allow. */
  wait(stream: Http2Stream): void {
    this.#waiting.add(stream)
    if (this.isBlocked) this.#checkBacklog()
  }

  forget(stream: Http2Stream): void {
    this.#waiting.delete(stream)
  }

  /**
   * Sends what waits on streams, one frame of each in turn, as far as windows and the socket allow.
   */
  pump(): void {
    while (this.#waiting.size > 0 && this.window > 0) {
      let sent = false
      for (const stream of this.#waiting) {
        if (this.isBlocked || this.window <= 0) return
        if (stream.sendQueued(FRAME_BYTES_MAX)) sent = true
        else this.#waiting.delete(stream)
      }
      if (!sent) return
    }
  }

  /** Output collected and not yet given to the socket. */
  get pendingBytes(): number {
    return this.writer.position - this.#sealedTo + this.#partBytes
  }

  /** Writes when so much was collected that the socket should have its say. */
  relieve(): void {
    if (this.pendingBytes >= FLUSH_BYTES) this.flush()
  }

  flush(): void {
    this.#options.owner.beforeFlush()
    this.#isDirty = false
    const writer = this.writer
    if (this.pendingBytes === 0) {
      this.#release(true)
      return
    }
    const { socket } = this.#options
    if (socket.destroyed || !socket.writable) {
      this.#parts = undefined
      this.#release(true)
      return
    }
    const hadParts = this.#parts !== undefined
    if (hadParts) this.#writeParts(socket)
    else if (this.#isDirect) socket.write(writer.view())
    else socket.write(Buffer.from(writer.view()))
    const isCopied = !this.#isDirect && !hadParts
    this.#release(isCopied || (this.#isDirect && socket.writableLength === 0))
    this.isBlocked = socket.writableNeedDrain
    this.#checkBacklog()
  }

  /**
   * While the socket is the bottleneck, nothing that the client could send helps, and what it sends
   * makes more output: beyond the limit its requests stay unread. What waits for windows alone does
   * not count.
   */
  #checkBacklog(): void {
    const { socket, owner, outputBacklogBytesMax } = this.#options
    if (this.#isOverBacklog || !this.isBlocked) return
    if (socket.writableLength + this.queuedBytes <= outputBacklogBytesMax) return
    this.#isOverBacklog = true
    owner.onBacklog(true)
  }

  /** The socket has given everything to the network. */
  onDrain(): void {
    this.isBlocked = false
    if (this.#isOverBacklog) {
      this.#isOverBacklog = false
      this.#options.owner.onBacklog(false)
    }
    this.pump()
  }

  #writeParts(socket: Duplex): void {
    this.#seal()
    socket.cork()
    for (const part of this.#parts ?? []) socket.write(part)
    socket.uncork()
    this.#parts = undefined
  }

  /**
   * Moves what was collected so far behind the finished parts. The buffer is written on behind it.
   */
  #seal(): void {
    this.#parts ??= []
    const { buffer, position } = this.writer
    if (position === this.#sealedTo) return
    this.#parts.push(buffer.subarray(this.#sealedTo, position))
    this.#partBytes += position - this.#sealedTo
    this.#sealedTo = position
  }

  /**
   * The buffer goes back to the pool when the socket is through with it, else it belongs to the
   * socket.
   */
  #release(isFree: boolean): void {
    const { buffer } = this.writer
    if (isFree && buffer.length === OUTPUT_BUFFER_BYTES && pool.length < POOLED_BUFFERS_MAX) {
      pool.push(buffer)
    }
    this.writer.buffer = NOTHING
    this.writer.position = 0
    this.#sealedTo = 0
    this.#partBytes = 0
  }
}

/** Writes the nine bytes of a frame header at `at`. */
export function writeFrameHeader(
  buffer: Uint8Array,
  at: number,
  type: number,
  flags: number,
  streamId: number,
  length: number,
): void {
  buffer[at] = length >>> 16
  buffer[at + 1] = length >>> 8
  buffer[at + 2] = length
  buffer[at + 3] = type
  buffer[at + 4] = flags
  buffer[at + 5] = streamId >>> 24
  buffer[at + 6] = streamId >>> 16
  buffer[at + 7] = streamId >>> 8
  buffer[at + 8] = streamId
}

function writeUint32(writer: Writer, value: number): void {
  writer.reserve(4)
  writer.buffer[writer.position++] = value >>> 24
  writer.buffer[writer.position++] = value >>> 16
  writer.buffer[writer.position++] = value >>> 8
  writer.buffer[writer.position++] = value
}
