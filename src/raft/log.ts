import {
  addIndex,
  type LogIndex,
  nextIndex,
  previousIndex,
  type Term,
  ZERO_INDEX,
  ZERO_TERM,
} from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { Entry, Snapshot } from '../wire/raftpb.js'
import { entriesSize } from './entry-size.js'
import { type LogPosition, maxIndex, minIndex } from './log-position.js'
import { UnstableLog } from './log-unstable.js'
import type { RaftLogger } from './logger.js'
import { NO_ENTRIES } from './message.js'
import type { Compacted, RaftStorage, SnapshotUnavailable, Unavailable } from './storage.js'

/** Entries that a leader sends, and the position that they follow. */
export interface LogSlice {
  readonly previous: LogPosition
  readonly entries: readonly Entry[]
}

/**
 * The log: what storage has, then what it does not have yet. Invariants:
 * applied <= applying <= committed <= lastIndex. None of them ever decreases.
 */
export class RaftLog {
  readonly #storage: RaftStorage
  readonly #logger: RaftLogger
  readonly #unstable: UnstableLog
  readonly #applyingBytesMax: number
  #committed: LogIndex
  #applying: LogIndex
  #applied: LogIndex
  /** Encoded bytes of the entries in (applied, applying]. */
  #applyingBytes = 0
  #isApplyingPaused = false

  /** `applyingBytesMax`: see maxCommittedSizePerReadyBytes. */
  constructor(storage: RaftStorage, logger: RaftLogger, applyingBytesMax: number) {
    this.#storage = storage
    this.#logger = logger
    this.#applyingBytesMax = applyingBytesMax
    this.#unstable = new UnstableLog(nextIndex(storage.lastIndex()), logger)
    const before = previousIndex(storage.firstIndex())
    this.#committed = before
    this.#applying = before
    this.#applied = before
  }

  /** Highest index known to be on a quorum. */
  get committed(): LogIndex {
    return this.#committed
  }

  /** Highest index that the state machine has acknowledged. */
  get applied(): LogIndex {
    return this.#applied
  }

  get applyingBytesMax(): number {
    return this.#applyingBytesMax
  }

  describe(): string {
    return (
      `committed=${this.#committed}, applied=${this.#applied}, applying=${this.#applying}, ` +
      `unstable.offset=${this.#unstable.offset}, ` +
      `unstable.offsetInProgress=${this.#unstable.offsetInProgress}, ` +
      `len(unstable.Entries)=${this.#unstable.count}`
    )
  }

  firstIndex(): LogIndex {
    return this.#unstable.maybeFirstIndex() ?? this.#storage.firstIndex()
  }

  lastIndex(): LogIndex {
    return this.#unstable.maybeLastIndex() ?? this.#storage.lastIndex()
  }

  lastTerm(): Term {
    const term = this.term(this.lastIndex())
    invariant(typeof term === 'number', 'the last entry has a term', () => String(term))
    return term
  }

  /** Term at `index`; of firstIndex() - 1 too, as appends refer to it. */
  term(index: LogIndex): Term | Compacted | Unavailable {
    // The unstable part first: finding the valid range may ask the storage.
    const unstableTerm = this.#unstable.maybeTerm(index)
    if (unstableTerm !== undefined) return unstableTerm
    if (index + 1 < this.firstIndex()) return 'compacted'
    if (index > this.lastIndex()) return 'unavailable'
    return this.#storage.term(index)
  }

  /** The same, 0 when the index is out of bounds: for messages and log lines. */
  termOrZero(index: LogIndex): Term {
    const term = this.term(index)
    return typeof term === 'number' ? term : ZERO_TERM
  }

  matches(position: LogPosition): boolean {
    return this.term(position.index) === position.term
  }

  /** Raft §5.4.1: whether a log that ends at `theirs` is at least as complete as this one. */
  isUpToDate(theirs: LogPosition): boolean {
    const ourTerm = this.lastTerm()
    return theirs.term > ourTerm || (theirs.term === ourTerm && theirs.index >= this.lastIndex())
  }

