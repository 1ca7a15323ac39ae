import { crc32c } from '../base/crc32c.js'
import type { Disk } from '../ports/disk.js'
import { WalRecord, WalSnapshot } from '../wire/disk-messages.js'
import { HardState } from '../wire/raftpb.js'
import { WireError } from '../wire/reader.js'
import {
  FRAME_HEADER_BYTES,
  RECORD_CRC,
  RECORD_SNAPSHOT,
  RECORD_STATE,
  readFrameHeader,
} from './record.js'
import { decodeRecord, listSegments } from './replay.js'
import { hasZeroSector, isTornRecord } from './torn.js'
import { WalError } from './wal-error.js'

const NOTHING = new Uint8Array(0)

/**
 * The snapshots that a log has records of and that are committed, oldest first: only those may be
 * restarted from.
 *
 * All segments are walked, without summing up the entries: a record's checksum continues the one
 * that the record before it states, so the few records that matter are verified on their own.
 * Entries are verified when the log is opened. Throws WalError on damage; a torn end is left for
 * that too.
 */
export function validSnapshots(options: {
  readonly disk: Disk
  readonly directory: string
}): readonly WalSnapshot[] {
  const { disk, directory } = options
  const segments = listSegments(disk, directory)
  const scan = new SnapshotScan()
  for (const [at, { name }] of segments.entries()) {
    try {
      scan.segment(disk.read(`${directory}/${name}`), at === segments.length - 1)
    } catch (error) {
      throw error instanceof WalError ? error.at(`${directory}/${name}`, scan.offset) : error
    }
  }
  return scan.snapshots.filter(({ index }) => index <= scan.commit)
}

class SnapshotScan {
  readonly snapshots: WalSnapshot[] = []
  commit = 0
  /** Of the record that is looked at, in its segment. */
  offset = 0
  /** Checksum that the last record states. */
  #crc = 0

  segment(bytes: Uint8Array, isLast: boolean): void {
    for (let offset = 0; offset + FRAME_HEADER_BYTES <= bytes.length; ) {
      this.offset = offset
      const header = readFrameHeader(bytes, offset)
      if (header === undefined) return
      const start = offset + FRAME_HEADER_BYTES
      const end = start + header.recordBytes + header.paddingBytes
      if (end > bytes.length) {
        if (isLast) return
        throw new WalError('TORN')
      }
      const hasHole = isLast && hasZeroSector(bytes, start, end)
      const failure = this.#record(bytes.subarray(start, start + header.recordBytes), hasHole)
      if (failure !== undefined) {
        if (isLast && isTornRecord(bytes, start, end, header)) return
        throw failure
      }
      offset = end
    }
  }

  /** Why the record is not what its checksum says; undefined when it is, or does not matter. */
  #record(bytes: Uint8Array, hasHole: boolean): WalError | undefined {
    const record = parseRecord(bytes)
    if (record === undefined) return new WalError('BAD_RECORD')
    const { type, crc, data = NOTHING } = record
    const before = this.#crc
    this.#crc = crc
    if (type === RECORD_CRC) {
      const isContinued = before === 0 || before === crc
      return isContinued ? undefined : new WalError('CHAIN_CRC_MISMATCH')
    }
    const matters = type === RECORD_STATE || type === RECORD_SNAPSHOT
    if (!matters && !hasHole) return undefined
    if (crc32c(data, 0, data.length, before) !== crc) return new WalError('RECORD_CRC_MISMATCH')
    if (type === RECORD_STATE) {
      this.commit = decodeRecord((input) => HardState.decode(input), data).commit
    } else if (type === RECORD_SNAPSHOT) {
      this.snapshots.push(decodeRecord((input) => WalSnapshot.decode(input), data))
    }
    return undefined
  }
}

function parseRecord(bytes: Uint8Array): WalRecord | undefined {
  try {
    return WalRecord.decode(bytes)
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}
