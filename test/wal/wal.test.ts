/** Goal: what is saved is read again, in few writes and in order. Method: a disk in memory whose writes can be held. */
import { describe, expect, test, vi } from 'vitest'
import { logIndex, term } from '../../src/base/ids.js'
import { readWal } from '../../src/wal/replay.js'
import { Wal } from '../../src/wal/wal.js'
import { WalMetadata } from '../../src/wire/disk-messages.js'
import { ConfChange, Entry, HardState } from '../../src/wire/raftpb.js'
import { diskError, MemoryDisk } from './memory-disk.js'
import {
  abandon,
  BEGINNING,
  closed,
  createWal,
  DIRECTORY,
  entryAt,
  METADATA,
  saved,
  savedSnapshot,
  snapshotAt,
  stateOf,
} from './wal-under-test.js'

const FIRST = `${DIRECTORY}/0000000000000000-0000000000000000.wal`
const open = (disk: MemoryDisk, from = BEGINNING) =>
  Wal.open({ disk, directory: DIRECTORY, from, segmentBytes: 2000 })
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const never = (): never => {
  throw new Error('must not complete')
}

describe('bytes', () => {
  test('a new log of a 3.4 member is what etcd 3.4 wrote', async () => {
    const metadata = WalMetadata.encode(
      WalMetadata.decode(Buffer.from('08daf4d3858bbed4fbc90110bfe6aa9ce2fd9c9f6c', 'hex')),
    )
    const { wal, disk } = createWal({})
    await closed(wal)
    disk.removeTree(DIRECTORY)
    const again = Wal.create({ disk, directory: DIRECTORY, metadata })
    expect(hex(disk.read(FIRST).subarray(0, 104))).toBe(
      '04000000000000840804100000000000' +
        '1f00000000000081080110a1f4ede1021a1508daf4d3858bbed4fbc90110bfe6aa9ce2fd9c9f6c00' +
        '0e00000000000082080510b0ebe0f3021a040800100000000000000000000000'.padEnd(96, '0'),
    )
    await closed(again)
  })

  test('entries and states are framed as walpb records, whatever the length of the checksum', async () => {
    const { wal, disk } = createWal()
    const entries = Array.from({ length: 64 }, (_, at) => entryAt(at + 1))
    await saved(wal, { entries, hardState: stateOf(3) })
    await closed(wal)
    const bytes = disk.read(FIRST)
    let at = 0
    let shortChecksums = 0
    for (; bytes[at] !== 0; ) {
      const length = bytes[at] as number
      const padding = (bytes[at + 7] as number) & 7
      expect(bytes.subarray(at + 8 + length, at + 8 + length + padding)).toEqual(
        new Uint8Array(padding),
      )
      if (bytes[at + 8 + 1] === 2 && bytes[at + 8 + 7] === 0x1a) shortChecksums++
      at += 8 + length + padding
      expect(at % 8).toBe(0)
    }
    expect(shortChecksums).toBeGreaterThan(0)
  })

  test('padding is zero although the buffer held something else before', async () => {
    const { wal, disk } = createWal()
    await saved(wal, { entries: [entryAt(1, '\xff'.repeat(400))] })
    await saved(wal, { entries: [entryAt(2, 'a')] })
    await saved(wal, { entries: [entryAt(3, '\xff'.repeat(400))] })
    await saved(wal, { entries: [entryAt(4, 'ab')] })
    const last = disk.writes.at(-1)
    expect(last).toBeDefined()
    const { offset = 0, bytes = 0 } = last ?? {}
    const frame = disk.read(FIRST).subarray(offset, offset + bytes)
    const padding = (frame[7] as number) & 7
    expect(padding).toBeGreaterThan(0)
    expect(frame.subarray(frame.length - padding)).toEqual(new Uint8Array(padding))
    await closed(wal)
  })
})

