// Goal: slots come in the order of their keys. Method: random keys and shapes that radix sorts stumble over, beside sort.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sortedSlots } from '../../src/mvcc/sorted-slots.js'

function check(keys: readonly string[]): void {
  const sorted = [...sortedSlots(keys)].map((slot) => keys[slot])
  expect(sorted).toEqual([...keys].sort())
}

test('sorts any keys', () => {
  const character = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code))
  const few = fc.constantFrom('\0', 'a', '\xff')
  for (const unit of [character, few]) {
    const key = fc.string({ unit, maxLength: 12 })
    fc.assert(fc.property(fc.uniqueArray(key, { maxLength: 400 }), check), { numRuns: 60 })
  }
})

test('sorts keys of which each begins the next one, and keys that share much', () => {
  check(Array.from({ length: 2000 }, (_, at) => 'a'.repeat((at * 7) % 2000)))
  check(Array.from({ length: 2000 }, (_, at) => `${'x'.repeat(300)}${at}${'\0'.repeat(at % 5)}`))
  const names = Array.from({ length: 5000 }, (_, at) => `/registry/${at % 7}/${at % 31}/${at}`)
  check(names.toReversed())
  check([])
  check([''])
})
