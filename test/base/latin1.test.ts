// Goal: keys survive the way to strings and back, and keep their order.
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { bytesFromLatin1, latin1FromBytes } from '../../src/base/latin1.js'
import { installNativeLatin1 } from '../../src/platform/native-latin1.js'

afterEach(() => installNativeLatin1())

test.each(['portable', 'native'])('every byte is one character, and comes back (%s)', (kind) => {
  if (kind === 'native') installNativeLatin1()
  const all = Uint8Array.from({ length: 10_000 }, (_, at) => at & 0xff)
  expect(latin1FromBytes(all)).toBe(Buffer.from(all).toString('latin1'))
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      expect(bytesFromLatin1(latin1FromBytes(a))).toEqual(a)
      const order = Math.sign(Buffer.compare(a, b))
      const [first, second] = [latin1FromBytes(a), latin1FromBytes(b)]
      expect(first < second ? -1 : first > second ? 1 : 0).toBe(order)
    }),
  )
})
