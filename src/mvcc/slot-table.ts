import { invariant } from '../base/invariant.js'

const SHARDS = 64
const SHARD_BITS = 6
const PLACES_MIN = 16

/**
 * Two words that make the hash of a key hard to foresee, so that nobody can choose keys that all
 * collide.
 */
export interface HashSeed {
  readonly low: number
  readonly high: number
}

/** Without a seed of its own a table is as quick, but its collisions can be looked up. */
const PLAIN_SEED: HashSeed = { low: 0x0706_0504, high: 0x0302_0100 }

/** Open addressing with linear probing: a hash and a slot plus one (0 = free) at each place. */
interface Shard {
  places: Uint32Array
  mask: number
  used: number
}

/**
 * From keys to their slots. The keys stay in the caller's list; a place costs 8 bytes outside the
 * JavaScript heap, which a map of strings would fill with three words a key for the collector to go
 * through. Shards keep each growing step small.
 */
export class SlotTable {
  readonly #keys: readonly string[]
  readonly #seed: HashSeed
  readonly #shards: readonly Shard[] = Array.from({ length: SHARDS }, () => ({
    places: new Uint32Array(PLACES_MIN * 2),
    mask: PLACES_MIN - 1,
    used: 0,
  }))
  #size = 0
  /** Hash of the key that was looked for last. */
  #lastHash = 0

  /** `keys[slot]` is the key of a slot, from before it is added until after it is deleted. */
  constructor(keys: readonly string[], seed: HashSeed = PLAIN_SEED) {
    this.#keys = keys
    this.#seed = seed
  }

  get size(): number {
    return this.#size
  }

  /** The key's slot; -1 when it is absent. */
  get(key: string): number {
    const hash = hashOf(key, this.#seed)
    this.#lastHash = hash
    const shard = this.#shardOf(hash)
    const place = this.#find(shard, hash, key)
    return (shard.places[place * 2 + 1] as number) - 1
  }

  /** Adds a key that must be absent. */
  add(slot: number): void {
    this.#lastHash = hashOf(this.#keys[slot] as string, this.#seed)
    this.addSought(slot)
  }

  /** Adds the key that `get` just said is absent. */
  addSought(slot: number): void {
    const shard = this.#shardOf(this.#lastHash)
    if ((shard.used + 1) * 4 > (shard.mask + 1) * 3) grow(shard)
    shard.used++
    this.#size++
    put(shard, this.#lastHash, slot + 1)
  }

  /** Removes a key that must be present. */
  delete(key: string): void {
    const hash = hashOf(key, this.#seed)
    const shard = this.#shardOf(hash)
    const { places, mask } = shard
    let hole = this.#find(shard, hash, key)
    invariant(places[hole * 2 + 1] !== 0, 'a deleted key must be present')
    // What was pushed behind its own place moves up: a search ends at the first free place.
    for (let at = (hole + 1) & mask; places[at * 2 + 1] !== 0; at = (at + 1) & mask) {
      const home = ((places[at * 2] as number) >>> SHARD_BITS) & mask
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      places[hole * 2] = places[at * 2] as number
      places[hole * 2 + 1] = places[at * 2 + 1] as number
      hole = at
    }
    places[hole * 2] = 0
    places[hole * 2 + 1] = 0
    shard.used--
    this.#size--
  }

  #shardOf(hash: number): Shard {
    return this.#shards[hash & (SHARDS - 1)] as Shard
  }

  /** The place of the key, or the free one where a search for it ends. */
  #find(shard: Shard, hash: number, key: string): number {
    const { places, mask } = shard
    let at = (hash >>> SHARD_BITS) & mask
    for (;;) {
      const slot = places[at * 2 + 1] as number
      if (slot === 0) return at
      if (places[at * 2] === hash && this.#keys[slot - 1] === key) return at
      at = (at + 1) & mask
    }
  }
}

function put(shard: Shard, hash: number, slotPlusOne: number): void {
  const { places, mask } = shard
  let at = (hash >>> SHARD_BITS) & mask
  while (places[at * 2 + 1] !== 0) at = (at + 1) & mask
  places[at * 2] = hash
  places[at * 2 + 1] = slotPlusOne
}

function grow(shard: Shard): void {
  const old = shard.places
  shard.places = new Uint32Array(old.length * 2)
  shard.mask = shard.mask * 2 + 1
  for (let at = 0; at < old.length; at += 2) {
    const slotPlusOne = old[at + 1] as number
    if (slotPlusOne !== 0) put(shard, old[at] as number, slotPlusOne)
  }
}

/**
 * HalfSipHash-1-3 (J.-P. Aumasson, D. J. Bernstein: SipHash) of the key's bytes, as 32 unsigned
 * bits.
 */
function hashOf(key: string, seed: HashSeed): number {
  let v0 = seed.low
  let v1 = seed.high
  let v2 = 0x6c79_6765 ^ seed.low
  let v3 = 0x7465_6462 ^ seed.high
  const { length } = key
  let at = 0
  let word = 0
  // After the whole words comes one with the rest and the length, then three rounds without a word.
  for (let rounds = (length >>> 2) + 4; rounds > 0; rounds--) {
    if (rounds > 4) {
      word =
        key.charCodeAt(at) |
        (key.charCodeAt(at + 1) << 8) |
        (key.charCodeAt(at + 2) << 16) |
        (key.charCodeAt(at + 3) << 24)
      at += 4
    } else if (rounds === 4) {
      word = length << 24
      for (let shift = 0; at < length; at++, shift += 8) word |= key.charCodeAt(at) << shift
    } else {
      word = 0
      if (rounds === 3) v2 ^= 0xff
    }
    v3 ^= word
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= word
  }
  return (v1 ^ v3) >>> 0
}
