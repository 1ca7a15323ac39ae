import { mark } from '../base/buggify.js'
import type { LogIndex } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { Disk, DiskError, DiskFile } from '../ports/disk.js'
import type { Log } from '../ports/log.js'
import type { Snapshot } from '../wire/raftpb.js'
import { SnapshotError } from './snapshot-error.js'
import { decodeSnapshotFile, encodeSnapshotFile } from './snapshot-file.js'
import {
  parseDatabaseName,
  parseSnapshotName,
  type SnapshotPosition,
  snapshotName,
} from './snapshot-name.js'

/** What a start cleans away: parts of files that never got their name. */
const UNFINISHED = /^(tmp|db\.tmp)/
/**
 * Names that may be here beside snapshots: the databases, what they are made in, what was set
 * aside.
 */
const EXPECTED = /^(db|tmp.*|db\.tmp.*|.*\.snap\.db|.*\.snap\.broken)$/

export interface SnapshotFilesOptions {
  readonly disk: Disk
  /** `member/snap`, without a slash at the end. */
  readonly directory: string
  readonly log?: Log
}

/** Snapshot files of one member. Only one save is under way at a time. */
export class SnapshotFiles {
  readonly #disk: Disk
  readonly #directory: string
  readonly #log: Log | undefined
  #isSaving = false

  constructor(options: SnapshotFilesOptions) {
    this.#disk = options.disk
    this.#directory = options.directory
    this.#log = options.log
  }

  /**
   * Creates the directory when it is missing, and removes unfinished files; returns what it
   * removed.
   */
  prepare(): readonly string[] {
    this.#disk.makeDirectory(this.#directory)
    const unfinished = this.#disk.list(this.#directory).filter((name) => UNFINISHED.test(name))
    for (const name of unfinished) {
      this.#log?.info('found and removed an unfinished file', { name })
      this.#disk.removeTree(this.#path(name))
    }
    return unfinished
  }

  /**
   * Writes a snapshot's file; at `done` it is durable under its name. It is written under another
   * name first, so that a file with a snapshot's name is whole. Index 0 is no snapshot.
   */
  save(snapshot: Snapshot, done: (error: DiskError | undefined) => void): void {
    invariant(!this.#isSaving, 'one snapshot is saved at a time')
    invariant(snapshot.metadata.index > 0, 'an empty snapshot is not saved')
    const name = snapshotName(snapshot.metadata)
    const unfinished = this.#path(`tmp.${name}`)
    let file: DiskFile
    try {
      file = this.#disk.open(unfinished, { create: true, isDurable: true })
    } catch (error) {
      done(asDiskError(error))
      return
    }
    this.#isSaving = true
    file.write(encodeSnapshotFile(snapshot), 0, (writeError) => {
      this.#isSaving = false
      let failure = writeError
      try {
        file.close()
        if (failure === undefined) {
          this.#disk.rename(unfinished, this.#path(name))
          this.#disk.syncDirectory(this.#directory)
        }
      } catch (error) {
        failure ??= asDiskError(error)
      }
      if (failure !== undefined) this.#removeUnfinished(unfinished)
      done(failure)
    })
  }

  /** Snapshots by name, newest first. Warns of files that do not belong here. */
  list(): readonly string[] {
    const names: string[] = []
    for (const name of this.#disk.list(this.#directory)) {
      if (parseSnapshotName(name) !== undefined) names.push(name)
      else if (!EXPECTED.test(name)) {
        this.#log?.warn('found unexpected non-snap file; skipping', { path: name })
      }
    }
    return names.reverse()
  }

  /** Reads one file; throws SnapshotError, or DiskError. */
  read(name: string): Snapshot {
    return decodeSnapshotFile(this.#disk.read(this.#path(name)))
  }

  /**
   * The newest snapshot that is whole and is among `candidates` (those the write-ahead log has
   * records of; undefined takes any). One that cannot be read is renamed to `<name>.broken`, and
   * the one before is tried. Undefined when there is none: etcd's `snap: no available snapshot`.
   */
  loadNewest(candidates: readonly SnapshotPosition[] | undefined): Snapshot | undefined {
    for (const name of this.list()) {
      const snapshot = this.#readOrSetAside(name)
      if (snapshot === undefined) continue
      const { term, index } = snapshot.metadata
      const isCandidate =
        candidates?.some((one) => one.term === term && one.index === index) ?? true
      if (isCandidate) return snapshot
    }
    return undefined
  }

  /**
   * Removes the oldest snapshots while there are more than `filesMax` (0 = keeps all), and the
   * databases that came with snapshots older than the oldest that stays. `backed` is the index of
   * the newest snapshot that the log has a record of: newer ones stay and do not count, as after a
   * crash the log goes on from that one. Returns the names. Throws DiskError.
   */
  purge(filesMax: number, backed: LogIndex): readonly string[] {
    const names = this.list().filter((name) => (parseSnapshotName(name)?.index ?? 0) <= backed)
    const kept = filesMax === 0 ? names : names.slice(0, filesMax)
    const oldest = kept.at(-1)
    const oldestIndex = oldest === undefined ? undefined : parseSnapshotName(oldest)?.index
    const databases = this.#disk.list(this.#directory).filter((name) => {
      const index = parseDatabaseName(name)
      return index !== undefined && oldestIndex !== undefined && index < oldestIndex
    })
    const removed = [...names.slice(kept.length), ...databases]
    for (const name of removed) this.#disk.remove(this.#path(name))
    if (removed.length > 0) this.#disk.syncDirectory(this.#directory)
    return removed
  }

  #readOrSetAside(name: string): Snapshot | undefined {
    try {
      return this.read(name)
    } catch (error) {
      if (!(error instanceof SnapshotError)) throw error
      const path = this.#path(name)
      mark('snapshot/set-aside')
      this.#log?.warn('failed to read a snap file', { path, error: error.message })
      this.#disk.rename(path, `${path}.broken`)
      this.#log?.warn('renamed to broken snap file', { path: `${path}.broken` })
      return undefined
    }
  }

  #removeUnfinished(path: string): void {
    try {
      this.#disk.remove(path)
    } catch (error) {
      this.#log?.warn('failed to remove an unfinished snap file', {
        path,
        error: asDiskError(error).message,
      })
    }
  }

  #path(name: string): string {
    return `${this.#directory}/${name}`
  }
}

/** A disk throws nothing else; anything that is not of it is passed on. */
function asDiskError(error: unknown): DiskError {
  if (error instanceof Error && error.name === 'DiskError') return error as DiskError
  throw error
}
