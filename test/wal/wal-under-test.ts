import { logIndex, memberId, term } from '../../src/base/ids.js'
import { Wal } from '../../src/wal/wal.js'
import type { WalError } from '../../src/wal/wal-error.js'
import type { WalOptions, WalWrite } from '../../src/wal/wal-options.js'
import { WalSnapshot } from '../../src/wire/disk-messages.js'
import { Entry, HardState } from '../../src/wire/raftpb.js'
import { MemoryDisk } from './memory-disk.js'

export const DIRECTORY = 'member/wal'
export const METADATA = Uint8Array.from([8, 1, 16, 2])
export const BEGINNING = { index: logIndex(0), term: term(0) }

export const entryAt = (index: number, data = `entry ${index}`, inTerm = 1): Entry =>
  Entry.create({
    term: term(inTerm),
    index: logIndex(index),
    data: new TextEncoder().encode(data),
  })

export const stateOf = (commit: number, inTerm = 1, vote = 1n): HardState =>
  HardState.create({ term: term(inTerm), vote: memberId(vote), commit: logIndex(commit) })

export const snapshotAt = (index: number, inTerm = 1): WalSnapshot =>
  WalSnapshot.create({ index: logIndex(index), term: term(inTerm) })

export function createWal(
  options: Partial<WalOptions> = {},
  disk = new MemoryDisk(),
): { readonly wal: Wal; readonly disk: MemoryDisk } {
  const wal = Wal.create({ disk, directory: DIRECTORY, metadata: METADATA, ...options })
  return { wal, disk }
}

export const saved = (wal: Wal, write: Partial<WalWrite>): Promise<void> =>
  new Promise((resolve, reject) => {
    wal.save({ hardState: undefined, entries: [], mustSync: true, ...write }, settle)
    function settle(error: WalError | undefined): void {
      if (error === undefined) resolve()
      else reject(error)
    }
  })

export const savedSnapshot = (wal: Wal, snapshot: WalSnapshot): Promise<void> =>
  new Promise((resolve, reject) => {
    wal.saveSnapshot(snapshot, (error) => (error === undefined ? resolve() : reject(error)))
  })

export const closed = (wal: Wal): Promise<WalError | undefined> =>
  new Promise((resolve) => wal.close(resolve))

/** Closes without what a close would write: as if the process had ended. */
export function abandon(disk: MemoryDisk): void {
  for (const content of disk.files.values()) content.isLocked = false
}
