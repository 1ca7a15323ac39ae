import type { Backend } from '../backend/backend.js'
import { buggify, mark } from '../base/buggify.js'
import { addIndex, type LogIndex } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { Log } from '../ports/log.js'
import type { MemoryStorage } from '../raft/memory-storage.js'
import type { ConfState, Snapshot } from '../wire/raftpb.js'
import type { MemberLog } from './member-parts.js'
import type { MemberSettings } from './member-settings.js'

/** The log in memory is cut when so many entries more than wanted are in it. */
const CUT_SLACK_ENTRIES = 1000
const NOTHING = new Uint8Array(0)

export interface SnapshotKeeperOptions {
  readonly settings: MemberSettings
  readonly storage: MemoryStorage
  readonly backend: () => Backend
  readonly wal: MemberLog
  readonly log: Log
  readonly snapshotIndex: LogIndex
  readonly confState: () => ConfState
  /** Puts the newest commit index into the log, in front of the snapshot's record. */
  readonly writeDeferred: () => void
  /** The v2 tree as snapshots carry it. */
  readonly v2State: () => Uint8Array
  readonly onFatal: (message: string, cause: unknown) => void
}

/**
 * Decides when the log is replaced by a snapshot: on disk every `snapshotCount` entries, in memory
 * as soon as more entries than a slow follower may need are kept. The backend is made durable
 * before a snapshot is, so the log is never cut above what the backend has (facts: disk.md 2.5).
 */
export class SnapshotKeeper {
  readonly #options: SnapshotKeeperOptions
  #savedIndex: LogIndex
  #isSaving = false

  constructor(options: SnapshotKeeperOptions) {
    this.#options = options
    this.#savedIndex = options.snapshotIndex
  }

  onInstalled(index: LogIndex): void {
    this.#savedIndex = index
  }

  /** The snapshot of the state as it is applied now. */
  current(applied: LogIndex): Snapshot {
    const { storage, confState, v2State } = this.#options
    const term = storage.term(applied)
    invariant(typeof term === 'number', 'the applied entry is in the log')
    return { data: v2State(), metadata: { confState: confState(), index: applied, term } }
  }

  /** Cuts the log in memory, and saves a snapshot when it is time (or `isForced`). */
  maybeSave(applied: LogIndex, isForced: boolean): void {
    this.#cut(applied)
    const { snapshotCount } = this.#options.settings
    const isDue = applied - this.#savedIndex > snapshotCount || buggify('member/snapshot-early')
    if (this.#isSaving || applied <= this.#savedIndex || !(isDue || isForced)) return
    this.#save(applied)
  }

  #cut(applied: LogIndex): void {
    const { storage, settings, confState } = this.#options
    const keep = settings.catchUpEntries
    const slackMax = settings.cutSlackEntries ?? CUT_SLACK_ENTRIES
    const slack = buggify('member/cut-log-at-once') ? Math.min(1, slackMax) : slackMax
    if (applied - storage.firstIndex() < keep + slack) return
    mark('member/log-cut')
    storage.createSnapshot({ index: applied, data: NOTHING, confState: confState() })
    storage.compact(addIndex(applied, -keep))
  }

  #save(applied: LogIndex): void {
    const { backend, wal, log } = this.#options
    const snapshot = this.current(applied)
    this.#isSaving = true
    log.info('triggering snapshot', {
      'local-member-applied-index': applied,
      'local-member-snapshot-index': this.#savedIndex,
    })
    const fail = (failure: Error): void => this.#options.onFatal('failed to save snapshot', failure)
    backend().flush(true, (flushFailure) => {
      if (flushFailure !== undefined) {
        fail(flushFailure)
        return
      }
      // A snapshot that no committed state in the log backs is not started from (facts: disk.md
      // 2.4).
      this.#options.writeDeferred()
      wal.saveSnapshot(snapshot, (saveFailure) => {
        this.#isSaving = false
        if (saveFailure !== undefined) {
          fail(saveFailure)
          return
        }
        this.#savedIndex = applied
        log.info('saved snapshot', { 'snapshot-index': applied })
      })
    })
  }
}
