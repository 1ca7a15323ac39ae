import { expect, test } from 'vitest'
import { readWal } from '../../src/wal/replay.js'
import {
  abandon,
  BEGINNING,
  closed,
  createWal,
  DIRECTORY,
  entryAt,
  saved,
  stateOf,
} from './wal-under-test.js'

// Goal: records that wait in memory may be what fills a segment. What is saved next, on the thread, begins a new one
// and must not come to lie in front of them. Found by the simulator (seed 2). Method: every size of a segment around
// the place where the waiting record ends.
test('a record that waits in memory and fills the segment comes before the next segment', async () => {
  for (let segmentBytes = 300; segmentBytes < 420; segmentBytes += 8) {
    const { wal, disk } = createWal({ segmentBytes })
    let index = 0
    for (let round = 0; round < 12; round++) {
      const entries = [entryAt(++index)]
      const isSaved = wal.maybeSaveSync({ hardState: undefined, entries, mustSync: true })
      if (!isSaved) await saved(wal, { entries })
      await saved(wal, { hardState: stateOf(index), mustSync: false })
    }
    await closed(wal)
    abandon(disk)
    const { entries, hardState } = readWal({ disk, directory: DIRECTORY, from: BEGINNING })
    expect(entries.length).toBe(index)
    expect(hardState?.commit).toBe(index)
  }
})

// Goal: records that could wait, and nothing else, are told too when they fill a segment. Found by the simulator
// (seed 20000490): a follower's refusals waited for it, and its leader for the refusals.
test('what could wait is told though it fills a segment and nothing else is saved', async () => {
  const { wal, disk } = createWal({ segmentBytes: 300 })
  for (let commit = 1; commit <= 50; commit++)
    await saved(wal, { hardState: stateOf(commit), mustSync: false })
  await closed(wal)
  abandon(disk)
  const { hardState } = readWal({ disk, directory: DIRECTORY, from: BEGINNING })
  expect(hardState?.commit).toBe(50)
})
