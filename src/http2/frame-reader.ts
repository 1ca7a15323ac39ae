import { FRAME_BYTES_MAX, FRAME_HEADER_BYTES, PREFACE } from './protocol.js'

/** Takes the frames of a connection in order. */
export interface FrameSink {
  /**
   * Bytes `start` to `end` of `bytes` are the frame's payload; they live until the call returns.
   */
  onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void
  /** A frame header announces more than FRAME_BYTES_MAX; reading has stopped. */
  onFrameTooLarge(type: number, streamId: number, length: number): void
  /** The first bytes are not HTTP/2; reading has stopped. */
  onBadPreface(): void
}

/**
 * Cuts chunks of a socket into frames, after the client's preface. A frame that lies in one chunk
 * is handed out in place; one that spans chunks is put together in a buffer of its own, at most one
 * frame in size.
 */
export class FrameReader {
  readonly #sink: FrameSink
  #prefaceRead = 0
  /** The beginning of a frame that is not complete; undefined between frames. */
  #partial: Uint8Array | undefined
  #partialRead = 0
  #isStopped = false

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** Whether a frame has begun and is not complete. */
  get isInsideFrame(): boolean {
    return this.#partial !== undefined
  }

  /** Whether the client's preface has been read whole. */
  get hasPreface(): boolean {
    return this.#prefaceRead === PREFACE.length
  }

  /** No more frames: what comes from here on is dropped. */
  stop(): void {
    this.#isStopped = true
    this.#partial = undefined
  }

  push(chunk: Uint8Array): void {
    if (this.#isStopped) return
    let at = 0
    if (this.#prefaceRead < PREFACE.length) {
      at = this.#readPreface(chunk)
      if (at < 0) return
    }
    const end = chunk.length
    while (at < end && !this.#isStopped) {
      if (this.#partial !== undefined) {
        at = this.#continuePartial(this.#partial, chunk, at)
        continue
      }
      if (end - at < FRAME_HEADER_BYTES) {
        this.#beginPartial(FRAME_HEADER_BYTES, chunk, at)
        return
      }
      const length = ((chunk[at] ?? 0) << 16) | ((chunk[at + 1] ?? 0) << 8) | (chunk[at + 2] ?? 0)
      if (length > FRAME_BYTES_MAX) {
        this.#tooLarge(chunk, at, length)
        return
      }
      const payload = at + FRAME_HEADER_BYTES
      if (end - payload < length) {
        this.#beginPartial(FRAME_HEADER_BYTES + length, chunk, at)
        return
      }
      at = payload + length
      this.#sink.onFrame(
        chunk[payload - 6] ?? 0,
        chunk[payload - 5] ?? 0,
        readStreamId(chunk, payload - 4),
        chunk,
        payload,
        at,
      )
    }
  }

  /** Returns where the frames begin, or -1 when there is nothing more to read. */
  #readPreface(chunk: Uint8Array): number {
    let at = 0
    while (at < chunk.length && this.#prefaceRead < PREFACE.length) {
      if (chunk[at] !== PREFACE[this.#prefaceRead]) {
        this.stop()
        this.#sink.onBadPreface()
        return -1
      }
      at++
      this.#prefaceRead++
    }
    return at
  }

  #beginPartial(needed: number, chunk: Uint8Array, at: number): void {
    const partial = new Uint8Array(needed)
    partial.set(chunk.subarray(at))
    this.#partial = partial
    this.#partialRead = chunk.length - at
  }

  /** Returns how far the chunk was used. */
  #continuePartial(partial: Uint8Array, chunk: Uint8Array, at: number): number {
    const take = Math.min(partial.length - this.#partialRead, chunk.length - at)
    partial.set(chunk.subarray(at, at + take), this.#partialRead)
    this.#partialRead += take
    if (this.#partialRead < partial.length) return at + take
    const length = ((partial[0] ?? 0) << 16) | ((partial[1] ?? 0) << 8) | (partial[2] ?? 0)
    if (partial.length === FRAME_HEADER_BYTES && length > 0) {
      if (length > FRAME_BYTES_MAX) this.#tooLarge(partial, 0, length)
      else {
        const whole = new Uint8Array(FRAME_HEADER_BYTES + length)
        whole.set(partial)
        this.#partial = whole
      }
      return at + take
    }
    this.#partial = undefined
    this.#sink.onFrame(
      partial[3] ?? 0,
      partial[4] ?? 0,
      readStreamId(partial, 5),
      partial,
      FRAME_HEADER_BYTES,
      partial.length,
    )
    return at + take
  }

  #tooLarge(bytes: Uint8Array, at: number, length: number): void {
    this.stop()
    this.#sink.onFrameTooLarge(bytes[at + 3] ?? 0, readStreamId(bytes, at + 5), length)
  }
}

/** Four bytes without the reserved upper bit: a stream id, an increment. */
export function readStreamId(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) & 0x7f) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0)
  )
}

/** Four bytes as an unsigned number: a setting's value, an error code. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return readStreamId(bytes, at) + ((bytes[at] ?? 0) >= 0x80 ? 0x8000_0000 : 0)
}
