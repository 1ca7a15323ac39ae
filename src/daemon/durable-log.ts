import { type LogIndex, logIndex } from '../base/ids.js'
import type { Done, MemberLog } from '../member/member-parts.js'
import type { Clock } from '../ports/clock.js'
import type { SnapshotFiles } from '../snapshot/snapshot-files.js'
import type { Wal } from '../wal/wal.js'
import { WalError } from '../wal/wal-error.js'
import type { Snapshot } from '../wire/raftpb.js'

/**
 * A write of at most so many entries may block the thread: alone it is sooner done than handed
 * over.
 */
const INLINE_ENTRIES_MAX = 8
/** A write that took longer than this, ms, was slow. */
const QUICK_WRITE_MS_MAX = 0.5
/** How much the latest write counts in the share of slow ones. */
const LATEST_WEIGHT = 0.1
/**
 * With more slow writes than this the disk is not waited for on the thread. One alone is no sign.
 */
const SLOW_SHARE_MAX = 0.5
/** With a slow disk, how many writes go by before an inline one is tried again. */
const PROBE_EVERY_WRITES = 1000

type Write = Parameters<MemberLog['save']>[0]

/**
 * The member's log: the write-ahead log and the snapshot files beside it. A few entries that come
 * alone are written on the thread, which spares the way through the pool, as long as the disk is
 * quick enough for that.
 */
export class DurableLog implements MemberLog {
  readonly #wal: Wal
  readonly #snapshots: SnapshotFiles
  readonly #clock: Clock
  readonly #walFilesMax: number
  readonly #snapshotFilesMax: number
  readonly #beforeBlocking: () => void
  readonly #saves: { readonly snapshot: Snapshot; readonly done: Done }[] = []
  /** Index of the newest snapshot that the log has a record of. */
  #backed: LogIndex
  #slowShare = 0
  #writesSinceProbe = 0

  constructor(options: {
    readonly wal: Wal
    readonly snapshots: SnapshotFiles
    /** Index of the snapshot that the log goes on from; 0 = none. */
    readonly snapshotIndex: LogIndex
    readonly clock: Clock
    readonly walFilesMax: number
    readonly snapshotFilesMax: number
    /** Called before a write that keeps the thread until it is on disk. */
    readonly beforeBlocking: () => void
  }) {
    this.#wal = options.wal
    this.#snapshots = options.snapshots
    this.#backed = options.snapshotIndex
    this.#clock = options.clock
    this.#walFilesMax = options.walFilesMax
    this.#snapshotFilesMax = options.snapshotFilesMax
    this.#beforeBlocking = options.beforeBlocking
  }

  save(write: Write, done: Done): void {
    const inline = this.#mayInline(write) ? this.#saveInline(write) : 'refused'
    if (inline === 'refused') this.#wal.save(write, done)
    else done(inline === 'saved' ? undefined : inline)
  }

  /** One after the other: a received snapshot may come while one of our own is being saved. */
  saveSnapshot(snapshot: Snapshot, done: Done): void {
    this.#saves.push({ snapshot, done })
    if (this.#saves.length === 1) this.#saveNext()
  }

  #saveNext(): void {
    const save = this.#saves[0]
    if (save === undefined) return
    const finish = (failure: Error | undefined): void => {
      this.#saves.shift()
      save.done(failure)
      this.#saveNext()
    }
    this.#snapshots.save(save.snapshot, (unsaved) => {
      if (unsaved !== undefined) {
        finish(unsaved)
        return
      }
      const { index, term, confState } = save.snapshot.metadata
      this.#wal.saveSnapshot({ index, term, confState }, (failure) => {
        if (failure === undefined) {
          this.#wal.releaseTo(index)
          this.#backed = logIndex(Math.max(this.#backed, index))
        }
        finish(failure)
      })
    })
  }

  /** Removes what is kept beyond `--max-wals` and `--max-snapshots`. */
  purge(): void {
    this.#wal.purge(this.#walFilesMax)
    this.#snapshots.purge(this.#snapshotFilesMax, this.#backed)
  }

  close(done: Done): void {
    this.#wal.close(done)
  }

  /** Blocks the thread; a disk that fails is told like one that fails in the thread pool. */
  #saveInline(write: Write): 'saved' | 'refused' | WalError {
    this.#beforeBlocking()
    const startedMs = this.#clock.monotonicMs()
    try {
      if (!this.#wal.maybeSaveSync(write)) return 'refused'
    } catch (error) {
      if (error instanceof WalError) return error
      throw error
    }
    const wasSlow = this.#clock.monotonicMs() - startedMs > QUICK_WRITE_MS_MAX ? 1 : 0
    this.#slowShare += (wasSlow - this.#slowShare) * LATEST_WEIGHT
    return 'saved'
  }

  #mayInline({ entries }: Write): boolean {
    if (entries.length === 0 || entries.length > INLINE_ENTRIES_MAX) return false
    if (this.#slowShare <= SLOW_SHARE_MAX) return true
    this.#writesSinceProbe++
    if (this.#writesSinceProbe < PROBE_EVERY_WRITES) return false
    this.#writesSinceProbe = 0
    this.#slowShare = SLOW_SHARE_MAX
    return true
  }
}
