// Goal: damage to the files of a member that is down is mended by the rules for writes that were cut off, or refused
// with a message that names the file, the offset and the reason; never is anything acknowledged lost in silence.
// Method: three members with snapshots and a store of several files; one is stopped or killed, its files are damaged
// in one way after the other, each time from the newest good copy, and it is started. Where it runs, its hash must be that of
// the others; where it does not, the message must say why.
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Cluster } from '../interop/support/cluster.js'
import type { MemberProcess } from '../interop/support/member-process.js'
import { describeWith } from '../interop/support/requirements.js'
import { until } from '../interop/support/until.js'
import { V3Client } from '../interop/support/v3-client.js'

const WRITES = 300
/** Enough for one more snapshot. */
const WRITES_BETWEEN = 110
const AT_ONCE = 20
const VALUE = 'v'.repeat(2000)
/** Frames of the log begin at multiples of this, in bytes. */
const RECORD_ALIGNMENT = 8
const ENDS_WITHIN_MS = 30_000
const FLAGS = ['--snapshot-count', '100', '--experimental-snapshot-catchup-entries', '20']

type Outcome =
  | { readonly kind: 'runs' }
  | { readonly kind: 'refused'; readonly error: string; readonly log: string }

/** The files of one kind in a folder, oldest first. */
const filesOf = (folder: string, pattern: RegExp): string[] =>
  readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => join(folder, name))

const newest = (folder: string, pattern: RegExp): string => {
  const file = filesOf(folder, pattern).at(-1)
  if (file === undefined) throw new Error(`no ${String(pattern)} in ${folder}`)
  return file
}

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path)
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x10
  writeFileSync(path, bytes)
}

/** The frames of a log segment: where each begins, and the length of its record. */
function framesOf(path: string): { readonly start: number; readonly recordBytes: number }[] {
  const bytes = readFileSync(path)
  const frames: { start: number; recordBytes: number }[] = []
  for (let start = 0; start + RECORD_ALIGNMENT <= bytes.length; ) {
    const recordBytes = bytes.readUInt32LE(start)
    if (recordBytes === 0) break
    frames.push({ start, recordBytes })
    start += RECORD_ALIGNMENT * Math.ceil((RECORD_ALIGNMENT + recordBytes) / RECORD_ALIGNMENT)
  }
  return frames
}

/** Bytes of a log segment that have records: the rest is zeros, which a record may end with as well. */
function usedBytes(path: string): number {
  const { start = 0, recordBytes = 0 } = framesOf(path).at(-1) ?? {}
  return RECORD_ALIGNMENT * Math.ceil((start + RECORD_ALIGNMENT + recordBytes) / RECORD_ALIGNMENT)
}

/** The middle of the first value from `offset` on: zeros between records, and some bits of a length, say nothing. */
function insideValue(path: string, offset: number): number {
  const found = framesOf(path).find(
    ({ start, recordBytes }) => start >= offset && recordBytes > VALUE.length,
  )
  if (found === undefined) throw new Error(`no value from ${offset} on in ${path}`)
  return found.start + RECORD_ALIGNMENT + Math.floor(found.recordBytes / 2)
}

/** Flips a bit of a value in the newest file of a log, so many bytes before its end. */
function flipInLog(folder: string, bytesFromEnd: number): void {
  const path = newest(folder, /\.wal$/)
  flip(path, insideValue(path, usedBytes(path) - bytesFromEnd))
}

/** The beginning of a record of an entry whose 2,000 bytes of data follow, or do not. */
function tornRecord(): Buffer {
  const record = [0x08, 2, 0x10, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x1a, 0xd0, 0x0f]
  const length = record.length + 2000
  const header = Buffer.alloc(RECORD_ALIGNMENT)
  header.writeUInt32LE(length, 0)
  header[7] = 0x80 | (RECORD_ALIGNMENT - (length % RECORD_ALIGNMENT))
  return Buffer.concat([header, Buffer.from(record)])
}

