import { copyToSlab } from '../base/slab.js'

/** Revisions with a larger sub are not cached: main and sub share one number as the map's key. */
const SUBS = 1024
const MAIN_MAX = Number.MAX_SAFE_INTEGER / SUBS
/** What a map entry and a view of bytes cost beside the bytes. */
const ENTRY_BYTES = 160

/**
 * Values read from the engine, bounded in bytes. Two generations: when the young one has half of
 * the bytes it becomes the old one, and what was not asked for since is forgotten.
 */
export class ValueCache {
  readonly #bytesMax: number
  #young = new Map<number, Uint8Array>()
  #old = new Map<number, Uint8Array>()
  #youngBytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get(main: number, sub: number): Uint8Array | undefined {
    if (sub >= SUBS) return undefined
    const place = main * SUBS + sub
    const young = this.#young.get(place)
    if (young !== undefined) return young
    const old = this.#old.get(place)
    // A copy, so that one row of the old generation does not keep its whole slab.
    if (old !== undefined) this.#add(place, copyToSlab(old))
    return old
  }

  set(main: number, sub: number, value: Uint8Array): void {
    if (sub >= SUBS || main >= MAIN_MAX || value.length > this.#bytesMax / 16) return
    this.#add(main * SUBS + sub, value)
  }

  #add(place: number, value: Uint8Array): void {
    this.#young.set(place, value)
    this.#youngBytes += value.length + ENTRY_BYTES
    if (this.#youngBytes * 2 < this.#bytesMax) return
    this.#old = this.#young
    this.#young = new Map()
    this.#youngBytes = 0
  }
}
