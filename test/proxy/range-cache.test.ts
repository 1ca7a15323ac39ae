// Goal: a cached answer is what a member said last, as far as the proxy can know. Method: entries, writes and compactions
// in every order that matters; overlaps against a naive twin.
import { describe, expect, test } from 'vitest'
import { overlaps, RangeCache } from '../../src/proxy/range-cache.js'

const bytes = (text: string): Uint8Array => Buffer.from(text)

function add(cache: RangeCache, name: string, key: string, end = '', revision = 0): void {
  cache.add(name, { key, end, revision, answer: bytes(name) }, cache.generation)
}
const kindOf = (cache: RangeCache, name: string, revision = 0): string =>
  cache.get(name, revision).kind

describe('what is kept', () => {
  test('is given again', () => {
    const cache = new RangeCache()
    expect(kindOf(cache, 'a')).toBe('miss')
    add(cache, 'a', 'a')
    expect(cache.get('a', 0)).toEqual({ kind: 'hit', answer: bytes('a') })
  })

  test('goes with a write of one of its keys, and only then', () => {
    const cache = new RangeCache()
    add(cache, 'a', 'a')
    add(cache, 'b', 'b')
    add(cache, 'a-c', 'a', 'c')
    add(cache, 'from b', 'b', '\0')
    cache.invalidate({ key: 'a', end: '' })
    expect(['a', 'b', 'a-c', 'from b'].map((name) => kindOf(cache, name))).toEqual([
      ...['miss', 'hit', 'miss', 'hit'],
    ])
    cache.invalidate({ key: 'a', end: 'z' })
    expect(cache.size).toBe(0)
  })

  test('stays when it is of a revision, until that is compacted', () => {
    const cache = new RangeCache()
    add(cache, 'a@5', 'a', '', 5)
    cache.invalidate({ key: 'a', end: '' })
    expect(kindOf(cache, 'a@5', 5)).toBe('hit')
    cache.compact(5)
    expect(kindOf(cache, 'a@5', 5)).toBe('hit')
    cache.compact(6)
    expect(kindOf(cache, 'a@5', 5)).toBe('compacted')
    add(cache, 'a@5', 'a', '', 5)
    expect(cache.size).toBe(0)
    add(cache, 'a', 'a')
    expect(kindOf(cache, 'a')).toBe('hit')
  })

  test('is not what was asked for before a write that came in between', () => {
    const cache = new RangeCache()
    const { generation } = cache
    cache.invalidate({ key: 'a', end: '' })
    cache.add('a', { key: 'a', end: '', revision: 0, answer: bytes('old') }, generation)
    expect(kindOf(cache, 'a')).toBe('miss')
  })

  test('is bounded: the least recently used goes first', () => {
    const cache = new RangeCache()
    for (let at = 0; at < 2048; at++) add(cache, `k${at}`, `k${at}`)
    expect(kindOf(cache, 'k0')).toBe('hit')
    add(cache, 'more', 'more')
    expect(cache.size).toBe(2048)
    expect([kindOf(cache, 'k0'), kindOf(cache, 'k1'), kindOf(cache, 'more')]).toEqual([
      ...['hit', 'miss', 'hit'],
    ])
  })

  test('is bounded in bytes too, and a huge answer is not kept', () => {
    const cache = new RangeCache()
    const large = new Uint8Array(4 * 1024 * 1024 - 10)
    for (let at = 0; at < 20; at++)
      cache.add(`k${at}`, { key: `k${at}`, end: '', revision: 0, answer: large }, cache.generation)
    expect(cache.size).toBe(16)
    const answer = new Uint8Array(large.length + 10)
    cache.add('huge', { key: 'huge', end: '', revision: 0, answer }, cache.generation)
    expect(kindOf(cache, 'huge')).toBe('miss')
  })
})

test('ranges overlap where they have a key in common', () => {
  const keys = ['a', 'a\0', 'b', 'c', 'd']
  const ends = ['', '\0', 'b', 'c', 'd']
  const has = (range: { key: string; end: string }, key: string): boolean =>
    range.end === ''
      ? key === range.key
      : key >= range.key && (range.end === '\0' || key < range.end)
  const ranges = keys
    .flatMap((key) => ends.map((end) => ({ key, end })))
    .filter(({ key, end }) => end === '' || end === '\0' || end > key)
  for (const one of ranges)
    for (const other of ranges) {
      const expected = keys.some((key) => has(one, key) && has(other, key))
      expect(overlaps(one, other), JSON.stringify([one, other])).toBe(expected)
    }
})
