import { buggify, mark } from '../base/buggify.js'
import { failpoint } from '../base/failpoints.js'
import { type LogIndex, nextIndex } from '../base/ids.js'
import { InvariantViolation, invariant } from '../base/invariant.js'
import type { Disk, DiskFile } from '../ports/disk.js'
import { entrySize } from '../raft/entry-size.js'
import type { WalSnapshot } from '../wire/disk-messages.js'
import type { Entry, HardState } from '../wire/raftpb.js'
import { type Batch, BatchPool } from './batch.js'
import type { HeldSegments } from './held-segments.js'
import { createLog, type OpenedLog, openLog } from './open-log.js'
import { SEGMENT_BYTES } from './record.js'
import { RecordEncoder } from './record-encoder.js'
import type { WalContents, WalPosition } from './replay.js'
import { segmentName } from './segment-name.js'
import { WalError } from './wal-error.js'
import {
  LAZY_BYTES_MAX,
  QUEUED_BYTES_MAX,
  type WalDone,
  type WalOptions,
  type WalWrite,
} from './wal-options.js'
import { roomLimit, ZeroAhead } from './zero-ahead.js'

/** What a record can take beside an entry's own encoding. */
const RECORD_OVERHEAD_BYTES = 32
/** What the records of a hard state and of a segment's start can take, generously. */
const STATE_ALLOWANCE_BYTES = 1024
/** In a simulated run some segments are full at this part of their size. */
const SMALL_SEGMENT_PART = 16

/**
 * The write-ahead log, open for appending. Saves are encoded at once, into the buffer that goes to
 * the disk; one write is under way at a time, and what is saved meanwhile becomes the next one,
 * whole. So each save costs one durable write when it comes alone, and a share of one when many
 * come together.
 *
 * After a failed write nothing more is taken: what reached the disk is unknown, and it is not asked
 * twice.
 */
export class Wal {
  readonly #disk: Disk
  readonly #options: WalOptions
  readonly #segmentBytes: number
  /** At how many bytes the segment that is written now counts as full. */
  #segmentLimit: number
  readonly #queuedBytesMax: number
  readonly #metadata: Uint8Array
  readonly #held: HeldSegments
  readonly #encoder: RecordEncoder
  readonly #pool = new BatchPool()
  /** Full batches that end their segment, oldest first. */
  readonly #sealed: Batch[] = []
  /** Takes what is saved next. */
  #filling: Batch
  #underWay: Batch | undefined
  /** A durable batch whose completions are being run. */
  #completing: Batch | undefined
  #queuedBytes = 0
  /** Where the next write begins in the tail segment. */
  #offset: number
  /** Used bytes of the segment before, while a new one gets its first batch. */
  #fullSegmentBytes = 0
  /** Where the next record will be in its segment, which may not exist yet. */
  #position: number
  /** Sequence number of that segment. */
  #sequence: number
  #zeroAhead: ZeroAhead
  #hardState: HardState | undefined
  #lastIndex: LogIndex
  #bytesWritten = 0
  #writeCount = 0
  #failure: WalError | undefined
  #closing: WalDone | undefined

  /**
   * Creates a log in a directory that has none; throws WalError EXISTS or DiskError. Blocks for
   * some milliseconds.
   */
  static create(options: WalOptions & { readonly metadata: Uint8Array }): Wal {
    return new Wal(options, createLog(options))
  }

  /**
   * Opens a log for appending behind a snapshot it has a record of, and gives what follows it. An
   * end that was written in part is copied to `<segment>.broken` and cut off. Throws WalError, or
   * DiskError.
   */
  static open(
    options: WalOptions & { readonly from: WalPosition },
  ): WalContents & { readonly wal: Wal } {
    const opened = openLog(options)
    return { ...opened.contents, wal: new Wal(options, opened) }
  }

  private constructor(options: WalOptions, opened: OpenedLog) {
    const { contents, held, offset, crc } = opened
    invariant(contents.metadata !== undefined, 'a log that is open for appending has metadata')
    this.#disk = options.disk
    this.#options = options
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES
    this.#segmentLimit = this.#segmentBytes
    this.#queuedBytesMax = options.queuedBytesMax ?? QUEUED_BYTES_MAX
    this.#metadata = contents.metadata
    this.#held = held
    this.#encoder = new RecordEncoder(crc)
    this.#filling = this.#pool.take()
    this.#offset = offset
    this.#position = offset
    this.#sequence = held.tail.segment.sequence
    this.#zeroAhead = this.#zeroesOf(held.tail.file)
    this.#hardState = contents.hardState
    this.#lastIndex = contents.lastIndex
    if (!opened.tailHasMetadata) this.#encodeOpening()
  }

