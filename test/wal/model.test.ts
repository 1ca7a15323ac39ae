/** Goal: any sequence of saves, snapshots, restarts and purges reads as a list would. Method: fast-check and a list. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readWal, type WalPosition } from '../../src/wal/replay.js'
import { validSnapshots } from '../../src/wal/valid-snapshots.js'
import { Wal } from '../../src/wal/wal.js'
import type { Entry, HardState } from '../../src/wire/raftpb.js'
import { MemoryDisk } from './memory-disk.js'
import {
  BEGINNING,
  closed,
  DIRECTORY,
  entryAt,
  METADATA,
  saved,
  savedSnapshot,
  snapshotAt,
  stateOf,
} from './wal-under-test.js'

type Step =
  | { readonly kind: 'append'; readonly sizes: readonly number[]; readonly isBlocking: boolean }
  | { readonly kind: 'overwrite'; readonly back: number; readonly size: number }
  | { readonly kind: 'snapshot' }
  | { readonly kind: 'purge'; readonly filesMax: number }
  | { readonly kind: 'restart' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      sizes: fc.array(fc.nat(300), { maxLength: 6 }),
      isBlocking: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('overwrite' as const),
      back: fc.nat(4),
      size: fc.nat(300),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('snapshot' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('purge' as const), filesMax: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

class Model {
  readonly disk = new MemoryDisk()
  readonly #segmentBytes: number
  readonly #entries: Entry[] = []
  readonly #pending: Promise<void>[] = []
  #wal: Wal
  #state: HardState | undefined
  #commit = 0
  #term = 1
  #snapshot: WalPosition = BEGINNING

  constructor(segmentBytes: number) {
    this.#segmentBytes = segmentBytes
    this.#wal = Wal.create({
      disk: this.disk,
      directory: DIRECTORY,
      metadata: METADATA,
      segmentBytes,
    })
  }

  async run(one: Step): Promise<void> {
    switch (one.kind) {
      case 'append':
        this.#save(
          one.sizes.map((size, at) =>
            entryAt(this.#entries.length + 1 + at, 'a'.repeat(size), this.#term),
          ),
          one.isBlocking,
        )
        break
      case 'overwrite': {
        this.#term++
        const from = Math.max(this.#commit, this.#entries.length - one.back)
        this.#entries.length = from
        this.#save([entryAt(from + 1, 'b'.repeat(one.size), this.#term)], false)
        break
      }
      case 'snapshot': {
        const entry = this.#entries[this.#commit - 1]
        if (entry === undefined) break
        this.#pending.push(savedSnapshot(this.#wal, snapshotAt(entry.index, entry.term)))
        this.#snapshot = { index: entry.index, term: entry.term }
        await this.#settle()
        this.#wal.releaseTo(entry.index)
        break
      }
      case 'purge':
        await this.#settle()
        this.#wal.purge(one.filesMax)
        break
      case 'restart':
        await this.restart()
        break
    }
  }

  #save(entries: readonly Entry[], isBlocking: boolean): void {
    for (const entry of entries) this.#entries.push(entry)
    this.#commit = Math.max(this.#commit, this.#entries.length - 2)
    this.#state = stateOf(this.#commit, this.#term)
    const write = { entries, hardState: this.#state, mustSync: true }
    if (isBlocking && this.#wal.maybeSaveSync(write)) return
    this.#pending.push(saved(this.#wal, write))
  }

  async #settle(): Promise<void> {
    await Promise.all(this.#pending.splice(0))
  }

  async restart(): Promise<void> {
    await this.#settle()
    expect(await closed(this.#wal)).toBeUndefined()
    const from = this.#snapshot
    const valid = validSnapshots({ disk: this.disk, directory: DIRECTORY })
    expect(valid.some(({ index }) => index === from.index)).toBe(true)
    const expected = this.#entries.slice(from.index)
    expect(readWal({ disk: this.disk, directory: DIRECTORY, from }).entries).toEqual(expected)
    const opened = Wal.open({
      disk: this.disk,
      directory: DIRECTORY,
      from,
      segmentBytes: this.#segmentBytes,
    })
    expect(opened.entries).toEqual(expected)
    expect(opened.hardState).toEqual(this.#state)
    expect(opened.lastIndex).toBe(Math.max(this.#entries.length, from.index))
    expect(opened.isTorn).toBe(false)
    this.#wal = opened.wal
  }
}

test('random saves, overwrites, snapshots, purges and restarts equal a list', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 100, max: 3000 }),
      fc.array(step, { maxLength: 40 }),
      async (segmentBytes, steps) => {
        const model = new Model(segmentBytes)
        for (const one of steps) await model.run(one)
        await model.restart()
      },
    ),
    { numRuns: 150 },
  )
})
