// Goal: ids print and parse as etcd's. Method: edges and round trips.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addIndex,
  clusterId,
  idToHex,
  leaseId,
  logIndex,
  memberId,
  nextIndex,
  nextRevision,
  nextTerm,
  parseHexId,
  previousIndex,
  revision,
  term,
} from '../../src/base/ids.js'

describe('ids in hex', () => {
  test('have no leading zeros, and negative ones are shown in 64 bits', () => {
    expect(idToHex(clusterId(0n))).toBe('0')
    expect(idToHex(memberId(0xc9f751f0b0b4fa5an))).toBe('c9f751f0b0b4fa5a')
    expect(idToHex(leaseId(-1n))).toBe('ffffffffffffffff')
  })

  test('are read back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (id) => {
        expect(parseHexId(idToHex(id))).toBe(id)
        expect(parseHexId(idToHex(id).toUpperCase())).toBe(id)
      }),
    )
  })

  test.each(['', 'g', '0x1', '-1', ' 1', '10000000000000000'])('are not %j', (text) => {
    expect(parseHexId(text)).toBeUndefined()
  })
})

test('arithmetic on counters stays in their type', () => {
  expect(nextIndex(logIndex(4))).toBe(5)
  expect(previousIndex(logIndex(4))).toBe(3)
  expect(addIndex(logIndex(4), -4)).toBe(0)
  expect(nextTerm(term(1))).toBe(2)
  expect(nextRevision(revision(1))).toBe(2)
})
