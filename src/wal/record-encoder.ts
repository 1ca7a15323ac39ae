import { crc32c } from '../base/crc32c.js'
import { invariant } from '../base/invariant.js'
import { entrySize, varintSize } from '../raft/entry-size.js'
import { WalSnapshot } from '../wire/disk-messages.js'
import { Entry, HardState } from '../wire/raftpb.js'
import type { Writer } from '../wire/writer.js'
import {
  FRAME_HEADER_BYTES,
  paddingOf,
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
  writeFrameHeader,
} from './record.js'

/** Tag and type, tag of the checksum, five bytes of checksum at most. */
const CRC_AT = 3
const CRC_BYTES_MAX = 5
/** Tags of walpb.Record: 1 type, 2 crc, 3 data. */
const TAG_TYPE = 0x08
const TAG_CRC = 0x10
const TAG_DATA = 0x1a
/** A frame's length is written in 32 bits here. */
const RECORD_BYTES_MAX = 0x7fff_ffff

/**
 * Turns what is saved into framed records, straight into the buffer that goes to the disk, and
 * carries the checksum that runs over the data of all records from one to the next.
 */
export class RecordEncoder {
  #crc: number

  /** @param crc Running checksum of everything before: 0 at the beginning of a log. */
  constructor(crc: number) {
    this.#crc = crc
  }

  /** Running checksum after the last record. */
  get crc(): number {
    return this.#crc
  }

  /** Appends an entry's record; returns the bytes of its frame. */
  entry(out: Writer, entry: Entry): number {
    const start = out.position
    const dataBytes = entrySize(entry)
    const dataAt = this.#begin(out, RECORD_ENTRY, dataBytes)
    Entry.write(entry, out)
    return this.#finish(out, start, dataAt, dataBytes)
  }

  state(out: Writer, state: HardState): number {
    return this.#record(out, RECORD_STATE, HardState.encode(state))
  }

  snapshot(out: Writer, snapshot: WalSnapshot): number {
    return this.#record(out, RECORD_SNAPSHOT, WalSnapshot.encode(snapshot))
  }

  metadata(out: Writer, metadata: Uint8Array): number {
    return this.#record(out, RECORD_METADATA, metadata)
  }

  /**
   * The record that opens a segment: it has no data, so the running checksum stays what it says.
   */
  chain(out: Writer): number {
    const start = out.position
    out.reserve(FRAME_HEADER_BYTES + CRC_AT + CRC_BYTES_MAX)
    out.position += FRAME_HEADER_BYTES
    const { buffer } = out
    buffer[out.position++] = TAG_TYPE
    buffer[out.position++] = RECORD_CRC
    buffer[out.position++] = TAG_CRC
    out.uint32(this.#crc)
    return this.#close(out, start)
  }

  #record(out: Writer, type: number, data: Uint8Array): number {
    const start = out.position
    const dataAt = this.#begin(out, type, data.length)
    out.raw(data)
    return this.#finish(out, start, dataAt, data.length)
  }

  /**
   * Writes what precedes the data, with the widest checksum in mind; returns where the data begins.
   */
  #begin(out: Writer, type: number, dataBytes: number): number {
    invariant(dataBytes <= RECORD_BYTES_MAX, 'a record fits its frame')
    out.reserve(FRAME_HEADER_BYTES + CRC_AT + CRC_BYTES_MAX + 1 + 5 + dataBytes + 8)
    out.position += FRAME_HEADER_BYTES
    const { buffer } = out
    buffer[out.position++] = TAG_TYPE
    buffer[out.position++] = type
    buffer[out.position++] = TAG_CRC
    out.position += CRC_BYTES_MAX
    buffer[out.position++] = TAG_DATA
    out.uint32(dataBytes)
    return out.position
  }

  /** Writes the checksum once the data is there, and closes the room that a short one leaves. */
  #finish(out: Writer, start: number, dataAt: number, dataBytes: number): number {
    invariant(out.position === dataAt + dataBytes, 'the data has the size that was announced')
    this.#crc = crc32c(out.buffer, dataAt, out.position, this.#crc)
    const end = out.position
    const crcAt = start + FRAME_HEADER_BYTES + CRC_AT
    const spare = CRC_BYTES_MAX - varintSize(this.#crc)
    if (spare > 0) out.buffer.copyWithin(crcAt + CRC_BYTES_MAX - spare, crcAt + CRC_BYTES_MAX, end)
    out.position = crcAt
    out.uint32(this.#crc)
    out.position = end - spare
    return this.#close(out, start)
  }

  /**
   * Writes the frame's length and zeros behind the record: the buffer still holds what it held
   * before.
   */
  #close(out: Writer, start: number): number {
    const recordBytes = out.position - start - FRAME_HEADER_BYTES
    writeFrameHeader(out.buffer, start, recordBytes)
    const padding = paddingOf(recordBytes)
    out.reserve(padding)
    out.buffer.fill(0, out.position, out.position + padding)
    out.position += padding
    return out.position - start
  }
}
