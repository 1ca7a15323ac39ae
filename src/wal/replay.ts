import type { LogIndex, Term } from '../base/ids.js'
import type { Disk } from '../ports/disk.js'
import { WalSnapshot } from '../wire/disk-messages.js'
import { Entry, HardState } from '../wire/raftpb.js'
import { WireError } from '../wire/reader.js'
import {
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
} from './record.js'
import { type ReadEnd, RecordReader } from './record-reader.js'
import { type SegmentName, segmentsAmong, segmentsFrom } from './segment-name.js'
import { Slab } from './slab.js'
import { WalError, walErrorTexts } from './wal-error.js'

/** The snapshot that reading starts behind; index 0 and term 0 for the beginning of the log. */
export interface WalPosition {
  readonly index: LogIndex
  readonly term: Term
}

/** What a log holds from a snapshot on. */
export interface WalContents {
  /** As given to `Wal.create`; undefined when the log is too damaged to have one. */
  readonly metadata: Uint8Array | undefined
  /** The last one saved; undefined when none was. */
  readonly hardState: HardState | undefined
  /** Entries behind the snapshot, without a gap; neighbours may share memory, with nobody else. */
  readonly entries: readonly Entry[]
  /** Index of the last entry or snapshot in the log, whichever is higher. */
  readonly lastIndex: LogIndex
  /** Whether the log has a record of the snapshot it was opened at. */
  readonly isSnapshotFound: boolean
  /** Whether the last record was written in part; opening for writing has cut it off. */
  readonly isTorn: boolean
}

/** A replay knows beside the contents where writing goes on. */
export interface Replay {
  readonly contents: WalContents
  /** Segments that were read, oldest first. */
  readonly segments: readonly SegmentName[]
  readonly end: ReadEnd
  /** Whether the last segment has its metadata record, so that it can be read alone. */
  readonly tailHasMetadata: boolean
}

export interface ReplayOptions {
  readonly disk: Disk
  readonly directory: string
  readonly from: WalPosition
}

/**
 * Reads a log for its content, changing nothing and without a lock. A torn end is left out and
 * reported.
 */
export function readWal(options: ReplayOptions): WalContents {
  return replay(options).contents
}

function replay(options: ReplayOptions): Replay {
  const segments = segmentsFrom(listSegments(options.disk, options.directory), options.from.index)
  if (segments === undefined) throw notFound(options.directory, options.from.index)
  return replaySegments(options, segments)
}

/** Reads consecutive segments, oldest first. */
export function replaySegments(options: ReplayOptions, segments: readonly SegmentName[]): Replay {
  const { disk, directory, from } = options
  const reader = new RecordReader(segments, ({ name }) => disk.read(`${directory}/${name}`))
  const state = new ReplayState(from)
  try {
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      state.take(record.type, record.data ?? NOTHING, reader.segment)
    }
  } catch (error) {
    const name = segments[reader.segment]?.name
    throw error instanceof WalError ? error.at(`${directory}/${name}`, reader.offset) : error
  }
  const end = reader.end()
  return {
    contents: state.contents(end.isTorn),
    segments,
    end,
    tailHasMetadata: state.metadataSegment === end.segment,
  }
}

/** The segments in a log's directory, oldest first; the error FILE_NOT_FOUND when there is none. */
export function listSegments(disk: Disk, directory: string): readonly SegmentName[] {
  const isDirectory = disk.stat(directory)?.kind === 'directory'
  const segments = isDirectory ? segmentsAmong(disk.list(directory)) : []
  if (segments.length === 0) throw notFound(directory)
  return segments
}

/** The segments that reading would have to begin with are not there, or one between is missing. */
export function notFound(directory: string, index?: LogIndex): WalError {
  const wanted = index === undefined ? 'any entry' : `entry ${index + 1}`
  const message = `${walErrorTexts.FILE_NOT_FOUND}: no files in ${directory} that hold ${wanted}`
  return new WalError('FILE_NOT_FOUND', {
    message: `${message} and, without a gap, all behind it`,
  })
}

