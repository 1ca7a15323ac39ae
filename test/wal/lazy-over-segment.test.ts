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
