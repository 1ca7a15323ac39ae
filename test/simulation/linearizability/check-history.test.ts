import { describe, expect, test } from 'vitest'
import { checkHistory } from './check-history.js'
import { type HistoryLine, parseHistory } from './history-file.js'

// Goal: a history file is judged by three checks that do not trust each other, and what is wrong is shown in few lines.
// Method: small histories, each sound but for one thing.
const NEVER = null
const put = (
  value: string,
  [calledUs, returnedUs]: readonly [number, number | null],
  revision: number,
  key = 'k',
): HistoryLine => ({ kind: 'put', client: 1, key, value, calledUs, returnedUs, revision })
const get = (
  value: string | undefined,
  [calledUs, returnedUs]: readonly [number, number | null],
  revision: number,
  mod = revision,
): HistoryLine => ({
  kind: 'get',
  client: 2,
  key: 'k',
  kvs: value === undefined ? [] : [['k', value, mod]],
  calledUs,
  returnedUs,
  revision,
})
const watch = (watcher: number, startRevision: number): HistoryLine => ({
  kind: 'watch',
  watcher,
  key: 'k',
  end: 'l',
  startRevision,
})
const event = (watcher: number, revision: number, value: string): HistoryLine => ({
  kind: 'event',
  watcher,
  revision,
  type: 'PUT',
  key: 'k',
  value,
})
const noise = Array.from({ length: 30 }, (_, at) => put(`n${at}`, [at, at + 0.5], at + 2, 'other'))

function problems(lines: readonly HistoryLine[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const { check, problem } of checkHistory(lines))
    if (problem !== undefined) found[check] = problem
  return found
}

describe('a history', () => {
  test('that some order explains is sound, with writes that were never answered', () => {
    const lines = [
      watch(1, 1),
      put('a', [0, 10], 2),
      put('b', [11, NEVER], 0),
      get('a', [12, 13], 2),
      get('b', [20, 21], 3),
      event(1, 2, 'a'),
      event(1, 3, 'b'),
    ]
    expect(problems(lines)).toEqual({})
  })

  test('with a stale read fails the search, in a window of what matters', () => {
    const lines = [
      ...noise,
      put('a', [100, 110], 32),
      put('b', [111, 120], 33),
      get('a', [130, 131], 33, 32),
    ]
    const search = checkHistory(lines).find(({ check }) => check === 'search')
    expect(search?.problem).toBe('no order explains what was seen of k')
    expect(search?.window).toEqual(lines.slice(-3))
  })

  test('with a revision that goes back in time fails the replay', () => {
    const lines = [put('a', [0, 10], 5), get('a', [11, 12], 4)]
    expect(problems(lines).replay).toContain('older than one')
  })

  test('with an acknowledged write that no watcher saw fails the replay', () => {
    const lines = [watch(1, 1), put('a', [0, 10], 2), put('b', [11, 12], 3), event(1, 3, 'b')]
    expect(problems(lines).replay).toContain('watchers saw no event of the key')
  })

  test('is known over reconnections of a watcher, as far as each went on where it had been', () => {
    const seen = [watch(1, 1), event(1, 2, 'a')]
    const progress: HistoryLine = { kind: 'progress', watcher: 1, revision: 5 }
    const lost = put('b', [11, 12], 4)
    const whole = [...seen, progress, watch(1, 6), event(1, 7, 'c')]
    const torn = [...seen, watch(1, 6), event(1, 7, 'c')]
    const writes = [put('a', [0, 10], 2), put('c', [13, 14], 7)]
    expect(problems([...writes, lost, ...whole]).replay).toBeDefined()
    expect(problems([...writes, lost, ...torn]).replay).toBeUndefined()
  })

  test('with a read of another value than there was fails the replay', () => {
    const lines = [
      watch(1, 1),
      put('a', [0, 10], 2),
      put('b', [0, 10], 3),
      get('b', [11, 12], 2, 2),
      event(1, 2, 'a'),
      event(1, 3, 'b'),
    ]
    expect(problems(lines).replay).toBeDefined()
  })

  test.each([
    ['Ordered', [watch(1, 1), event(1, 3, 'b'), event(1, 2, 'a')]],
    ['Unique', [watch(1, 1), event(1, 2, 'a'), event(1, 2, 'a')]],
    ['Resumable', [watch(1, 3), event(1, 2, 'a')]],
    ['Filter', [{ ...watch(1, 1), key: 'x', end: 'y' } as HistoryLine, event(1, 2, 'a')]],
    ['Reliable', [watch(1, 1), watch(2, 1), event(1, 2, 'a'), event(1, 3, 'b'), event(2, 3, 'b')]],
    ['different events', [watch(1, 1), watch(2, 1), event(1, 2, 'a'), event(2, 2, 'b')]],
    ['nobody wrote', [put('a', [0, 1], 2), watch(1, 1), event(1, 2, 'z')]],
  ])('that breaks a promise of watches is told so: %s', (name, lines) => {
    expect(problems(lines).watch).toContain(name)
  })

  test('is read line by line, and a line that is none is named', () => {
    const lines = [put('a', [0, 10], 2), watch(1, 1), event(1, 2, 'a')]
    const text = lines.map((line) => JSON.stringify(line)).join('\n\n')
    expect(parseHistory(text)).toEqual(lines)
    expect(() => parseHistory('{"kind":"put"}')).toThrow('line 1 lacks "client"')
    expect(() => parseHistory('\n{')).toThrow('line 2 is no JSON')
    expect(() => parseHistory('{"kind":"other"}')).toThrow('line 1 is of no known kind')
    expect(() => parseHistory('3')).toThrow('line 1 is no object')
  })
})
