import type { Entropy } from '../../../src/ports/clock.js'

/** Mixes a seed into well-spread 32-bit words: splitmix32. */
function splitmix(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
}

/**
 * The chance of a run: sfc32, whole numbers only. Forks by label, so that one more draw in one place does not
 * reshuffle the others.
 */
export class Prng implements Entropy {
  readonly #seed: number
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    this.#seed = seed >>> 0
    const next = splitmix(seed)
    this.#a = next()
    this.#b = next()
    this.#c = next()
    for (let round = 0; round < 12; round++) this.word()
  }

  /** 32 random bits. */
  word(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum >>> 0
  }

  below(bound: number): number {
    return this.word() % bound
  }

  /** From `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  /** True in so many of a thousand cases. */
  perMille(chance: number): boolean {
    return this.below(1000) < chance
  }

  /** Mostly small, sometimes many times `mean`: for delays. */
  skewed(mean: number): number {
    const spread = this.below(1000)
    if (spread < 600) return this.below(mean + 1)
    if (spread < 950) return this.below(2 * mean + 1)
    return this.below(10 * mean + 1)
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new Error('nothing to pick from')
    return list[this.below(list.length)] as T
  }

  shuffled<T>(list: readonly T[]): T[] {
    const result = [...list]
    for (let at = result.length - 1; at > 0; at--) {
      const other = this.below(at + 1)
      const kept = result[at] as T
      result[at] = result[other] as T
      result[other] = kept
    }
    return result
  }

  /** A source of its own for one purpose; the same for the same label, whatever was drawn here. */
  fork(label: string): Prng {
    let hash = this.#seed ^ 0x811c9dc5
    for (let at = 0; at < label.length; at++) {
      hash = Math.imul(hash ^ label.charCodeAt(at), 0x01000193)
    }
    return new Prng(hash >>> 0)
  }
}
