// Goal: the chunked log behaves as a plain array would. Method: random operations against one.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { logIndex, memberId, term } from '../../src/base/ids.js'
import { InvariantViolation } from '../../src/base/invariant.js'
import { entrySize } from '../../src/raft/entry-size.js'
import { MemoryStorage } from '../../src/raft/memory-storage.js'
import { Entry, type Snapshot } from '../../src/wire/raftpb.js'

const entryAt = (index: number, entryTerm = 1, bytes = 3): Entry => ({
  type: 'EntryNormal',
  term: term(entryTerm),
  index: logIndex(index),
  data: new Uint8Array(bytes),
})
const entriesFrom = (first: number, count: number, entryTerm = 1): Entry[] =>
  Array.from({ length: count }, (_, i) => entryAt(first + i, entryTerm))
const snapshotAt = (index: number): Snapshot => ({
  data: new Uint8Array(0),
  metadata: {
    index: logIndex(index),
    term: term(7),
    confState: {
      voters: [memberId(1n)],
      learners: [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    },
  },
})
const NO_LIMIT = Number.POSITIVE_INFINITY

describe('MemoryStorage', () => {
  test('equals a plain array under random appends, truncations, compactions and snapshots', () => {
    const operation = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), size: fc.integer({ min: 0, max: 2500 }) }),
      fc.record({ kind: fc.constant('replace' as const), size: fc.integer({ min: 1, max: 1500 }) }),
      fc.record({ kind: fc.constant('compact' as const), size: fc.integer({ min: 0, max: 2500 }) }),
      fc.record({ kind: fc.constant('install' as const), size: fc.integer({ min: 0, max: 9 }) }),
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 25 }), (operations) => {
        const storage = new MemoryStorage()
        let base = 0
        let model: Entry[] = []
        let nextTerm = 2
        for (const { kind, size } of operations) {
          const last = base + model.length
          if (kind === 'append') {
            const added = entriesFrom(last + 1, size, nextTerm)
            storage.append(added)
            model.push(...added)
          } else if (kind === 'replace') {
            // May start below what was compacted: that part is skipped.
            const first = Math.max(1, last - size)
            nextTerm += 1
            const added = entriesFrom(first, Math.ceil(size / 2), nextTerm)
            storage.append(added)
            if (first + added.length - 1 > base) {
              model = [
                ...model.slice(0, Math.max(0, first - base - 1)),
                ...added.filter(({ index }) => index > base),
              ]
            }
          } else if (kind === 'compact') {
            const index = Math.min(base + size, last)
            const result = storage.compact(logIndex(index))
            expect(result).toBe(index <= base ? 'compacted' : 'ok')
            model = model.slice(index - base)
            base = index
          } else {
            const index = last + size + 1
            expect(storage.applySnapshot(snapshotAt(index))).toBe('ok')
            base = index
            model = []
          }
          expect(storage.firstIndex()).toBe(base + 1)
          expect(storage.lastIndex()).toBe(base + model.length)
          if (model.length === 0) continue
          const end = logIndex(base + model.length + 1)
          expect(storage.entries(storage.firstIndex(), end, NO_LIMIT)).toEqual(model)
          const middle = base + Math.ceil(model.length / 2)
          expect(storage.term(logIndex(middle))).toBe(model[middle - base - 1]?.term)
        }
      }),
      { numRuns: 40 },
    )
  })

  test('answers out of bounds with what is wrong', () => {
    const storage = new MemoryStorage()
    expect(storage.entries(logIndex(1), logIndex(2), NO_LIMIT)).toBe('unavailable')
    storage.append(entriesFrom(1, 10))
    storage.compact(logIndex(4))
    expect(storage.term(logIndex(3))).toBe('compacted')
    expect(storage.term(logIndex(4))).toBe(1)
    expect(storage.term(logIndex(11))).toBe('unavailable')
    expect(storage.entries(logIndex(4), logIndex(6), NO_LIMIT)).toBe('compacted')
    expect(storage.entries(logIndex(5), logIndex(12), NO_LIMIT)).toBe('unavailable')
    expect(storage.entries(logIndex(6), logIndex(6), NO_LIMIT)).toEqual([])
  })

  test('cuts what it returns to the limit, but returns at least one entry', () => {
    const storage = new MemoryStorage()
    storage.append(entriesFrom(1, 5))
    const one = entrySize(entryAt(1))
    const count = (bytesMax: number): number =>
      storage.entries(logIndex(1), logIndex(6), bytesMax).length
    expect(count(0)).toBe(1)
    expect(count(one * 2)).toBe(2)
    expect(count(one * 2 - 1)).toBe(1)
    expect(count(one * 9)).toBe(5)
  })

  test('refuses a gap, and a compaction beyond its end, as programmer errors', () => {
    const storage = new MemoryStorage()
    storage.append(entriesFrom(1, 3))
    expect(() => storage.append([entryAt(5)])).toThrow(InvariantViolation)
    expect(() => storage.compact(logIndex(4))).toThrow('compact 4 is out of bound lastindex(3)')
    expect(() => storage.createSnapshot({ index: logIndex(9), data: new Uint8Array(0) })).toThrow(
      'snapshot 9 is out of bound lastindex(3)',
    )
  })

  test('keeps the newest snapshot and its configuration', () => {
    const storage = new MemoryStorage()
    expect(storage.applySnapshot(snapshotAt(5))).toBe('ok')
    expect(storage.applySnapshot(snapshotAt(5))).toBe('out-of-date')
    storage.append(entriesFrom(6, 3))
    const data = Uint8Array.of(1)
    expect(storage.createSnapshot({ index: logIndex(5), data })).toBe('out-of-date')
    const made = storage.createSnapshot({ index: logIndex(7), data })
    expect(made).toEqual({ data, metadata: { ...snapshotAt(7).metadata, term: 1 } })
    expect(storage.snapshot()).toBe(made)
    expect(storage.initialState().confState.voters).toEqual([1n])
    expect(storage.lastIndex()).toBe(8)
  })
})

test('entry sizes are those of the encoding', () => {
  const counters = fc.oneof(fc.nat(300), fc.maxSafeNat())
  fc.assert(
    fc.property(counters, counters, fc.uint8Array({ maxLength: 300 }), (entryTerm, index, data) => {
      const entry: Entry = {
        type: 'EntryConfChange',
        term: term(entryTerm),
        index: logIndex(index),
        data,
      }
      expect(entrySize(entry)).toBe(Entry.encode(entry).length)
    }),
    { numRuns: 500 },
  )
})
