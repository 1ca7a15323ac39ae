/**
 * Tells an interrupted write from damage. The rule is etcd's: only the end of the last segment can be torn, and
 * only when data is missing or a whole sector of it is zero. Anything else that does not agree with its checksum is
 * damage, which is never cut off: entries behind it may have been acknowledged.
 */
import { varintSize } from '../raft/entry-size.js'
import { type FrameHeader, RECORD_METADATA, RECORD_SNAPSHOT, SECTOR_BYTES } from './record.js'

/** Whether the part of some sector that lies in `[start, end)` is all zero. Offsets are those of the file. */
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

/** A varint below 2^35, or undefined when the bytes end within it. */
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

/**
 * Whether the bytes from `start` to the end of the file can be the beginning of a record that is as long as its
 * frame says: the record's own length of its data must agree. So a damaged length is not taken for a torn write.
 */
export function isStartOfRecord(bytes: Uint8Array, start: number, header: FrameHeader): boolean {
  if (!header.isPlausible) return false
  const left = bytes.length - start
  if (left > 0 && bytes[start] !== 0x08) return false
  const type = bytes[start + 1]
  if (left > 1 && (type === undefined || type < RECORD_METADATA || type > RECORD_SNAPSHOT)) {
    return false
  }
  if (left > 2 && bytes[start + 2] !== 0x10) return false
  const crc = readVarint(bytes, start + 3)
  if (crc === undefined) return true
  if (crc.end - start === header.recordBytes) return true
  const tag = bytes[crc.end]
  if (tag === undefined) return true
  const data = readVarint(bytes, crc.end + 1)
  if (data === undefined) return tag === 0x1a
  const announced = crc.end + 1 - start + varintSize(data.value) + data.value
  return tag === 0x1a && announced === header.recordBytes
}
