import { closeSync, openSync, readSync } from 'node:fs'
import { BoltFile, type ReadAt } from '../backend/bolt-file.js'
import { BUCKETS, engineKey } from '../backend/buckets.js'
import { INSTALLING, LIVE, RECEIVING } from '../backend/engine-names.js'
import type { LogIndex } from '../base/ids.js'
import type { Disk } from '../ports/disk.js'
import type {
  Completion,
  EngineBatch,
  KeyValueEngine,
  KeyValueEngines,
} from '../ports/key-value-engine.js'
import type { Log } from '../ports/log.js'

/** Bytes after which a batch goes to the engine. */
const BATCH_BYTES = 1024 * 1024

export interface TakeOverOptions {
  readonly disk: Disk
  readonly engines: KeyValueEngines
  /** etcd's database file, `member/snap/db`. */
  readonly path: string
  readonly log: Log
  /**
   * The log's last entry, when it is a backup: `etcdctl backup --with-v3` leaves entries out of the
   * log and moves the others up, but copies the database with the index that it had.
   */
  readonly indexMax?: LogIndex | undefined
}

const INDEX_KEY = 'consistent_index'
const decoder = new TextDecoder()

const bigEndian = (bytes: Uint8Array): bigint =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0)

function counter(index: LogIndex): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(index))
  return bytes
}

const completed = (run: (done: Completion) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    run((failure) => (failure === undefined ? resolve() : reject(failure)))
  })

function names(engines: KeyValueEngines): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    engines.list((failure, found) => (failure === undefined ? resolve(found) : reject(failure)))
  })
}

/**
 * Takes over the store of a member that was run by etcd, or that `etcdctl backup` made: where there
 * is no store of ours yet, the content of etcd's database file becomes one. The file stays as it
 * is. A crash meanwhile leaves nothing behind that would be taken for a whole store. The member's
 * log must be locked, so that no etcd runs. Throws BoltFileError for a file that cannot be read.
 */
export async function takeOverDb(options: TakeOverOptions): Promise<void> {
  const { disk, engines, path, log } = options
  const stat = disk.stat(path)
  const existing = await names(engines)
  if (existing.includes(LIVE) || existing.includes(INSTALLING) || stat === undefined) return
  log.info('taking over the database of etcd', { path, bytes: stat.bytes })
  await completed((done) => engines.destroy(RECEIVING, done))
  const file = openSync(path, 'r')
  try {
    const readAt: ReadAt = (offset, bytes) => {
      const read = new Uint8Array(bytes)
      if (readSync(file, read, 0, bytes, offset) !== bytes) throw new Error(`${path} is cut off`)
      return read
    }
    const from = new BoltFile(readAt, stat.bytes)
    const entries = await copy(from, engines, options.indexMax)
    log.info('took over the database of etcd', { path, entries })
  } finally {
    closeSync(file)
  }
}

function open(engines: KeyValueEngines): Promise<KeyValueEngine> {
  return new Promise((resolve, reject) => {
    engines.open(RECEIVING, (failure, engine) => {
      if (engine === undefined) reject(failure ?? new Error('the engine did not open'))
      else resolve(engine)
    })
  })
}

/**
 * Fills a new engine; only once it is whole and synced, the next start would make it the live one.
 */
async function copy(
  from: BoltFile,
  engines: KeyValueEngines,
  indexMax: LogIndex | undefined,
): Promise<number> {
  const engine = await open(engines)
  let entries: number
  try {
    entries = await fill(engine, from, indexMax)
  } finally {
    await completed((done) => engine.close(done))
  }
  await completed((done) => engines.rename(RECEIVING, INSTALLING, done))
  return entries
}

/** Resolves with the number of entries once all of them are durable. */
async function fill(
  engine: KeyValueEngine,
  from: BoltFile,
  indexMax: LogIndex | undefined,
): Promise<number> {
  let count = 0
  let bytes = 0
  let batch: EngineBatch = engine.batch()
  const write = async (): Promise<void> => {
    const full = batch
    batch = engine.batch()
    bytes = 0
    await completed((done) => full.write({ sync: true }, done))
  }
  try {
    for (const bucket of BUCKETS) {
      for (const { key, value } of from.entries(bucket)) {
        batch.put(engineKey(bucket, key), value)
        count += 1
        bytes += key.length + value.length
        if (bytes >= BATCH_BYTES) await write()
      }
    }
    const found = [...from.entries('meta')].find(({ key }) => decoder.decode(key) === INDEX_KEY)
    if (indexMax !== undefined && found !== undefined) {
      const index = bigEndian(found.value)
      if (index > BigInt(indexMax)) batch.put(engineKey('meta', found.key), counter(indexMax))
    }
    await write()
  } finally {
    batch.discard()
  }
  return count
}
