// Goal: a disk that fails is told to whoever waits for the write, however that is done. Method: the log over a disk in
// memory that fails; the first write finds nothing under way and is done at once, the next fails without a try.
import { expect, test } from 'vitest'
import { DurableLog } from '../../src/daemon/durable-log.js'
import { SnapshotFiles } from '../../src/snapshot/snapshot-files.js'
import { diskError } from '../wal/memory-disk.js'
import { createWal, entryAt, stateOf } from '../wal/wal-under-test.js'

test('a write that blocks the thread and fails completes with the failure instead of throwing it', () => {
  const { wal, disk } = createWal()
  const log = new DurableLog({
    wal,
    snapshots: new SnapshotFiles({ disk, directory: 'member/snap' }),
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    walFilesMax: 5,
    snapshotFilesMax: 5,
    beforeBlocking: () => undefined,
  })
  const told: unknown[] = []
  const write = { hardState: stateOf(0), entries: [entryAt(1)], mustSync: true }
  disk.failure = diskError('NO_SPACE', 'member/wal')
  log.save(write, (failure) => told.push(failure))
  log.save(write, (failure) => told.push(failure))
  const expected = expect.objectContaining({ name: 'WalError', code: 'WRITE_FAILED' })
  expect(told).toEqual([expected, expected])
})
