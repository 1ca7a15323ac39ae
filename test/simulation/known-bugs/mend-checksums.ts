import { crc32c } from '../../../src/base/crc32c.js'
import { readFrameHeader } from '../../../src/wal/record.js'
import { WalRecord } from '../../../src/wire/disk-messages.js'

const FRAME_BYTES = 8
const RECORD_CRC = 4
/** Where the checksum is in a record: behind the tag and value of its type, and its own tag. */
const CRC_AT = 3

/**
 * What a reader that verifies nothing makes of a segment: records whose checksum does not agree
 * with their data are given one that does.
 */
export function mendChecksums(segment: Uint8Array): Uint8Array {
  const bytes = segment.slice()
  let crc = 0
  for (let at = 0; at + FRAME_BYTES <= bytes.length; ) {
    const header = readFrameHeader(bytes, at)
    if (header === undefined) break
    const start = at + FRAME_BYTES
    const end = start + header.recordBytes
    if (!header.isPlausible || end > bytes.length) break
    const record = bytes.subarray(start, end)
    const read = decoded(record)
    if (read === undefined) break
    if (read.type === RECORD_CRC) crc = read.crc
    else {
      const { data } = read
      crc = data === undefined ? crc : crc32c(data, 0, data.length, crc)
      if (crc !== read.crc && !overwrite(record, crc)) break
    }
    at = end + header.paddingBytes
  }
  return bytes
}

function decoded(record: Uint8Array): WalRecord | undefined {
  try {
    return WalRecord.decode(record)
  } catch {
    return undefined
  }
}

/** Writes the checksum in as many bytes as the one that is there has; false when it is too long. */
function overwrite(record: Uint8Array, crc: number): boolean {
  let length = 1
  while (((record[CRC_AT + length - 1] ?? 0) & 0x80) !== 0) length++
  if (crc >= 2 ** (7 * length)) return false
  let rest = crc
  for (let at = 0; at < length; at++) {
    record[CRC_AT + at] = (rest & 0x7f) | (at < length - 1 ? 0x80 : 0)
    rest >>>= 7
  }
  return true
}
