// Goal: forms, paths, types and URLs are read as Go reads them. Method: examples taken from a real
// etcd.
import { describe, expect, test } from 'vitest'
import { addGoQuery, Form, parseGoBool, parseGoUint64 } from '../../src/api-v2/go-form.js'
import { cleanMuxPath, escapePath, parseTarget, redirectPage } from '../../src/api-v2/go-path.js'
import { parseMediaType } from '../../src/api-v2/media-type.js'
import { parsePeerUrls } from '../../src/api-v2/member-urls.js'
import { formatGoDuration, formatLocalTime } from '../../src/api-v2/statistics.js'
import { createHttpAccess } from '../../src/base/http-access.js'

/** A form that also keeps what was put into it. */
class ShownForm extends Form {
  readonly shown: Record<string, string> = {}

  override set(name: string, value: string): void {
    super.set(name, value)
    this.shown[name] = value
  }
}

const read = (query: string) => {
  const form = new ShownForm()
  return { problem: addGoQuery(form, query), form: form.shown }
}

describe('forms', () => {
  test('the first value of a name counts, and empty pairs do not', () => {
    expect(read('&a=1&&a=2&b&=x&c=d=e&')).toEqual({
      problem: undefined,
      form: { a: '1', b: '', '': 'x', c: 'd=e' },
    })
  })

  test('are as a Map, with many names and with few', () => {
    for (const count of [1, 2, 3, 40]) {
      const form = new Form()
      const twin = new Map<string, string>()
      for (let at = 0; at < 2 * count; at++) {
        const [name, value] = [`n${at % count}`, `v${at}`]
        form.set(name, value)
        twin.set(name, value)
        expect([form.size, form.get(name), form.has(name)]).toEqual([twin.size, value, true])
      }
      for (const [name, value] of twin) expect(form.get(name)).toBe(value)
      expect([form.get('none'), form.has('none')]).toEqual([undefined, false])
    }
  })

  test('escapes, plus signs and bytes that are not UTF-8', () => {
    expect(read('a=1+2%2B3&%C3%A4=%e2%82%ac&b=%ff%41').form).toEqual({
      a: '1 2+3',
      ä: '€',
      b: '\ufffdA',
    })
  })

  test('what is well formed is kept beside what is not, whose first error is told', () => {
    expect(read('a=%zz&%4=1&b=2&c=%')).toEqual({
      problem: 'invalid URL escape "%zz"',
      form: { b: '2' },
    })
    expect(read('a=%"').problem).toBe('invalid URL escape "%\\""')
    expect(read('a=%zz&b;c').problem).toBe('invalid semicolon separator in query')
  })

  test('numbers and booleans', () => {
    expect(parseGoBool('T')).toBe(true)
    expect(parseGoBool('tRUE')).toBeUndefined()
    expect(parseGoUint64('18446744073709551615')).toBe(18446744073709551615n)
    expect(parseGoUint64('18446744073709551616')).toBeUndefined()
    expect(parseGoUint64('0000000000000000000000000000007')).toBe(7n)
    expect(parseGoUint64('')).toBeUndefined()
  })
})

describe('paths', () => {
  test.each([
    ['/a/b', '/a/b'],
    ['/a/b/', '/a/b/'],
    ['//', '/'],
    ['/a/../..', '/'],
    ['/a/./b/../c/', '/a/c/'],
    ['/...', '/...'],
    ['a', '/a'],
  ])('%s is served as %s', (path, clean) => {
    expect(cleanMuxPath(path)).toBe(clean)
  })

  test('targets', () => {
    expect(parseTarget('http://h:1?a')).toEqual({ path: '/', query: 'a', hasQuery: true })
    expect(parseTarget('http://h/a%20b')).toEqual({ path: '/a b', query: '', hasQuery: false })
    expect(parseTarget('/%4')).toBeUndefined()
    expect(escapePath('/ä b!?:@&=+$,;~')).toBe('/%C3%A4%20b%21%3F:@&=+$,;~')
    expect(redirectPage('/a?b=\'"<>&')).toBe(
      '<a href="/a?b=&#39;&#34;&lt;&gt;&amp;">Moved Permanently</a>.\n\n',
    )
  })
})

describe('media types', () => {
  test.each([
    ['Text/Plain', 'text/plain'],
    ['a/b; c=d; e="f;g\\""', 'a/b'],
    ['a/b;', 'a/b'],
    ['form', 'form'],
  ])('%s is %s', (header, type) => {
    expect(parseMediaType(header)).toEqual({ kind: 'type', type })
  })

  test.each([
    ['', 'mime: no media type'],
    ['a b', 'mime: expected slash after first token'],
    ['a/', 'mime: expected token after slash'],
    ['a/b c', 'mime: unexpected content after media subtype'],
    ['a/b; c', 'mime: invalid media parameter'],
  ])('%s is refused', (header, reason) => {
    expect(parseMediaType(header)).toEqual({ kind: 'bad', reason })
  })
})

describe('peer URLs', () => {
  test('are sorted and trimmed', () => {
    const text = '{"peerurls":[" http://b:1 ","http://a:1","unix://x:1/y"]}'
    expect(parsePeerUrls(text)).toEqual({
      kind: 'urls',
      urls: ['http://a:1', 'http://b:1', 'unix://x:1/y'],
    })
  })

  test('of other types are refused in words of Go', () => {
    expect(parsePeerUrls('{"peerURLs":[true]}')).toEqual({
      kind: 'bad',
      reason: 'json: cannot unmarshal bool into Go struct field .peerURLs of type string',
    })
  })
})

describe('times', () => {
  test.each([
    [0, '0s'],
    [0.25, '250µs'],
    [12.5, '12.5ms'],
    [44_700, '44.7s'],
    [62_500, '1m2.5s'],
    [3_600_000, '1h0m0s'],
  ])('%s ms is %s', (ms, text) => {
    expect(formatGoDuration(ms)).toBe(text)
  })

  test('local time has no zeros at the end of its fraction', () => {
    expect(formatLocalTime(Date.UTC(2026, 0, 1, 0, 0, 0, 120))).toMatch(/:00\.12(Z|[+-]\d\d:\d\d)$/)
    expect(formatLocalTime(Date.UTC(2026, 0, 1))).toMatch(/:00(Z|[+-]\d\d:\d\d)$/)
  })
})

describe('access', () => {
  const options = { corsOrigins: ['http://a'], hostWhitelist: ['here'], isSecure: false }

  test('hosts that are not listed are refused, with TLS none is', () => {
    const access = createHttpAccess(options)
    expect(access('there:80', undefined)).toBeUndefined()
    expect(access('here:80', undefined)).toEqual([])
    expect(createHttpAccess({ ...options, isSecure: true })('there', undefined)).toEqual([])
  })

  test('listed origins are named, others are not', () => {
    const access = createHttpAccess(options)
    expect(access('here', 'http://a')).toContain('http://a')
    expect(access('here', 'http://b')).toEqual([])
    expect(createHttpAccess({ ...options, corsOrigins: [] })('here', 'http://b')).toContain('*')
  })
})
