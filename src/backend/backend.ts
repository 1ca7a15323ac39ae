import { buggify, mark } from '../base/buggify.js'
import { failpoint } from '../base/failpoints.js'
import { type LogIndex, logIndex, type Term, term } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { bytesFromLatin1, latin1FromBytes } from '../base/latin1.js'
import { compactionMeta } from '../mvcc/compaction.js'
import { ROW_KEY_BYTES, readMain, writeRevision } from '../mvcc/row-key.js'
import type { RestoreTarget, RowCursor, RowStore } from '../mvcc/rows.js'
import type {
  Completion,
  EngineBatch,
  EngineEntry,
  KeyValueEngine,
} from '../ports/key-value-engine.js'
import {
  type Bucket,
  bucketByte,
  bucketRange,
  engineKey,
  KEY_BUCKET_BYTE,
  WHOLE_RANGE,
} from './buckets.js'
import { hashEngine } from './engine-hash.js'
import {
  type CompactionMarks,
  type KeptIndex,
  readKeptIndex,
  writeKeptIndex,
} from './kept-index.js'
import { ReadGate } from './read-gate.js'
import { RecentRows } from './recent-rows.js'
import { MergedRowCursor, rowOfEntry, rowRange } from './row-cursor.js'
import { createSnapshotBody, type StoreSnapshot } from './snapshot-stream.js'
import { ValueCache } from './value-cache.js'

/** Bytes that an engine spends on an entry beside key and value, roughly. */
const ENTRY_OVERHEAD_BYTES = 12
const ROWS_PER_READ = 1000
const TOMBSTONE_MARK = 0x74

export interface BackendOptions {
  readonly engine: KeyValueEngine
  /** Runs a task in a later turn of the event loop. */
  readonly defer: (task: () => void) => void
  /**
   * The engine failed to write or read: nothing more can be trusted, the process has to end. Called
   * once.
   */
  readonly onFailure: (failure: Error) => void
  /** Changes after which a flush is due (etcd's backend-batch-limit). Default 10,000. */
  readonly batchChangesMax?: number
  /** Unwritten bytes above which `isOverloaded`. Default 64 MiB. */
  readonly pendingBytesMax?: number
  /** Rows that were written lately and stay in memory. Default 16 MiB. */
  readonly recentBytesMax?: number
  /** Rows that were read from the engine and stay in memory. Default 32 MiB. */
  readonly cacheBytesMax?: number
  /**
   * Rows that a start may have to read before it is worth keeping the index at `close`. Default
   * 10,000.
   */
  readonly unkeptRowsMax?: number
}

interface Flush {
  readonly sync: boolean
  readonly done: Completion | undefined
  /** Called when the batch is closed: later changes are not in it. */
  readonly onCut?: (() => void) | undefined
}

/**
 * What one batch carries beside rows: the last change of each key of the small buckets; undefined =
 * deleted.
 */
type SmallChanges = Map<string, Uint8Array | undefined>

/**
 * The durable state behind apply: buckets over the engine, with a write buffer that reads see at
 * once. Changes since the last flush go to the engine in one atomic batch together with the
 * consistent index, so that after a crash the log is replayed from exactly there. At most one batch
 * is being written; the next one grows meanwhile.
 *
 * It has no clock: its owner calls `flush` every batch interval while `isDirty`, and at once when
 * `isFlushDue` — between entries, never inside one.
 */
export class Backend implements RowStore {
  readonly #engine: KeyValueEngine
  readonly #options: Required<BackendOptions>
  readonly #recent = new RecentRows()
  readonly #cache: ValueCache
  #small: SmallChanges = new Map()
  #smallInFlight: SmallChanges = new Map()
  #batch: EngineBatch | undefined
  #pendingBytes = 0
  #bytesInFlight = 0
  /** From the cut of a batch until the flushes that wait for it were told: no other begins. */
  #isWriting = false
  /** The engine stays open until the reads under way have ended. */
  readonly #reads: ReadGate
  /**
   * Some batch was written without being synced; of those of an earlier process nothing is known.
   */
  #hasUnsynced = true
  #hasFailed = false
  /** Who waits for the end of the engine: two at most. */
  readonly #closers: Completion[] = []
  #closed: { readonly failure: Error | undefined } | undefined
  #waiting: Flush[] = []
  #index = logIndex(0)
  #term = term(0)
  #writtenIndex = logIndex(0)
  #durableIndex = logIndex(0)
  #inUseBytes = 0
  #sizeBytes = 0
  #rowCount = 0
  /** Main revision of the newest row. */
  #lastMain = 0
  /** What the rows were read into; its index is kept for the next start. */
  #target: RestoreTarget | undefined
  /** The index that the engine keeps. */
  #kept: KeptIndex | undefined
  /** Rows that came after those in the kept index. */
  #unkeptRows = 0
  readonly #rowKey = new Uint8Array(ROW_KEY_BYTES + 2)