  /**
   * Appends what a leader sent and commits up to `committed`, as far as the leader's log is known
   * to be here. Returns the last index of the slice, or `undefined` when the entry before it does
   * not match.
   */
  maybeAppend(slice: LogSlice, committed: LogIndex): LogIndex | undefined {
    if (!this.matches(slice.previous)) return undefined
    const { previous, entries } = slice
    const last = addIndex(previous.index, entries.length)
    const conflict = this.#findConflict(entries)
    if (conflict !== ZERO_INDEX) {
      invariant(
        conflict > this.#committed,
        'entry conflict with committed entry',
        () => `entry ${conflict} conflict with committed entry [committed(${this.#committed})]`,
      )
      const skipped = conflict - previous.index - 1
      this.append(skipped === 0 ? entries : entries.slice(skipped))
    }
    this.commitTo(minIndex(committed, last))
    return last
  }

  /** Appends consecutive entries above the commit index; they replace what is there and behind. */
  append(entries: readonly Entry[]): LogIndex {
    const first = entries[0]
    if (first === undefined) return this.lastIndex()
    invariant(
      first.index > this.#committed,
      'after is out of range',
      () => `after(${first.index - 1}) is out of range [committed(${this.#committed})]`,
    )
    this.#unstable.truncateAndAppend(entries)
    return this.lastIndex()
  }

