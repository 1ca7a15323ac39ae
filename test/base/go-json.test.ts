// Goal: texts and ids cross JSON as Go's encoding/json has them. Method: examples, and JSON.parse as the twin.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  compareGo,
  type ExactJson,
  isPlainText,
  JSON_DEPTH_MAX,
  parseExactJson,
  Quoter,
  quoteGo,
  quoteGoList,
} from '../../src/base/go-json.js'

describe('quoteGo', () => {
  test('escapes what Go escapes and nothing else', () => {
    expect(quoteGo('a<b>&"\\/')).toBe('"a\\u003cb\\u003e\\u0026\\"\\\\/"')
    expect(quoteGo('\b\f\n\r\t\u0001\u007f')).toBe('"\\u0008\\u000c\\n\\r\\t\\u0001\u007f"')
    expect(quoteGo('\u2028\u2029é\u{1f600}')).toBe('"\\u2028\\u2029é\u{1f600}"')
    expect(quoteGo('x\ud800y\udc00')).toBe('"x\\ufffdy\\ufffd"')
    expect(quoteGoList(['a', '<'])).toBe('["a","\\u003c"]')
  })

  test('is read back by any JSON parser', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(JSON.parse(quoteGo(text))).toBe(text)
      }),
    )
  })
})

describe('Quoter', () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom('a', '~', '"', '\n', '\u007f'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
  })

  test('quotes as quoteGo does, and knows whether all of it was ASCII', () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), (texts) => {
        const quoter = new Quoter()
        const quoted = texts.map((one) => quoter.quote(one))
        expect(quoted).toEqual(texts.map(quoteGo))
        const all = quoted.join('')
        expect(quoter.isAscii).toBe(Buffer.byteLength(all) === all.length)
      }),
    )
  })

  test('plain is what has one byte a character and needs no escape', () => {
    fc.assert(
      fc.property(text, (one) => {
        const isPlain = quoteGo(one) === `"${one}"` && /^[ -~]*$/.test(one)
        expect(isPlainText(one)).toBe(isPlain)
      }),
    )
    expect(isPlainText(' !~')).toBe(true)
    expect(['"', '\\', '<', '>', '&', '\u007f', 'é', '\u2028'].some(isPlainText)).toBe(false)
  })
})

test('compareGo orders as the bytes of UTF-8 do', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      expect(compareGo(a, b)).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }),
  )
  expect(compareGo('\uffff', '\u{10000}')).toBe(-1)
  expect(compareGo('\u{10000}', '\uffff')).toBe(1)
})

describe('parseExactJson', () => {
  const plain = (json: ExactJson): unknown => {
    if (json instanceof Map) {
      return Object.fromEntries([...json].map(([key, item]) => [key, plain(item)]))
    }
    if (Array.isArray(json)) return json.map(plain)
    return typeof json === 'bigint' ? Number(json) : json
  }

  test('keeps all bits of integers', () => {
    expect(parseExactJson('18446744073709551615')).toBe(18446744073709551615n)
    expect(parseExactJson(' [ -1 , 1.5 , 1e3 ] ')).toEqual([-1n, 1.5, 1000])
  })

  test('otherwise reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.jsonValue({ depthSize: 'small', noUnicodeString: false }), (value) => {
        const text = JSON.stringify(value)
        if (text.includes('__proto__') || text.includes('-0')) return
        const parsed = parseExactJson(text)
        expect(parsed === undefined ? undefined : plain(parsed)).toEqual(JSON.parse(text))
      }),
    )
  })

  test.each([
    '',
    '{',
    '[1,]',
    '{"a"}',
    '{a:1}',
    'nul',
    '"',
    '"\\',
    '"\\x"',
    '1 2',
    '01',
    '[1 2]',
  ])('refuses %j', (text) => {
    expect(parseExactJson(text)).toBeUndefined()
  })

  test('refuses what nests deeper than it may', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect(parseExactJson(nested(JSON_DEPTH_MAX))).toBeDefined()
    expect(parseExactJson(nested(JSON_DEPTH_MAX + 2))).toBeUndefined()
  })
})
