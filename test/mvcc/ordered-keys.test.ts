// Goal: the tree of keys stays in order and counts right. Method: random inserts, removals and marks beside a sorted list.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeysInOrder } from '../../src/mvcc/keys-in-order.js'
import { OrderedKeys } from '../../src/mvcc/ordered-keys.js'

const name = (at: number): string => `k${String(at).padStart(5, '0')}`

test.each(['ascending', 'descending', 'mixed', 'built'])('keeps %s keys in order', (order) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3000 }), fc.nat(), (count, salt) => {
      const live = new Set<number>()
      const tree = new OrderedKeys((slot) => live.has(slot))
      const numbers = Array.from({ length: count }, (_, at) => at)
      if (order === 'descending') numbers.reverse()
      if (order === 'mixed') numbers.sort((a, b) => ((a * 7919) % 1009) - ((b * 7919) % 1009))
      for (const at of numbers) if ((at + salt) % 3 !== 0) live.add(at)
      if (order === 'built') {
        const keys = new KeysInOrder()
        for (const at of numbers) keys.append(name(at), at, live.has(at))
        tree.build(keys)
      } else for (const at of numbers) tree.insert(name(at), at)
      for (const at of numbers) {
        if ((at * 31 + salt) % 5 > 2) continue
        if (live.delete(at)) tree.addLive(name(at), -1)
        tree.remove(name(at))
      }
      const left = numbers.filter((at) => (at * 31 + salt) % 5 > 2).sort((a, b) => a - b)
      const walked: number[] = []
      tree.walk('', undefined, (_, slot) => {
        walked.push(slot)
        return true
      })
      expect(walked).toEqual(left)
      const from = salt % (count + 1)
      const until = from + (salt % 500)
      const inside = left.filter((at) => at >= from && at < until && live.has(at))
      expect(tree.countLive(name(from), name(until))).toBe(inside.length)
      expect(tree.liveCount).toBe(live.size)
    }),
    { numRuns: 20 },
  )
})