  /**
   * Index of the first entry that is not here like this: it conflicts, or is new. 0 = all are here.
   */
  #findConflict(entries: readonly Entry[]): LogIndex {
    for (const { index, term } of entries) {
      const ourTerm = this.term(index)
      if (ourTerm === term) continue
      if (index <= this.lastIndex()) {
        this.#logger.info(
          () =>
            `found conflict at index ${index} [existing term: ${this.termOrZero(index)}, ` +
            `conflicting term: ${term}]`,
        )
      }
      return index
    }
    return ZERO_INDEX
  }

  /**
   * The highest position at or below `index` whose term is at most `term`: the last place where a
   * log that has `term` at or below `index` could agree with this one. Its term is 0 when it is not
   * known.
   */
  findConflictByTerm(index: LogIndex, term: Term): LogPosition {
    for (let at = index; at > 0; at = previousIndex(at)) {
      const ourTerm = this.term(at)
      if (typeof ourTerm !== 'number') return { index: at, term: ZERO_TERM }
      if (ourTerm <= term) return { index: at, term: ourTerm }
    }
    return { index: ZERO_INDEX, term: ZERO_TERM }
  }

  nextUnstableEntries(): readonly Entry[] {
    return this.#unstable.nextEntries()
  }

  hasNextUnstableEntries(): boolean {
    return this.#unstable.hasNextEntries()
  }

  hasNextOrInProgressUnstableEntries(): boolean {
    return this.#unstable.count > 0
  }

  nextUnstableSnapshot(): Snapshot | undefined {
    return this.#unstable.nextSnapshot()
  }

  hasNextUnstableSnapshot(): boolean {
    return this.#unstable.nextSnapshot() !== undefined
  }

  hasNextOrInProgressSnapshot(): boolean {
    return this.#unstable.snapshot !== undefined
  }

  /**
   * Committed entries not handed out yet, as far as the limit on unapplied ones allows.
   * `allowUnstable`: also those that storage may not have.
   */
  nextCommittedEntries(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommittedEntries(allowUnstable)) return NO_ENTRIES
    const bytesMax = this.#applyingBytesMax - this.#applyingBytes
    invariant(bytesMax > 0, 'applying entry size must stay below its limit')
    const high = nextIndex(this.#appliableIndex(allowUnstable))
    const entries = this.slice(nextIndex(this.#applying), high, bytesMax)
    invariant(typeof entries !== 'string', 'unapplied entries must be readable')
    return entries
  }

  hasNextCommittedEntries(allowUnstable: boolean): boolean {
    // A snapshot replaces the state: nothing is applied until it is installed.
    if (this.#isApplyingPaused || this.hasNextOrInProgressSnapshot()) return false
    return this.#applying < this.#appliableIndex(allowUnstable)
  }

  #appliableIndex(allowUnstable: boolean): LogIndex {
    if (allowUnstable) return this.#committed
    return minIndex(this.#committed, previousIndex(this.#unstable.offset))
  }

  snapshot(): Snapshot | SnapshotUnavailable {
    return this.#unstable.snapshot ?? this.#storage.snapshot()
  }

  commitTo(index: LogIndex): void {
    if (index <= this.#committed) return
    invariant(
      index <= this.lastIndex(),
      'tocommit is out of range',
      () =>
        `tocommit(${index}) is out of range [lastIndex(${this.lastIndex()})]. ` +
        'Was the raft log corrupted, truncated, or lost?',
    )
    this.#committed = index
  }

  /**
   * Raft §5.4.2: commits up to a position that a quorum has, only if it is of the leader's own
   * term.
   */
  maybeCommit(position: LogPosition): boolean {
    if (position.term === 0 || position.index <= this.#committed) return false
    if (!this.matches(position)) return false
    this.commitTo(position.index)
    return true
  }

  /** The state machine has applied up to `index`; `bytes` of entries are no longer under way. */
  appliedTo(index: LogIndex, bytes: number): void {
    invariant(
      index >= this.#applied && index <= this.#committed,
      'applied is out of range',
      () =>
        `applied(${index}) is out of range [prevApplied(${this.#applied}), ` +
        `committed(${this.#committed})]`,
    )
    this.#applied = index
    this.#applying = maxIndex(this.#applying, index)
    this.#applyingBytes = Math.max(0, this.#applyingBytes - bytes)
    this.#isApplyingPaused = this.#applyingBytes >= this.#applyingBytesMax
  }

  /** Entries up to `index`, `bytes` in all, have been handed out for applying. */
  acceptApplying(index: LogIndex, bytes: number, allowUnstable: boolean): void {
    invariant(
      index <= this.#committed,
      'applying is out of range',
      () =>
        `applying(${index}) is out of range [prevApplying(${this.#applying}), ` +
        `committed(${this.#committed})]`,
    )
    this.#applying = index
    this.#applyingBytes += bytes
    // Pause when the limit is reached, or when the next entry alone would have gone over it.
    this.#isApplyingPaused =
      this.#applyingBytes >= this.#applyingBytesMax || index < this.#appliableIndex(allowUnstable)
  }

  acceptUnstable(): void {
    this.#unstable.acceptInProgress()
  }

  stableTo(position: LogPosition): void {
    this.#unstable.stableTo(position)
  }

  stableSnapshotTo(index: LogIndex): void {
    this.#unstable.stableSnapshotTo(index)
  }

  /** Starts the log anew behind a snapshot. */
  restore(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata
    this.#logger.info(
      () => `log [${this.describe()}] starts to restore snapshot [index: ${index}, term: ${term}]`,
    )
    this.#committed = index
    this.#unstable.restore(snapshot)
  }

  /** Entries from `low` to the end of the log, at most `bytesMax` but at least one. */
  entriesFrom(low: LogIndex, bytesMax: number): readonly Entry[] | Compacted {
    if (low > this.lastIndex()) return NO_ENTRIES
    return this.slice(low, nextIndex(this.lastIndex()), bytesMax)
  }

  /** Entries `low` (inclusive) to `high` (exclusive), at most `bytesMax` but at least one. */
  slice(low: LogIndex, high: LogIndex, bytesMax: number): readonly Entry[] | Compacted {
    invariant(low <= high, 'invalid slice', () => `${low} > ${high}`)
    if (low < this.firstIndex()) return 'compacted'
    invariant(
      high <= this.lastIndex() + 1,
      'slice out of bound',
      () => `slice[${low},${high}) out of bound [${this.firstIndex()},${this.lastIndex()}]`,
    )
    if (low === high) return NO_ENTRIES
    const unstableOffset = this.#unstable.offset
    if (low >= unstableOffset) return this.#unstable.slice(low, high, bytesMax)
    const cut = minIndex(high, unstableOffset)
    const stable = this.#storage.entries(low, cut, bytesMax)
    if (stable === 'compacted') return stable
    invariant(stable !== 'unavailable', 'entries are unavailable from storage', () => {
      return `entries[${low}:${cut}) is unavailable from storage`
    })
    if (high <= unstableOffset || stable.length < cut - low) return stable
    const size = bytesMax === Number.POSITIVE_INFINITY ? 0 : entriesSize(stable)
    if (size >= bytesMax) return stable
    const unstable = this.#unstable.slice(unstableOffset, high, bytesMax - size)
    // "At least one" is satisfied already: a lone entry that is too large stays out.
    if (unstable.length === 1 && size + entriesSize(unstable) > bytesMax) return stable
    return stable.concat(unstable)
  }
}