  /**
   * Index of the last entry, or snapshot, that was given to the log; it may still be on its way.
   */
  get lastIndex(): LogIndex {
    return this.#lastIndex
  }

  /** Bytes of records made durable since the log was opened. */
  get bytesWritten(): number {
    return this.#bytesWritten
  }

  /** Writes since the log was opened: with `bytesWritten`, how much a write carried. */
  get writeCount(): number {
    return this.#writeCount
  }

  /** Bytes that wait for the disk, the write under way included. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /**
   * Appends entries, then the hard state. Completions come in the order of the calls; one for which
   * nothing is to be waited for (nothing to save, or no need to sync) and a failure may come before
   * this returns. With `mustSync` all earlier saves are durable at `done` too, so that an empty
   * save flushes what waits in memory.
   */
  save(write: WalWrite, done: WalDone): void {
    const { entries, hardState, mustSync } = write
    const refusal = this.#refusal(entries)
    if (refusal !== undefined) {
      done(refusal)
      return
    }
    this.#encode(entries, hardState)
    this.#enqueue(mustSync, done)
  }

  /**
   * The same, blocking the thread, when nothing else waits for the disk: it saves the way through
   * the thread pool. False when it did nothing because something does; throws WalError.
   */
  maybeSaveSync(write: WalWrite): boolean {
    const { entries, hardState } = write
    const isIdle =
      this.#underWay === undefined &&
      this.#completing === undefined &&
      this.#sealed.length === 0 &&
      !this.#filling.mustWrite
    if (!isIdle || this.#closing !== undefined || buggify('wal/refuse-inline')) return false
    // What waits in memory has filled the segment: it has to be written first, in front of the
    // next.
    if (this.#position >= this.#segmentLimit && this.#filling.out.position > 0) return false
    const refusal = this.#refusal(entries)
    if (refusal !== undefined) throw refusal
    const end = this.#position + sizeBound(entries) + STATE_ALLOWANCE_BYTES
    if (!this.#zeroAhead.isFree(end)) return false
    if (this.#zeroAhead.isFilling && end >= this.#segmentLimit) return false
    this.#encode(entries, hardState)
    const batch = this.#filling
    if (batch.out.position === 0 || (!write.mustSync && !this.#isLazyFull)) return true
    this.#filling = this.#pool.take()
    this.#writeNow(batch)
    return true
  }

  /** Appends the record of a snapshot whose file is durable already; durable itself at `done`. */
  saveSnapshot(snapshot: WalSnapshot, done: WalDone): void {
    const refusal = this.#refusal([])
    if (refusal !== undefined) {
      done(refusal)
      return
    }
    this.#maybeStartSegment()
    this.#count(this.#encoder.snapshot(this.#filling.out, snapshot))
    if (snapshot.index > this.#lastIndex) this.#lastIndex = snapshot.index
    this.#enqueue(true, done)
  }

  /** Lets segments go that hold only entries below `index`; `purge` may then remove them. */
  releaseTo(index: LogIndex): void {
    this.#held.releaseTo(index)
  }

  /**
   * Removes the oldest segments that were let go, while there are more than `filesMax` (0 = keeps
   * all). Returns their names. Throws DiskError.
   */
  purge(filesMax: number): readonly string[] {
    return this.#held.purge(this.#disk, this.#options.directory, filesMax)
  }

  /** Writes what still waits in memory, then lets the files go. No other call may follow. */
  close(done: WalDone): void {
    invariant(this.#closing === undefined, 'a log is closed once')
    this.#closing = done
    if (this.#filling.out.position > 0) this.#filling.mustWrite = true
    this.#pump()
  }

  /** Why nothing can be saved now. */
  #refusal(entries: readonly Entry[]): WalError | undefined {
    if (this.#failure !== undefined) return this.#failure
    if (this.#closing !== undefined) return new WalError('CLOSED')
    if (this.#queuedBytes === 0) return undefined
    if (this.#queuedBytes + sizeBound(entries) <= this.#queuedBytesMax) return undefined
    // The caller has these entries in its log and goes on behind them: a hole must not form.
    this.#failure = new WalError('QUEUE_FULL')
    return this.#failure
  }

  #encode(entries: readonly Entry[], hardState: HardState | undefined): void {
    const isEmpty = hardState === undefined || isEmptyHardState(hardState)
    if (entries.length === 0 && isEmpty) return
    this.#maybeStartSegment()
    const { out } = this.#filling
    for (const entry of entries) {
      invariant(entry.index <= this.#lastIndex + 1, 'entries are saved without a gap')
      this.#lastIndex = entry.index
      this.#count(this.#encoder.entry(out, entry))
    }
    if (isEmpty) return
    this.#hardState = hardState
    this.#count(this.#encoder.state(out, hardState))
  }

  #count(bytes: number): void {
    this.#position += bytes
    this.#queuedBytes += bytes
  }

  /** Once a segment is full, what is saved next begins a new one. */
  #maybeStartSegment(): void {
    if (this.#position < this.#segmentLimit) return
    mark('wal/segment-begun')
    this.#segmentLimit = buggify('wal/small-segment')
      ? Math.ceil(this.#segmentBytes / SMALL_SEGMENT_PART)
      : this.#segmentBytes
    if (this.#filling.out.position > 0) {
      this.#sealed.push(this.#filling)
      this.#filling = this.#pool.take()
    }
    this.#sequence++
    this.#filling.startsSegment = segmentName(this.#sequence, nextIndex(this.#lastIndex))
    this.#position = 0
    this.#encodeOpening()
  }

  /** A segment can be read without those before it: checksum so far, metadata, hard state. */
  #encodeOpening(): void {
    const { out } = this.#filling
    this.#count(this.#encoder.chain(out))
    this.#count(this.#encoder.metadata(out, this.#metadata))
    if (this.#hardState !== undefined) this.#count(this.#encoder.state(out, this.#hardState))
  }

  get #isLazyFull(): boolean {
    return this.#filling.out.position >= LAZY_BYTES_MAX || buggify('wal/write-lazy-at-once')
  }

  #enqueue(mustSync: boolean, done: WalDone): void {
    const batch = this.#filling
    const isAlone = batch.out.position === 0 || (!mustSync && !this.#isLazyFull)
    if (isAlone && !batch.mustWrite) {
      const last = this.#sealed.at(-1) ?? this.#underWay ?? this.#completing
      if (last === undefined) done(undefined)
      else last.dones.push(done)
      // A segment filled by what could wait has nobody who asks for it to be written.
      if (this.#sealed.length > 0) this.#pump()
      return
    }
    batch.mustWrite = true
    batch.dones.push(done)
    this.#pump()
  }

  /** Starts the next write when none is under way. */
  #pump(): void {
    if (this.#underWay !== undefined) {
      mark('wal/behind-write')
      return
    }
    if (this.#failure !== undefined) {
      this.#maybeFinishClosing()
      return
    }
    const batch = this.#sealed[0] ?? (this.#filling.mustWrite ? this.#filling : undefined)
    if (batch === undefined) {
      this.#maybeFinishClosing()
      return
    }
    const end = this.#offset + batch.out.position
    const mayWrite =
      batch.startsSegment === undefined ? this.#zeroAhead.isFree(end) : !this.#zeroAhead.isFilling
    if (!mayWrite) return
    if (batch === this.#filling) this.#filling = this.#pool.take()
    else this.#sealed.shift()
    this.#underWay = batch
    const startedMs = this.#nowMs()
    try {
      const file = this.#fileFor(batch)
      failpoint('walBeforeSync')
      file.write(batch.out.view(), this.#offset, (error) => {
        failpoint('walAfterSync')
        this.#written(batch, { file, startedMs, error })
      })
    } catch (error) {
      this.#fail(error)
    }
  }

  /**
   * The file a batch goes to. A new segment is written under another name until its first batch is
   * durable.
   */
  #fileFor(batch: Batch): DiskFile {
    if (batch.startsSegment === undefined) return this.#held.tail.file
    this.#fullSegmentBytes = this.#offset
    this.#offset = 0
    const { directory } = this.#options
    const path = `${directory}/${batch.startsSegment.sequence % 2}.tmp`
    return this.#disk.open(path, { create: true, isDurable: !this.#options.unsafeNoFsync })
  }

  #written(
    batch: Batch,
    { file, startedMs, error }: { file: DiskFile; startedMs: number; error: unknown },
  ): void {
    if (error !== undefined) {
      if (batch.startsSegment !== undefined) file.close()
      this.#fail(error)
      return
    }
    try {
      this.#finish(batch, file, startedMs)
    } catch (thrown) {
      this.#fail(thrown)
      return
    }
    this.#underWay = undefined
    // The next write starts before the completions run: the disk works while they do.
    this.#pump()
    if (this.#failure === undefined && this.#closing === undefined) this.#maybeFill()
    this.#complete(batch)
    this.#pool.giveBack(batch)
  }

  /**
   * A completion may save again; what that completes has its turn behind those that wait already.
   */
  #complete(batch: Batch): void {
    this.#completing = batch
    for (let at = 0; at < batch.dones.length; at++) batch.dones[at]?.(undefined)
    this.#completing = undefined
  }

  /** Accounts for a batch that is durable, and gives a new segment its name. */
  #finish(batch: Batch, file: DiskFile, startedMs: number): void {
    if (batch.startsSegment !== undefined) this.#adoptSegment(batch, file)
    const bytes = batch.out.position
    this.#offset += bytes
    this.#bytesWritten += bytes
    this.#queuedBytes -= bytes
    this.#writeCount++
    const { observer } = this.#options
    if (observer !== undefined) observer.onSync(observer.clock.monotonicMs() - startedMs, bytes)
  }

  #adoptSegment(batch: Batch, file: DiskFile): void {
    const { startsSegment } = batch
    invariant(startsSegment !== undefined, 'the batch starts a segment')
    const { directory } = this.#options
    const previous = this.#held.tail
    this.#disk.rename(file.path, `${directory}/${startsSegment.name}`)
    this.#disk.syncDirectory(directory)
    previous.file.truncate(this.#fullSegmentBytes)
    this.#held.add(startsSegment, file)
    this.#zeroAhead = this.#zeroesOf(file)
    this.#options.log?.info('created a new WAL segment', {
      path: `${directory}/${startsSegment.name}`,
    })
  }

  #maybeFill(): void {
    const end = this.#offset + (this.#underWay?.out.position ?? 0)
    if (this.#underWay?.startsSegment === undefined) this.#zeroAhead.maybeFill(end)
  }

  #zeroesOf(file: DiskFile): ZeroAhead {
    return new ZeroAhead(file, roomLimit(this.#segmentBytes), () => this.#pump())
  }

  #writeNow(batch: Batch): void {
    const startedMs = this.#nowMs()
    try {
      const file = this.#fileFor(batch)
      failpoint('walBeforeSync')
      file.writeSync(batch.out.view(), this.#offset)
      failpoint('walAfterSync')
      this.#finish(batch, file, startedMs)
    } catch (error) {
      this.#fail(error)
      throw this.#failure
    }
    this.#maybeFill()
    this.#pool.giveBack(batch)
  }

  #nowMs(): number {
    return this.#options.observer?.clock.monotonicMs() ?? 0
  }

  /** Ends the log's life: everything that waits fails. A contradiction in the program stays one. */
  #fail(cause: unknown): void {
    if (cause instanceof InvariantViolation) throw cause
    const failure = new WalError('WRITE_FAILED', { cause })
    this.#failure = failure
    const waiting = [this.#underWay, ...this.#sealed.splice(0), this.#filling]
    this.#underWay = undefined
    this.#filling = this.#pool.take()
    this.#queuedBytes = 0
    for (const batch of waiting) for (const done of batch?.dones ?? []) done(failure)
    this.#maybeFinishClosing()
  }

  #maybeFinishClosing(): void {
    const done = this.#closing
    if (done === undefined || this.#zeroAhead.isFilling) return
    this.#held.close()
    done(this.#failure)
  }
}

const isEmptyHardState = (state: HardState): boolean =>
  state.term === 0 && state.vote === 0n && state.commit === 0

/** No less than the bytes that the entries' records take. */
function sizeBound(entries: readonly Entry[]): number {
  let bytes = 0
  for (const entry of entries) bytes += entrySize(entry) + RECORD_OVERHEAD_BYTES
  return bytes
}
