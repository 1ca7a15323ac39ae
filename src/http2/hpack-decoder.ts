import { decodeHuffman } from './huffman.js'
import { latin1Text } from './latin1.js'
import { ERROR, Http2ConnectionError, INITIAL_TABLE_BYTES } from './protocol.js'
import { STATIC_COUNT, STATIC_NAMES, STATIC_VALUES } from './static-table.js'

/** What an entry counts beside its name and value (RFC 7541 4.1). */
export const ENTRY_OVERHEAD_BYTES = 32

export interface HpackDecoderLimits {
  /**
   * The largest table the peer may use: what we say in SETTINGS_HEADER_TABLE_SIZE. Default 4096.
   */
  readonly tableBytesMax?: number
  /** Sum of names, values and 32 per field of one block; fields beyond it are read and dropped. */
  readonly listBytesMax: number
  /** Fields of one block; those beyond it are read and dropped. */
  readonly fieldCountMax: number
}

/**
 * Reads header blocks (RFC 7541) of one connection. Fields come out flat: name, value, name,
 * value... Strings hold one character per byte. Every error is the connection's end: the table is
 * lost by it.
 */
export class HpackDecoder {
  /**
   * Changes with every change of the table: what was decoded under the same generation still holds.
   */
  generation = 0
  /** Whether the last block was over a limit, so that its fields are not all there. */
  isTruncated = false

  readonly #limits: HpackDecoderLimits
  #tableBytesMax: number
  #tableBytes = 0
  /**
   * The dynamic table as a ring of `capacity` entries, the newest at `#newest`; made on first use.
   */
  #names: string[] = []
  #values: string[] = []
  #newest = 0
  #count = 0

  #bytes: Uint8Array = new Uint8Array(0)
  #position = 0
  #end = 0

  constructor(limits: HpackDecoderLimits) {
    this.#limits = limits
    this.#tableBytesMax = limits.tableBytesMax ?? INITIAL_TABLE_BYTES
  }

  /** Bytes in the dynamic table, as RFC 7541 counts them. */
  get tableBytes(): number {
    return this.#tableBytes
  }

  /** Decodes one whole header block. Throws Http2ConnectionError COMPRESSION_ERROR. */
  decode(bytes: Uint8Array, start: number, end: number): string[] {
    this.#bytes = bytes
    this.#position = start
    this.#end = end
    this.isTruncated = false
    const fields: string[] = []
    let listBytes = 0
    let mayResize = true
    while (this.#position < end) {
      const first = bytes[this.#position] ?? 0
      let name: string
      let value: string
      if (first >= 0x80) {
        const index = this.#integer(7)
        name = this.#nameAt(index)
        value = this.#valueAt(index)
      } else if (first >= 0x40) {
        const index = this.#integer(6)
        name = index === 0 ? this.#string() : this.#nameAt(index)
        value = this.#string()
        this.#insert(name, value)
      } else if (first >= 0x20) {
        if (!mayResize) throw broken('a table size update must come first in its block')
        this.#resize(this.#integer(5))
        continue
      } else {
        const index = this.#integer(4)
        name = index === 0 ? this.#string() : this.#nameAt(index)
        value = this.#string()
      }
      mayResize = false
      listBytes += name.length + value.length + ENTRY_OVERHEAD_BYTES
      if (
        listBytes > this.#limits.listBytesMax ||
        fields.length >= this.#limits.fieldCountMax * 2
      ) {
        this.isTruncated = true
      } else fields.push(name, value)
    }
    // The input may be a socket's buffer: it is not held beyond the call.
    this.#bytes = NO_BYTES
    return fields
  }

  #nameAt(index: number): string {
    if (index <= STATIC_COUNT) {
      if (index === 0) throw broken('index 0 is not an entry')
      return STATIC_NAMES[index] ?? ''
    }
    return this.#names[this.#slotOf(index)] ?? ''
  }

  #valueAt(index: number): string {
    if (index <= STATIC_COUNT) return STATIC_VALUES[index] ?? ''
    return this.#values[this.#slotOf(index)] ?? ''
  }

  #slotOf(index: number): number {
    const age = index - STATIC_COUNT - 1
    if (age >= this.#count) throw broken('an index is beyond the table')
    return (this.#newest - age) & (this.#names.length - 1)
  }

  #insert(name: string, value: string): void {
    this.generation++
    const bytes = name.length + value.length + ENTRY_OVERHEAD_BYTES
    this.#evictTo(this.#tableBytesMax - bytes)
    // An entry larger than the table empties it and is not stored (RFC 7541 4.4).
    if (bytes > this.#tableBytesMax) return
    if (this.#count === this.#names.length) this.#grow()
    this.#newest = (this.#newest + 1) & (this.#names.length - 1)
    this.#names[this.#newest] = name
    this.#values[this.#newest] = value
    this.#count++
    this.#tableBytes += bytes
  }

  #evictTo(bytesMax: number): void {
    while (this.#tableBytes > bytesMax && this.#count > 0) {
      const oldest = (this.#newest - this.#count + 1) & (this.#names.length - 1)
      this.#tableBytes -=
        (this.#names[oldest] ?? '').length +
        (this.#values[oldest] ?? '').length +
        ENTRY_OVERHEAD_BYTES
      this.#names[oldest] = ''
      this.#values[oldest] = ''
      this.#count--
    }
  }

  #resize(bytesMax: number): void {
    if (bytesMax > (this.#limits.tableBytesMax ?? INITIAL_TABLE_BYTES)) {
      throw broken('a table size update is over the limit of SETTINGS_HEADER_TABLE_SIZE')
    }
    this.generation++
    this.#tableBytesMax = bytesMax
    this.#evictTo(bytesMax)
  }

  /** Doubles the ring; its size stays a power of two. */
  #grow(): void {
    const capacity = Math.max(8, this.#names.length * 2)
    const names = new Array<string>(capacity).fill('')
    const values = new Array<string>(capacity).fill('')
    const mask = this.#names.length - 1
    for (let age = 0; age < this.#count; age++) {
      const from = (this.#newest - age) & mask
      names[this.#count - 1 - age] = this.#names[from] ?? ''
      values[this.#count - 1 - age] = this.#values[from] ?? ''
    }
    this.#names = names
    this.#values = values
    this.#newest = (this.#count - 1) & (capacity - 1)
  }

  /** An integer with a prefix of `bits` (RFC 7541 5.1), at most 2^28. */
  #integer(bits: number): number {
    const mask = (1 << bits) - 1
    let value = (this.#bytes[this.#position++] ?? 0) & mask
    if (value < mask) return value
    let shift = 0
    for (;;) {
      if (this.#position >= this.#end) throw broken('an integer is cut off')
      const byte = this.#bytes[this.#position++] ?? 0
      if (shift > 21) throw broken('an integer is too large')
      value += (byte & 0x7f) << shift
      if (byte < 0x80) return value
      shift += 7
    }
  }

  #string(): string {
    if (this.#position >= this.#end) throw broken('a string is missing')
    const isHuffman = (this.#bytes[this.#position] ?? 0) >= 0x80
    const length = this.#integer(7)
    const start = this.#position
    if (length > this.#end - start) throw broken('a string is cut off')
    this.#position = start + length
    if (!isHuffman) return latin1Text(this.#bytes, start, this.#position)
    const text = decodeHuffman(this.#bytes, start, this.#position)
    if (text === undefined) throw broken('a string is not valid Huffman code')
    return text
  }
}

const NO_BYTES = new Uint8Array(0)

const broken = (message: string): Http2ConnectionError =>
  new Http2ConnectionError(ERROR.COMPRESSION_ERROR, message)