  constructor(options: BackendOptions) {
    this.#engine = options.engine
    this.#options = {
      batchChangesMax: 10_000,
      pendingBytesMax: 64 * 1024 * 1024,
      recentBytesMax: 16 * 1024 * 1024,
      cacheBytesMax: 32 * 1024 * 1024,
      unkeptRowsMax: 10_000,
      ...options,
    }
    this.#reads = new ReadGate(this.#options.defer)
    this.#cache = new ValueCache(this.#options.cacheBytesMax)
    this.#rowKey[0] = KEY_BUCKET_BYTE
    this.#rowKey[ROW_KEY_BYTES + 1] = TOMBSTONE_MARK
    this.#index = logIndex(counterOf(this.getMeta('consistent_index')))
    this.#term = term(counterOf(this.getMeta('term')))
    this.#writtenIndex = this.#index
    this.#durableIndex = this.#index
  }

  /** The last log entry whose effects are in the buckets (buffer included). */
  get consistentIndex(): LogIndex {
    return this.#index
  }

  get consistentTerm(): Term {
    return this.#term
  }

  /** What survives a power loss: the log must not be cut behind this. */
  get durableIndex(): LogIndex {
    return this.#durableIndex
  }

  /** What survives the end of the process. */
  get writtenIndex(): LogIndex {
    return this.#writtenIndex
  }

  /** Whether there is anything that a flush would write. */
  get isDirty(): boolean {
    return this.#batch !== undefined || this.#small.size > 0 || this.#index > this.#writtenIndex
  }

  /** The batch has reached its limit: flush now instead of at the next interval. */
  get isFlushDue(): boolean {
    const count = this.#batch?.count ?? 0
    if (this.#isWriting || count === 0) return false
    return count >= this.#options.batchChangesMax || buggify('backend/flush-due')
  }

  /** Bytes that are only in memory so far, those being written included. */
  get pendingBytes(): number {
    return this.#pendingBytes + this.#bytesInFlight
  }

  /** The engine does not keep up: the owner should take no proposals until this is false again. */
  get isOverloaded(): boolean {
    return this.pendingBytes > this.#options.pendingBytesMax || buggify('backend/overloaded')
  }

  /** Bytes that the rows need. */
  get inUseBytes(): number {
    return this.#inUseBytes
  }

  /**
   * Size of the database as the quota sees it: the most that was in use since it was last
   * defragmented.
   */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Marks everything up to a log entry as applied; written with the next batch. */
  setConsistentIndex(index: LogIndex, entryTerm: Term): void {
    invariant(index >= this.#index, 'the consistent index never goes back')
    this.#index = index
    this.#term = entryTerm
  }

  getRow(main: number, sub: number): Uint8Array | undefined {
    const recent = this.#recent.get(main, sub)
    if (recent !== undefined) return recent
    const cached = this.#cache.get(main, sub)
    if (cached !== undefined) return cached
    const value = this.#engine.get(this.#keyOfRow(main, sub, false))
    if (value !== undefined) this.#cache.set(main, sub, value)
    return value
  }

  getRows(
    mains: readonly number[],
    subs: readonly number[],
    done: (values: readonly (Uint8Array | undefined)[]) => void,
  ): void {
    const missing: number[] = []
    const keys: Uint8Array[] = []
    const values = mains.map((main, at) => {
      const sub = subs[at] ?? 0
      const value = this.#recent.get(main, sub) ?? this.#cache.get(main, sub)
      if (value === undefined) {
        missing.push(at)
        keys.push(this.#keyOfRow(main, sub, false).slice())
      }
      return value
    })
    if (keys.length === 0) {
      this.#options.defer(() => done(values))
      return
    }
    const end = this.#reads.begin()
    this.#engine.getMany(keys, (failure, found) => {
      end()
      if (failure !== undefined) {
        this.#fail(failure)
        return
      }
      missing.forEach((place, at) => {
        values[place] = found[at]
      })
      done(values)
    })
  }

  appendRow(main: number, sub: number, isTombstone: boolean, value: Uint8Array): void {
    failpoint('beforeWritebackBuf')
    this.#recent.append(main, sub, isTombstone, value)
    failpoint('afterWritebackBuf')
    this.#changes().put(this.#keyOfRow(main, sub, isTombstone), value)
    this.#rowCount++
    this.#unkeptRows++
    this.#lastMain = main
    this.#grow(bytesInUse(isTombstone, value.length))
  }

  deleteRow(main: number, sub: number, isTombstone: boolean, valueBytes: number): void {
    this.#recent.delete(main, sub)
    this.#changes().delete(this.#keyOfRow(main, sub, isTombstone))
    this.#inUseBytes -= bytesInUse(isTombstone, valueBytes)
    this.#rowCount--
    invariant(this.#inUseBytes >= 0, 'a row is deleted once')
  }

  rowCursor(fromMain: number, toMain: number): RowCursor {
    const until = Math.min(toMain + 1, this.#recent.oldestMain)
    const iterator = fromMain < until ? this.#engine.iterator(rowRange(fromMain, until)) : undefined
    const parts = this.#recent.parts(fromMain, toMain)
    const { defer } = this.#options
    const onClose = this.#reads.begin()
    const fail = (failure: Error): void => this.#fail(failure)
    return new MergedRowCursor({ iterator, parts, defer, fail, onClose })
  }

  getMeta(key: string): Uint8Array | undefined {
    return this.get('meta', bytesFromLatin1(key))
  }

  putMeta(key: string, value: Uint8Array): void {
    this.put('meta', bytesFromLatin1(key), value)
  }

  /** The value of a key of a small bucket (any but `key`). */
  get(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    const full = engineKey(bucket, key)
    const name = latin1FromBytes(full)
    for (const changes of [this.#small, this.#smallInFlight]) {
      if (changes.has(name)) return changes.get(name)
    }
    return this.#engine.get(full)
  }

  /** Sets a key of a small bucket. The value must not change afterwards. */
  put(bucket: Bucket, key: Uint8Array, value: Uint8Array): void {
    this.#setSmall(bucket, key, value)
  }

  delete(bucket: Bucket, key: Uint8Array): void {
    this.#setSmall(bucket, key, undefined)
  }

  /**
   * All of a small bucket in key order, buffer included, as of now; keys without the bucket's byte.
   */
  readBucket(bucket: Bucket, done: (entries: readonly EngineEntry[]) => void): void {
    invariant(bucket !== 'key', 'bucket key is read through cursors')
    const found = new Map<string, Uint8Array | undefined>()
    const changes = [...this.#smallInFlight, ...this.#small]
    const iterator = this.#engine.iterator(bucketRange(bucket))
    const finish = (): void => {
      iterator.close()
      const first = String.fromCharCode(bucketByte(bucket))
      for (const [name, value] of changes) if (name.startsWith(first)) found.set(name, value)
      const entries: EngineEntry[] = []
      for (const name of [...found.keys()].sort()) {
        const value = found.get(name)
        if (value !== undefined) entries.push({ key: bytesFromLatin1(name.slice(1)), value })
      }
      done(entries)
    }
    const onEntries = (failure: Error | undefined, entries: readonly EngineEntry[]): void => {
      if (failure !== undefined) {
        this.#fail(failure)
        return
      }
      for (const { key, value } of entries) found.set(latin1FromBytes(key), value)
      if (entries.length === 0) finish()
      else iterator.next(ROWS_PER_READ, onEntries)
    }
    iterator.next(ROWS_PER_READ, onEntries)
  }

  /**
   * Reads all rows of bucket `key` in revision order into the target, and counts what is in use;
   * where an index was kept, only the rows behind it. For the start, before the first change.
   * `close` then keeps the target's index.
   */
  restoreRows(target: RestoreTarget, done: () => void): void {
    invariant(this.#target === undefined, 'rows are restored once')
    invariant(this.#rowCount === 0, 'rows are restored before the first change')
    this.#target = target
    readKeptIndex(this.#engine, { marks: this.#compactionMarks(), target }, (failure, kept) => {
      if (failure !== undefined) {
        this.#fail(failure)
        return
      }
      this.#kept = kept
      this.#rowCount = kept?.rowCount ?? 0
      this.#inUseBytes = kept?.inUseBytes ?? 0
      this.#lastMain = kept?.lastMain ?? 0
      this.#readRows(target, done)
    })
  }

  /** The next rows are being read while the last ones are handled. */
  #readRows(target: RestoreTarget, done: () => void): void {
    const from = this.#kept === undefined ? 0 : this.#lastMain + 1
    const iterator = this.#engine.iterator(rowRange(from, Number.POSITIVE_INFINITY))
    const onEntries = (failure: Error | undefined, entries: readonly EngineEntry[]): void => {
      if (failure !== undefined) {
        this.#fail(failure)
        return
      }
      if (entries.length === 0) {
        iterator.close()
        this.#engine.approximateSize(WHOLE_RANGE, (unknown, bytes) => {
          this.#sizeBytes = Math.max(this.#inUseBytes, unknown === undefined ? bytes : 0)
          done()
        })
        return
      }
      iterator.next(ROWS_PER_READ, onEntries)
      for (const entry of entries) {
        const row = rowOfEntry(entry)
        this.#rowCount++
        this.#unkeptRows++
        this.#lastMain = row.main
        this.#inUseBytes += bytesInUse(row.isTombstone, row.value.length)
        target.restoreRow(row)
      }
    }
    iterator.next(ROWS_PER_READ, onEntries)
  }

  #compactionMarks(): CompactionMarks {
    const finished = this.getMeta(compactionMeta.finished)
    const scheduled = this.getMeta(compactionMeta.scheduled)
    return {
      finishedMain: finished === undefined ? 0 : readMain(finished),
      scheduledMain: scheduled === undefined ? 0 : readMain(scheduled),
    }
  }

  /**
   * Writes everything up to now. With `sync` it is on disk when `done` comes, else it survives the
   * end of the process. While a batch is being written, calls are gathered into the next one.
   */
  flush(sync: boolean, done?: Completion, onCut?: () => void): void {
    this.#waiting.push({ sync, done, onCut })
    if (!this.#isWriting) this.#write()
  }

  /** Rewrites the engine's files without dead entries, in the background. */
  defragment(done: Completion): void {
    this.flush(true, (failure) => {
      if (failure !== undefined) {
        done(failure)
        return
      }
      failpoint('defragBeforeCopy')
      this.#engine.compactRange(WHOLE_RANGE, (broken) => {
        failpoint('defragBeforeRename')
        if (broken === undefined) this.#sizeBytes = this.#inUseBytes
        done(broken)
      })
    })
  }

  /**
   * Everything, frozen as of one log entry, to be streamed to another member. `onCut` is called at
   * that entry, now or when the batch under way is written: what else belongs to the snapshot is
   * taken then.
   */
  openSnapshot(
    done: (failure: Error | undefined, snapshot: StoreSnapshot | undefined) => void,
    onCut?: () => void,
  ): void {
    this.flush(
      false,
      (failure) => {
        if (failure !== undefined) {
          done(failure, undefined)
          return
        }
        // No other batch begins before this returns, so the engine is exactly at the index written
        // last.
        const body = createSnapshotBody(this.#engine)
        done(undefined, { index: this.#writtenIndex, body })
      },
      onCut,
    )
  }

  /** etcd's Hash over all buckets (facts: v3-api.md 6.2). */
  hash(done: (hash: number) => void): void {
    const end = this.#reads.begin()
    this.flush(false, (failure) => {
      if (failure !== undefined) {
        end()
        return
      }
      hashEngine(this.#engine, (broken, hash) => {
        if (broken !== undefined) {
          this.#fail(broken)
          return
        }
        end()
        done(hash)
      })
    })
  }

  /**
   * Writes what is left, durably, keeps the index for the next start where that pays, and closes
   * the engine once the reads under way have got to their end. No other call may follow but this
   * one, which a stop makes while a snapshot takes the place of the store: it waits for the same
   * end. The store must not change any more.
   */
  close(done: Completion): void {
    const closed = this.#closed
    if (closed !== undefined) {
      this.#options.defer(() => done(closed.failure))
      return
    }
    this.#closers.push(done)
    if (this.#closers.length > 1) return
    const finish = (failure: Error | undefined): void => {
      this.#closed = { failure }
      for (const each of this.#closers) each(failure)
    }
    this.flush(true, (failure) => {
      const close = (): void => this.#engine.close((broken) => finish(failure ?? broken))
      const end = (): void => this.#reads.afterReads(close)
      if (failure !== undefined) end()
      // An index that could not be written is made anew at the next start.
      else this.#keepIndex(end)
    })
  }

  #keepIndex(done: Completion): void {
    const marks = this.#compactionMarks()
    const isCurrent =
      this.#kept?.finishedMain === marks.finishedMain &&
      this.#kept.scheduledMain === marks.scheduledMain
    const unkeptRows = isCurrent ? this.#unkeptRows : this.#rowCount
    // While a compaction is under way the marks would not tell which rows are gone.
    const isCompacting = marks.finishedMain !== marks.scheduledMain
    const pays = unkeptRows >= this.#options.unkeptRowsMax && unkeptRows > 0
    if (this.#target === undefined || isCompacting || !pays) {
      done(undefined)
      return
    }
    const parts = this.#target.indexParts()
    const kept = {
      ...marks,
      lastMain: this.#lastMain,
      rowCount: this.#rowCount,
      inUseBytes: this.#inUseBytes,
    }
    writeKeptIndex(this.#engine, { kept, parts, isStill: () => !this.isDirty }, done)
  }

  /** The engine's key of a row, in a buffer that the next call reuses. */
  #keyOfRow(main: number, sub: number, isTombstone: boolean): Uint8Array {
    writeRevision(this.#rowKey, 1, main, sub)
    return isTombstone ? this.#rowKey : this.#rowKey.subarray(0, ROW_KEY_BYTES + 1)
  }

  #changes(): EngineBatch {
    if (this.#batch !== undefined) return this.#batch
    failpoint('beforeStartDBTxn')
    this.#batch = this.#engine.batch()
    failpoint('afterStartDBTxn')
    return this.#batch
  }

  #grow(bytes: number): void {
    this.#pendingBytes += bytes
    this.#inUseBytes += bytes
    if (this.#inUseBytes > this.#sizeBytes) this.#sizeBytes = this.#inUseBytes
  }

  #setSmall(bucket: Bucket, key: Uint8Array, value: Uint8Array | undefined): void {
    invariant(bucket !== 'key', 'bucket key is written row by row')
    this.#small.set(latin1FromBytes(engineKey(bucket, key)), value)
    this.#pendingBytes += key.length + (value?.length ?? 0)
  }

  #write(): void {
    if (this.#hasFailed) return
    const flushes = this.#waiting
    this.#waiting = []
    const sync = flushes.some((flush) => flush.sync) || buggify('backend/sync-flush')
    if (flushes.length > 1) mark('backend/flushes-gathered')
    this.#isWriting = true
    for (const flush of flushes) flush.onCut?.()
    if (!this.isDirty && !(sync && this.#hasUnsynced)) {
      this.#options.defer(() => this.#finishFlushes(flushes))
      return
    }
    const batch = this.#changes()
    const written = this.#index
    // The consistent index is in every batch, and only there.
    failpoint('commitBeforePreCommitHook')
    this.putMeta('consistent_index', counterBytes(this.#index))
    this.putMeta('term', counterBytes(this.#term))
    failpoint('commitAfterPreCommitHook')
    for (const [name, value] of this.#small) {
      if (value === undefined) batch.delete(bytesFromLatin1(name))
      else batch.put(bytesFromLatin1(name), value)
    }
    this.#batch = undefined
    this.#smallInFlight = this.#small
    this.#small = new Map()
    this.#bytesInFlight = this.#pendingBytes
    this.#pendingBytes = 0
    this.#recent.cut()
    failpoint('beforeCommit')
    batch.write({ sync }, (failure) => {
      failpoint('afterCommit')
      if (failure !== undefined) {
        this.#fail(failure)
        for (const flush of flushes) flush.done?.(failure)
        return
      }
      this.#smallInFlight = new Map()
      this.#bytesInFlight = 0
      this.#writtenIndex = written
      this.#hasUnsynced = !sync
      if (sync) this.#durableIndex = written
      this.#recent.dropOldest(buggify('backend/drop-rows') ? 0 : this.#options.recentBytesMax)
      this.#finishFlushes(flushes)
    })
  }

  /** Whoever waited sees the engine at the index written last: only then the next batch begins. */
  #finishFlushes(flushes: readonly Flush[]): void {
    for (const flush of flushes) flush.done?.(undefined)
    this.#isWriting = false
    if (this.#waiting.length > 0) this.#write()
  }

  #fail(failure: Error): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    this.#options.onFailure(failure)
  }
}

function bytesInUse(isTombstone: boolean, valueBytes: number): number {
  return ROW_KEY_BYTES + (isTombstone ? 2 : 1) + valueBytes + ENTRY_OVERHEAD_BYTES
}

/** Eight bytes, big-endian. */
function counterBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(ROW_KEY_BYTES)
  writeRevision(bytes, 0, value, 0)
  return bytes.slice(0, 8)
}

function counterOf(bytes: Uint8Array | undefined): number {
  let value = 0
  if (bytes !== undefined) for (const byte of bytes) value = value * 256 + byte
  return value
}
