/**
 * Tells an interrupted write from damage. The rule is etcd's: only the end of the last segment can
 * be torn, and only when data is missing or a whole sector of it is zero. Anything else that does
 * not agree with its checksum is damage, which is never cut off: entries behind it may have been
 * acknowledged.
 */
import { type FrameHeader, RECORD_METADATA, RECORD_SNAPSHOT, SECTOR_BYTES } from './record.js'

/**
 * Whether the part of some sector that lies in `[start, end)` is all zero. Offsets are those of the
 * file.
 */
export function hasZeroSector(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start
  while (at < end) {
    const sectorEnd = Math.min(end, at - (at % SECTOR_BYTES) + SECTOR_BYTES)
    let isZero = true
    for (; at < sectorEnd && isZero; at++) isZero = bytes[at] === 0
    if (isZero) return true
    at = sectorEnd
  }
  return false
}

/** Whether all bytes from `start` to the end of its sector, or of the file, are zero. */
export function isZeroToSectorEnd(bytes: Uint8Array, start: number): boolean {
  const end = Math.min(bytes.length, start - (start % SECTOR_BYTES) + SECTOR_BYTES)
  for (let at = start; at < end; at++) if (bytes[at] !== 0) return false
  return true
}

/** A varint below 2^35, or undefined when the known bytes end within it. */
function readVarint(
  bytes: Uint8Array,
  start: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0
  for (let at = start; at < start + 5; at++) {
    const byte = bytes[at]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * 2 ** (7 * (at - start))
    if (byte < 0x80) return { value, end: at + 1 }
  }
  return { value, end: start + 5 }
}

/** The bytes of a record that were written: none of its second sector when that is all zero. */
function writtenStart(bytes: Uint8Array, start: number): Uint8Array {
  const known = bytes.subarray(start)
  // The frame's length lies in one sector with the record's first bytes, unless it ends that
  // sector.
  const header = start - 1
  const inSector = header - (header % SECTOR_BYTES) + SECTOR_BYTES - start
  if (inSector >= known.length) return known
  return isZeroToSectorEnd(bytes, start + inSector) ? known.subarray(0, inSector) : known
}

/**
 * Whether the bytes from `start` to the end of the file can be the beginning of a record that is as
 * long as its frame says: the record's own length of its data must agree. So a damaged length is
 * not taken for a torn write.
 */
export function isStartOfRecord(bytes: Uint8Array, start: number, header: FrameHeader): boolean {
  if (!header.isPlausible) return false
  const record = writtenStart(bytes, start)
  const [typeTag = 0x08, type = RECORD_METADATA, crcTag = 0x10] = record
  const hasTags = typeTag === 0x08 && crcTag === 0x10
  if (!hasTags || type < RECORD_METADATA || type > RECORD_SNAPSHOT) return false
  const crc = readVarint(record, 3)
  if (crc === undefined || crc.end === header.recordBytes) return true
  const dataTag = record[crc.end]
  if (dataTag === undefined) return true
  const data = readVarint(record, crc.end + 1)
  if (data === undefined) return dataTag === 0x1a
  return dataTag === 0x1a && data.end + data.value === header.recordBytes
}

/**
 * Whether a record in `[start, end)` of the last segment that does not agree with its checksum was
 * torn. Its length must be its own: a damaged one would reach into the zeros behind the log.
 */
export const isTornRecord = (
  bytes: Uint8Array,
  start: number,
  end: number,
  header: FrameHeader,
): boolean => isStartOfRecord(bytes, start, header) && hasZeroSector(bytes, start, end)
