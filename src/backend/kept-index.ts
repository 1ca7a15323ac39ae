import { crc32c } from '../base/crc32c.js'
import { invariant } from '../base/invariant.js'
import type { IndexParts, RestoreTarget } from '../mvcc/rows.js'
import type { Completion, EngineEntry, KeyValueEngine } from '../ports/key-value-engine.js'
import { KEPT_INDEX_BYTE } from './buckets.js'

/** Format of head and parts; another one is ignored. */
const VERSION = 1
const VERSION_AT = 0
const PARTS_AT = 4
const SUM_AT = 8
const LAST_MAIN_AT = 12
const ROWS_AT = 20
const BYTES_AT = 28
const FINISHED_AT = 36
const SCHEDULED_AT = 44
const HEAD_SUM_AT = 52
const HEAD_BYTES = 56
const SUM_BYTES = 4
const PARTS_PER_READ = 4

const HEAD_KEY = new Uint8Array([KEPT_INDEX_BYTE])
const PARTS_RANGE = {
  start: new Uint8Array([KEPT_INDEX_BYTE, 0]),
  end: new Uint8Array([KEPT_INDEX_BYTE + 1]),
} as const

/**
 * How far compactions had got: rows that an index knows are gone when either differs. 0 = never.
 */
export interface CompactionMarks {
  readonly finishedMain: number
  readonly scheduledMain: number
}

/** What a kept index covers. */
export interface KeptIndex extends CompactionMarks {
  /** All rows up to this main revision are in it. */
  readonly lastMain: number
  readonly rowCount: number
  /** Bytes in use by these rows. */
  readonly inUseBytes: number
}

interface Head extends KeptIndex {
  readonly partCount: number
  /** CRC-32C over all parts. */
  readonly sum: number
}

/**
 * Reads the index that was kept when the engine was closed last, if it still fits: same format,
 * whole, no compaction since. `done` gets undefined otherwise, and the target has forgotten what it
 * took over. Fails when the engine does.
 */
export function readKeptIndex(
  engine: KeyValueEngine,
  options: Readonly<{ marks: CompactionMarks; target: RestoreTarget }>,
  done: (failure: Error | undefined, kept: KeptIndex | undefined) => void,
): void {
  const { marks, target } = options
  const head = decodeHead(engine.get(HEAD_KEY))
  const isCurrent =
    head !== undefined &&
    head.finishedMain === marks.finishedMain &&
    head.scheduledMain === marks.scheduledMain
  if (!isCurrent) {
    done(undefined, undefined)
    return
  }
  const iterator = engine.iterator(PARTS_RANGE)
  let count = 0
  let sum = 0
  const take = ({ key, value }: EngineEntry): boolean => {
    const end = value.length - SUM_BYTES
    if (end < 0 || numberOf(key) !== count) return false
    sum = crc32c(value, 0, end, sum)
    count++
    return viewOf(value).getUint32(end) === sum && target.restoreIndexPart(value.subarray(0, end))
  }
  const finish = (isWhole: boolean): void => {
    iterator.close()
    if (!isWhole) target.forgetIndexParts()
    done(undefined, isWhole ? head : undefined)
  }
  // The next parts are being read while the last ones are taken over; damage ends it when they have
  // come.
  let isDamaged = false
  const onEntries = (failure: Error | undefined, entries: readonly EngineEntry[]): void => {
    if (failure !== undefined) {
      done(failure, undefined)
      return
    }
    if (isDamaged || entries.length === 0) {
      finish(!isDamaged && count === head.partCount && sum === head.sum)
      return
    }
    iterator.next(PARTS_PER_READ, onEntries)
    isDamaged = !entries.every(take)
  }
  iterator.next(PARTS_PER_READ, onEntries)
}

/**
 * Keeps an index in place of the one before. The head goes first and comes last: whatever cuts this
 * off leaves no index, or one whose head says that it is whole. `isStill` is asked before the head
 * is written.
 */
export function writeKeptIndex(
  engine: KeyValueEngine,
  options: Readonly<{ kept: KeptIndex; parts: IndexParts; isStill: () => boolean }>,
  done: Completion,
): void {
  const { kept, parts, isStill } = options
  let count = 0
  let sum = 0
  const writeHead = (): void => {
    const batch = engine.batch()
    for (let gone = count; gone < before; gone++) batch.delete(keyOfPart(gone))
    if (isStill()) batch.put(HEAD_KEY, encodeHead({ ...kept, partCount: count, sum }))
    else batch.delete(HEAD_KEY)
    batch.write({ sync: true }, done)
  }
  const writeNext = (failure: Error | undefined): void => {
    const part = failure === undefined ? parts.next() : undefined
    if (failure !== undefined) done(failure)
    else if (part === undefined) writeHead()
    else {
      sum = crc32c(part, 0, part.length, sum)
      const value = new Uint8Array(part.length + SUM_BYTES)
      value.set(part)
      viewOf(value).setUint32(part.length, sum)
      const batch = engine.batch()
      batch.put(keyOfPart(count++), value)
      batch.write({ sync: false }, writeNext)
    }
  }
  const before = decodeHead(engine.get(HEAD_KEY))?.partCount ?? 0
  const batch = engine.batch()
  batch.delete(HEAD_KEY)
  batch.write({ sync: false }, writeNext)
}

function keyOfPart(number: number): Uint8Array {
  const key = new Uint8Array(5)
  key[0] = KEPT_INDEX_BYTE
  viewOf(key).setUint32(1, number)
  return key
}

const numberOf = (key: Uint8Array): number => (key.length === 5 ? viewOf(key).getUint32(1) : -1)

function encodeHead(head: Head): Uint8Array {
  invariant(head.partCount > 0, 'an index that is worth keeping has parts')
  const bytes = new Uint8Array(HEAD_BYTES)
  const view = viewOf(bytes)
  view.setUint32(VERSION_AT, VERSION)
  view.setUint32(PARTS_AT, head.partCount)
  view.setUint32(SUM_AT, head.sum)
  view.setBigUint64(LAST_MAIN_AT, BigInt(head.lastMain))
  view.setBigUint64(ROWS_AT, BigInt(head.rowCount))
  view.setBigUint64(BYTES_AT, BigInt(head.inUseBytes))
  view.setBigUint64(FINISHED_AT, BigInt(head.finishedMain))
  view.setBigUint64(SCHEDULED_AT, BigInt(head.scheduledMain))
  view.setUint32(HEAD_SUM_AT, crc32c(bytes, 0, HEAD_SUM_AT))
  return bytes
}

/** Undefined when it is absent, damaged or of another version. */
function decodeHead(bytes: Uint8Array | undefined): Head | undefined {
  if (bytes?.length !== HEAD_BYTES) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(HEAD_SUM_AT) !== crc32c(bytes, 0, HEAD_SUM_AT)) return undefined
  if (view.getUint32(VERSION_AT) !== VERSION) return undefined
  return {
    partCount: view.getUint32(PARTS_AT),
    sum: view.getUint32(SUM_AT),
    lastMain: Number(view.getBigUint64(LAST_MAIN_AT)),
    rowCount: Number(view.getBigUint64(ROWS_AT)),
    inUseBytes: Number(view.getBigUint64(BYTES_AT)),
    finishedMain: Number(view.getBigUint64(FINISHED_AT)),
    scheduledMain: Number(view.getBigUint64(SCHEDULED_AT)),
  }
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
