/** Goal: the checksum is Castagnoli's, over any range and in any pieces. Method: RFC 3720 vectors and a bitwise twin. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../src/base/crc32c.js'

function bitwise(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

describe('crc32c', () => {
  test('gives the values of RFC 3720 B.4', () => {
    const ascending = Uint8Array.from({ length: 32 }, (_, at) => at)
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
    expect(crc32c(ascending)).toBe(0x46dd794e)
    expect(crc32c(ascending.slice().reverse())).toBe(0x113fdb5c)
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(0))).toBe(0)
  })

  test('equals the bitwise definition, whole or continued over any cut and within any range', () => {
    const cuts = fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(20), fc.nat(20))
    fc.assert(
      fc.property(cuts, ([bytes, at, before, behind]) => {
        const cut = Math.min(at, bytes.length)
        expect(crc32c(bytes, cut, bytes.length, crc32c(bytes, 0, cut))).toBe(bitwise(bytes))
        const inside = new Uint8Array(before + bytes.length + behind).fill(0xaa)
        inside.set(bytes, before)
        expect(crc32c(inside, before, before + bytes.length)).toBe(bitwise(bytes))
      }),
    )
  })
})
