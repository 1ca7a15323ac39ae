import { crc32c } from '../base/crc32c.js'
import type {
  Completion,
  EngineEntry,
  KeyValueEngine,
  KeyValueEngines,
} from '../ports/key-value-engine.js'
import { bucketOfByte } from './buckets.js'
import { RECEIVING, stagedName } from './engine-names.js'
import {
  damaged,
  END_MARK,
  getWord,
  RECORD_BYTES_MAX,
  RECORD_HEAD_BYTES,
  SNAPSHOT_MAGIC,
} from './snapshot-format.js'

/**
 * Takes a streamed snapshot into an engine of its own, beside the live one, and checks it. Once
 * `finish` succeeded it is staged under the log index of its raft snapshot: durable, and used by
 * nobody until `installStaged`.
 *
 * open → receiving → finished | aborted. One call at a time; each waits for its completion.
 */
export class SnapshotReceiver {
  readonly #engines: KeyValueEngines
  readonly #index: number
  #engine: KeyValueEngine | undefined
  #rest: Uint8Array = new Uint8Array(0)
  #crc = 0
  #hasHead = false
  #isWhole = false
  /** Written once more at the end, synced: that makes all before it durable. */
  #lastRecord: EngineEntry | undefined

  private constructor(engines: KeyValueEngines, index: number, engine: KeyValueEngine) {
    this.#engines = engines
    this.#index = index
    this.#engine = engine
  }

  /**
   * Begins to receive the snapshot of a log index; what an earlier attempt left behind is removed.
   */
  static open(
    engines: KeyValueEngines,
    index: number,
    done: (failure: Error | undefined, receiver: SnapshotReceiver | undefined) => void,
  ): void {
    engines.destroy(RECEIVING, (failure) => {
      if (failure !== undefined) {
        done(failure, undefined)
        return
      }
      engines.open(RECEIVING, (broken, engine) => {
        if (engine === undefined) done(broken, undefined)
        else done(undefined, new SnapshotReceiver(engines, index, engine))
      })
    })
  }

  /** Takes the next chunk, cut anywhere. Fails when the bytes cannot be a snapshot of ours. */
  push(chunk: Uint8Array, done: Completion): void {
    const engine = this.#engine
    if (engine === undefined) {
      done(damaged('chunk after the end'))
      return
    }
    const bytes = joined(this.#rest, chunk)
    const batch = engine.batch()
    let at: number
    try {
      at = this.#take(bytes, (key, value) => {
        batch.put(key, value)
        this.#lastRecord = { key, value }
      })
    } catch (thrown) {
      batch.discard()
      done(thrown instanceof Error ? thrown : damaged('unreadable'))
      return
    }
    this.#rest = bytes.slice(at)
    if (batch.count === 0) {
      batch.discard()
      done(undefined)
      return
    }
    batch.write({ sync: false }, done)
  }

  /**
   * Ends the stream: fails when it is not whole, else stages it durably. A leader that does not
   * know yet sends a snapshot twice: what is staged under this index is whole, may be on its way to
   * being installed, and stays; this one goes.
   */
  finish(done: Completion): void {
    const engine = this.#engine
    if (engine === undefined || !this.#isWhole || this.#rest.length > 0) {
      done(damaged('cut off'))
      return
    }
    const staged = stagedName(this.#index)
    const steps: ((next: Completion) => void)[] = [
      (next) => syncAll(engine, this.#lastRecord, next),
      (next) => this.#close(engine, next),
      (next) => this.#stage(staged, next),
    ]
    runSteps(steps, done)
  }

  #stage(staged: string, done: Completion): void {
    this.#engines.list((failure, names) => {
      if (failure !== undefined) done(failure)
      else if (names.includes(staged)) this.#engines.destroy(RECEIVING, done)
      else this.#engines.rename(RECEIVING, staged, done)
    })
  }

  /**
   * Gives up and removes what was received, also when `finish` failed: an engine that stays open
   * could not be received into again.
   */
  abort(done: Completion): void {
    const engine = this.#engine
    if (engine === undefined) {
      done(undefined)
      return
    }
    const steps = [
      (next: Completion) => this.#close(engine, next),
      (next: Completion) => this.#engines.destroy(RECEIVING, next),
    ]
    runSteps(steps, done)
  }

  #close(engine: KeyValueEngine, done: Completion): void {
    this.#engine = undefined
    engine.close(done)
  }

  /** Reads whole records; returns how far it came. */
  #take(bytes: Uint8Array, put: (key: Uint8Array, value: Uint8Array) => void): number {
    let at = 0
    if (!this.#hasHead) {
      if (bytes.length < SNAPSHOT_MAGIC.length) return 0
      if (SNAPSHOT_MAGIC.some((byte, place) => bytes[place] !== byte)) throw damaged('magic')
      this.#hasHead = true
      at = SNAPSHOT_MAGIC.length
    }
    while (bytes.length - at >= RECORD_HEAD_BYTES) {
      if (this.#isWhole) throw damaged('bytes after the end')
      const keyBytes = getWord(bytes, at)
      if (keyBytes === END_MARK) {
        const crc = crc32c(bytes, 0, at + 4, this.#crc)
        if (getWord(bytes, at + 4) !== crc) throw damaged('checksum')
        this.#isWhole = true
        at += RECORD_HEAD_BYTES
        this.#crc = 0
        return this.#endsAt(bytes, at)
      }
      const size = keyBytes + getWord(bytes, at + 4)
      if (size > RECORD_BYTES_MAX || keyBytes === 0) throw damaged('record length')
      if (bytes.length - at < RECORD_HEAD_BYTES + size) break
      const start = at + RECORD_HEAD_BYTES
      if (bucketOfByte(bytes[start] as number) === undefined) throw damaged('unknown bucket')
      put(bytes.subarray(start, start + keyBytes), bytes.subarray(start + keyBytes, start + size))
      at = start + size
    }
    this.#crc = crc32c(bytes, 0, at, this.#crc)
    return at
  }

  #endsAt(bytes: Uint8Array, at: number): number {
    if (bytes.length > at) throw damaged('bytes after the end')
    return at
  }
}

function syncAll(engine: KeyValueEngine, last: EngineEntry | undefined, done: Completion): void {
  const batch = engine.batch()
  if (last !== undefined) batch.put(last.key, last.value)
  batch.write({ sync: true }, done)
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}

/** Runs steps one after the other until one fails. */
export function runSteps(steps: readonly ((next: Completion) => void)[], done: Completion): void {
  const [first, ...rest] = steps
  if (first === undefined) {
    done(undefined)
    return
  }
  first((failure) => {
    if (failure !== undefined) done(failure)
    else runSteps(rest, done)
  })
}
