const SHARDS = 64

/**
 * A map from strings to numbers in shards. A JavaScript map rehashes everything when it grows, which holds the event
 * loop for some hundred milliseconds at a million entries, and holds 2^24 entries at most; a shard has a small part
 * of both.
 */
export class ShardedMap {
  readonly #shards = Array.from({ length: SHARDS }, () => new Map<string, number>())
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: string): number | undefined {
    return this.#shardOf(key).get(key)
  }

  /** Adds a key that must be absent. */
  add(key: string, value: number): void {
    this.#shardOf(key).set(key, value)
    this.#size++
  }

  delete(key: string): void {
    if (this.#shardOf(key).delete(key)) this.#size--
  }

  /** All keys, in no order. */
  keys(): string[] {
    const all: string[] = []
    for (const shard of this.#shards) for (const key of shard.keys()) all.push(key)
    return all
  }

  /** Keys differ most at their ends: numbers and hashes stand there. */
  #shardOf(key: string): Map<string, number> {
    const { length } = key
    const last = length > 0 ? key.charCodeAt(length - 1) : 0
    const before = length > 1 ? key.charCodeAt(length - 2) : 0
    const third = length > 2 ? key.charCodeAt(length - 3) : 0
    return this.#shards[(last + before * 7 + third * 13) & (SHARDS - 1)] as Map<string, number>
  }
}
