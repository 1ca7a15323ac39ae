// Goal: a store that is closed, to stop or because a received snapshot takes its place, first lets the reads under way
// end, and their last answer is the whole one. LevelDB refuses to be read on once it is closed, which was taken for a
// failed disk and ended the process. Method: the real engine; reads of many slices, and the store closed in their midst.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { EventsOutcome } from '../../src/mvcc/events-since.js'
import { LevelEngines } from '../../src/platform/level-engine.js'
import { closed, type Fixture, hashKvOf, openFixture, put } from './store-fixture.js'

const TMP = join(import.meta.dirname, '..', '..', '.tmp')
const ROWS = 3000
let folder: string

beforeEach(() => {
  mkdirSync(TMP, { recursive: true })
  folder = mkdtempSync(join(TMP, 'close-behind-reads-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A store whose rows are all in its engine. */
async function filled(): Promise<Fixture> {
  const engines = new LevelEngines(folder)
  const first = await openFixture({ engines })
  for (let count = 0; count < ROWS; count++) put(first.store, `key${count}`, 'value')
  await closed(first.backend)
  return openFixture({ engines, cacheBytesMax: 0 })
}

const eventsOf = ({ store }: Fixture): Promise<EventsOutcome> =>
  new Promise((resolve) =>
    store.eventsSince({ from: 2, to: ROWS + 1, revisionsMax: ROWS }, resolve),
  )

test('a catch-up of watchers is read to its end', async () => {
  const fixture = await filled()
  const events = eventsOf(fixture)
  const end = closed(fixture.backend)
  expect(await events).toMatchObject({ kind: 'events', nextRevision: ROWS + 2 })
  expect(await events).toHaveProperty('events.length', ROWS)
  await end
})

test('so are hashes, one leading to the next, and many rows at once', async () => {
  const fixture = await filled()
  const { backend, store } = fixture
  const mains = Array.from({ length: ROWS }, (_, at) => at + 2)
  const values = new Promise<number>((resolve) =>
    backend.getRows(mains, new Array(ROWS).fill(0), (found) =>
      resolve(found.filter((value) => value !== undefined).length),
    ),
  )
  const whole = new Promise<number>((resolve) => backend.hash(resolve))
  const hashes = hashKvOf(store, ROWS).then(async ({ hash }) => hash)
  const chained = new Promise<readonly number[]>((resolve) => {
    const seen: number[] = []
    const next = (): void => {
      store.hashKv(ROWS, ({ hash }) => {
        seen.push(hash)
        if (seen.length === 3) resolve(seen)
        else next()
      })
    }
    next()
  })
  const end = closed(backend)
  const hash = await hashes
  expect(await chained).toEqual([hash, hash, hash])
  expect(await values).toBe(ROWS)
  expect(await whole).toBeGreaterThan(0)
  await end
})
