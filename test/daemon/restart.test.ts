// Goal: a log that lacks what it says is committed is refused in words for an operator, and no other is. Method: logs in
// memory whose last hard state names an entry at their end, or behind it.
import { expect, test } from 'vitest'
import { restart } from '../../src/daemon/bootstrap.js'
import { SnapshotFiles } from '../../src/snapshot/snapshot-files.js'
import {
  abandon,
  closed,
  createWal,
  DIRECTORY,
  entryAt,
  saved,
  stateOf,
} from '../wal/wal-under-test.js'

const quiet = {
  isDebugEnabled: false,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

async function logWithCommit(commit: number) {
  const { wal, disk } = createWal()
  await saved(wal, { entries: [entryAt(1), entryAt(2)], hardState: stateOf(commit) })
  await closed(wal)
  abandon(disk)
  disk.makeDirectory('member/snap')
  return {
    disk,
    walOptions: { disk, directory: DIRECTORY },
    snapshots: new SnapshotFiles({ disk, directory: 'member/snap' }),
    log: quiet,
  }
}

test('a log whose last entry is committed is started from', async () => {
  expect(restart(await logWithCommit(2)).storage.lastIndex()).toBe(2)
})

test('a log that ends before what is committed is refused', async () => {
  const place = await logWithCommit(5)
  expect(() => restart(place)).toThrow(
    expect.objectContaining({
      code: 'COMMIT_OUT_OF_RANGE',
      message: expect.stringMatching(
        /^1 state\.commit 5 is out of range \[0, 2\]: .*replace this member/,
      ),
    }),
  )
})