const NOTHING = new Uint8Array(0)
/** Three tags with a varint of ten bytes each. */
const STATE_BYTES_MAX = 33

/** Decodes what a record holds; the checksum was right, so a failure is the writer's. */
export function decodeRecord<Value>(decode: (data: Uint8Array) => Value, data: Uint8Array): Value {
  try {
    return decode(data)
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    throw new WalError('BAD_RECORD', { cause: error })
  }
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, at) => byte === b[at])

/** Gathers a log's content record by record. */
class ReplayState {
  readonly #from: WalPosition
  #metadata: Uint8Array | undefined
  #hardState: HardState | undefined
  readonly #entries: Entry[] = []
  readonly #slab = new Slab()
  #lastIndex: LogIndex
  #isSnapshotFound = false
  /** Of the newest entry that the snapshot takes the place of. */
  #termAtStart: Term | undefined
  /** Segment of the last metadata record. */
  metadataSegment = -1

  constructor(from: WalPosition) {
    this.#from = from
    this.#lastIndex = from.index
  }

  take(type: number, data: Uint8Array, segment: number): void {
    switch (type) {
      case RECORD_ENTRY:
        this.#entry(decodeRecord((bytes) => Entry.decode(bytes), data))
        break
      case RECORD_STATE:
        // The type is outside the checksum: this tells most entries from states.
        if (data.length > STATE_BYTES_MAX) throw new WalError('BAD_RECORD')
        this.#hardState = decodeRecord((bytes) => HardState.decode(bytes), data)
        break
      case RECORD_METADATA:
        if (this.#metadata !== undefined && !isSame(this.#metadata, data)) {
          throw new WalError('METADATA_CONFLICT')
        }
        this.#metadata ??= new Uint8Array(data)
        this.metadataSegment = segment
        break
      case RECORD_SNAPSHOT:
        this.#snapshot(decodeRecord((bytes) => WalSnapshot.decode(bytes), data))
        break
      case RECORD_CRC:
        break
      default:
        throw new WalError('UNKNOWN_RECORD', { message: `unexpected block type ${type}` })
    }
  }

  contents(isTorn: boolean): WalContents {
    return {
      metadata: this.#metadata,
      hardState: this.#hardState,
      entries: this.#entries,
      lastIndex: this.#lastIndex,
      isSnapshotFound: this.#isSnapshotFound,
      isTorn,
    }
  }

  /**
   * A later entry of the same index replaces it and all behind it: a new leader overwrote them.
   * Also one that the snapshot stands for: what was behind it is not behind the snapshot. (etcd
   * keeps it, and the log ends in too early a term: its votes could lose what is committed.)
   */
  #entry(entry: Entry): void {
    const { type, term, index, data } = entry
    const at = index - this.#from.index - 1
    this.#lastIndex = index
    const entries = this.#entries
    if (at < entries.length) entries.length = Math.max(at, 0)
    if (at === -1) this.#termAtStart = term
    if (at < 0) return
    if (at > entries.length) throw new WalError('ENTRY_GAP')
    // The data is a view of a whole segment, which must not stay in memory for its sake.
    entries.push({ type, term, index, data: this.#slab.copy(data) })
  }

  #snapshot(snapshot: WalSnapshot): void {
    if (snapshot.index > this.#lastIndex) this.#lastIndex = snapshot.index
    if (snapshot.index !== this.#from.index) return
    if (snapshot.term !== this.#from.term) throw new WalError('SNAPSHOT_MISMATCH')
    this.#isSnapshotFound = true
    if (this.#termAtStart === undefined || this.#termAtStart === snapshot.term) return
    // A leader sent the snapshot because the log here was not its own: no entry is behind it.
    this.#entries.length = 0
    this.#lastIndex = snapshot.index
  }
}
