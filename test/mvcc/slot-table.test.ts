// Goal: the table finds what was added and nothing else. Method: random additions and removals beside a map; a seed.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SlotTable } from '../../src/mvcc/slot-table.js'

test.each([
  undefined,
  { low: 0, high: 0 },
  { low: 0x89ab_cdef, high: -1 },
])('finds the keys that are present, whatever came and went, with seed %o', (seed) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 400 }), fc.boolean())), (steps) => {
      const keys: string[] = []
      const table = new SlotTable(keys, seed)
      const present = new Map<string, number>()
      for (const [at, isAdded] of steps) {
        // Lengths of all remainders, bytes above 127 and zeros.
        const key = `${'\0\xff'.repeat(at % 3)}${at.toString(36)}`
        const slot = table.get(key)
        expect(slot).toBe(present.get(key) ?? -1)
        if (isAdded && slot < 0) {
          keys.push(key)
          table.addSought(keys.length - 1)
          present.set(key, keys.length - 1)
        } else if (!isAdded && slot >= 0) {
          table.delete(key)
          present.delete(key)
        }
      }
      expect(table.size).toBe(present.size)
      for (const [key, slot] of present) expect(table.get(key)).toBe(slot)
    }),
    { numRuns: 100 },
  )
})

test('grows to many keys and shrinks to none', () => {
  const keys = Array.from({ length: 50_000 }, (_, at) => `some/key/${at * 7919}`)
  const table = new SlotTable(keys)
  for (const slot of keys.keys()) table.add(slot)
  expect(table.size).toBe(keys.length)
  expect(keys.every((key, slot) => table.get(key) === slot)).toBe(true)
  expect(table.get('some/key/x')).toBe(-1)
  for (const key of keys.filter((_, at) => at % 2 === 0)) table.delete(key)
  expect(keys.every((key, slot) => table.get(key) === (slot % 2 === 0 ? -1 : slot))).toBe(true)
  for (const key of keys.filter((_, at) => at % 2 === 1)) table.delete(key)
  expect(table.size).toBe(0)
  expect(() => table.delete('some/key/0')).toThrow('present')
})
