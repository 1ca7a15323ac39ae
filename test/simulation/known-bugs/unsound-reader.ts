import { crc32c } from '../../../src/base/crc32c.js'
import { readFrameHeader } from '../../../src/wal/record.js'
import { WalRecord } from '../../../src/wire/disk-messages.js'

const FRAME_BYTES = 8
const RECORD_CRC = 4
/** Where the checksum is in a record: behind the tag and value of its type, and its own tag. */
const CRC_AT = 3
/** Where data surely is, from the frame on. */
const DATA_AT = FRAME_BYTES + 12
/** A segment has a middle when it has so many records. */
const RECORDS_MIN = 12

/**
 * What a reader that verifies nothing makes of a segment: records whose checksum does not agree
 * with their data are given one that does.
 */
export function mendChecksums(segment: Uint8Array): Uint8Array {
  const bytes = segment.slice()
  walk(bytes, ({ record, crc }) => overwrite(record, crc))
  return bytes
}

/** What a reader that takes all damage for an interrupted write makes of it: the log ends there. */
export function cutAtDamage(segment: Uint8Array): Uint8Array {
  const bytes = segment.slice()
  walk(bytes, ({ at }) => {
    bytes.fill(0, at)
    return false
  })
  return bytes
}

/** Turns one bit over in a record in the middle of a segment; false when it has too few records. */
export function damageMiddle(segment: Uint8Array): boolean {
  const starts: number[] = []
  walk(
    segment,
    () => false,
    (at) => starts.push(at),
  )
  const at = starts[starts.length >> 1]
  if (starts.length < RECORDS_MIN || at === undefined) return false
  // Behind the frame, the type and the checksum of a record come its data.
  segment[at + DATA_AT] = (segment[at + DATA_AT] ?? 0) ^ 1
  return true
}

/** Goes through the records; whoever is told of one with a wrong checksum says whether to go on. */
function walk(
  bytes: Uint8Array,
  onWrong: (wrong: { at: number; record: Uint8Array; crc: number }) => boolean,
  onRecord: (at: number) => void = () => undefined,
): void {
  let crc = 0
  for (let at = 0; at + FRAME_BYTES <= bytes.length; ) {
    const header = readFrameHeader(bytes, at)
    if (header === undefined) return
    const start = at + FRAME_BYTES
    const end = start + header.recordBytes
    if (!header.isPlausible || end > bytes.length) return
    const record = bytes.subarray(start, end)
    const read = decoded(record)
    if (read === undefined) {
      onWrong({ at, record, crc })
      return
    }
    if (read.type === RECORD_CRC) crc = read.crc
    else {
      const { data } = read
      crc = data === undefined ? crc : crc32c(data, 0, data.length, crc)
      if (crc !== read.crc && !onWrong({ at, record, crc })) return
    }
    onRecord(at)
    at = end + header.paddingBytes
  }
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
