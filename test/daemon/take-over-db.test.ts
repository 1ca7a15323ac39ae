// Goal: the database of an etcd becomes our store once, whole or not at all. Method: a built database file and real LevelDB
// directories; a file that is damaged behind its first bucket stands for every end in the middle.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { engineKey } from '../../src/backend/buckets.js'
import { type LogIndex, logIndex, ZERO_INDEX } from '../../src/base/ids.js'
import { openLive } from '../../src/daemon/engine-life.js'
import { takeOverDb } from '../../src/daemon/take-over-db.js'
import { nodeDisk } from '../../src/platform/disk.js'
import { LevelEngines } from '../../src/platform/level-engine.js'
import type { Log } from '../../src/ports/log.js'
import { boltImage } from '../backend/bolt-image.js'

const base = new URL('../../.tmp/', import.meta.url).pathname
const log: Log = {
  isDebugEnabled: false,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}
const image = boltImage({
  small: ['alarm', [['none', 'x']]],
  large: [
    'key',
    [
      [
        ['a', 'one'],
        ['b', 'v'.repeat(3_000_000)],
      ],
      [['c', 'three']],
    ],
  ],
})
const PAGE_BYTES = 4096
let folder = ''

beforeEach(() => {
  mkdirSync(base, { recursive: true })
  folder = mkdtempSync(join(base, 'take-over-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const takeOver = (indexMax?: LogIndex): Promise<void> => {
  const engines = new LevelEngines(join(folder, 'member'))
  return takeOverDb({ disk: nodeDisk, engines, path: join(folder, 'db'), log, indexMax })
}

/** The value of a row in the store that a start would open. */
async function rowValue(
  bucket: 'key' | 'alarm' | 'meta',
  key: string,
): Promise<string | undefined> {
  const engine = await openLive(new LevelEngines(join(folder, 'member')), ZERO_INDEX)
  const value = engine.get(engineKey(bucket, new TextEncoder().encode(key)))
  await new Promise<void>((resolve) => {
    engine.close(() => resolve())
  })
  return value === undefined ? undefined : new TextDecoder().decode(value)
}

test('every bucket is copied, values of many pages included', async () => {
  writeFileSync(join(folder, 'db'), image)
  await takeOver()
  expect(await rowValue('key', 'a')).toBe('one')
  expect((await rowValue('key', 'b'))?.length).toBe(3_000_000)
  expect(await rowValue('key', 'c')).toBe('three')
  expect(await rowValue('alarm', 'none')).toBe('x')
})

test('a store that is there already is left alone', async () => {
  expect(await rowValue('key', 'a')).toBeUndefined()
  writeFileSync(join(folder, 'db'), image)
  await takeOver()
  expect(await rowValue('key', 'a')).toBeUndefined()
})

test('without a database nothing happens', async () => {
  await takeOver()
  expect(await rowValue('key', 'a')).toBeUndefined()
})

test('a damaged file is refused again and again, and a whole one taken after that', async () => {
  const damaged = image.slice()
  const lastLeaf = image.length - 2 * PAGE_BYTES
  damaged[lastLeaf + 8] = 0x10
  writeFileSync(join(folder, 'db'), damaged)
  await expect(takeOver()).rejects.toThrow('invalid page type 16')
  await expect(takeOver()).rejects.toThrow('invalid page type 16')
  writeFileSync(join(folder, 'db'), image)
  await takeOver()
  expect(await rowValue('key', 'c')).toBe('three')
})

test('the index of a backup is brought down to the end of its log, never up', async () => {
  const index = (text: string): string => text.padStart(8, '\0')
  const withIndex = (text: string): Uint8Array =>
    boltImage({
      small: ['meta', [['consistent_index', index(text)]]],
      large: ['key', [[['a', 'one']], [['b', 'two']]]],
    })
  writeFileSync(join(folder, 'db'), withIndex('\u0009'))
  await takeOver(logIndex(7))
  expect(await rowValue('meta', 'consistent_index')).toBe(index('\u0007'))
  rmSync(join(folder, 'member'), { recursive: true })
  writeFileSync(join(folder, 'db'), withIndex('\u0005'))
  await takeOver(logIndex(7))
  expect(await rowValue('meta', 'consistent_index')).toBe(index('\u0005'))
  rmSync(join(folder, 'member'), { recursive: true })
  await takeOver()
  expect(await rowValue('meta', 'consistent_index')).toBe(index('\u0005'))
})
