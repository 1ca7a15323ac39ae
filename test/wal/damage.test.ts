/**
 * Goal: an interrupted write is repaired, damage is refused, and nothing else happens. Method: every prefix of a small
 * log, every bit of it, sectors of zeros, and the same in a segment that is not the last.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { logIndex, term } from '../../src/base/ids.js'
import { readWal } from '../../src/wal/replay.js'
import { validSnapshots } from '../../src/wal/valid-snapshots.js'
import { Wal } from '../../src/wal/wal.js'
import { WalError, type WalErrorCode } from '../../src/wal/wal-error.js'
import type { Entry } from '../../src/wire/raftpb.js'
import { MemoryDisk } from './memory-disk.js'
import {
  BEGINNING,
  closed,
  createWal,
  DIRECTORY,
  entryAt,
  saved,
  savedSnapshot,
  snapshotAt,
  stateOf,
} from './wal-under-test.js'

const FIRST = `${DIRECTORY}/0000000000000000-0000000000000000.wal`

/** Frame borders: offsets at which a record ends, from the start of the file on. */
function bordersOf(bytes: Uint8Array): number[] {
  const borders = [0]
  for (let at = 0; at < bytes.length && bytes[at] !== 0; ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at)
    at += 8 + view.getUint32(0, true) + ((bytes[at + 7] as number) & 7)
    borders.push(at)
  }
  return borders
}

/** A disk with one segment of the given content. */
function diskOf(bytes: Uint8Array): MemoryDisk {
  const disk = new MemoryDisk()
  disk.makeDirectory(DIRECTORY)
  disk.files.set(FIRST, { bytes, isLocked: false })
  return disk
}

type Outcome =
  | { readonly kind: 'opened'; readonly entries: readonly Entry[]; readonly isTorn: boolean }
  | { readonly kind: 'refused'; readonly code: WalErrorCode }

/** Opens, appends, opens again: what is opened must be usable. */
async function outcomeOf(disk: MemoryDisk, from = BEGINNING): Promise<Outcome> {
  try {
    const opened = Wal.open({ disk, directory: DIRECTORY, from })
    const { entries, isTorn, wal } = opened
    const next = entryAt(wal.lastIndex + 1, 'after')
    await saved(wal, { entries: [next] })
    await closed(wal)
    const again = readWal({ disk, directory: DIRECTORY, from })
    expect(again.entries).toEqual([...entries, next])
    expect(again.isTorn).toBe(false)
    return { kind: 'opened', entries, isTorn }
  } catch (error) {
    if (!(error instanceof WalError)) throw error
    return { kind: 'refused', code: error.code }
  }
}

const ENTRIES = [1, 2, 3, 4, 5, 6].map((index) => entryAt(index, 'v'.repeat(index * 7)))
let used: Uint8Array
let borders: number[]

beforeAll(async () => {
  const { wal, disk } = createWal()
  for (const entry of ENTRIES) await saved(wal, { entries: [entry], hardState: stateOf(0) })
  await closed(wal)
  const whole = disk.read(FIRST)
  borders = bordersOf(whole)
  used = whole.slice(0, borders.at(-1))
})

/** How many entries lie whole below an offset. */
const entriesBelow = (offset: number): number =>
  borders.filter((border, at) => border <= offset && at >= 4 && (at - 4) % 2 === 0).length

describe('a log that ends early', () => {
  test('every prefix opens with the entries that are whole, the rest is cut and kept in a copy', async () => {
    const headEnd = borders[3] as number
    for (let length = headEnd; length <= used.length; length++) {
      const disk = diskOf(used.slice(0, length))
      const outcome = await outcomeOf(disk)
      const isTorn = !borders.includes(length)
      expect(outcome, `prefix of ${length}`).toEqual({
        kind: 'opened',
        entries: ENTRIES.slice(0, entriesBelow(length)),
        isTorn,
      })
      expect(disk.files.get(`${FIRST}.broken`)?.bytes).toEqual(
        isTorn ? used.slice(0, length) : undefined,
      )
    }
  })

  test('without the snapshot record at its beginning a log is refused, unchanged', async () => {
    for (let length = 0; length < (borders[3] as number); length++) {
      const disk = diskOf(used.slice(0, length))
      expect(await outcomeOf(disk)).toMatchObject({ kind: 'refused', code: 'SNAPSHOT_NOT_FOUND' })
      expect(disk.read(FIRST)).toEqual(used.slice(0, length))
      expect(disk.list(DIRECTORY).length).toBe(1)
    }
  })

  test('reading alone leaves out what is torn and changes nothing', () => {
    const disk = diskOf(used.slice(0, used.length - 3))
    const contents = readWal({ disk, directory: DIRECTORY, from: BEGINNING })
    expect(contents).toMatchObject({ isTorn: true, entries: ENTRIES })
    expect(disk.read(FIRST).length).toBe(used.length - 3)
  })

  test('a zero length ends the log; what was behind it is zeroed before it can be reached', async () => {
    const border = borders[6] as number
    const bytes = new Uint8Array(8192)
    bytes.set(used.subarray(0, border))
    bytes.fill(0x77, 1024, 1600)
    const disk = diskOf(bytes)
    const { wal, entries } = Wal.open({ disk, directory: DIRECTORY, from: BEGINNING })
    expect(entries).toEqual(ENTRIES.slice(0, entriesBelow(border)))
    expect(
      disk
        .read(FIRST)
        .subarray(border)
        .every((byte) => byte === 0),
    ).toBe(true)
    await closed(wal)
  })
})

