// Goal: the log over storage and its unstable tail behaves as one list. Method: small logs built by hand.
import { describe, expect, test } from 'vitest'
import { logIndex, memberId, term } from '../../src/base/ids.js'
import { entrySize } from '../../src/raft/entry-size.js'
import { RaftLog } from '../../src/raft/log.js'
import { UnstableLog } from '../../src/raft/log-unstable.js'
import { silentLogger } from '../../src/raft/logger.js'
import { MemoryStorage } from '../../src/raft/memory-storage.js'
import type { Entry, Snapshot } from '../../src/wire/raftpb.js'

const NO_LIMIT = Number.POSITIVE_INFINITY
const entryAt = (index: number, entryTerm = 1): Entry => ({
  type: 'EntryNormal',
  term: term(entryTerm),
  index: logIndex(index),
  data: new Uint8Array(5),
})
const entriesFrom = (first: number, count: number, entryTerm = 1): Entry[] =>
  Array.from({ length: count }, (_, i) => entryAt(first + i, entryTerm))
const position = (index: number, entryTerm: number) => ({
  index: logIndex(index),
  term: term(entryTerm),
})
const snapshotAt = (index: number, entryTerm: number): Snapshot => ({
  data: new Uint8Array(0),
  metadata: {
    ...position(index, entryTerm),
    confState: {
      voters: [memberId(1n)],
      learners: [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    },
  },
})

/** Entries 1..stable in storage, stable+1..last not. */
function logOf(stable: number, last: number): { log: RaftLog; storage: MemoryStorage } {
  const storage = new MemoryStorage()
  storage.append(entriesFrom(1, stable))
  const log = new RaftLog(storage, silentLogger, NO_LIMIT)
  log.append(entriesFrom(stable + 1, last - stable))
  return { log, storage }
}

describe('UnstableLog', () => {
  function unstableOf(first: number, count: number): UnstableLog {
    const unstable = new UnstableLog(logIndex(first), silentLogger)
    unstable.truncateAndAppend(entriesFrom(first, count))
    return unstable
  }
  const termsOf = (unstable: UnstableLog): number[] =>
    unstable
      .slice(unstable.offset, logIndex(unstable.offset + unstable.count), NO_LIMIT)
      .map((entry) => entry.term)

  test('entries behind the end are added', () => {
    const unstable = unstableOf(5, 2)
    unstable.truncateAndAppend(entriesFrom(7, 2, 2))
    expect(termsOf(unstable)).toEqual([1, 1, 2, 2])
  })

  test('entries in the middle replace the rest, which is no longer under way', () => {
    const unstable = unstableOf(5, 4)
    unstable.acceptInProgress()
    expect(unstable.hasNextEntries()).toBe(false)
    unstable.truncateAndAppend(entriesFrom(7, 1, 2))
    expect(termsOf(unstable)).toEqual([1, 1, 2])
    expect(unstable.offsetInProgress).toBe(7)
    expect(unstable.nextEntries()).toEqual(entriesFrom(7, 1, 2))
  })

  test('entries before the start replace everything', () => {
    const unstable = unstableOf(5, 4)
    unstable.acceptInProgress()
    unstable.truncateAndAppend(entriesFrom(4, 2, 2))
    expect([unstable.offset, unstable.offsetInProgress]).toEqual([4, 4])
    expect(termsOf(unstable)).toEqual([2, 2])
  })

  test('a gap is a programmer error', () => {
    expect(() => unstableOf(5, 1).truncateAndAppend(entriesFrom(7, 1))).toThrow('gap')
  })

  test('acknowledged entries go, in any portions; those of another term stay', () => {
    const unstable = unstableOf(5, 10)
    unstable.stableTo(position(6, 2))
    expect(unstable.offset).toBe(5)
    for (let index = 5; index <= 14; index++) {
      unstable.stableTo(position(index, 1))
      expect([unstable.offset, unstable.count]).toEqual([index + 1, 14 - index])
      if (index < 14) expect(unstable.maybeTerm(logIndex(14))).toBe(1)
    }
    unstable.stableTo(position(14, 1))
    expect(unstable.offset).toBe(15)
  })

  test('a snapshot is found by its index until it is installed', () => {
    const unstable = new UnstableLog(logIndex(5), silentLogger)
    unstable.restore(snapshotAt(8, 3))
    expect([unstable.maybeFirstIndex(), unstable.maybeLastIndex()]).toEqual([9, 8])
    expect(unstable.maybeTerm(logIndex(8))).toBe(3)
    unstable.stableTo(position(8, 3))
    expect(unstable.snapshot).toBeDefined()
    unstable.acceptInProgress()
    expect(unstable.nextSnapshot()).toBeUndefined()
    unstable.stableSnapshotTo(logIndex(7))
    expect(unstable.snapshot).toBeDefined()
    unstable.stableSnapshotTo(logIndex(8))
    expect(unstable.snapshot).toBeUndefined()
  })
})

describe('RaftLog', () => {
  const one = entrySize(entryAt(1))

  test('slices cross from storage into the unstable part, within the limit', () => {
    const { log } = logOf(4, 8)
    const count = (bytesMax: number): number => log.slice(logIndex(3), logIndex(8), bytesMax).length
    expect(count(NO_LIMIT)).toBe(5)
    expect(count(0)).toBe(1)
    expect(count(one * 2)).toBe(2)
    expect(count(one * 2 + 1)).toBe(2)
    expect(count(one * 3)).toBe(3)
    expect(log.slice(logIndex(3), logIndex(6), one * 2 + 1)).toHaveLength(2)
    expect(log.slice(logIndex(3), logIndex(3), NO_LIMIT)).toEqual([])
    expect(() => log.slice(logIndex(3), logIndex(10), NO_LIMIT)).toThrow('out of bound')
  })

  test('compacted entries are said to be, unknown terms are 0', () => {
    const { log, storage } = logOf(4, 8)
    storage.compact(logIndex(3))
    expect(log.slice(logIndex(2), logIndex(4), NO_LIMIT)).toBe('compacted')
    expect(log.entriesFrom(logIndex(2), NO_LIMIT)).toBe('compacted')
    expect(log.entriesFrom(logIndex(9), NO_LIMIT)).toEqual([])
    expect([log.termOrZero(logIndex(1)), log.termOrZero(logIndex(9))]).toEqual([0, 0])
    expect(log.findConflictByTerm(logIndex(8), term(0))).toEqual(position(2, 0))
  })

  test('what comes in conflict above the commit index is replaced, below it is a programmer error', () => {
    const { log } = logOf(4, 8)
    log.commitTo(logIndex(6))
    const slice = { previous: position(6, 1), entries: entriesFrom(7, 1, 2) }
    expect(log.maybeAppend(slice, logIndex(9))).toBe(7)
    expect([log.lastIndex(), log.lastTerm(), log.committed]).toEqual([7, 2, 7])
    const wrong = { previous: position(4, 1), entries: entriesFrom(5, 1, 2) }
    expect(() => log.maybeAppend(wrong, logIndex(0))).toThrow(
      'entry 5 conflict with committed entry [committed(7)]',
    )
    expect(log.maybeAppend({ previous: position(7, 1), entries: [] }, logIndex(0))).toBe(undefined)
    expect(log.append([])).toBe(7)
    expect(() => log.append(entriesFrom(7, 1))).toThrow('after(6) is out of range [committed(7)]')
  })

  test('committing and applying stay within their bounds', () => {
    const { log } = logOf(4, 8)
    expect(() => log.commitTo(logIndex(9))).toThrow(
      'Was the raft log corrupted, truncated, or lost?',
    )
    log.commitTo(logIndex(5))
    log.commitTo(logIndex(3))
    expect(log.committed).toBe(5)
    expect(() => log.appliedTo(logIndex(6), 0)).toThrow('applied(6) is out of range')
    expect(() => log.acceptApplying(logIndex(6), 0, true)).toThrow('applying(6) is out of range')
    expect(log.nextCommittedEntries(false)).toHaveLength(4)
    expect(log.nextCommittedEntries(true)).toHaveLength(5)
  })

  test('an earlier term is not committed, nor term 0', () => {
    const { log } = logOf(4, 8)
    expect(log.maybeCommit(position(8, 2))).toBe(false)
    expect(log.maybeCommit(position(9, 0))).toBe(false)
    expect(log.maybeCommit(position(8, 1))).toBe(true)
  })
})
