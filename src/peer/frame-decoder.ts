/**
 * Cuts frames out of a stream that arrives in arbitrary pieces, without looking at any byte twice.
 */
import { invariant } from '../base/invariant.js'
import type { Message } from '../wire/raftpb.js'

/** The peer sent something that is not the stream it should be. The connection is closed. */
export class StreamFormatError extends Error {
  override readonly name = 'StreamFormatError'
}

/** Frames that end exactly where the input ends need no room of ours; others are gathered here. */
const PENDING_BYTES_MIN = 4096

/** Reads an unsigned big-endian 64-bit number; throws when it is beyond what a counter can be. */
export function readU64(bytes: Uint8Array, at: number): number {
  const high = readU32(bytes, at)
  if (high > 0x1fffff) throw new StreamFormatError('rafthttp: error limit exceeded')
  return high * 0x1_0000_0000 + readU32(bytes, at + 4)
}

/** By hand: a DataView made for it costs several times the reading. */
function readU32(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
  const low = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)
  return high * 0x1_0000 + low
}

export interface FrameSink {
  /** One message; `bytes` is the size of its frame. Link heartbeats come as `undefined`. */
  onFrame(message: Message | undefined, bytes: number): void
}

/**
 * States: between frames (nothing pending) or inside one (its bytes so far are pending). Memory
 * follows what has arrived, never what a length claims.
 */
export abstract class FrameDecoder {
  readonly #sink: FrameSink
  #pending = new Uint8Array(0)
  #pendingBytes = 0
  #isStopped = false

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /**
   * Where the frame that begins at `start` ends, or -1 when that is not known before more than `end
   * - start` bytes are there. May keep how far it looked; `start` then stands for the same byte.
   */
  protected abstract frameEnd(bytes: Uint8Array, start: number, end: number): number

  /** Decodes one whole frame, whose bytes belong to the message from now on. */
  protected abstract decode(frame: Uint8Array): Message | undefined

  /** Ends the decoding, also from within `onFrame`: what is left of the input is ignored. */
  stop(): void {
    this.#isStopped = true
    this.#pending = new Uint8Array(0)
    this.#pendingBytes = 0
  }

  /**
   * Takes the next bytes, which may be reused by the caller afterwards. Throws StreamFormatError.
   */
  feed(input: Uint8Array): void {
    if (this.#pendingBytes === 0) {
      const used = this.#framesOf(input, input.length)
      if (used < input.length && !this.#isStopped) this.#keep(input.subarray(used))
      return
    }
    this.#keep(input)
    const used = this.#framesOf(this.#pending, this.#pendingBytes)
    if (used === 0 || this.#isStopped) return
    this.#pending.copyWithin(0, used, this.#pendingBytes)
    this.#pendingBytes -= used
    if (this.#pendingBytes === 0) this.#pending = new Uint8Array(0)
  }

  #framesOf(bytes: Uint8Array, end: number): number {
    let start = 0
    while (start < end && !this.#isStopped) {
      const frameEnd = this.frameEnd(bytes, start, end)
      if (frameEnd < 0) break
      invariant(frameEnd > start && frameEnd <= end, 'a frame lies within the input')
      const size = frameEnd - start
      // A copy of its own (`slice` of a Buffer would be a view): what is delivered pins no larger
      // slab.
      const frame = new Uint8Array(size)
      frame.set(bytes.subarray(start, frameEnd))
      const message = this.decode(frame)
      start = frameEnd
      this.#sink.onFrame(message, size)
    }
    return start
  }

  #keep(input: Uint8Array): void {
    const needed = this.#pendingBytes + input.length
    if (needed > this.#pending.length) {
      const grown = new Uint8Array(Math.max(PENDING_BYTES_MIN, needed, this.#pending.length * 2))
      grown.set(this.#pending.subarray(0, this.#pendingBytes))
      this.#pending = grown
    }
    this.#pending.set(input, this.#pendingBytes)
    this.#pendingBytes = needed
  }
}
