/** Goal: a snapshot's file is whole or has another name, and the newest usable one is found. Method: disk in memory. */
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { logIndex, memberId, term } from '../../src/base/ids.js'
import type { Log } from '../../src/ports/log.js'
import { decodeSnapshotFile, encodeSnapshotFile } from '../../src/snapshot/snapshot-file.js'
import { SnapshotFiles } from '../../src/snapshot/snapshot-files.js'
import { snapshotName } from '../../src/snapshot/snapshot-name.js'
import { SnapshotFile } from '../../src/wire/disk-messages.js'
import { Snapshot } from '../../src/wire/raftpb.js'
import { diskError, MemoryDisk } from '../wal/memory-disk.js'

const DIRECTORY = 'member/snap'
const at = (index: number, inTerm = 1) => ({ index: logIndex(index), term: term(inTerm) })
const nameOf = (index: number, inTerm = 1): string => snapshotName(at(index, inTerm))
const snapshotOf = (index: number, inTerm = 1): Snapshot =>
  Snapshot.create({
    data: new TextEncoder().encode(`{"at":${index}}`),
    metadata: {
      ...at(index, inTerm),
      confState: {
        voters: [memberId(1n)],
        learners: [],
        votersOutgoing: [],
        learnersNext: [],
        autoLeave: false,
      },
    },
  })

let disk: MemoryDisk
let files: SnapshotFiles
let warn: ReturnType<typeof vi.fn<Log['warn']>>

beforeEach(() => {
  disk = new MemoryDisk()
  warn = vi.fn<Log['warn']>()
  const log = { isDebugEnabled: false, debug: vi.fn(), info: vi.fn(), warn, error: vi.fn() }
  files = new SnapshotFiles({ disk, directory: DIRECTORY, log })
  files.prepare()
})

const save = (snapshot: Snapshot): Promise<Error | undefined> =>
  new Promise((resolve) => files.save(snapshot, resolve))
const put = (name: string, bytes = new Uint8Array(0)): void => {
  disk.files.set(`${DIRECTORY}/${name}`, { bytes, isLocked: false })
}

describe('one file', () => {
  test('reads what was written', () => {
    expect(decodeSnapshotFile(encodeSnapshotFile(snapshotOf(7)))).toEqual(snapshotOf(7))
  })

  test('no truncation and no flipped bit gives another snapshot', () => {
    const bytes = encodeSnapshotFile(snapshotOf(7))
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeSnapshotFile(bytes.slice(0, length))).toThrow(/^snap: /)
    }
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      // The checksum's fifth byte has bits that mean nothing.
      if (bit >= 44 && bit <= 46) expect(decodeSnapshotFile(flipped)).toEqual(snapshotOf(7))
      else expect(() => decodeSnapshotFile(flipped), `bit ${bit}`).toThrow(/^snap: /)
    }
  })

  test('the errors are those of etcd', () => {
    const data = Snapshot.encode(snapshotOf(1))
    const error = (bytes: Uint8Array): unknown => {
      try {
        return decodeSnapshotFile(bytes)
      } catch (thrown) {
        return thrown
      }
    }
    expect(error(new Uint8Array(0))).toMatchObject({
      code: 'EMPTY',
      message: 'snap: empty snapshot',
    })
    expect(error(SnapshotFile.encode({ crc: 0, data }))).toMatchObject({ code: 'EMPTY' })
    expect(error(SnapshotFile.encode({ crc: 9 }))).toMatchObject({ code: 'EMPTY' })
    const wrong = error(SnapshotFile.encode({ crc: 9, data }))
    expect(wrong).toMatchObject({ code: 'CRC_MISMATCH', message: 'snap: crc mismatch' })
    expect(error(Uint8Array.from([255]))).toMatchObject({ code: 'UNREADABLE' })
  })
})