describe('saving', () => {
  test('a save is one write, whatever the number of entries', async () => {
    const { wal, disk } = createWal()
    const before = disk.writes.length
    const entries = Array.from({ length: 50 }, (_, at) => entryAt(at + 1))
    await saved(wal, { entries, hardState: stateOf(0) })
    expect(disk.writes.length - before).toBe(1)
    expect(wal.lastIndex).toBe(50)
    await closed(wal)
    const again = open(disk)
    expect(again.entries).toEqual(entries)
    expect(again.hardState).toEqual(stateOf(0))
    expect(again.metadata).toEqual(METADATA)
    await closed(again.wal)
  })

  test('what is saved while a write is under way is the next write, and completes in order', async () => {
    const { wal, disk } = createWal()
    const before = disk.writes.length
    disk.isHolding = true
    const order: number[] = []
    for (let index = 1; index <= 100; index++) {
      wal.save({ hardState: undefined, entries: [entryAt(index)], mustSync: true }, (error) => {
        expect(error).toBeUndefined()
        order.push(index)
      })
    }
    expect(disk.held.length).toBe(1)
    expect(order).toEqual([])
    disk.release()
    expect(order).toEqual([1])
    expect(disk.held.length).toBe(1)
    disk.release()
    expect(order).toEqual(Array.from({ length: 100 }, (_, at) => at + 1))
    expect(disk.writes.length - before).toBe(2)
    expect(wal.writeCount).toBe(2)
    expect(wal.queuedBytes).toBe(0)
    disk.isHolding = false
    await closed(wal)
  })

  test('a save made by a completion does not complete before those that wait already', async () => {
    const { wal, disk } = createWal()
    disk.isHolding = true
    const order: string[] = []
    const save = (index: number, then: () => void = () => undefined): void =>
      wal.save({ hardState: undefined, entries: [entryAt(index)], mustSync: true }, () => {
        order.push(`entry ${index}`)
        then()
      })
    save(1)
    save(2, () => {
      // Nothing is under way now, but entry 3 has not been told yet: neither may overtake it.
      const write = { hardState: undefined, entries: [entryAt(4)], mustSync: true }
      expect(wal.maybeSaveSync(write)).toBe(false)
      wal.save({ ...write, entries: [], hardState: stateOf(2), mustSync: false }, () => {
        order.push('commit 2')
      })
    })
    save(3)
    disk.release()
    disk.release()
    expect(order).toEqual(['entry 1', 'entry 2', 'entry 3', 'commit 2'])
    disk.isHolding = false
    await closed(wal)
  })

  test('a commit index alone costs no write, rides along with the next, and is kept by a close', async () => {
    const { wal, disk } = createWal()
    await saved(wal, { entries: [entryAt(1), entryAt(2)] })
    const before = disk.writes.length
    await saved(wal, { hardState: stateOf(1), mustSync: false })
    expect(disk.writes.length).toBe(before)
    await saved(wal, { entries: [entryAt(3)] })
    expect(disk.writes.length).toBe(before + 1)
    expect(readWal({ disk, directory: DIRECTORY, from: BEGINNING }).hardState).toEqual(stateOf(1))
    await saved(wal, { hardState: stateOf(3), mustSync: false })
    await closed(wal)
    const again = open(disk)
    expect(again.hardState).toEqual(stateOf(3))
    await closed(again.wal)
  })

  test('a save without need to sync completes behind those before it', () => {
    const { wal, disk } = createWal()
    disk.isHolding = true
    const order: string[] = []
    wal.save({ hardState: undefined, entries: [entryAt(1)], mustSync: true }, () => order.push('a'))
    wal.save({ hardState: stateOf(1), entries: [], mustSync: false }, () => order.push('b'))
    wal.save({ hardState: undefined, entries: [], mustSync: false }, () => order.push('c'))
    expect(order).toEqual([])
    disk.release()
    expect(order).toEqual(['a', 'b', 'c'])
  })

  test('an empty save with need to sync makes durable what waits in memory', async () => {
    const { wal, disk } = createWal()
    await saved(wal, { hardState: stateOf(0, 1), mustSync: false })
    expect(readWal({ disk, directory: DIRECTORY, from: BEGINNING }).hardState).toBeUndefined()
    await saved(wal, {})
    expect(readWal({ disk, directory: DIRECTORY, from: BEGINNING }).hardState).toEqual(
      stateOf(0, 1),
    )
  })

  test('states that wait in memory are written once they are many', async () => {
    const { wal, disk } = createWal()
    const before = disk.writes.length
    for (let at = 0; at < 3000; at++) {
      await saved(wal, { hardState: stateOf(0, 1 + at), mustSync: false })
    }
    expect(disk.writes.length).toBeGreaterThan(before)
    expect(wal.queuedBytes).toBeLessThan(70_000)
  })

  test('an empty hard state is not written', async () => {
    const { wal, disk } = createWal()
    const before = disk.writes.length
    await saved(wal, { hardState: HardState.create() })
    expect(disk.writes.length).toBe(before)
  })

  test('the blocking save writes at once when idle, and refuses to overtake', async () => {
    const { wal, disk } = createWal({ segmentBytes: 2000 })
    for (let index = 1; index <= 40; index++) {
      const write = { hardState: stateOf(index), entries: [entryAt(index)], mustSync: true }
      if (!wal.maybeSaveSync(write)) await saved(wal, write)
      await Promise.resolve()
    }
    disk.isHolding = true
    wal.save({ hardState: undefined, entries: [entryAt(41)], mustSync: true }, () => undefined)
    const write = { hardState: undefined, entries: [entryAt(42)], mustSync: true }
    expect(wal.maybeSaveSync(write)).toBe(false)
    disk.isHolding = false
    disk.release()
    expect(wal.maybeSaveSync(write)).toBe(true)
    expect(wal.maybeSaveSync({ ...write, entries: [] })).toBe(true)
    await closed(wal)
    const again = open(disk)
    expect(again.entries.map(({ index }) => index)).toEqual(
      Array.from({ length: 42 }, (_, at) => at + 1),
    )
    expect(disk.list(DIRECTORY).length).toBeGreaterThan(1)
    await closed(again.wal)
  })

  test('each durable write is reported with its length and its time', async () => {
    let nowMs = 0
    const onSync = vi.fn()
    const clock = { monotonicMs: () => (nowMs += 2), wallMs: () => 0 }
    const { wal } = createWal({ observer: { clock, onSync } })
    await saved(wal, { entries: [entryAt(1)] })
    expect(onSync.mock.calls).toEqual([[2, wal.bytesWritten]])
    expect(wal.bytesWritten).toBeGreaterThan(0)
    await closed(wal)
  })

  test('an entry that leaves a gap is a contradiction', () => {
    const { wal } = createWal()
    const write = { hardState: undefined, entries: [entryAt(2)], mustSync: true }
    expect(() => wal.save(write, never)).toThrow('entries are saved without a gap')
  })
})

