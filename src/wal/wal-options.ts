import type { Clock } from '../ports/clock.js'
import type { Disk } from '../ports/disk.js'
import type { Log } from '../ports/log.js'
import type { Entry, HardState } from '../wire/raftpb.js'
import type { WalError } from './wal-error.js'

/** What waits for the disk at most, in bytes of records. A member in step is far below. */
export const QUEUED_BYTES_MAX = 256 * 1024 * 1024
/** Records that need no sync wait in memory for one that does, up to so many bytes. */
export const LAZY_BYTES_MAX = 64 * 1024

/** Ends a save: undefined when it is as durable as was asked. */
export type WalDone = (error: WalError | undefined) => void

/** Told of every durable write. Must be quick and must not throw. */
export interface WalObserver {
  readonly clock: Clock
  /** A write of `bytes` took `durationMs` until it was durable: etcd's wal_fsync_duration. */
  onSync(durationMs: number, bytes: number): void
}

export interface WalOptions {
  readonly disk: Disk
  /** The log's own directory (`member/wal`, or `--wal-dir`), without a slash at the end. */
  readonly directory: string
  /** A segment that has so many bytes is followed by a new one. Default 64,000,000. */
  readonly segmentBytes?: number
  /** Default QUEUED_BYTES_MAX. One save alone may be larger. */
  readonly queuedBytesMax?: number
  /**
   * `--unsafe-no-fsync`: leaves durability to the operating system. A power loss may then lose what
   * was saved.
   */
  readonly unsafeNoFsync?: boolean
  readonly log?: Log
  readonly observer?: WalObserver
}

/** What is saved in one step. */
export interface WalWrite {
  /** Undefined or all zero when it did not change. */
  readonly hardState: HardState | undefined
  /** Consecutive; the first at most one above the last index. */
  readonly entries: readonly Entry[]
  /**
   * Whether it must be durable before `done`: needed with entries, a new term or a new vote. A new
   * commit index alone may wait in memory and rides along with the next write.
   */
  readonly mustSync: boolean
}