describe('a log with damage', () => {
  test('a length that became zero is damage: the rest of its sector was written with it', async () => {
    for (const border of borders.slice(3, -1)) {
      // At the end of a sector a length is alone in it, and may have been lost with it.
      if (border % 512 === 504) continue
      const bytes = new Uint8Array(used.length + 1024)
      bytes.set(used)
      bytes.fill(0, border, border + 8)
      const disk = diskOf(bytes)
      expect(await outcomeOf(disk)).toEqual({ kind: 'refused', code: 'BAD_LENGTH' })
      expect(disk.read(FIRST)).toEqual(bytes)
    }
  })

  test('every flipped bit is refused, or no entry and no order of entries changes', async () => {
    const answers = new Map<string, number>()
    // The format's checksum does not cover a record's type: docs/formats/wal.md says what that can do.
    const types = new Set(borders.map((border) => border + 9))
    for (let bit = 0; bit < used.length * 8; bit++) {
      if (types.has(bit >> 3)) continue
      const bytes = new Uint8Array(used.length + 1024)
      bytes.set(used)
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
      const outcome = await outcomeOf(diskOf(bytes))
      const answer = outcome.kind === 'refused' ? outcome.code : 'opened'
      answers.set(answer, (answers.get(answer) ?? 0) + 1)
      // Padding is outside the checksum; entries must never be dropped or changed.
      if (outcome.kind === 'opened') expect(outcome.entries, `bit ${bit}`).toEqual(ENTRIES)
    }
    expect(answers.get('RECORD_CRC_MISMATCH')).toBeGreaterThan(1000)
    expect(answers.get('RECORD_TOO_LONG')).toBeGreaterThan(100)
  })

  test('a value with a flipped bit in the middle is refused although records follow', async () => {
    const bytes = used.slice()
    const at = (borders[5] as number) + 30
    bytes[at] = (bytes[at] as number) ^ 1
    const disk = diskOf(bytes)
    expect(await outcomeOf(disk)).toEqual({ kind: 'refused', code: 'RECORD_CRC_MISMATCH' })
    expect(disk.read(FIRST)).toEqual(bytes)
  })
})

describe('a record over several sectors', () => {
  const big = entryAt(1, 'z'.repeat(3000))

  async function bigLog(): Promise<{ bytes: Uint8Array; start: number; end: number }> {
    const { wal, disk } = createWal()
    await saved(wal, { entries: [big] })
    await closed(wal)
    const bytes = disk.read(FIRST)
    const found = bordersOf(bytes)
    return { bytes, start: found[3] as number, end: found[4] as number }
  }

  test('with one sector of zeros it is torn and cut off', async () => {
    const { bytes, end } = await bigLog()
    for (let sector = 512; sector + 512 < end; sector += 512) {
      const torn = bytes.slice()
      torn.fill(0, sector, sector + 512)
      const outcome = await outcomeOf(diskOf(torn))
      expect(outcome).toEqual({ kind: 'opened', entries: [], isTorn: true })
    }
  })

  test('with a damaged sector that is not zero, or zeros that are no whole sector, it is refused', async () => {
    const { bytes } = await bigLog()
    const garbage = bytes.slice().fill(0xa5, 1024, 1536)
    expect(await outcomeOf(diskOf(garbage))).toMatchObject({ code: 'RECORD_CRC_MISMATCH' })
    const hole = bytes.slice().fill(0, 1024, 1535)
    expect(await outcomeOf(diskOf(hole))).toMatchObject({ code: 'RECORD_CRC_MISMATCH' })
  })

  test('with a length that its content denies it is damaged, not torn', async () => {
    const { bytes, start, end } = await bigLog()
    const long = bytes.slice(0, end)
    long[start + 2] = 1
    expect(await outcomeOf(diskOf(long))).toMatchObject({ code: 'RECORD_TOO_LONG' })
    expect(() => readWal({ disk: diskOf(long), directory: DIRECTORY, from: BEGINNING })).toThrow(
      /^wal: max entry size limit exceeded, recBytes: \d+, fileSize\(\d+\) - offset\(\d+\)/,
    )
  })
})

