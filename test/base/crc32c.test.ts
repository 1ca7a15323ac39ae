// Goal: the CRC is the Castagnoli one and can be continued. Method: RFC 3720's vectors, and a bit-by-bit twin.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c } from '../../src/base/crc32c.js'

function bitByBit(bytes: Uint8Array): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

test.each([
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['ascending', Uint8Array.from({ length: 32 }, (_, at) => at), 0x46dd794e],
  ['nothing', new Uint8Array(0), 0],
])('gives the published sum of %s', (_, bytes, sum) => {
  expect(crc32c(bytes)).toBe(sum)
})

test('equals the definition, in one piece or continued from any place', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
      const at = Math.min(cut, bytes.length)
      expect(crc32c(bytes)).toBe(bitByBit(bytes))
      expect(crc32c(bytes, at, bytes.length, crc32c(bytes, 0, at))).toBe(bitByBit(bytes))
    }),
  )
})
