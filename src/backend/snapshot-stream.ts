import { buggify } from '../base/buggify.js'
import { crc32c } from '../base/crc32c.js'
import type { LogIndex } from '../base/ids.js'
import type { EngineEntry, EngineIterator, KeyValueEngine } from '../ports/key-value-engine.js'
import type { SnapshotBody } from '../ports/peer-network.js'
import { WHOLE_RANGE } from './buckets.js'
import { END_MARK, putWord, RECORD_HEAD_BYTES, SNAPSHOT_MAGIC } from './snapshot-format.js'

/** Entries in one chunk; with values of usual size some ten kilobytes. */
const ENTRIES_PER_CHUNK = 200

/** The store's content, frozen, as of a log entry. */
export interface StoreSnapshot {
  readonly index: LogIndex
  readonly body: SnapshotBody
}

/** Freezes the engine now and streams it in our own format. */
export function createSnapshotBody(engine: KeyValueEngine): SnapshotBody {
  const snapshot = engine.snapshot()
  const iterator = engine.iterator(WHOLE_RANGE, { snapshot })
  return new EngineSnapshotBody(iterator, () => snapshot.close())
}

class EngineSnapshotBody implements SnapshotBody {
  readonly #iterator: EngineIterator
  readonly #onClose: () => void
  #crc = 0
  #state: 'head' | 'records' | 'end' | 'closed' = 'head'

  constructor(iterator: EngineIterator, onClose: () => void) {
    this.#iterator = iterator
    this.#onClose = onClose
  }

  next(): Promise<Uint8Array | undefined> {
    if (this.#state === 'end') return Promise.resolve(undefined)
    if (this.#state === 'closed') return Promise.reject(new Error('the snapshot was closed'))
    if (this.#state === 'head') {
      this.#state = 'records'
      return Promise.resolve(this.#summed(SNAPSHOT_MAGIC.slice()))
    }
    return new Promise((resolve, reject) => {
      const entriesMax = buggify('backend/one-row-chunk') ? 1 : ENTRIES_PER_CHUNK
      this.#iterator.next(entriesMax, (failure, entries) => {
        if (failure !== undefined) reject(failure)
        else resolve(entries.length === 0 ? this.#end() : this.#summed(encodeRecords(entries)))
      })
    })
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#iterator.close()
    this.#onClose()
  }

  #end(): Uint8Array {
    this.#state = 'end'
    const trailer = new Uint8Array(8)
    putWord(trailer, 0, END_MARK)
    putWord(trailer, 4, crc32c(trailer, 0, 4, this.#crc))
    return trailer
  }

  #summed(chunk: Uint8Array): Uint8Array {
    this.#crc = crc32c(chunk, 0, chunk.length, this.#crc)
    return chunk
  }
}

function encodeRecords(entries: readonly EngineEntry[]): Uint8Array {
  let bytes = 0
  for (const { key, value } of entries) bytes += RECORD_HEAD_BYTES + key.length + value.length
  const chunk = new Uint8Array(bytes)
  let at = 0
  for (const { key, value } of entries) {
    putWord(chunk, at, key.length)
    putWord(chunk, at + 4, value.length)
    chunk.set(key, at + RECORD_HEAD_BYTES)
    chunk.set(value, at + RECORD_HEAD_BYTES + key.length)
    at += RECORD_HEAD_BYTES + key.length + value.length
  }
  return chunk
}
