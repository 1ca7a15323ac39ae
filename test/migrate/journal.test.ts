// Goal: a migration goes on from its state file whatever moment it was killed at. Method: a journal is written, its file is
// cut at every byte, and what a second one reads must be a state that the first went through.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Change } from '../../src/migrate/batches.js'
import { Journal } from '../../src/migrate/journal.js'

const base = new URL('../../.tmp/', import.meta.url).pathname
const identity = { fromCluster: 'a', toCluster: 'b', prefix: '/', strip: false }
let folder = ''
let path = ''

beforeEach(() => {
  mkdirSync(base, { recursive: true })
  folder = mkdtempSync(join(base, 'journal-'))
  path = join(folder, 'state')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const put = (key: string, index: number): Change => ({
  kind: 'put',
  item: { key, value: 'v', index, deadlineMs: undefined },
})
const remove = (key: string): Change => ({ kind: 'delete', key, revision: 1 })
const batches: readonly (readonly Change[])[] = [
  [put('a', 1), put('b', 2)],
  [put('a', 5), remove('b'), put('c', 6)],
]

const shown = (journal: Journal): string => JSON.stringify([...journal.copied])

test('a file cut anywhere is a state that was gone through', () => {
  const journal = new Journal(path, identity)
  const states = new Set([shown(journal)])
  for (const [at, batch] of batches.entries()) {
    journal.begin(batch)
    states.add(shown(journal))
    journal.done(batch, 10 + at)
    states.add(shown(journal))
  }
  journal.close()
  expect([...journal.copied]).toEqual([
    ['a', { index: 5, revision: 11 }],
    ['c', { index: 6, revision: 11 }],
  ])
  const whole = readFileSync(path)
  const head = whole.indexOf('\n') + 1
  const seen = new Set<string>()
  for (let end = head; end <= whole.length; end += 1) {
    writeFileSync(path, whole.subarray(0, end))
    const again = new Journal(path, identity)
    again.close()
    seen.add(shown(again))
  }
  expect(seen).toEqual(states)
})

test('what was read is written anew, and read the same', () => {
  const journal = new Journal(path, identity)
  for (const batch of batches) {
    journal.begin(batch)
    journal.done(batch, 7)
  }
  journal.begin([put('open', 9)])
  journal.close()
  const second = new Journal(path, identity)
  expect(shown(second)).toBe(shown(journal))
  second.close()
  expect(readFileSync(path, 'utf8')).not.toContain('begin')
  const third = new Journal(path, identity)
  third.close()
  expect(shown(third)).toBe(shown(journal))
})

test('the file does not grow for ever', () => {
  const journal = new Journal(path, identity)
  const batch = Array.from({ length: 100 }, (_, at) => put(`key${at}`, 1))
  let longest = 0
  for (let round = 0; round < 450; round += 1) {
    journal.begin(batch)
    journal.done(batch, round)
    longest = Math.max(longest, readFileSync(path).length)
  }
  journal.close()
  // Not rewritten, it would be four times as long.
  expect(longest).toBeLessThan(150_000)
})

test('the state of another migration is refused', () => {
  new Journal(path, identity).close()
  expect(() => new Journal(path, { ...identity, toCluster: 'c' })).toThrow('of another migration')
  writeFileSync(path, 'something else\n')
  expect(() => new Journal(path, identity)).toThrow('of another migration')
})

test('without a path nothing is written', () => {
  const journal = new Journal(undefined, identity)
  journal.begin([put('a', 1)])
  journal.done([put('a', 1)], 3)
  journal.close()
  expect([...journal.copied]).toEqual([['a', { index: 1, revision: 3 }]])
  expect(existsSync(path)).toBe(false)
})