describe('saving', () => {
  test('a file is written under another name, then renamed and listed newest first', async () => {
    expect(await save(snapshotOf(9, 2))).toBeUndefined()
    expect(await save(snapshotOf(10, 2))).toBeUndefined()
    expect(disk.writes[0]?.path).toBe(`${DIRECTORY}/tmp.${nameOf(9, 2)}`)
    expect(files.list()).toEqual([
      '0000000000000002-000000000000000a.snap',
      '0000000000000002-0000000000000009.snap',
    ])
    expect(files.read(nameOf(9, 2))).toEqual(snapshotOf(9, 2))
  })

  test('a failed write or rename leaves nothing behind', async () => {
    disk.failure = diskError('NO_SPACE', 'x')
    expect(await save(snapshotOf(1))).toMatchObject({ code: 'NO_SPACE' })
    expect(disk.list(DIRECTORY)).toEqual([])
    disk.failure = undefined
    disk.rename = () => {
      throw diskError('IO', 'x')
    }
    expect(await save(snapshotOf(1))).toMatchObject({ code: 'IO' })
    expect(disk.list(DIRECTORY)).toEqual([])
  })

  test('a file that cannot be made is told like a write that fails', async () => {
    disk.open = () => {
      throw diskError('NO_SPACE', 'x')
    }
    expect(await save(snapshotOf(1))).toMatchObject({ code: 'NO_SPACE' })
  })

  test('an empty snapshot and two at a time are contradictions', () => {
    expect(() => files.save(Snapshot.create(), () => undefined)).toThrow('empty snapshot')
    files.save(snapshotOf(1), () => undefined)
    expect(() => files.save(snapshotOf(2), () => undefined)).toThrow('one snapshot')
  })
})

describe('loading', () => {
  test('the newest of the candidates is taken', async () => {
    for (const index of [3, 5, 8]) await save(snapshotOf(index))
    expect(files.loadNewest(undefined)?.metadata.index).toBe(8)
    expect(files.loadNewest([at(3), at(5)])?.metadata.index).toBe(5)
    expect(files.loadNewest([at(5, 2), at(3)])?.metadata.index).toBe(3)
    expect(files.loadNewest([])).toBeUndefined()
  })

  test('a damaged one is set aside with a warning, and the one before is taken', async () => {
    await save(snapshotOf(3))
    put(nameOf(5), Uint8Array.from([8, 1, 18, 1, 7]))
    put(nameOf(6))
    expect(files.loadNewest(undefined)?.metadata.index).toBe(3)
    expect(disk.list(DIRECTORY)).toEqual([nameOf(3), `${nameOf(5)}.broken`, `${nameOf(6)}.broken`])
    expect(warn.mock.calls.map(([message]) => message)).toEqual([
      'failed to read a snap file',
      'renamed to broken snap file',
      'failed to read a snap file',
      'renamed to broken snap file',
    ])
  })

  test('a file that the disk cannot read is no damaged snapshot', async () => {
    await save(snapshotOf(3))
    disk.read = () => {
      throw diskError('IO', 'x')
    }
    expect(() => files.loadNewest(undefined)).toThrow('IO')
    expect(files.list()).toEqual([nameOf(3)])
  })
})

describe('the directory', () => {
  test('unfinished files are removed at start, everything else stays', () => {
    for (const name of ['tmp123', 'db.tmp42', 'db', nameOf(1), '0000000000000001.snap.db'])
      put(name)
    expect(files.prepare()).toEqual(['db.tmp42', 'tmp123'])
    expect(disk.list(DIRECTORY)).toEqual([nameOf(1), '0000000000000001.snap.db', 'db'])
  })

  test('only files that do not belong here are warned of', () => {
    for (const name of ['db', 'tmp1', nameOf(1), `${nameOf(2)}.broken`, 'letter.txt']) put(name)
    expect(files.list()).toEqual([nameOf(1)])
    expect(warn.mock.calls).toEqual([
      ['found unexpected non-snap file; skipping', { path: 'letter.txt' }],
    ])
  })

  test('purging keeps the newest and the databases that belong to them', () => {
    for (const index of [1, 2, 3, 4]) put(nameOf(index))
    for (const index of [1, 2, 3]) put(`000000000000000${index}.snap.db`)
    expect(files.purge(9, logIndex(4))).toEqual([])
    expect(files.purge(2, logIndex(4))).toEqual([
      nameOf(2),
      nameOf(1),
      '0000000000000001.snap.db',
      '0000000000000002.snap.db',
    ])
    expect(files.purge(0, logIndex(4))).toEqual([])
    expect(files.list()).toEqual([nameOf(4), nameOf(3)])
  })

  test('purging leaves the one that the log goes on from beside newer ones without a record', () => {
    for (const index of [1, 2, 3]) put(nameOf(index))
    expect(files.purge(1, logIndex(2))).toEqual([nameOf(1)])
    expect(files.list()).toEqual([nameOf(3), nameOf(2)])
  })
})
