import { crc32c } from '../base/crc32c.js'
import { bytesFromLatin1, latin1FromBytes } from '../base/latin1.js'
import type { EngineEntry, KeyValueEngine } from '../ports/key-value-engine.js'
import { BUCKETS, type Bucket, bucketByte, WHOLE_RANGE } from './buckets.js'

/** Entries that one step reads. */
const ENTRIES_PER_READ = 1000

/** Meta keys that differ between members with the same content. */
const UNHASHED_META = new Set(['consistent_index', 'term'])

/** etcd's Hash over all buckets as they are in an engine now (facts: v3-api.md 6.2). */
export function hashEngine(
  engine: KeyValueEngine,
  done: (failure: Error | undefined, hash: number) => void,
): void {
  const iterator = engine.iterator(WHOLE_RANGE)
  const hasher = new BucketHasher()
  const onEntries = (failure: Error | undefined, entries: readonly EngineEntry[]): void => {
    if (failure !== undefined) {
      done(failure, 0)
      return
    }
    for (const entry of entries) hasher.add(entry)
    if (entries.length > 0) {
      iterator.next(ENTRIES_PER_READ, onEntries)
      return
    }
    iterator.close()
    done(undefined, hasher.finish())
  }
  iterator.next(ENTRIES_PER_READ, onEntries)
}

class BucketHasher {
  #hash = 0
  /** Buckets whose name was hashed. */
  #begun = 0

  add({ key, value }: EngineEntry): void {
    const bucket = key[0] as number
    this.#beginUntil(bucket)
    const isMeta = bucket === bucketByte('meta')
    if (isMeta && UNHASHED_META.has(latin1FromBytes(key.subarray(1)))) return
    const withKey = crc32c(key, 1, key.length, this.#hash)
    this.#hash = crc32c(value, 0, value.length, withKey)
  }

  finish(): number {
    this.#beginUntil(bucketByte('meta'))
    return this.#hash
  }

  #beginUntil(byte: number): void {
    for (; this.#begun < BUCKETS.length; this.#begun++) {
      const bucket = BUCKETS[this.#begun] as Bucket
      if (bucketByte(bucket) > byte) return
      const name = bytesFromLatin1(bucket)
      this.#hash = crc32c(name, 0, name.length, this.#hash)
    }
  }
}