describe('failures', () => {
  test('a failed write fails everything that waits, and nothing is taken afterwards', async () => {
    const { wal, disk } = createWal()
    disk.isHolding = true
    const failures: (string | undefined)[] = []
    for (let index = 1; index <= 3; index++) {
      wal.save({ hardState: undefined, entries: [entryAt(index)], mustSync: true }, (error) =>
        failures.push(error?.code),
      )
    }
    disk.failure = diskError('NO_SPACE', FIRST)
    disk.release()
    expect(failures).toEqual(['WRITE_FAILED', 'WRITE_FAILED', 'WRITE_FAILED'])
    disk.failure = undefined
    disk.isHolding = false
    const before = disk.writes.length
    const later = saved(wal, { entries: [entryAt(4)] })
    await expect(later).rejects.toMatchObject({
      code: 'WRITE_FAILED',
      cause: { code: 'NO_SPACE' },
    })
    await expect(savedSnapshot(wal, snapshotAt(1))).rejects.toMatchObject({ code: 'WRITE_FAILED' })
    expect(() =>
      wal.maybeSaveSync({ hardState: undefined, entries: [entryAt(4)], mustSync: true }),
    ).toThrow('wal: write failed')
    expect(disk.writes.length).toBe(before)
    expect((await closed(wal))?.code).toBe('WRITE_FAILED')
  })

  test('a failed blocking write is thrown, and ends the log too', async () => {
    const { wal, disk } = createWal()
    disk.failure = diskError('IO', FIRST)
    const write = { hardState: undefined, entries: [entryAt(1)], mustSync: true }
    expect(() => wal.maybeSaveSync(write)).toThrow('wal: write failed')
    disk.failure = undefined
    await expect(saved(wal, write)).rejects.toMatchObject({ code: 'WRITE_FAILED' })
  })

  test('a segment that cannot be created fails the save that needed it', async () => {
    const { wal, disk } = createWal({ segmentBytes: 200 })
    await saved(wal, { entries: [entryAt(1, 'x'.repeat(300))] })
    disk.open = () => {
      throw diskError('NO_SPACE', '1.tmp')
    }
    await expect(saved(wal, { entries: [entryAt(2)] })).rejects.toMatchObject({
      cause: { code: 'NO_SPACE' },
    })
  })

  test('more than the limit in the queue is refused, and ends the log: no hole may form', async () => {
    const { wal, disk } = createWal({ queuedBytesMax: 1000 })
    disk.isHolding = true
    const codes: (string | undefined)[] = []
    const save = (index: number): void =>
      wal.save(
        { hardState: undefined, entries: [entryAt(index, 'x'.repeat(300))], mustSync: true },
        (error) => codes.push(error?.code),
      )
    for (let index = 1; index <= 4; index++) save(index)
    expect(codes).toEqual(['QUEUE_FULL'])
    save(5)
    expect(codes).toEqual(['QUEUE_FULL', 'QUEUE_FULL'])
  })

  test('one save above the limit is taken when nothing waits', async () => {
    const { wal } = createWal({ queuedBytesMax: 100 })
    await saved(wal, { entries: [entryAt(1, 'x'.repeat(3000))] })
    await closed(wal)
  })

  test('nothing is taken while closing', async () => {
    const { wal } = createWal()
    const closing = closed(wal)
    await expect(saved(wal, { entries: [entryAt(1)] })).rejects.toMatchObject({ code: 'CLOSED' })
    expect(await closing).toBeUndefined()
  })
})

