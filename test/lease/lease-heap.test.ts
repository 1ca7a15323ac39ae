/** The heap against sorting: random puts, moves and removals of many items. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LeaseHeap, NOT_IN_HEAP } from '../../src/lease/lease-heap.js'

interface Item {
  dueMs: number
  place: number
}

const access = {
  dueMs: (item: Item) => item.dueMs,
  place: (item: Item) => item.place,
  setPlace: (item: Item, place: number) => {
    item.place = place
  },
}

test('the soonest item is always in front, whatever was put, moved and removed before', () => {
  const step = fc.record({
    at: fc.nat({ max: 60 }),
    dueMs: fc.nat({ max: 200 }),
    isPut: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
      const heap = new LeaseHeap<Item>(access)
      const items = Array.from({ length: 61 }, () => ({ dueMs: 0, place: NOT_IN_HEAP }))
      const present = new Set<Item>()
      for (const { at, dueMs, isPut } of steps) {
        const item = items[at] as Item
        if (isPut) {
          item.dueMs = dueMs
          heap.put(item)
          present.add(item)
        } else {
          expect(heap.maybeRemove(item)).toBe(present.delete(item))
        }
        const least = Math.min(...[...present].map((one) => one.dueMs))
        expect(heap.size).toBe(present.size)
        expect(heap.soonest?.dueMs ?? Number.POSITIVE_INFINITY).toBe(least)
      }
      heap.clear()
      expect(items.every((item) => item.place === NOT_IN_HEAP)).toBe(true)
    }),
    { numRuns: 50 },
  )
})
