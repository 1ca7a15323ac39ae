import { crc32c } from '../base/crc32c.js'
import { invariant } from '../base/invariant.js'
import { WalRecord } from '../wire/disk-messages.js'
import { WireError } from '../wire/reader.js'
import { FRAME_HEADER_BYTES, type FrameHeader, RECORD_CRC, readFrameHeader } from './record.js'
import type { SegmentName } from './segment-name.js'
import { isStartOfRecord, isTornRecord, isZeroToSectorEnd } from './torn.js'
import { WalError } from './wal-error.js'

/** Where reading ended. */
export interface ReadEnd {
  /** Place in `segments` of the one that reading ended in. */
  readonly segment: number
  /** Behind the last good record in it. */
  readonly offset: number
  /** That segment's content. */
  readonly bytes: Uint8Array
  /** Running checksum behind the last good record. */
  readonly crc: number
  /** Whether a record behind it was written in part. */
  readonly isTorn: boolean
}

const NOTHING = new Uint8Array(0)

/**
 * Walks the records of consecutive segments and verifies the checksum that runs through all of
 * them. What is damaged throws WalError; a record that was written in part ends the walk, in the
 * last segment only.
 */
export class RecordReader {
  readonly #segments: readonly SegmentName[]
  readonly #read: (segment: SegmentName) => Uint8Array
  #at = -1
  #bytes: Uint8Array = NOTHING
  #offset = 0
  #crc = 0
  #isTorn = false

  /** @param read Gives a segment's content; called once for each, when its turn comes. */
  constructor(segments: readonly SegmentName[], read: (segment: SegmentName) => Uint8Array) {
    invariant(segments.length > 0, 'there is a segment to read')
    this.#segments = segments
    this.#read = read
    this.#open(0)
  }

  /** Place of the segment that the last record came from. */
  get segment(): number {
    return this.#at
  }

  /** Behind the last good record in it. */
  get offset(): number {
    return this.#offset
  }

  /** The next record, or undefined at the end. Its data is a view of the segment's content. */
  next(): WalRecord | undefined {
    for (;;) {
      if (this.#isTorn) return undefined
      const left = this.#bytes.length - this.#offset
      if (left > 0 && left < FRAME_HEADER_BYTES) return this.#torn('TORN')
      const header = left === 0 ? undefined : readFrameHeader(this.#bytes, this.#offset)
      if (header !== undefined) return this.#record(header)
      // A sector is written whole or not at all: an interrupted write cannot have left just the
      // length out.
      if (!isZeroToSectorEnd(this.#bytes, this.#offset)) throw new WalError('BAD_LENGTH')
      if (this.#isLast) return undefined
      this.#open(this.#at + 1)
    }
  }

  /** Where reading ended; call it once `next` gave undefined. */
  end(): ReadEnd {
    return {
      segment: this.#at,
      offset: this.#offset,
      bytes: this.#bytes,
      crc: this.#crc,
      isTorn: this.#isTorn,
    }
  }

  get #isLast(): boolean {
    return this.#at === this.#segments.length - 1
  }

  #open(at: number): void {
    const segment = this.#segments[at]
    invariant(segment !== undefined, 'a segment to open exists')
    this.#at = at
    this.#offset = 0
    this.#bytes = this.#read(segment)
  }

  #record(header: FrameHeader): WalRecord | undefined {
    const start = this.#offset + FRAME_HEADER_BYTES
    const frameEnd = start + header.recordBytes + header.paddingBytes
    if (frameEnd > this.#bytes.length) return this.#beyondEnd(header, start)
    if (!header.isPlausible) throw new WalError('BAD_LENGTH')
    let record: WalRecord
    try {
      record = WalRecord.decode(this.#bytes.subarray(start, start + header.recordBytes))
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      return this.#damaged(header, start, () => new WalError('BAD_RECORD', { cause: error }))
    }
    if (record.type === RECORD_CRC) this.#chain(record.crc)
    else {
      const { data } = record
      const crc = data === undefined ? this.#crc : crc32c(data, 0, data.length, this.#crc)
      if (crc !== record.crc) {
        return this.#damaged(header, start, () => new WalError('RECORD_CRC_MISMATCH'))
      }
      this.#crc = crc
    }
    this.#offset = frameEnd
    return record
  }

  /** The first segment that is read says where the checksum stands; each further one must agree. */
  #chain(crc: number): void {
    if (this.#crc !== 0 && crc !== this.#crc) throw new WalError('CHAIN_CRC_MISMATCH')
    this.#crc = crc
  }

  /**
   * The header announces more than the file has. It is the end of an interrupted write when what is
   * there begins a record of that length; otherwise the length itself is damaged.
   */
  #beyondEnd(header: FrameHeader, start: number): undefined {
    const bytes = this.#bytes
    if (isStartOfRecord(bytes, start, header)) return this.#torn('TORN')
    const { recordBytes, paddingBytes } = header
    const limit = bytes.length - this.#offset - paddingBytes
    throw new WalError('RECORD_TOO_LONG', {
      message:
        `wal: max entry size limit exceeded, recBytes: ${recordBytes}, ` +
        `fileSize(${bytes.length}) - offset(${this.#offset}) - padBytes(${paddingBytes}) = ` +
        `entryLimit(${limit})`,
    })
  }

  #damaged(header: FrameHeader, start: number, error: () => WalError): undefined {
    const end = start + header.recordBytes + header.paddingBytes
    if (this.#isLast && isTornRecord(this.#bytes, start, end, header)) return this.#torn('TORN')
    throw error()
  }

  #torn(code: 'TORN'): undefined {
    if (!this.#isLast) throw new WalError(code)
    this.#isTorn = true
    return undefined
  }
}