describe('several segments', () => {
  async function segmentsLog(): Promise<MemoryDisk> {
    const { wal, disk } = createWal({ segmentBytes: 400 })
    for (let index = 1; index <= 9; index++) {
      await saved(wal, { entries: [entryAt(index, 'x'.repeat(150))], hardState: stateOf(index) })
      if (index === 4) await savedSnapshot(wal, snapshotAt(3))
    }
    await savedSnapshot(wal, snapshotAt(9))
    await closed(wal)
    return disk
  }

  test('a torn record is damage anywhere but in the last one', async () => {
    const disk = await segmentsLog()
    const content = disk.content(FIRST)
    content.bytes = content.bytes.slice(0, -5)
    expect(await outcomeOf(disk)).toEqual({ kind: 'refused', code: 'TORN' })
    expect(() => validSnapshots({ disk, directory: DIRECTORY })).toThrow('unexpected EOF')
  })

  test('a segment that lost its last record does not fit the next one', async () => {
    const disk = await segmentsLog()
    const content = disk.content(FIRST)
    content.bytes = content.bytes.slice(0, bordersOf(content.bytes).at(-2))
    expect(await outcomeOf(disk)).toEqual({ kind: 'refused', code: 'CHAIN_CRC_MISMATCH' })
    expect(() => validSnapshots({ disk, directory: DIRECTORY })).toThrow('wal: crc mismatch')
  })

  test('a last segment that lost its beginning gets a new one', async () => {
    const disk = await segmentsLog()
    const last = disk.list(DIRECTORY).at(-1)
    const content = disk.content(`${DIRECTORY}/${last}`)
    const found = bordersOf(content.bytes)
    for (const length of [0, 9, found[1], (found[1] as number) + 9, found[2], found[3]]) {
      const copy = new MemoryDisk()
      for (const path of disk.directories) copy.directories.add(path)
      for (const [path, { bytes }] of disk.files) copy.files.set(path, { bytes, isLocked: false })
      copy.content(`${DIRECTORY}/${last}`).bytes = content.bytes.slice(0, length)
      expect(await outcomeOf(copy)).toMatchObject({ kind: 'opened' })
      const alone = readWal({
        disk: copy,
        directory: DIRECTORY,
        from: { index: logIndex(9), term: term(1) },
      })
      expect(alone.metadata).toBeDefined()
    }
  })

  test('valid snapshots are those at or below the last commit index', async () => {
    const disk = await segmentsLog()
    const indexes = (): number[] =>
      validSnapshots({ disk, directory: DIRECTORY }).map(({ index }) => index)
    expect(indexes()).toEqual([0, 3, 9])
    const { wal } = Wal.open({ disk, directory: DIRECTORY, from: BEGINNING })
    await saved(wal, { entries: [entryAt(10)] })
    await savedSnapshot(wal, snapshotAt(10))
    await closed(wal)
    expect(indexes()).toEqual([0, 3, 9])
    const tail = disk.content(`${DIRECTORY}/${disk.list(DIRECTORY).at(-1)}`)
    const end = bordersOf(tail.bytes).at(-1) as number
    const whole = tail.bytes
    tail.bytes = whole.slice(0, end - 3)
    expect(indexes()).toEqual([0, 3, 9])
    tail.bytes = whole.slice()
    tail.bytes[end - 5] = (whole[end - 5] as number) ^ 4

    expect(() => indexes()).toThrow('walpb: crc mismatch')
  })
})

describe('contradictions with right checksums', () => {
  async function append(write: (wal: Wal) => Promise<void>): Promise<MemoryDisk> {
    const { wal, disk } = createWal()
    await write(wal)
    await closed(wal)
    return disk
  }

  test('an entry that is missing between two others is refused', async () => {
    const disk = await append(async (wal) => {
      await saved(wal, { entries: [entryAt(1)] })
      await savedSnapshot(wal, snapshotAt(7))
      await saved(wal, { entries: [entryAt(8)] })
    })
    expect(await outcomeOf(disk)).toEqual({ kind: 'refused', code: 'ENTRY_GAP' })
    expect(await outcomeOf(disk, { index: logIndex(7), term: term(1) })).toMatchObject({
      kind: 'opened',
    })
  })

  test('two metadata records that differ are refused', async () => {
    const one = createWal({ segmentBytes: 100 })
    await saved(one.wal, { entries: [entryAt(1, 'x'.repeat(100))] })
    await saved(one.wal, { entries: [entryAt(2)] })
    await closed(one.wal)
    const second = one.disk.list(DIRECTORY)[1] as string
    const other = new MemoryDisk()
    const metadata = Uint8Array.from([8, 9])
    const wal = Wal.create({ disk: other, directory: DIRECTORY, metadata })
    await closed(wal)
    // The running checksum is 0 only at the beginning, so a log that begins anew chains to an empty first segment.
    one.disk.content(FIRST).bytes = new Uint8Array(8)
    one.disk.content(`${DIRECTORY}/${second}`).bytes = other.read(FIRST)
    expect(await outcomeOf(one.disk)).toMatchObject({ kind: 'opened' })
    const joined = new Uint8Array(1024)
    const both = [createWal().disk.read(FIRST), other.read(FIRST)].map((bytes) =>
      bytes.slice(0, bordersOf(bytes).at(-1)),
    )
    joined.set(both[0] as Uint8Array)
    const chained = (both[1] as Uint8Array).slice(bordersOf(both[1] as Uint8Array)[1])
    joined.set(chained, (both[0] as Uint8Array).length)
    expect(await outcomeOf(diskOf(joined))).toMatchObject({ kind: 'refused' })
  })
})
