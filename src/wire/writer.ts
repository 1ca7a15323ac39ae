import { invariant } from '../base/invariant.js'
import { copyToSlab } from '../base/slab.js'

const words = new Uint32Array(2)
const wide = new BigUint64Array(words.buffer)
const utf8 = new TextEncoder()

/** Strings of at least this length are worth a call into the platform's encoder. */
const INTO_LENGTH_MIN = 64
/** Longer ones get bytes of their own, rather than room for three times their length here. */
const INTO_LENGTH_MAX = 64 * 1024
/** Bytes of UTF-8 that one UTF-16 unit takes at most. */
const UTF8_BYTES_MAX = 3

/** Larger buffers are given back after use instead of being kept for the next message. */
const KEPT_BYTES_MAX = 1 << 20

/**
 * A growing output buffer. Messages are appended one behind the other; `take` hands the bytes out
 * and starts a new buffer, `view` lends them until the next call.
 */
export class Writer {
  buffer: Uint8Array
  position = 0

  constructor(bytes = 1024) {
    this.buffer = new Uint8Array(bytes)
  }

  /** Makes room for `bytes` more; afterwards they may be written straight into `buffer`. */
  reserve(bytes: number): void {
    const needed = this.position + bytes
    if (needed <= this.buffer.length) return
    const grown = new Uint8Array(Math.max(needed, this.buffer.length * 2))
    grown.set(this.buffer.subarray(0, this.position))
    this.buffer = grown
  }

  reset(): void {
    this.position = 0
    if (this.buffer.length > KEPT_BYTES_MAX) this.buffer = new Uint8Array(1024)
  }

  /** The bytes so far, valid until the next write or reset. */
  view(): Uint8Array {
    return this.buffer.subarray(0, this.position)
  }

  /** A copy of the bytes so far; the writer is empty afterwards. */
  take(): Uint8Array {
    const taken = copyToSlab(this.buffer, 0, this.position)
    this.reset()
    return taken
  }

  byte(value: number): void {
    this.reserve(1)
    this.buffer[this.position++] = value
  }

  uint32(value: number): void {
    this.reserve(5)
    let rest = value >>> 0
    while (rest > 0x7f) {
      this.buffer[this.position++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.buffer[this.position++] = rest
  }

  /** A whole number within +-(2^53 - 1), negative ones in ten bytes as protobuf's int64. */
  counter(value: number): void {
    if (value >= 0 && value <= 0x7f) {
      this.reserve(1)
      this.buffer[this.position++] = value
      return
    }
    if (value >= 0 && value <= 0xffffffff) {
      this.uint32(value)
      return
    }
    invariant(Number.isSafeInteger(value), 'a counter must be a safe integer')
    const high = Math.floor(value / 0x1_0000_0000)
    this.#pair((value - high * 0x1_0000_0000) >>> 0, high >>> 0)
  }

  id(value: bigint): void {
    wide[0] = value
    this.#pair(words[0] as number, words[1] as number)
  }

  int32(value: number): void {
    this.#pair(value >>> 0, value < 0 ? 0xffffffff : 0)
  }

  bool(value: boolean): void {
    this.reserve(1)
    this.buffer[this.position++] = value ? 1 : 0
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.length)
    this.raw(value)
  }

  /** Bytes as they are, without a length. */
  raw(value: Uint8Array): void {
    this.reserve(value.length)
    this.buffer.set(value, this.position)
    this.position += value.length
  }

  string(value: string): void {
    const length = value.length
    if (length >= INTO_LENGTH_MIN) {
      this.#longString(value)
      return
    }
    this.reserve(length + 1)
    const buffer = this.buffer
    const start = this.position
    let position = start + 1
    for (let at = 0; at < length; at++) {
      const code = value.charCodeAt(at)
      if (code > 0x7f) {
        this.bytes(utf8.encode(value))
        return
      }
      buffer[position++] = code
    }
    buffer[start] = length
    this.position = position
  }

  /**
   * Encodes in place: bytes of its own for the text would cost several times the encoding. The
   * length in front is first taken for that of ASCII, which it nearly always is.
   */
  #longString(value: string): void {
    if (value.length > INTO_LENGTH_MAX) {
      this.bytes(utf8.encode(value))
      return
    }
    const start = this.position
    this.reserve(value.length * UTF8_BYTES_MAX + 5)
    this.uint32(value.length)
    const { written } = utf8.encodeInto(value, this.buffer.subarray(this.position))
    if (written === value.length) {
      this.position += written
      return
    }
    this.position = start
    this.bytes(utf8.encode(value))
  }

  /** Begins a nested message; give the result to `close` once its fields are written. */
  open(): number {
    this.reserve(1)
    return this.position++
  }

  /** Ends the nested message that `open` began: puts its length in front of it. */
  close(start: number): void {
    const length = this.position - start - 1
    if (length <= 0x7f) {
      this.buffer[start] = length
      return
    }
    let extra = 0
    for (let rest = length >>> 7; rest > 0; rest >>>= 7) extra++
    this.reserve(extra)
    this.buffer.copyWithin(start + 1 + extra, start + 1, this.position)
    this.position += extra
    let rest = length
    let at = start
    while (rest > 0x7f) {
      this.buffer[at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.buffer[at] = rest
  }

  #pair(low: number, high: number): void {
    this.reserve(10)
    const buffer = this.buffer
    let position = this.position
    let lowRest = low
    let highRest = high
    while (highRest > 0 || lowRest > 0x7f) {
      buffer[position++] = (lowRest & 0x7f) | 0x80
      lowRest = ((lowRest >>> 7) | (highRest << 25)) >>> 0
      highRest >>>= 7
    }
    buffer[position++] = lowRest
    this.position = position
  }
}
