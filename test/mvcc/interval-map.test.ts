// Goal: an interval map finds exactly the items whose interval covers a key. Method: a naive list beside it.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { IntervalMap } from '../../src/mvcc/interval-map.js'

interface Entry {
  readonly key: string
  readonly end: string
  readonly item: number
}

const covers = (entry: Entry, key: string): boolean => {
  if (entry.end === '') return entry.key === key
  if (entry.end === '\0') return key >= entry.key
  return key >= entry.key && key < entry.end
}

const keys = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '\0', '\xff'), maxLength: 3 })
const entries = fc.record({
  key: keys,
  end: fc.oneof(fc.constant(''), fc.constant('\0'), keys),
  item: fc.integer({ min: 0, max: 3 }),
  isRemoval: fc.boolean(),
})

test('matches what a list of all intervals matches, while items come and go', () => {
  fc.assert(
    fc.property(fc.array(entries, { maxLength: 60 }), fc.array(keys), (steps, probes) => {
      const map = new IntervalMap<number>()
      let naive: Entry[] = []
      for (const { key, end, item, isRemoval } of steps) {
        const same = (entry: Entry): boolean =>
          entry.key === key && entry.end === end && entry.item === item
        const wasThere = naive.some(same)
        if (isRemoval) {
          expect(map.remove(key, end, item)).toBe(wasThere)
          naive = naive.filter((entry) => !same(entry))
        } else {
          expect(map.add(key, end, item)).toBe(!wasThere)
          if (!wasThere) naive.push({ key, end, item })
        }
      }
      expect(map.count).toBe(naive.length)
      for (const probe of [...probes, ...steps.map((step) => step.key)]) {
        const found: number[] = []
        map.forEachMatch(probe, (item) => found.push(item))
        const expected = naive.filter((entry) => covers(entry, probe)).map((entry) => entry.item)
        expect(found.sort()).toEqual(expected.sort())
        expect(map.matches(probe)).toBe(expected.length > 0)
      }
    }),
    { numRuns: 300 },
  )
})

test('finds one match among many intervals without visiting the others', () => {
  const map = new IntervalMap<number>()
  for (let at = 0; at < 20_000; at++) {
    const key = `k${String(at).padStart(6, '0')}`
    map.add(key, `${key}~`, at)
  }
  const found: number[] = []
  map.forEachMatch('k012345/x', (item) => found.push(item))
  expect(found).toEqual([12345])
})
