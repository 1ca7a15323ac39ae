import {
  addIndex,
  type LogIndex,
  NO_MEMBER,
  nextIndex,
  type Term,
  ZERO_INDEX,
  ZERO_TERM,
} from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { ConfState, Entry, HardState, Snapshot } from '../wire/raftpb.js'
import { entrySize } from './entry-size.js'
import { NO_BYTES, NO_ENTRIES } from './message.js'
import type { Compacted, RaftStorage, SnapshotUnavailable, Unavailable } from './storage.js'

/**
 * Entries per chunk: dropping a prefix frees whole chunks, and growing never copies what is there.
 */
const CHUNK_ENTRIES = 1024

const EMPTY_CONF_STATE: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
}

/** Stands in the place of a compacted entry, so that its data can be freed before its chunk is. */
const COMPACTED_ENTRY: Entry = {
  type: 'EntryNormal',
  term: ZERO_TERM,
  index: ZERO_INDEX,
  data: NO_BYTES,
}

/**
 * The log in memory, in chunks: appending and reading cost O(entries asked for), compacting
 * O(entries dropped), whatever the length. What is durable is the caller's business: entries are
 * put here when they are. The unused front of the first chunk starts after a compaction; the last
 * chunk grows.
 */
export class MemoryStorage implements RaftStorage {
  #hardState: HardState = { term: ZERO_TERM, vote: NO_MEMBER, commit: ZERO_INDEX }
  #snapshot: Snapshot = {
    data: NO_BYTES,
    metadata: { confState: EMPTY_CONF_STATE, index: ZERO_INDEX, term: ZERO_TERM },
  }
  /** Position just before the first entry. */
  #compactedIndex: LogIndex = ZERO_INDEX
  #compactedTerm: Term = ZERO_TERM
  #chunks: Entry[][] = []
  /** Place of the first entry within the first chunk. */
  #start = 0
  #count = 0

  initialState(): Readonly<{ hardState: HardState; confState: ConfState }> {
    return { hardState: this.#hardState, confState: this.#snapshot.metadata.confState }
  }

  setHardState(state: HardState): void {
    this.#hardState = state
  }

  firstIndex(): LogIndex {
    return nextIndex(this.#compactedIndex)
  }

  lastIndex(): LogIndex {
    return addIndex(this.#compactedIndex, this.#count)
  }

  term(index: LogIndex): Term | Compacted | Unavailable {
    if (index < this.#compactedIndex) return 'compacted'
    if (index === this.#compactedIndex) return this.#compactedTerm
    if (index > this.lastIndex()) return 'unavailable'
    return this.#at(index).term
  }

  entries(
    low: LogIndex,
    high: LogIndex,
    bytesMax: number,
  ): readonly Entry[] | Compacted | Unavailable {
    if (low <= this.#compactedIndex) return 'compacted'
    if (this.#count === 0 || high > this.lastIndex() + 1) return 'unavailable'
    if (low >= high) return NO_ENTRIES
    const found: Entry[] = []
    let size = 0
    let place = this.#start + (low - this.#compactedIndex - 1)
    for (let left = high - low; left > 0; left--, place++) {
      const entry = this.#inPlace(place)
      size += entrySize(entry)
      if (size > bytesMax && found.length > 0) break
      found.push(entry)
    }
    return found
  }

  snapshot(): Snapshot | SnapshotUnavailable {
    return this.#snapshot
  }

  /**
   * Adds consecutive entries; they replace what is at their indexes and behind. Compacted ones are
   * skipped.
   */
  append(entries: readonly Entry[]): void {
    const [first] = entries
    const last = entries.at(-1)
    if (first === undefined || last === undefined) return
    if (last.index <= this.#compactedIndex) return
    const skipped = Math.max(0, this.#compactedIndex + 1 - first.index)
    const kept = first.index + skipped - this.#compactedIndex - 1
    invariant(
      kept <= this.#count,
      'missing log entry',
      () => `[last: ${this.lastIndex()}, append at: ${first.index}]`,
    )
    this.#truncate(kept)
    for (let i = skipped; i < entries.length; i++) this.#push(entries[i] as Entry)
  }

  /**
   * Drops entries up to and including `index`; 'compacted' when that has happened already. The
   * caller must have applied them. An index beyond the log is a programmer error.
   */
  compact(index: LogIndex): 'ok' | Compacted {
    if (index <= this.#compactedIndex) return 'compacted'
    invariant(
      index <= this.lastIndex(),
      'compact is out of bound',
      () => `compact ${index} is out of bound lastindex(${this.lastIndex()})`,
    )
    const term = this.#at(index).term
    const dropped = index - this.#compactedIndex
    const end = this.#start + dropped
    const wholeChunks = Math.floor(end / CHUNK_ENTRIES)
    this.#chunks.splice(0, wholeChunks)
    this.#start = end - wholeChunks * CHUNK_ENTRIES
    // What stays of the first chunk may be large payloads: let go of them now.
    this.#chunks[0]?.fill(COMPACTED_ENTRY, 0, this.#start)
    this.#count -= dropped
    this.#compactedIndex = index
    this.#compactedTerm = term
    return 'ok'
  }

  /** Starts anew behind `snapshot`; 'out-of-date' when a newer one is here. */
  applySnapshot(snapshot: Snapshot): 'ok' | 'out-of-date' {
    const { index, term } = snapshot.metadata
    if (this.#snapshot.metadata.index >= index) return 'out-of-date'
    this.#snapshot = snapshot
    this.#compactedIndex = index
    this.#compactedTerm = term
    this.#chunks = []
    this.#start = 0
    this.#count = 0
    return 'ok'
  }

  /**
   * Remembers the state at `index`, to be sent to members that are behind the log; the log stays
   * (see compact). Without `confState` the last snapshot's goes on. 'out-of-date' when a newer one
   * is here.
   */
  createSnapshot(
    options: Readonly<{ index: LogIndex; data: Uint8Array; confState?: ConfState }>,
  ): Snapshot | 'out-of-date' {
    const { index, data } = options
    if (index <= this.#snapshot.metadata.index) return 'out-of-date'
    const term = this.term(index)
    invariant(
      typeof term === 'number',
      'snapshot is out of bound',
      () => `snapshot ${index} is out of bound lastindex(${this.lastIndex()})`,
    )
    const confState = options.confState ?? this.#snapshot.metadata.confState
    this.#snapshot = { data, metadata: { confState, index, term } }
    return this.#snapshot
  }

  #at(index: LogIndex): Entry {
    return this.#inPlace(this.#start + (index - this.#compactedIndex - 1))
  }

  #inPlace(place: number): Entry {
    const chunk = this.#chunks[Math.floor(place / CHUNK_ENTRIES)]
    const entry = chunk?.[place % CHUNK_ENTRIES]
    invariant(entry !== undefined, 'an entry within the bounds must be there')
    return entry
  }

  #truncate(count: number): void {
    if (count === this.#count) return
    const end = this.#start + count
    const wholeChunks = Math.floor(end / CHUNK_ENTRIES)
    const last = this.#chunks[wholeChunks]
    const rest = end - wholeChunks * CHUNK_ENTRIES
    this.#chunks.length = wholeChunks
    if (rest > 0 && last !== undefined) {
      last.length = rest
      this.#chunks.push(last)
    }
    this.#count = count
  }

  #push(entry: Entry): void {
    let chunk = this.#chunks.at(-1)
    if (chunk === undefined || chunk.length === CHUNK_ENTRIES) {
      chunk = []
      this.#chunks.push(chunk)
    }
    chunk.push(entry)
    this.#count += 1
  }
}
