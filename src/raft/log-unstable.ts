import { addIndex, type LogIndex, nextIndex, previousIndex, type Term } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { Entry, Snapshot } from '../wire/raftpb.js'
import { countWithin } from './entry-size.js'
import type { LogPosition } from './log-position.js'
import { maxIndex, minIndex } from './log-position.js'
import type { RaftLogger } from './logger.js'
import { NO_ENTRIES } from './message.js'

/**
 * The part of the log that storage does not have for certain: entries from `offset` on, and perhaps
 * a snapshot that comes before them. What is below `offsetInProgress` has been handed out for
 * writing. Invariant: offset <= offsetInProgress <= offset + count.
 */
export class UnstableLog {
  readonly #logger: RaftLogger
  /**
   * The entries start at place #start; what is before it is stable and awaits the next clean-up.
   */
  #entries: Entry[] = []
  #start = 0
  #offset: LogIndex
  #offsetInProgress: LogIndex
  #snapshot: Snapshot | undefined
  #isSnapshotInProgress = false

  constructor(offset: LogIndex, logger: RaftLogger) {
    this.#offset = offset
    this.#offsetInProgress = offset
    this.#logger = logger
  }

  /** Index of the first unstable entry, present or to come. */
  get offset(): LogIndex {
    return this.#offset
  }

  get offsetInProgress(): LogIndex {
    return this.#offsetInProgress
  }

  get count(): number {
    return this.#entries.length - this.#start
  }

  /** The snapshot that is not installed for certain. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot
  }

  /** Index of the first entry behind the snapshot; `undefined` without a snapshot. */
  maybeFirstIndex(): LogIndex | undefined {
    return this.#snapshot === undefined ? undefined : nextIndex(this.#snapshot.metadata.index)
  }

  /** Index of the last entry or of the snapshot; `undefined` when there is neither. */
  maybeLastIndex(): LogIndex | undefined {
    if (this.count > 0) return previousIndex(addIndex(this.#offset, this.count))
    return this.#snapshot?.metadata.index
  }

  /** Term at `index`, when it is here. */
  maybeTerm(index: LogIndex): Term | undefined {
    if (index < this.#offset) {
      const metadata = this.#snapshot?.metadata
      return metadata?.index === index ? metadata.term : undefined
    }
    return this.#entries[this.#start + (index - this.#offset)]?.term
  }

  /** A copy of the entries not yet handed out. */
  nextEntries(): readonly Entry[] {
    if (!this.hasNextEntries()) return NO_ENTRIES
    return this.#entries.slice(this.#start + (this.#offsetInProgress - this.#offset))
  }

  hasNextEntries(): boolean {
    return this.#offsetInProgress - this.#offset < this.count
  }

  /** The snapshot if it has not been handed out. */
  nextSnapshot(): Snapshot | undefined {
    return this.#isSnapshotInProgress ? undefined : this.#snapshot
  }

  /** Everything here has been handed out. */
  acceptInProgress(): void {
    if (this.count > 0) this.#offsetInProgress = addIndex(this.#offset, this.count)
    if (this.#snapshot !== undefined) this.#isSnapshotInProgress = true
  }

  /**
   * Storage has everything up to `position`; ignored when that entry is not the one here any more.
   */
  stableTo(position: LogPosition): void {
    const { index, term } = position
    const ourTerm = this.maybeTerm(index)
    if (ourTerm === undefined) {
      this.#logger.info(() => `entry at index ${index} missing from unstable log; ignoring`)
      return
    }
    if (index < this.#offset) {
      this.#logger.info(() => `entry at index ${index} matched unstable snapshot; ignoring`)
      return
    }
    if (ourTerm !== term) {
      this.#logger.info(
        () =>
          `entry at (index,term)=(${index},${term}) mismatched with entry at ` +
          `(${index},${ourTerm}) in unstable log; ignoring`,
      )
      return
    }
    this.#start += index + 1 - this.#offset
    this.#offset = nextIndex(index)
    this.#offsetInProgress = maxIndex(this.#offsetInProgress, this.#offset)
    // Copying when half is garbage costs O(1) per entry over time and keeps at most twice the
    // memory.
    if (this.#start * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#start)
      this.#start = 0
    }
  }

  /** The snapshot at `index` is installed. */
  stableSnapshotTo(index: LogIndex): void {
    if (this.#snapshot?.metadata.index !== index) return
    this.#snapshot = undefined
    this.#isSnapshotInProgress = false
  }

  /** The log is to start anew behind `snapshot`. */
  restore(snapshot: Snapshot): void {
    this.#offset = nextIndex(snapshot.metadata.index)
    this.#offsetInProgress = this.#offset
    this.#entries = []
    this.#start = 0
    this.#snapshot = snapshot
    this.#isSnapshotInProgress = false
  }

  /** Puts consecutive entries in their place; what was there and behind is dropped. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const first = entries[0]
    invariant(first !== undefined, 'an append has entries')
    const from = first.index
    const end = addIndex(this.#offset, this.count)
    if (from <= this.#offset && from !== end) {
      this.#logger.info(() => `replace the unstable entries from index ${from}`)
      this.#entries = entries.slice()
      this.#start = 0
      this.#offset = from
      this.#offsetInProgress = from
      return
    }
    if (from < end) {
      this.#logger.info(() => `truncate the unstable entries before index ${from}`)
      this.#entries.length = this.#start + (from - this.#offset)
      this.#offsetInProgress = minIndex(this.#offsetInProgress, from)
    }
    invariant(from <= end, 'entries must not leave a gap', () => `${from} > ${end}`)
    for (let i = 0; i < entries.length; i++) this.#entries.push(entries[i] as Entry)
  }

  /**
   * A copy of entries `low` (inclusive) to `high` (exclusive), at most `bytesMax` but at least one.
   */
  slice(low: LogIndex, high: LogIndex, bytesMax: number): readonly Entry[] {
    invariant(low <= high, 'invalid unstable.slice', () => `${low} > ${high}`)
    invariant(
      low >= this.#offset && high - this.#offset <= this.count,
      'unstable.slice out of bound',
      () => `[${low},${high}) of [${this.#offset},${this.#offset + this.count}]`,
    )
    const from = this.#start + (low - this.#offset)
    const to = from + (high - low)
    const count = countWithin(this.#entries, { from, to, bytesMax })
    return this.#entries.slice(from, from + count)
  }
}