describe('segments', () => {
  test('a full segment is followed by one that can be read alone', async () => {
    const { wal, disk } = createWal({ segmentBytes: 2000 })
    for (let index = 1; index <= 30; index++) {
      await saved(wal, { entries: [entryAt(index, 'x'.repeat(200))], hardState: stateOf(index) })
    }
    await savedSnapshot(wal, snapshotAt(30))
    await closed(wal)
    const names = disk.list(DIRECTORY)
    expect(names.length).toBeGreaterThan(3)
    expect(names[1]).toMatch(/^0000000000000001-000000000000000[0-9a-f]\.wal$/)
    for (const name of names.slice(0, -1)) {
      const { length } = disk.read(`${DIRECTORY}/${name}`)
      expect(length).toBeGreaterThanOrEqual(2000)
      expect(length).toBeLessThan(2400)
    }
    const all = open(disk)
    expect(all.entries.length).toBe(30)
    await closed(all.wal)
    for (const name of names.slice(0, -1)) disk.remove(`${DIRECTORY}/${name}`)
    const tail = open(disk, { index: logIndex(30), term: term(1) })
    expect(tail).toMatchObject({ entries: [], lastIndex: 30, hardState: stateOf(30) })
    await closed(tail.wal)
  })

  test('saves that wait across the end of a segment go to the next one', async () => {
    const { wal, disk } = createWal({ segmentBytes: 1000 })
    disk.isHolding = true
    const order: number[] = []
    for (let index = 1; index <= 20; index++) {
      const write = {
        hardState: stateOf(index - 1),
        entries: [entryAt(index, 'x'.repeat(150))],
        mustSync: true,
      }
      wal.save(write, (error) => order.push(error === undefined ? index : -1))
    }
    for (let rounds = 0; order.length < 20 && rounds < 100; rounds++) {
      disk.release()
      await Promise.resolve()
    }
    expect(order).toEqual(Array.from({ length: 20 }, (_, at) => at + 1))
    disk.isHolding = false
    await closed(wal)
    expect(disk.list(DIRECTORY).length).toBeGreaterThan(3)
    const again = open(disk)
    expect(again.entries.length).toBe(20)
    await closed(again.wal)
  })

  test('a crash before a new segment has its name loses nothing that was acknowledged', async () => {
    const { wal, disk } = createWal({ segmentBytes: 200 })
    await saved(wal, { entries: [entryAt(1, 'x'.repeat(300))] })
    disk.rename = never
    wal.save({ hardState: undefined, entries: [entryAt(2)], mustSync: true }, () => undefined)
    const after = new MemoryDisk()
    for (const [path, content] of disk.files) after.files.set(path, { ...content, isLocked: false })
    for (const path of disk.directories) after.directories.add(path)
    expect(after.list(DIRECTORY)).toContain('1.tmp')
    const again = open(after)
    expect(again.entries.map(({ index }) => index)).toEqual([1])
    expect(after.list(DIRECTORY)).not.toContain('1.tmp')
    await closed(again.wal)
  })

  test('segments below an index are let go but the last of them; only those are purged', async () => {
    const { wal, disk } = createWal({ segmentBytes: 300 })
    for (let index = 1; index <= 10; index++) {
      await saved(wal, { entries: [entryAt(index, 'x'.repeat(300))] })
    }
    const before = disk.list(DIRECTORY)
    expect(before.length).toBe(10)
    expect(wal.purge(2)).toEqual([])
    wal.releaseTo(logIndex(5))
    expect(wal.purge(0)).toEqual([])
    expect(wal.purge(9)).toEqual(before.slice(0, 1))
    expect(wal.purge(2)).toEqual(before.slice(1, 3))
    expect(
      readWal({ disk, directory: DIRECTORY, from: { ...BEGINNING, index: logIndex(5) } }).entries[0]
        ?.index,
    ).toBe(6)
    wal.releaseTo(logIndex(1000))
    expect(wal.purge(1)).toEqual(before.slice(3, 9))
    await closed(wal)
  })

  test('room in front of the writes grows by steps and stays small when idle', async () => {
    const { wal, disk } = createWal()
    const length = (): number => disk.read(FIRST).length
    expect(length()).toBe(1024 * 1024)
    await saved(wal, { entries: [entryAt(1)] })
    expect(length()).toBe(1024 * 1024)
    await saved(wal, { entries: [entryAt(2, 'x'.repeat(600_000))] })
    await saved(wal, {})
    expect(length()).toBe(2 * 1024 * 1024)
    await saved(wal, { entries: [entryAt(3, 'x'.repeat(1_200_000))] })
    await saved(wal, { entries: [entryAt(4)] })
    expect(length()).toBe(6 * 1024 * 1024)
    await closed(wal)
  })
})

