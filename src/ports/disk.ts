/**
 * The door to files: node:fs in production, a simulated disk that loses power in tests. Types only;
 * the contract is test/contract/disk.contract.ts.
 *
 * Metadata operations are synchronous: they happen at start, when a log segment is cut and at
 * purges. They throw a DiskError. Writes to an open file end in a completion, called once, never
 * from inside the call that asked for it.
 *
 * Durability: a completed write to a file opened with `isDurable` survives a power loss, its length
 * included. A file created, renamed or removed is so durably only after `syncDirectory` of its
 * directory. Nothing else is promised.
 */

/** What went wrong, in the words of the callers that can act on it; everything else is `IO`. */
export type DiskErrorCode = 'NOT_FOUND' | 'EXISTS' | 'NO_SPACE' | 'DENIED' | 'IO'

/** A file operation failed. The message names the operation and the path. */
export interface DiskError extends Error {
  readonly name: 'DiskError'
  readonly code: DiskErrorCode
  readonly path: string
}

/** Ends a write: undefined when it succeeded. */
export type DiskDone = (error: DiskError | undefined) => void

export interface DiskEntry {
  readonly kind: 'file' | 'directory'
  /** Length of a file; of a directory unspecified. */
  readonly bytes: number
}

/**
 * `held`: another process, or another open file of this one, has the lock. `unsupported`: this
 * machine cannot lock; whoever asks says so in the log and goes on.
 */
export type LockOutcome = 'locked' | 'held' | 'unsupported'

export interface OpenOptions {
  /** Creates the file, or empties it when it exists (mode 0600). Without it the file must exist. */
  readonly create: boolean
  /**
   * Whether each write is on stable storage when it completes; false leaves that to the operating
   * system.
   */
  readonly isDurable: boolean
}

/** An open file. One write or fill at a time per region: those under way must not overlap. */
export interface DiskFile {
  /** As it was opened; a rename does not change it. */
  readonly path: string
  /** Length now, writes under way not counted. */
  readonly bytes: number
  /**
   * Writes all of `bytes` at `offset`; they must not change until `done`. A gap before `offset`
   * reads as zeros.
   */
  write(bytes: Uint8Array, offset: number, done: DiskDone): void
  /** The same, blocking the thread; throws DiskError. */
  writeSync(bytes: Uint8Array, offset: number): void
  /** Writes real zeros from `start` (inclusive) to `end` (exclusive), in several writes. */
  fillZeros(start: number, end: number, done: DiskDone): void
  /** Cuts the file, or extends it with zeros; durable after the next `sync`. */
  truncate(bytes: number): void
  /** Makes everything in the file durable. */
  sync(): void
  /**
   * Takes the file's exclusive lock without waiting; `close` gives it back, so does the end of the
   * process.
   */
  tryLock(): LockOutcome
  /** No call may follow, none may be under way. */
  close(): void
}

export interface Disk {
  /** What is at `path`; undefined when there is nothing. */
  stat(path: string): DiskEntry | undefined
  /** Names in a directory, in order of their UTF-16 units. */
  list(directory: string): readonly string[]
  /** Creates a directory with its missing parents (mode 0700); succeeds when it exists. */
  makeDirectory(path: string): void
  /** Replaces `to` when it exists and is a file or an empty directory. */
  rename(from: string, to: string): void
  /** Removes a file. */
  remove(path: string): void
  /** Removes a directory with all it holds; succeeds when it does not exist. */
  removeTree(path: string): void
  /** Makes the directory's names durable: what was created, renamed or removed in it. */
  syncDirectory(path: string): void
  /** The whole content; the bytes are the caller's own, a plain Uint8Array. */
  read(path: string): Uint8Array
  open(path: string, options: OpenOptions): DiskFile
}
