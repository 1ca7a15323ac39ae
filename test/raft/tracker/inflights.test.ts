// Goal: the ring counts what is under way. Method: against a plain list.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { logIndex } from '../../../src/base/ids.js'
import { Inflights } from '../../../src/raft/tracker/inflights.js'

test('equals a list of messages under random sends and acknowledgements', () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), value: fc.nat(50) }),
    fc.record({ kind: fc.constant('free' as const), value: fc.nat(12) }),
  )
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 400 }),
      fc.array(operation, { maxLength: 200 }),
      (countMax, bytesMax, operations) => {
        const inflights = new Inflights({ countMax, bytesMax })
        let list: { index: number; bytes: number }[] = []
        let next = 1
        for (const { kind, value } of operations) {
          const bytes = list.reduce((sum, message) => sum + message.bytes, 0)
          const isFull = list.length >= countMax || bytes >= bytesMax
          expect(inflights.isFull()).toBe(isFull)
          if (kind === 'free') {
            const upTo = (list[0]?.index ?? 0) + value - 1
            inflights.freeUpTo(logIndex(upTo))
            list = list.filter(({ index }) => index > upTo)
          } else if (!isFull) {
            inflights.add(logIndex(next), value)
            list.push({ index: next, bytes: value })
            next += 1 + (value % 3)
          }
          expect(inflights.count).toBe(list.length)
        }
        inflights.reset()
        expect(inflights.count).toBe(0)
        expect(inflights.isFull()).toBe(false)
      },
    ),
  )
})

test('adding to a full window is a programmer error', () => {
  const inflights = new Inflights({ countMax: 1, bytesMax: 10 })
  inflights.add(logIndex(1), 1)
  expect(() => inflights.add(logIndex(2), 1)).toThrow('cannot add into a Full inflights')
})

test('the ring grows in order, wherever its oldest message lies', () => {
  const inflights = new Inflights({ countMax: 100, bytesMax: Number.POSITIVE_INFINITY })
  for (let index = 1; index <= 8; index++) inflights.add(logIndex(index), 1)
  inflights.freeUpTo(logIndex(5))
  for (let index = 9; index <= 40; index++) inflights.add(logIndex(index), 1)
  for (let index = 6; index <= 40; index++) {
    inflights.freeUpTo(logIndex(index))
    expect(inflights.count).toBe(40 - index)
  }
})