describeWith(['daemon', 'etcdctl'], 'a member with damaged files', () => {
  let cluster: Cluster
  let member: MemberProcess
  let pristine = ''
  /** The store of the copy before the last one: at least one snapshot of the log was made since. */
  let earlierStore = ''
  /** The newest snapshot's file when the last copy was made. */
  let lastSnapshot = ''

  async function write(prefix: string, count: number): Promise<void> {
    const running = cluster.members.filter((one) => one.isRunning)
    const clients = running.map(({ clientUrl }) => new V3Client(clientUrl))
    let next = 0
    const work = async (): Promise<void> => {
      for (let at = next++; at < count; at = next++) {
        await clients[at % clients.length]?.put(`${prefix}${at % 50}`, `${VALUE}${at}`)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    for (const client of clients) client.close()
  }

  beforeAll(async () => {
    cluster = await Cluster.start({ name: 'damage', kinds: ['ours', 'ours', 'ours'], flags: FLAGS })
    await write('first/', WRITES)
    const last = cluster.members.at(-1)
    if (last === undefined) throw new Error('no member')
    member = last
    pristine = join(cluster.folder, 'pristine')
    earlierStore = join(cluster.folder, 'earlier-store')
    await member.restart()
    await cluster.healthy()
  })
  afterAll(async () => {
    await cluster?.destroy()
  })

  const wal = (): string => join(member.dataDir, 'member', 'wal')
  const snap = (): string => join(member.dataDir, 'member', 'snap')
  const store = (): string => join(member.dataDir, 'member', 'leveldb')

  function restore(): void {
    rmSync(member.dataDir, { recursive: true, force: true })
    cpSync(pristine, member.dataDir, { recursive: true })
  }

  /** Starts the member with files that `damage` was done to. */
  async function startWith(damage: () => void): Promise<Outcome> {
    if (member.isRunning) {
      // What the member promised meanwhile must be in the copy that it goes on from.
      await write('between/', WRITES_BETWEEN)
      await cluster.hashes()
      await until('a snapshot since the last copy', () => newest(snap(), /\.snap$/) > lastSnapshot)
      lastSnapshot = newest(snap(), /\.snap$/)
      // What is asked of the others at the end of a leader may be lost with it.
      const [other] = cluster.members
      if (other !== undefined && (await cluster.leader()) === member)
        await cluster.moveLeader(other)
      await member.kill()
      if (existsSync(pristine)) {
        rmSync(earlierStore, { recursive: true, force: true })
        renameSync(join(pristine, 'member', 'leveldb'), earlierStore)
        rmSync(pristine, { recursive: true })
      }
      cpSync(member.dataDir, pristine, { recursive: true })
      await write('down/', 10)
    } else restore()
    damage()
    const before = member.log().length
    member.start()
    return await until(
      'it runs or ends',
      async () => {
        if (!member.isRunning) {
          const log = member.log().slice(before)
          const error = /"level":"fatal".*?"error":("(?:[^"\\]|\\.)*")/.exec(log)?.[1] ?? '""'
          return { kind: 'refused', error: JSON.parse(error) as string, log } as const
        }
        const { ok } = await fetch(`${member.clientUrl}/health`)
        return ok && ({ kind: 'runs' } as const)
      },
      ENDS_WITHIN_MS,
    )
  }

  async function expectMended(damage: () => void): Promise<void> {
    expect(await startWith(damage)).toEqual({ kind: 'runs' })
    expect((await cluster.hashes()).size).toBe(1)
  }

  async function expectRefused(damage: () => void, why: RegExp): Promise<void> {
    const outcome = await startWith(damage)
    if (outcome.kind === 'runs') throw new Error('it runs all the same')
    expect(outcome.error).toMatch(why)
  }

  test('without damage it runs', () => expectMended(() => undefined))

  describe('the log', () => {
    const tail = (bytes: number): number => usedBytes(newest(wal(), /\.wal$/)) - bytes

    test('a write that was cut off is mended, and kept in a copy', async () => {
      await expectMended(() => {
        const path = newest(wal(), /\.wal$/)
        const used = readFileSync(path).subarray(0, tail(0))
        writeFileSync(path, Buffer.concat([used, tornRecord(), Buffer.alloc(100, 'x')]))
      })
      expect(filesOf(wal(), /\.broken$/)).toHaveLength(1)
    })

    test('acknowledged records cut off are refused: the store has them', () =>
      expectRefused(
        () => truncateSync(newest(wal(), /\.wal$/), tail(120_000)),
        /^wal: the log ends/,
      ))

    test('a flipped bit is refused', () =>
      expectRefused(() => flipInLog(wal(), 90_000), /\(.*\.wal at offset \d+\)/))

    test('a flipped bit near the beginning is refused', () =>
      expectRefused(() => flip(newest(wal(), /\.wal$/), 40), /\(.*\.wal at offset \d+\)/))

    test('no file left is refused: there is a store', () =>
      expectRefused(() => rmSync(newest(wal(), /\.wal$/)), /^wal: file not found: no log in .*wal/))

    test('an empty file is refused', () =>
      expectRefused(() => truncateSync(newest(wal(), /\.wal$/), 0), /wal/))
  })

  describe('snapshot files', () => {
    test.each([
      ['flipped bit', (path: string): void => flip(path, 100)],
      ['cut in half', (path: string): void => truncateSync(path, 200)],
      ['empty', (path: string): void => truncateSync(path, 0)],
      ['removed', (path: string): void => rmSync(path)],
    ])('%s in the newest: the one before is used', (_what, damage) =>
      expectMended(() => damage(newest(snap(), /\.snap$/))))

    test('none left: the log is played from its beginning', () =>
      expectMended(() => {
        for (const path of filesOf(snap(), /\.snap$/)) rmSync(path)
      }))
  })

  describe('the store', () => {
    test('removed: refused, the log goes on from a snapshot', () =>
      expectRefused(
        () => rmSync(store(), { recursive: true }),
        /^database file \(leveldb index 0\) does not match/,
      ))

    test('a table with a flipped bit is refused', () =>
      expectRefused(
        () => flip(newest(store(), /\.ldb$/), 5000),
        /^store: .*\.ldb at offset \d+: block checksum mismatch/,
      ))

    test('a table that is too short is refused', () =>
      expectRefused(
        () => truncateSync(newest(store(), /\.ldb$/), 6000),
        /^store: .*\.ldb at offset 6000: the file has 6000 bytes instead of \d+/,
      ))

    test('a table that is missing is refused', () =>
      expectRefused(
        () => rmSync(newest(store(), /\.ldb$/)),
        /^store: .*\.ldb at offset 0: the file is missing/,
      ))

    test('a list of files with a flipped bit is refused', () =>
      expectRefused(
        () => flip(newest(store(), /^MANIFEST/), 30),
        /^store: .*MANIFEST-\d+ at offset 0: record checksum mismatch/,
      ))

    test('no list of files is refused', () =>
      expectRefused(
        () => rmSync(newest(store(), /^CURRENT$/)),
        /^store: .*CURRENT at offset 0: the file is missing/,
      ))

    /** The write-ahead log has what was cut off, unless that was in front of the snapshot. */
    const BEHIND = /^database file \(leveldb index \d+\) does not match with snapshot \(index \d+\)/

    test('a log cut short is mended from the write-ahead log, or refused', () =>
      expectMendedOrRefused((path) => truncateSync(path, statSync(path).size - 3000)))

    test('a log with a flipped bit near its end is mended, or refused', () =>
      expectMendedOrRefused((path) => flip(path, statSync(path).size - 3000)))

    test('a log with a flipped bit at its beginning is mended, or refused', () =>
      expectMendedOrRefused((path) => flip(path, 20)))

    test('a log that is missing is mended, or refused', () =>
      expectMendedOrRefused((path) => rmSync(path)))

    test('a store of before the snapshot is refused', () =>
      expectRefused(() => {
        rmSync(store(), { recursive: true })
        cpSync(earlierStore, store(), { recursive: true })
      }, BEHIND))

    async function expectMendedOrRefused(damage: (path: string) => void): Promise<void> {
      const outcome = await startWith(() => damage(newest(store(), /\.log$/)))
      if (outcome.kind === 'refused') expect(outcome.error).toMatch(BEHIND)
      else expect((await cluster.hashes()).size).toBe(1)
    }
  })

  test('a member with a lost disk does not begin anew', () =>
    expectRefused(
      () => rmSync(join(member.dataDir, 'member'), { recursive: true }),
      /has already been bootstrapped/,
    ))

  test('with two of three damaged each says why, and nothing is served', async () => {
    const [first, second] = cluster.members
    if (first === undefined || second === undefined) throw new Error('no members')
    await member.kill()
    restore()
    await first.kill()
    for (const { dataDir } of [first, member]) {
      const path = newest(join(dataDir, 'member', 'wal'), /\.wal$/)
      flip(path, insideValue(path, 5000))
    }
    for (const damaged of [first, member]) {
      damaged.start()
      await until('it ends', () => !damaged.isRunning)
      expect(damaged.log(3000)).toMatch(/crc mismatch \(.*\.wal at offset \d+\)/)
    }
    const client = new V3Client(second.clientUrl)
    await expect(client.put('more', 'x', 2000)).rejects.toThrow()
    client.close()
  })
})