describe('entries that another leader overwrote, and a snapshot', () => {
  const termsBehind = (disk: MemoryDisk, index: number, inTerm: number): unknown =>
    readWal({
      disk,
      directory: DIRECTORY,
      from: { index: logIndex(index), term: term(inTerm) },
    }).entries.map((entry) => [entry.index, entry.term])

  test('what was behind them is not behind a snapshot of the new ones', async () => {
    const { wal, disk } = createWal()
    await saved(wal, { entries: [entryAt(1), entryAt(2), entryAt(3), entryAt(4)] })
    const entries = [entryAt(2, 'other', 2), entryAt(3, 'other', 2)]
    await saved(wal, { entries, hardState: stateOf(3, 2) })
    await savedSnapshot(wal, snapshotAt(3, 2))
    await closed(wal)
    expect(termsBehind(disk, 3, 2)).toEqual([])
  })

  test('nor behind one that the new leader sent in their place', async () => {
    const { wal, disk } = createWal()
    const entries = [entryAt(1), entryAt(2), entryAt(3, 'old', 3), entryAt(4, 'old', 3)]
    await saved(wal, { entries })
    await savedSnapshot(wal, snapshotAt(3, 2))
    await saved(wal, { entries: [], hardState: stateOf(3, 4) })
    await closed(wal)
    expect(termsBehind(disk, 3, 2)).toEqual([])
  })

  test('but what is behind the same entries stays', async () => {
    const { wal, disk } = createWal()
    const entries = [entryAt(1), entryAt(2, 'x', 2), entryAt(3, 'x', 2), entryAt(4, 'x', 3)]
    await saved(wal, { entries, hardState: stateOf(2, 3) })
    await savedSnapshot(wal, snapshotAt(2, 2))
    await closed(wal)
    expect(termsBehind(disk, 2, 2)).toEqual([
      [3, 2],
      [4, 3],
    ])
  })
})

