import { mark } from '../base/buggify.js'
import { logIndex } from '../base/ids.js'
import type { Disk, DiskFile } from '../ports/disk.js'
import { WalSnapshot } from '../wire/disk-messages.js'
import { Writer } from '../wire/writer.js'
import { HeldSegments } from './held-segments.js'
import { SEGMENT_BYTES } from './record.js'
import { RecordEncoder } from './record-encoder.js'
import {
  listSegments,
  notFound,
  type Replay,
  replaySegments,
  type WalContents,
  type WalPosition,
} from './replay.js'
import { type SegmentName, segmentName, segmentsAmong, segmentsFrom } from './segment-name.js'
import { WalError } from './wal-error.js'
import type { WalOptions } from './wal-options.js'
import { roomLimit, ZERO_STEPS_BYTES } from './zero-ahead.js'

/** A log that is locked, whole, and ready to be appended to. */
export interface OpenedLog {
  readonly contents: WalContents
  readonly held: HeldSegments
  /** Behind the last record of the tail segment. */
  readonly offset: number
  /** Running checksum there. */
  readonly crc: number
  /** False when the tail segment lacks the records that open it. */
  readonly tailHasMetadata: boolean
}

const parentOf = (path: string): string => {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? '.' : path.slice(0, slash) || '/'
}

/**
 * Builds the first segment in `<directory>.tmp`, then renames the directory: a log exists whole or
 * not at all.
 */
export function createLog(options: WalOptions & { readonly metadata: Uint8Array }): OpenedLog {
  const { disk, directory, metadata, log } = options
  const isPresent = disk.stat(directory) !== undefined
  if (isPresent && segmentsAmong(disk.list(directory)).length > 0) throw new WalError('EXISTS')
  const building = `${directory}.tmp`
  disk.removeTree(building)
  disk.makeDirectory(building)
  const held = new HeldSegments(log)
  try {
    const first = segmentName(0, logIndex(0))
    const file = openSegment(options, `${building}/${first.name}`, true)
    held.add(first, file)
    const out = new Writer()
    const encoder = new RecordEncoder(0)
    encoder.chain(out)
    encoder.metadata(out, metadata)
    encoder.snapshot(out, WalSnapshot.create())
    const room = Math.min(ZERO_STEPS_BYTES[0], roomLimit(options.segmentBytes ?? SEGMENT_BYTES))
    const content = new Uint8Array(Math.max(room, out.position))
    content.set(out.view())
    file.writeSync(content, 0)
    disk.syncDirectory(building)
    disk.rename(building, directory)
    disk.syncDirectory(parentOf(directory))
    const contents: WalContents = {
      metadata: new Uint8Array(metadata),
      hardState: undefined,
      entries: [],
      lastIndex: logIndex(0),
      isSnapshotFound: true,
      isTorn: false,
    }
    return { contents, held, offset: out.position, crc: encoder.crc, tailHasMetadata: true }
  } catch (error) {
    held.close()
    throw error
  }
}

/** Locks, reads and where needed repairs a log. */
export function openLog(options: WalOptions & { readonly from: WalPosition }): OpenedLog {
  const { disk, directory, from, log } = options
  const segments = segmentsFrom(listSegments(disk, directory), from.index)
  if (segments === undefined) throw notFound(directory, from.index)
  const held = new HeldSegments(log)
  try {
    for (const [at, segment] of segments.entries()) {
      const isTail = at === segments.length - 1
      held.add(segment, openSegment(options, `${directory}/${segment.name}`, false, isTail))
    }
    removeUnfinished(disk, directory)
    const replayed = replaySegments(options, segments)
    const { contents, end, tailHasMetadata } = replayed
    if (!contents.isSnapshotFound) throw new WalError('SNAPSHOT_NOT_FOUND')
    if (contents.metadata === undefined) throw new WalError('METADATA_MISSING')
    cleanTail(options, held.tail.segment, held.tail.file, replayed)
    return { contents, held, offset: end.offset, crc: end.crc, tailHasMetadata }
  } catch (error) {
    held.close()
    throw error
  }
}

function openSegment(
  options: WalOptions,
  path: string,
  create: boolean,
  isWritten = true,
): DiskFile {
  const isDurable = isWritten && !options.unsafeNoFsync
  return options.disk.open(path, { create, isDurable })
}

/** Segments that were begun and never got their name. */
function removeUnfinished(disk: Disk, directory: string): void {
  const unfinished = disk.list(directory).filter((name) => name.endsWith('.tmp'))
  for (const name of unfinished) disk.remove(`${directory}/${name}`)
}

/**
 * Makes sure that nothing follows the last good record. A torn record is kept in a copy first.
 * Bytes behind a zero length were never acknowledged, and would be read as records once new ones
 * reach up to them: they are zeroed.
 */
function cleanTail(
  options: WalOptions,
  { name }: SegmentName,
  file: DiskFile,
  { end }: Replay,
): void {
  const { disk, directory, log } = options
  const path = `${directory}/${name}`
  if (end.isTorn) {
    mark('wal/torn-tail-cut')
    log?.info('repairing', { path })
    const copy = disk.open(`${path}.broken`, { create: true, isDurable: true })
    try {
      copy.writeSync(end.bytes, 0)
    } finally {
      copy.close()
    }
    disk.syncDirectory(directory)
    file.truncate(end.offset)
    file.sync()
    log?.info('repaired', { path, error: 'unexpected EOF' })
    return
  }
  const dirtyEnd = endOfContent(end.bytes, end.offset)
  if (dirtyEnd === end.offset) return
  file.writeSync(new Uint8Array(dirtyEnd - end.offset), end.offset)
  file.sync()
}

/** Behind the last byte that is not zero; `start` when all from there on are. */
function endOfContent(bytes: Uint8Array, start: number): number {
  let end = bytes.length
  while (end > start && bytes[end - 1] === 0) end--
  return end
}
