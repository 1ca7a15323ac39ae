/**
 * What is on disk in a LevelDB directory, as far as damage can be told: its logs and manifests are
 * records with a checksum each, its tables are blocks with one. Read only.
 */
import { crc32c } from '../base/crc32c.js'

const BLOCK_BYTES = 32_768
const RECORD_HEADER_BYTES = 7
const RECORD_FULL = 1
const RECORD_LAST = 4
const FOOTER_BYTES = 48
const TRAILER_BYTES = 5
const TABLE_MAGIC = 0xdb4775248b80fb57n
const MASK_DELTA = 0xa282ead8

/** Where a file is not what it should be, and why. */
export interface Damage {
  readonly offset: number
  readonly why: string
}

export interface LogScan {
  /** The records that are whole, up to the first that is not. */
  readonly records: readonly Uint8Array[]
  /** Behind the last of them. */
  readonly goodEnd: number
  /** Undefined when the log ends where a record does, or within one: a write that was cut off. */
  readonly damage: Damage | undefined
}

/** LevelDB stores a checksum in this form, because it may be part of what another one covers. */
function unmasked(stored: number): number {
  const rotated = (stored - MASK_DELTA) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Walks the records of a log or a manifest. */
export function scanLog(bytes: Uint8Array): LogScan {
  const view = viewOf(bytes)
  const records: Uint8Array[] = []
  let parts: Uint8Array[] = []
  let goodEnd = 0
  const stop = (damage?: Damage): LogScan => ({ records, goodEnd, damage })
  for (let at = 0; at < bytes.length; ) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES)
    if (left < RECORD_HEADER_BYTES) {
      at += left
      continue
    }
    if (at + RECORD_HEADER_BYTES > bytes.length) return stop()
    const length = view.getUint16(at + 4, true)
    const type = bytes[at + 6] as number
    const end = at + RECORD_HEADER_BYTES + length
    // A file may have its length before its content when power fails.
    if (type === 0 && length === 0 && isZeroFrom(bytes, at)) return stop()
    if (RECORD_HEADER_BYTES + length > left) return stop({ offset: at, why: 'bad record length' })
    if (end > bytes.length) return stop()
    if (crc32c(bytes, at + 6, end) !== unmasked(view.getUint32(at, true))) {
      return stop({ offset: at, why: 'record checksum mismatch' })
    }
    if (type < RECORD_FULL || type > RECORD_LAST) {
      return stop({ offset: at, why: `unknown record type ${type}` })
    }
    const begins = type === RECORD_FULL || type === RECORD_FULL + 1
    if (begins !== (parts.length === 0)) {
      return stop({ offset: at, why: 'a part of a record is missing' })
    }
    parts.push(bytes.subarray(at + RECORD_HEADER_BYTES, end))
    at = end
    if (type !== RECORD_FULL && type !== RECORD_LAST) continue
    records.push(parts.length === 1 ? (parts[0] as Uint8Array) : joined(parts))
    parts = []
    goodEnd = at
  }
  return stop()
}

function isZeroFrom(bytes: Uint8Array, start: number): boolean {
  for (let at = start; at < bytes.length; at++) if (bytes[at] !== 0) return false
  return true
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** Reads varints and what they announce; throws RangeError behind the end. */
class Cursor {
  readonly #bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes
    this.at = at
  }

  get isAtEnd(): boolean {
    return this.at >= this.#bytes.length
  }

  varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.at++]
      if (byte === undefined || factor > 2 ** 56) throw new RangeError('behind the end')
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }

  skip(bytes: number): void {
    this.at += bytes
    if (this.at > this.#bytes.length) throw new RangeError('behind the end')
  }
}

/** What a manifest says of the files that make up the database. */
export interface Manifest {
  /** Size in bytes of each live table, by its number. */
  readonly tables: ReadonlyMap<number, number>
  /** Logs from this number on hold what is in no table yet. */
  readonly logNumber: number
  readonly previousLogNumber: number
}

/** Plays a manifest's records; undefined when one of them cannot be read. */
export function readManifest(records: readonly Uint8Array[]): Manifest | undefined {
  const tables = new Map<number, number>()
  let [logNumber, previousLogNumber] = [0, 0]
  try {
    for (const record of records) {
      const cursor = new Cursor(record)
      while (!cursor.isAtEnd) {
        const tag = cursor.varint()
        if (tag === 1) cursor.skip(cursor.varint())
        else if (tag === 2) logNumber = cursor.varint()
        else if (tag === 3 || tag === 4) cursor.varint()
        else if (tag === 5) {
          cursor.varint()
          cursor.skip(cursor.varint())
        } else if (tag === 6) {
          cursor.varint()
          tables.delete(cursor.varint())
        } else if (tag === 7) {
          cursor.varint()
          const number = cursor.varint()
          tables.set(number, cursor.varint())
          cursor.skip(cursor.varint())
          cursor.skip(cursor.varint())
        } else if (tag === 9) previousLogNumber = cursor.varint()
        else return undefined
      }
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
  return { tables, logNumber, previousLogNumber }
}

interface Handle {
  readonly offset: number
  readonly bytes: number
}

function readHandle(cursor: Cursor): Handle {
  return { offset: cursor.varint(), bytes: cursor.varint() }
}

/** Verifies every block of a table. */
export function checkTable(bytes: Uint8Array): Damage | undefined {
  const footer = bytes.length - FOOTER_BYTES
  if (footer < 0) return { offset: 0, why: 'too short to be a table' }
  if (viewOf(bytes).getBigUint64(bytes.length - 8, true) !== TABLE_MAGIC) {
    return { offset: bytes.length - 8, why: 'not a table: bad magic number' }
  }
  try {
    const cursor = new Cursor(bytes, footer)
    const metaIndex = readHandle(cursor)
    const index = readHandle(cursor)
    return checkBlocks(bytes, metaIndex) ?? checkBlocks(bytes, index)
  } catch (error) {
    if (error instanceof RangeError) return { offset: footer, why: 'unreadable block handles' }
    throw error
  }
}

/** An index and every block that it names. */
function checkBlocks(bytes: Uint8Array, index: Handle): Damage | undefined {
  const damage = checkBlock(bytes, index)
  if (damage !== undefined) return damage
  const block = bytes.subarray(index.offset, index.offset + index.bytes)
  const restarts = viewOf(block).getUint32(block.length - 4, true)
  const end = block.length - 4 * (restarts + 1)
  const cursor = new Cursor(block)
  while (cursor.at < end) {
    cursor.varint()
    const keyBytes = cursor.varint()
    const valueBytes = cursor.varint()
    cursor.skip(keyBytes)
    const found = checkBlock(bytes, readHandle(new Cursor(block, cursor.at)))
    if (found !== undefined) return found
    cursor.skip(valueBytes)
  }
  return undefined
}

function checkBlock(bytes: Uint8Array, { offset, bytes: length }: Handle): Damage | undefined {
  const end = offset + length + 1
  if (end + TRAILER_BYTES - 1 > bytes.length) return { offset, why: 'a block is behind the end' }
  const isRight = crc32c(bytes, offset, end) === unmasked(viewOf(bytes).getUint32(end, true))
  return isRight ? undefined : { offset, why: 'block checksum mismatch' }
}
