import { beforeEach, describe, expect, test } from 'vitest'
import { logIndex, memberId, term } from '../../../src/base/ids.js'
import { Wal } from '../../../src/wal/wal.js'
import type { Entry, HardState } from '../../../src/wire/raftpb.js'
import { SimulatedDisk } from '../world/disk.js'
import { EventQueue } from '../world/event-queue.js'
import { Prng } from '../world/prng.js'
import { DurableLog } from './durable-log.js'

// Goal: the checker's own reader knows of a log exactly what the medium has. Method: the real log writes to a simulated
// disk; what is under way, written or lost is compared with what the reader says.
const SEGMENT_BYTES = 4096
const entry = (index: number, at = 2, bytes = 20): Entry => ({
  type: 'EntryNormal',
  term: term(at),
  index: logIndex(index),
  data: new Uint8Array(bytes).fill(index),
})
const state = (at: number, vote: bigint, commit = 0): HardState => ({
  term: term(at),
  vote: memberId(vote),
  commit: logIndex(commit),
})

describe('the durable log', () => {
  let queue: EventQueue
  let disk: SimulatedDisk
  let wal: Wal
  let log: DurableLog

  const save = (entries: readonly Entry[], hardState?: HardState): void =>
    wal.save({ hardState, entries, mustSync: true }, () => undefined)
  const settle = (): void => {
    while (queue.step(queue.nowUs + 1_000_000));
  }

  beforeEach(() => {
    queue = new EventQueue()
    disk = new SimulatedDisk(
      { latencyUs: () => 100, complete: (delayUs, task) => queue.after(delayUs, task) },
      new Prng(1),
    )
    disk.makeDirectory('/data/member')
    for (const path of ['/', '/data', '/data/member']) disk.syncDirectory(path)
    wal = Wal.create({
      disk,
      directory: '/data/member/wal',
      segmentBytes: SEGMENT_BYTES,
      metadata: new Uint8Array(0),
    })
    log = new DurableLog(disk)
  })

  test('has nothing of a write that is under way, and all of it afterwards', () => {
    settle()
    save([entry(1), entry(2)], state(2, 7n))
    log.look()
    expect(log.lastIndex).toBe(0)
    settle()
    log.look()
    expect(log.lastIndex).toBe(2)
    expect(log.hardState).toMatchObject({ term: 2, vote: 7n })
    expect(log.holds(2, 2)).toBe(true)
    expect(log.holds(2, 1)).toBe(false)
  })

  test('follows an overwritten end, and segments', () => {
    save([entry(1), entry(2), entry(3)])
    save([entry(2, 3)])
    settle()
    log.look()
    expect(log.lastIndex).toBe(2)
    expect(log.termAt(2)).toBe(3)
    for (let index = 3; index < 40; index++) {
      save([entry(index, 3, 500)])
      settle()
    }
    log.look()
    expect(disk.durableNames('/data/member/wal').length).toBeGreaterThan(2)
    expect(log.lastIndex).toBe(39)
  })

  test('takes a recorded snapshot for the state only when a hard state proves it', () => {
    save([entry(1), entry(2)], state(2, 7n, 2))
    wal.saveSnapshot({ index: logIndex(9), term: term(2), confState: undefined }, () => undefined)
    settle()
    log.look()
    expect(log.lastIndex).toBe(2)
    expect(log.holds(9, 2)).toBe(false)
    save([], state(2, 7n, 9))
    settle()
    log.look()
    expect(log.lastIndex).toBe(9)
    expect(log.holds(2, 2)).toBe(true)
  })

  test('begins again after a power loss with what is left', () => {
    save([entry(1)])
    settle()
    log.look()
    save([entry(2)])
    disk.powerLoss()
    log.reset()
    log.look()
    expect(log.holds(1, 2)).toBe(true)
    expect(log.lastIndex).toBeLessThanOrEqual(2)
  })
})
