// Goal: strings stand for bytes without loss and in the same order. Method: Buffer as the twin.
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { bytesFromLatin1, latin1FromBytes, useLatin1Decoder } from '../../src/base/latin1.js'

const portable = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

describe('latin1 strings', () => {
  afterEach(() => useLatin1Decoder(portable))

  test('hold every byte, also of long input, before a native decoder is set', () => {
    for (const length of [0, 1, 4096, 4097, 10_000]) {
      const bytes = new Uint8Array(length).map((_, at) => at)
      expect(latin1FromBytes(bytes)).toBe(Buffer.from(bytes).toString('latin1'))
      expect(bytesFromLatin1(latin1FromBytes(bytes))).toEqual(bytes)
    }
  })

  test('order as their bytes do', () => {
    const bytes = fc.uint8Array({ maxLength: 6 })
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        const [left, right] = [latin1FromBytes(a), latin1FromBytes(b)]
        expect(left < right ? -1 : left > right ? 1 : 0).toBe(Buffer.compare(a, b))
      }),
    )
  })

  test('come from the decoder that the platform put in place', () => {
    useLatin1Decoder(() => 'native')
    expect(latin1FromBytes(new Uint8Array(3))).toBe('native')
  })
})