describe('opening', () => {
  test('a later entry of the same index replaces it and all behind it', async () => {
    const { wal, disk } = createWal()
    await saved(wal, { entries: [entryAt(1), entryAt(2), entryAt(3)] })
    await saved(wal, { entries: [entryAt(2, 'other', 2)], hardState: stateOf(1, 2) })
    await closed(wal)
    const again = open(disk)
    expect(again.entries).toEqual([entryAt(1), entryAt(2, 'other', 2)])
    expect(again.lastIndex).toBe(2)
    await closed(again.wal)
  })

  test('what is appended after opening continues the chain', async () => {
    const { wal, disk } = createWal()
    await saved(wal, { entries: [entryAt(1)] })
    await closed(wal)
    for (let index = 2; index <= 5; index++) {
      const again = open(disk)
      await saved(again.wal, { entries: [entryAt(index)] })
      await closed(again.wal)
    }
    expect(readWal({ disk, directory: DIRECTORY, from: BEGINNING }).entries.length).toBe(5)
  })

  test('entries of all types come back as they were', async () => {
    const { wal, disk } = createWal()
    const change = ConfChange.encode({ id: 7n, type: 'ConfChangeAddNode' })
    const entries = [
      Entry.create({ type: 'EntryConfChange', term: term(1), index: logIndex(1), data: change }),
      Entry.create({ type: 'EntryConfChangeV2', term: term(1), index: logIndex(2) }),
      Entry.create({ term: term(2), index: logIndex(3) }),
    ]
    await saved(wal, { entries })
    await closed(wal)
    expect(readWal({ disk, directory: DIRECTORY, from: BEGINNING }).entries).toEqual(entries)
  })

  test('a snapshot must be in the log, with its term', async () => {
    const { wal, disk } = createWal()
    await saved(wal, { entries: [entryAt(1), entryAt(2)] })
    await savedSnapshot(wal, snapshotAt(2))
    await closed(wal)
    const at = (index: number, inTerm: number) => ({ index: logIndex(index), term: term(inTerm) })
    expect(() => open(disk, at(2, 9))).toThrow('wal: snapshot mismatch')
    expect(() => open(disk, at(1, 1))).toThrow('wal: snapshot not found')
    const found = readWal({ disk, directory: DIRECTORY, from: at(1, 1) })
    expect(found).toMatchObject({ isSnapshotFound: false, lastIndex: 2 })
    const again = open(disk, at(2, 1))
    expect(again.entries).toEqual([])
    await saved(again.wal, { entries: [entryAt(3)] })
    await closed(again.wal)
  })

  test('a log that is open elsewhere is refused, and one that exists is not created again', async () => {
    const { wal, disk } = createWal()
    expect(() => open(disk)).toThrow('fileutil: file already locked')
    expect(() => createWal({}, disk)).toThrow('file already exists')
    await closed(wal)
    await closed(open(disk).wal)
  })

  test('a disk without locks is used, with one warning', async () => {
    const { disk } = createWal({ segmentBytes: 100 })
    abandon(disk)
    const real = disk.open.bind(disk)
    disk.open = (path, options) =>
      Object.assign(real(path, options), { tryLock: () => 'unsupported' })
    const warn = vi.fn()
    const log = { isDebugEnabled: false, debug: vi.fn(), info: vi.fn(), warn, error: vi.fn() }
    const { wal } = Wal.open({
      disk,
      directory: DIRECTORY,
      from: BEGINNING,
      log,
      segmentBytes: 100,
    })
    await saved(wal, { entries: [entryAt(1, 'x'.repeat(200))] })
    await saved(wal, { entries: [entryAt(2)] })
    expect(warn).toHaveBeenCalledTimes(1)
    await closed(wal)
  })

  test('no directory, no segment and a missing segment are told as etcd tells them', async () => {
    const { wal, disk } = createWal({ segmentBytes: 100 })
    for (let index = 1; index <= 3; index++) {
      await saved(wal, { entries: [entryAt(index, 'x'.repeat(200))] })
    }
    await closed(wal)
    disk.remove(`${DIRECTORY}/${disk.list(DIRECTORY)[1]}`)
    expect(() => open(disk)).toThrow('wal: file not found')
    disk.removeTree(DIRECTORY)
    expect(() => open(disk)).toThrow('wal: file not found')
    disk.makeDirectory(DIRECTORY)
    expect(() => open(disk)).toThrow('wal: file not found')
  })
})
