// Goal: a disk that fails is told to whoever waits for the write, however that is done, and the snapshot that the log goes
// on from is kept. Method: the log over a disk in memory, which fails or holds a write up.
import { expect, test } from 'vitest'
import { logIndex, term, ZERO_INDEX } from '../../src/base/ids.js'
import { DurableLog } from '../../src/daemon/durable-log.js'
import { SnapshotFiles } from '../../src/snapshot/snapshot-files.js'
import { snapshotName } from '../../src/snapshot/snapshot-name.js'
import { Snapshot } from '../../src/wire/raftpb.js'
import { diskError } from '../wal/memory-disk.js'
import { createWal, entryAt, stateOf } from '../wal/wal-under-test.js'

test('a write that blocks the thread and fails completes with the failure instead of throwing it', () => {
  const { wal, disk } = createWal()
  const log = new DurableLog({
    wal,
    snapshots: new SnapshotFiles({ disk, directory: 'member/snap' }),
    snapshotIndex: ZERO_INDEX,
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    walFilesMax: 5,
    snapshotFilesMax: 5,
    beforeBlocking: () => undefined,
  })
  // The first finds nothing under way and is done at once, the next fails without a try.
  const told: unknown[] = []
  const write = { hardState: stateOf(0), entries: [entryAt(1)], mustSync: true }
  disk.failure = diskError('NO_SPACE', 'member/wal')
  log.save(write, (failure) => told.push(failure))
  log.save(write, (failure) => told.push(failure))
  const expected = expect.objectContaining({ name: 'WalError', code: 'WRITE_FAILED' })
  expect(told).toEqual([expected, expected])
})

test('a snapshot stays while the log has no record of the next one', async () => {
  const { wal, disk } = createWal()
  const snapshots = new SnapshotFiles({ disk, directory: 'member/snap' })
  snapshots.prepare()
  const log = new DurableLog({
    ...{ wal, snapshots, snapshotIndex: ZERO_INDEX, walFilesMax: 1, snapshotFilesMax: 1 },
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    beforeBlocking: () => undefined,
  })
  const position = (index: number) => ({ index: logIndex(index), term: term(1) })
  const save = (index: number): Promise<Error | undefined> => {
    const { metadata } = Snapshot.create({})
    const snapshot = Snapshot.create({ metadata: { ...metadata, ...position(index) } })
    return new Promise((resolve) => log.saveSnapshot(snapshot, resolve))
  }
  expect(await save(1)).toBeUndefined()
  disk.isHolding = true
  const second = save(2)
  // The file; its record in the log is held up still.
  disk.held.shift()?.()
  log.purge()
  expect(snapshots.list()).toEqual([2, 1].map((index) => snapshotName(position(index))))
  disk.isHolding = false
  disk.release()
  expect(await second).toBeUndefined()
  log.purge()
  expect(snapshots.list()).toEqual([snapshotName(position(2))])
})
