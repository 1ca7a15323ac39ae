/**
 * Framing of log records (docs/formats/wal.md). A frame is 8 bytes of length, little endian, then
 * the record, then zeros up to a multiple of 8. The low 56 bits of the length count the record's
 * bytes; when zeros follow, the top byte is 0x80 with their number in its low 3 bits.
 */

/** walpb.Record.type. */
export const RECORD_METADATA = 1
export const RECORD_ENTRY = 2
export const RECORD_STATE = 3
export const RECORD_CRC = 4
export const RECORD_SNAPSHOT = 5

/** Bytes of the length in front of a record. */
export const FRAME_HEADER_BYTES = 8
/** Frames begin at multiples of this, so that the length never lies across two sectors. */
export const FRAME_ALIGNMENT = 8
/** What a disk writes whole: a torn record lacks one of these, at least. */
export const SECTOR_BYTES = 512
/** A segment is cut when so many bytes are in it: 64 million, not 64 MiB. */
export const SEGMENT_BYTES = 64_000_000

/** Zeros that follow a record of so many bytes. */
export const paddingOf = (recordBytes: number): number =>
  (FRAME_ALIGNMENT - (recordBytes % FRAME_ALIGNMENT)) % FRAME_ALIGNMENT

/**
 * What a frame's header says. `isPlausible` is false when no writer can have made it; etcd before
 * 3.0 wrote no padding, whatever the length.
 */
export interface FrameHeader {
  readonly recordBytes: number
  readonly paddingBytes: number
  readonly isPlausible: boolean
}

const readUint32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0

/** Reads a header; undefined for eight zeros, which end a segment. */
export function readFrameHeader(bytes: Uint8Array, at: number): FrameHeader | undefined {
  const low = readUint32(bytes, at)
  const high = readUint32(bytes, at + 4)
  if (low === 0 && high === 0) return undefined
  const flags = high >>> 24
  const recordBytes = (high & 0xff_ffff) * 0x1_0000_0000 + low
  const paddingBytes = flags >= 0x80 ? flags & 7 : 0
  const expected = paddingOf(recordBytes)
  const isPadded = expected !== 0 && flags === (0x80 | expected)
  const isPlausible = recordBytes > 0 && (flags === 0 || isPadded)
  return { recordBytes, paddingBytes, isPlausible }
}

/** Writes a header for a record of `recordBytes`, below 2^32. */
export function writeFrameHeader(bytes: Uint8Array, at: number, recordBytes: number): void {
  const padding = paddingOf(recordBytes)
  bytes[at] = recordBytes & 0xff
  bytes[at + 1] = (recordBytes >>> 8) & 0xff
  bytes[at + 2] = (recordBytes >>> 16) & 0xff
  bytes[at + 3] = recordBytes >>> 24
  bytes[at + 4] = 0
  bytes[at + 5] = 0
  bytes[at + 6] = 0
  bytes[at + 7] = padding === 0 ? 0 : 0x80 | padding
}
