// Goal: a store and a log that do not belong together are never started from. Method: logs in memory that end and go on
// at chosen entries, against stores of chosen indexes; test/crash/damage.test.ts does it to real files.
import { expect, test } from 'vitest'
import { logIndex, term } from '../../src/base/ids.js'
import {
  assertStoreFitsLog,
  problemWithoutLog,
  raiseStoreToSnapshot,
} from '../../src/daemon/store-fits-log.js'
import { MemoryStorage } from '../../src/raft/memory-storage.js'
import type { Snapshot } from '../../src/wire/raftpb.js'
import { MemoryDisk } from '../wal/memory-disk.js'

/** A store of one index, in a cluster of a version. */
const storeAt = (index: number, major = 3) => ({
  backend: { consistentIndex: logIndex(index) },
  membership: { version: { major, minor: 5, patch: 0, preRelease: '' } },
})

/** A log that goes on from a snapshot at one entry and ends at another. */
function logOf(from: number, last: number) {
  const storage = new MemoryStorage()
  const snapshot: Snapshot = {
    data: new Uint8Array(0),
    metadata: {
      confState: {
        voters: [],
        learners: [],
        votersOutgoing: [],
        learnersNext: [],
        autoLeave: false,
      },
      index: logIndex(from),
      term: term(1),
    },
  }
  if (from > 0) storage.applySnapshot(snapshot)
  for (let index = from + 1; index <= last; index++) {
    const data = new Uint8Array(0)
    storage.append([{ type: 'EntryNormal', term: term(1), index: logIndex(index), data }])
  }
  return { storage, snapshot: from > 0 ? snapshot : undefined }
}

test.each([
  [0, 0, 0],
  [0, 9, 0],
  [0, 9, 9],
  [5, 9, 5],
  [5, 9, 7],
  [5, 5, 5],
])('a log from %i to %i and a store at %i belong together', (from, last, store) => {
  assertStoreFitsLog(logOf(from, last), storeAt(store))
})

test('a store older than the snapshot is refused', () => {
  expect(() => assertStoreFitsLog(logOf(5, 9), storeAt(4))).toThrow(
    'database file (leveldb index 4) does not match with snapshot (index 5): files of the store',
  )
})

test('a cluster of etcd 2.x had no store, or one that does not say how far it goes', () => {
  assertStoreFitsLog(logOf(5, 9), storeAt(0, 2))
  assertStoreFitsLog(logOf(5, 9), storeAt(4, 2))
  expect(() => assertStoreFitsLog(logOf(5, 9), storeAt(0))).toThrow('does not match')
})

test('a cluster of no known version may have no store, but not an old one', () => {
  const at = (index: number) => ({ ...storeAt(index), membership: { version: undefined } })
  assertStoreFitsLog(logOf(5, 9), at(0))
  expect(() => assertStoreFitsLog(logOf(5, 9), at(4))).toThrow('does not match')
})

test.each([
  [5, 0, [5]],
  [5, 4, [5]],
  [5, 5, []],
  [5, 7, []],
  [0, 0, []],
])('behind a snapshot at %i a store at %i is raised to %j', (from, at, expected) => {
  const raised: number[] = []
  const backend = {
    consistentIndex: logIndex(at),
    setConsistentIndex: (index: number, entryTerm: number) => {
      expect(entryTerm).toBe(1)
      raised.push(index)
    },
  }
  raiseStoreToSnapshot(logOf(from, 9), backend)
  expect(raised).toEqual(expected)
})

test('a store newer than the log is refused', () => {
  expect(() => assertStoreFitsLog(logOf(5, 9), storeAt(10))).toThrow(
    'wal: the log ends at entry 9, but the store has applied entry 10',
  )
})

test('a store without a log is a problem, and none without either', () => {
  const disk = new MemoryDisk()
  const place = { dataDir: '/data', walDir: '/elsewhere' }
  expect(problemWithoutLog(disk, place)).toBeUndefined()
  disk.makeDirectory('/data/member/leveldb')
  expect(problemWithoutLog(disk, place)).toBe(
    'wal: file not found: no log in /elsewhere, but there is a store in /data/member/leveldb: ' +
      'the log was removed, or is somewhere else (--wal-dir)',
  )
})
