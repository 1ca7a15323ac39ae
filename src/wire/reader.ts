import { MAX_COUNTER } from './limits.js'

/** The bytes are not a valid protobuf encoding of the message that was expected. */
export class WireError extends Error {
  override readonly name = 'WireError'
}

/** A byte order mark is text like any other: Go keeps it. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
const EMPTY = new Uint8Array(0)
const words = new Uint32Array(2)
const wide = new BigUint64Array(words.buffer)

/**
 * A cursor over protobuf bytes. Byte fields come out as views of the input: whoever keeps one
 * longer than the input may live copies it. Strict where etcd's own decoder is (facts:
 * peer-protocol.md 10.1): a known field of the wrong wire type, an end-group without start and wire
 * types 6 and 7 are errors, because log entries of the v2 API are told from those of v3 by exactly
 * these failures.
 */
export class Reader {
  bytesIn: Uint8Array
  position: number
  #low = 0
  #high = 0

  constructor(bytesIn: Uint8Array, position = 0) {
    this.bytesIn = bytesIn
    this.position = position
  }

  /** A field's tag: its number and wire type. Numbers above 2^29 - 1 are errors. */
  tag(): number {
    const bytes = this.bytesIn
    const first = bytes[this.position]
    if (first !== undefined && first < 0x80) {
      this.position++
      return first
    }
    this.#varint()
    if (this.#high !== 0) throw new WireError('illegal tag')
    return this.#low
  }

  /** Unsigned varint of which the low 32 bits count (enums, uint32). */
  uint32(): number {
    const bytes = this.bytesIn
    const first = bytes[this.position]
    if (first !== undefined && first < 0x80) {
      this.position++
      return first
    }
    this.#varint()
    return this.#low
  }

  /** The length of what follows; what follows must end at `end` or before. */
  length(end: number): number {
    this.#varint()
    if (this.#high !== 0 || this.#low > end - this.position) throw new WireError('unexpected EOF')
    return this.#low
  }

  bool(): boolean {
    this.#varint()
    return this.#low !== 0 || this.#high !== 0
  }

  /** uint64 as number; saturates at 2^53 - 1, beyond which no counter of ours can be. */
  counter(): number {
    const bytes = this.bytesIn
    const first = bytes[this.position]
    if (first !== undefined && first < 0x80) {
      this.position++
      return first
    }
    this.#varint()
    if (this.#high >= 0x200000) return MAX_COUNTER
    return this.#high * 0x1_0000_0000 + this.#low
  }

  /** int64 as number; saturates at +-(2^53 - 1). */
  signedCounter(): number {
    const bytes = this.bytesIn
    const first = bytes[this.position]
    if (first !== undefined && first < 0x80) {
      this.position++
      return first
    }
    this.#varint()
    const high = this.#high | 0
    if (high >= 0x200000) return MAX_COUNTER
    if (high < -0x200000) return -MAX_COUNTER
    const value = high * 0x1_0000_0000 + this.#low
    return Math.max(value, -MAX_COUNTER)
  }

  int32(): number {
    this.#varint()
    return this.#low | 0
  }

  id(): bigint {
    this.#varint()
    words[0] = this.#low
    words[1] = this.#high
    return wide[0] as bigint
  }

  signedId(): bigint {
    return BigInt.asIntN(64, this.id())
  }

  bytes(end: number): Uint8Array {
    const length = this.length(end)
    if (length === 0) return EMPTY
    const start = this.position
    this.position = start + length
    return this.bytesIn.subarray(start, this.position)
  }

  string(end: number): string {
    const length = this.length(end)
    if (length === 0) return ''
    const start = this.position
    this.position = start + length
    return utf8.decode(this.bytesIn.subarray(start, this.position))
  }

  /** Skips the value of an unknown field whose tag was just read. */
  skip(tag: number, end: number, depth = 0): void {
    if (tag >>> 3 === 0) throw new WireError(`illegal tag ${tag}`)
    switch (tag & 7) {
      case 0:
        this.#varint()
        break
      case 1:
        this.position += 8
        break
      case 2: {
        const length = this.length(end)
        this.position += length
        break
      }
      case 3: {
        if (depth >= 64) throw new WireError('groups are nested too deeply')
        for (;;) {
          if (this.position >= end) throw new WireError('unexpected EOF')
          const inner = this.tag()
          if ((inner & 7) === 4) break
          this.skip(inner, end, depth + 1)
        }
        break
      }
      case 5:
        this.position += 4
        break
      default:
        throw new WireError(`illegal wire type ${tag & 7}`)
    }
    if (this.position > end) throw new WireError('unexpected EOF')
  }

  #varint(): void {
    const bytes = this.bytesIn
    let low = 0
    let high = 0
    let shift = 0
    for (;;) {
      const byte = bytes[this.position++]
      if (byte === undefined) throw new WireError('unexpected EOF')
      const part = byte & 0x7f
      if (shift < 28) low |= part << shift
      else if (shift === 28) {
        low |= part << 28
        high = part >>> 4
      } else high |= part << (shift - 32)
      if (byte < 0x80) break
      shift += 7
      if (shift > 63) throw new WireError('integer overflow')
    }
    this.#low = low >>> 0
    this.#high = high >>> 0
  }
}
