// Goal: whatever a store does under its watchers, each of them gets every revision once and in order: while batches are
// written, rows leave memory, compactions run, clients stop reading, and snapshots of another member take the store's
// place. Method: two stores over the real engine; one leads, the other applies the same changes later or is sent a
// snapshot; watchers come and go on both, at revisions drawn at random, and each looks at what it gets.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { closed } from '../backend/store-fixture.js'
import { createRandom, type Random } from '../crash/random.js'
import { WatchReader } from './watch-reader.js'
import { type Change, WatchedStore } from './watched-store.js'

const SEEDS = [1, 2, 3]
const STEPS = 1500
const WATCHERS_MAX = 24
const TMP = join(import.meta.dirname, '..', '..', '.tmp')

/** What happens, step by step. */
class Run {
  readonly #random: Random
  readonly #sides: readonly [leader: WatchedStore, follower: WatchedStore]
  readonly #log: Change[] = []
  readonly #live = new Set<string>()
  readonly #expected = new Map<number, string>()
  readonly problems: string[] = []
  #transfer: Promise<void> = Promise.resolve()
  #isSending = false

  constructor(random: Random, sides: readonly [WatchedStore, WatchedStore]) {
    this.#random = random
    this.#sides = sides
  }

  async play(steps: number): Promise<void> {
    for (let step = 0; step < steps && this.problems.length === 0; step++) {
      this.#act(this.#random(100))
      this.#look()
      if (this.#random(3) === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await this.#finish()
  }

  #act(draw: number): void {
    const [leader, follower] = this.#sides
    const side = this.#random(3) === 0 ? leader : follower
    if (draw < 35) this.#write()
    else if (draw < 60) this.#follow(1 + this.#random(6))
    else if (draw < 75) this.#watch(side)
    else if (draw < 82) this.#leave(side)
    else if (draw < 87) for (const reader of side.readers) reader.isSlow = this.#random(2) === 0
    else if (draw < 91) for (const reader of side.readers) reader.read()
    else if (draw < 96) side.isReplacing || side.backend.flush(this.#random(4) === 0)
    else if (draw < 97) this.#compact(side)
    else if (draw < 98) this.#send()
    else side.isReplacing || side.store.compactSome(5)
  }

  #write(): void {
    const [leader] = this.#sides
    const change = new Map<string, string | undefined>()
    for (let count = 1 + this.#random(3); count > 0; count--) {
      const key = `k${this.#random(12)}`
      const isDeleted = this.#live.has(key) && this.#random(4) === 0
      change.set(key, isDeleted ? undefined : `${this.#log.length}.${'x'.repeat(this.#random(60))}`)
    }
    let shown = ''
    for (const [key, value] of change) {
      if (value === undefined) this.#live.delete(key)
      else this.#live.add(key)
      shown += `${key}=${value ?? '-'} `
    }
    this.#log.push([...change])
    this.#expected.set(this.#log.length + 1, shown)
    leader.apply([...change])
  }

  #follow(count: number): void {
    const [, follower] = this.#sides
    if (follower.isReplacing) return
    for (const change of this.#log.slice(follower.index, follower.index + count)) {
      follower.apply(change)
    }
  }

  #watch(side: WatchedStore): void {
    if (side.readers.size >= WATCHERS_MAX) return
    const { compactedRevision, currentRevision } = side.store
    const oldest = Math.max(2, compactedRevision)
    const back = this.#random(4) === 0 ? currentRevision : 12
    const from = Math.max(oldest, currentRevision + 4 - this.#random(back + 4))
    side.readers.add(new WatchReader(side.hub, from, this.#expected))
  }

  #leave(side: WatchedStore): void {
    const [first] = side.readers
    if (first === undefined) return
    side.readers.delete(first)
    first.stream.close()
  }

  #compact(side: WatchedStore): void {
    const { compactedRevision, currentRevision } = side.store
    const at = currentRevision - this.#random(30)
    if (!side.isReplacing && at > compactedRevision) side.store.compact(at)
  }

  #send(): void {
    const [leader, follower] = this.#sides
    if (this.#isSending) return
    this.#isSending = true
    this.#transfer = leader.sendTo(follower).finally(() => {
      this.#isSending = false
    })
  }

  #look(): void {
    for (const side of this.#sides) {
      for (const reader of side.readers) this.problems.push(...reader.problems.splice(0))
    }
  }

  /** In the end everybody has read everything. */
  async #finish(): Promise<void> {
    await this.#transfer
    this.#follow(this.#log.length)
    for (const side of this.#sides) {
      for (let turns = 0; turns < 5000 && side.hub.slowWatcherCount > 0; turns++) {
        for (const reader of side.readers) reader.read()
        side.sync()
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      for (const reader of side.readers) reader.read()
      for (const { next } of side.readers) {
        if (next <= side.store.currentRevision) this.problems.push(`left behind at ${next}`)
      }
      this.#look()
      while (side.store.isCompacting) {
        side.store.compactSome(50)
        await new Promise((resolve) => setImmediate(resolve))
      }
      await closed(side.backend)
    }
  }
}

let folder: string | undefined

afterEach(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

test.each(SEEDS)('every watcher gets every revision once and in order (seed %i)', async (seed) => {
  mkdirSync(TMP, { recursive: true })
  folder = mkdtempSync(join(TMP, 'over-the-engine-'))
  const sides = [
    await WatchedStore.open(join(folder, 'leader')),
    await WatchedStore.open(join(folder, 'follower')),
  ] as const
  const run = new Run(createRandom(seed), sides)
  await run.play(STEPS)
  expect(run.problems).toEqual([])
})
