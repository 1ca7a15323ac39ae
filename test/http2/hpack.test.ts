/** HPACK against the examples of RFC 7541 appendix C, and what must not decode. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HpackDecoder } from '../../src/http2/hpack-decoder.js'
import { writeField, writeInteger } from '../../src/http2/hpack-encoder.js'
import { decodeHuffman, encodeHuffman, huffmanBytes } from '../../src/http2/huffman.js'
import { Writer } from '../../src/wire/writer.js'

const hex = (text: string): Uint8Array => Buffer.from(text.replace(/\s/g, ''), 'hex')
const create = (tableBytesMax = 4096): HpackDecoder =>
  new HpackDecoder({ tableBytesMax, listBytesMax: 65_536, fieldCountMax: 256 })
const decode = (decoder: HpackDecoder, text: string): string[] => {
  const bytes = hex(text)
  return decoder.decode(bytes, 0, bytes.length)
}

const GET = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com']
const COOKIE = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'
const DATE_21 = 'Mon, 21 Oct 2013 20:13:21 GMT'
const DATE_22 = 'Mon, 21 Oct 2013 20:13:22 GMT'
const LOCATION = 'https://www.example.com'

describe('examples of RFC 7541', () => {
  test.each([
    [
      'C.2.1 literal with indexing',
      '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      ['custom-key', 'custom-header'],
      55,
    ],
    [
      'C.2.2 literal without indexing',
      '040c 2f73 616d 706c 652f 7061 7468',
      [':path', '/sample/path'],
      0,
    ],
    [
      'C.2.3 literal never indexed',
      '1008 7061 7373 776f 7264 0673 6563 7265 74',
      ['password', 'secret'],
      0,
    ],
    ['C.2.4 indexed', '82', [':method', 'GET'], 0],
  ])('%s', (_name, bytes, fields, tableBytes) => {
    const decoder = create()
    expect(decode(decoder, bytes)).toEqual(fields)
    expect(decoder.tableBytes).toBe(tableBytes)
  })

  test.each([
    [
      'C.3 requests without Huffman coding',
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    [
      'C.4 requests with Huffman coding',
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
  ])('%s', (_name, first, second, third) => {
    const decoder = create()
    expect(decode(decoder, first)).toEqual(GET)
    expect(decoder.tableBytes).toBe(57)
    expect(decode(decoder, second)).toEqual([...GET, 'cache-control', 'no-cache'])
    expect(decoder.tableBytes).toBe(110)
    expect(decode(decoder, third)).toEqual([
      ...[':method', 'GET', ':scheme', 'https', ':path', '/index.html'],
      ...[':authority', 'www.example.com', 'custom-key', 'custom-value'],
    ])
    expect(decoder.tableBytes).toBe(164)
  })

  test.each([
    [
      'C.5 responses without Huffman coding, with eviction',
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
       2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
       6c65 2e63 6f6d`,
      '4803 3330 37c1 c0bf',
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
       54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
       5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
       3d31`,
    ],
    [
      'C.6 responses with Huffman coding, with eviction',
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
       2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
      '4883 640e ffc1 c0bf',
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
       77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
       9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    ],
  ])('%s', (_name, first, second, third) => {
    const decoder = create(256)
    const rest = ['cache-control', 'private', 'date', DATE_21, 'location', LOCATION]
    expect(decode(decoder, first)).toEqual([':status', '302', ...rest])
    expect(decoder.tableBytes).toBe(222)
    expect(decode(decoder, second)).toEqual([':status', '307', ...rest])
    expect(decoder.tableBytes).toBe(222)
    expect(decode(decoder, third)).toEqual([
      ...[':status', '200', 'cache-control', 'private', 'date', DATE_22, 'location', LOCATION],
      ...['content-encoding', 'gzip', 'set-cookie', COOKIE],
    ])
    expect(decoder.tableBytes).toBe(215)
  })

  test.each([
    [10, 5, '0a'],
    [1337, 5, '1f9a0a'],
    [42, 8, '2a'],
  ])('C.1 the integer %d with a prefix of %d bits', (value, bits, bytes) => {
    const writer = new Writer()
    writeInteger(writer, 0, bits, value)
    expect(Buffer.from(writer.take()).toString('hex')).toBe(bytes)
  })
})

describe('the dynamic table', () => {
  test('the generation changes with the table only', () => {
    const decoder = create()
    decode(decoder, '82')
    expect(decoder.generation).toBe(0)
    decode(decoder, '4003 6162 6301 64')
    const after = decoder.generation
    expect(after).toBeGreaterThan(0)
    decode(decoder, 'be')
    expect(decoder.generation).toBe(after)
    decode(decoder, '20')
    expect(decoder.generation).toBeGreaterThan(after)
    expect(() => decode(decoder, 'be')).toThrow('beyond the table')
  })

  test('it may be made smaller and larger again within the limit', () => {
    const decoder = create(4096)
    decode(decoder, '4003 6162 6301 64')
    expect(decode(decoder, '20 3f e1 1f 82')).toEqual([':method', 'GET'])
    expect(decoder.tableBytes).toBe(0)
    expect(() => decode(decoder, '3f e2 1f')).toThrow('over the limit')
  })

  test('an entry larger than the table empties it', () => {
    const decoder = create(64)
    decode(decoder, '4003 6162 6301 64')
    expect(decoder.tableBytes).toBe(36)
    const large = Buffer.concat([hex('4003616263 28'), Buffer.alloc(40, 'x')])
    expect(decoder.decode(large, 0, large.length)).toEqual(['abc', 'x'.repeat(40)])
    expect(decoder.tableBytes).toBe(0)
  })

  test('it stays the same as a naive table over any sequence of fields', () => {
    const field = fc.record({
      name: fc.constantFrom('a', 'bb', 'accept', 'x'.repeat(60)),
      value: fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\u0001', ' '), maxLength: 90 }),
      form: fc.constantFrom('plain' as const, 'indexed' as const, 'never' as const),
    })
    fc.assert(
      fc.property(fc.array(field, { maxLength: 40 }), (fields) => {
        const decoder = create(300)
        const naive: string[] = []
        const size = (): number => naive.reduce((sum, text) => sum + text.length - 1 + 32, 0)
        for (const { name, value, form } of fields) {
          const writer = new Writer()
          writeField(writer, name, value, form)
          const bytes = writer.take()
          expect(decoder.decode(bytes, 0, bytes.length)).toEqual([name, value])
          if (form === 'indexed' && !(name === 'accept' && value === '')) {
            naive.unshift(`${name}\0${value}`)
            while (size() > 300) naive.pop()
          }
          expect(decoder.tableBytes).toBe(size())
          for (const [age, entry] of naive.entries()) {
            expect(decoder.decode(Uint8Array.of(0x80 | (62 + age)), 0, 1)).toEqual(
              entry.split('\0'),
            )
          }
        }
      }),
      { numRuns: 200 },
    )
  })
})

describe('what is not valid', () => {
  test.each([
    ['index 0', '80', 'index 0'],
    ['an index beyond the table', 'be', 'beyond the table'],
    ['a name index beyond the table', '7e 01 61', 'beyond the table'],
    ['an integer that is cut off', 'ff', 'cut off'],
    ['an integer that is too large', 'ff ff ff ff ff ff 0f', 'too large'],
    ['a string that is cut off', '400a 6375', 'cut off'],
    ['a value that is missing', '4001 61', 'missing'],
    ['a size update behind a field', '82 20', 'must come first'],
    ['padding of eight bits', '4001 61 81ff', 'Huffman'],
    ['padding that is not ones', '4001 61 8118', 'Huffman'],
    ['EOS in a string', '4001 61 84 ffff ffff', 'Huffman'],
  ])('%s', (_name, bytes, text) => {
    expect(() => decode(create(), bytes)).toThrow(text)
  })

  test('lists over the limit are read to their end but not kept', () => {
    const decoder = new HpackDecoder({ listBytesMax: 100, fieldCountMax: 256 })
    decode(decoder, '82 82 82')
    expect(decoder.isTruncated).toBe(true)
    expect(decode(decoder, '82 82 4001 61 01 62')).not.toContain('a')
    expect(decode(decoder, 'be')).toEqual(['a', 'b'])
    expect(decoder.isTruncated).toBe(false)
    const few = new HpackDecoder({ listBytesMax: 1000, fieldCountMax: 2 })
    expect(decode(few, '82 84 86')).toHaveLength(4)
    expect(few.isTruncated).toBe(true)
  })
})

describe('Huffman code', () => {
  const latin1 = fc
    .array(fc.nat({ max: 255 }), { maxLength: 300 })
    .map((codes) => String.fromCharCode(...codes))

  test('what is encoded is decoded', () => {
    fc.assert(
      fc.property(latin1, (text) => {
        const coded = encodeHuffman(text)
        expect(coded.length).toBe(huffmanBytes(text))
        expect(decodeHuffman(coded, 0, coded.length)).toBe(text)
      }),
    )
  })

  test('what decodes is the only encoding of its text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        const text = decodeHuffman(bytes, 0, bytes.length)
        if (text !== undefined) expect(encodeHuffman(text)).toEqual(Uint8Array.from(bytes))
      }),
      { numRuns: 2_000 },
    )
  })

  test('each symbol survives alone', () => {
    for (let code = 0; code < 256; code++) {
      const coded = encodeHuffman(String.fromCharCode(code))
      expect(decodeHuffman(coded, 0, coded.length)).toBe(String.fromCharCode(code))
    }
  })
})
