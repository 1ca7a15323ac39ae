import type { Prng } from '../world/prng.js'

/** How long clients work between two rests, mean microseconds. */
const WORK_MEAN_US = 3_000_000

/**
 * When all clients rest at once: a cluster to which nobody talks for a while is another case than a busy one, and costs
 * little to simulate. Working hours and rests follow each other as drawn, whoever asks when.
 */
export class Rests {
  readonly #prng: Prng
  readonly #restMeanUs: number
  #isResting = false
  #untilUs = 0

  /** `restMeanMs` 0 = nobody ever rests. */
  constructor(prng: Prng, restMeanMs: number) {
    this.#prng = prng
    this.#restMeanUs = restMeanMs * 1000
  }

  /** How long the rest under way lasts still, microseconds; 0 when clients work. Moments are asked in their order. */
  leftUs(nowUs: number): number {
    if (this.#restMeanUs === 0) return 0
    while (nowUs >= this.#untilUs) {
      this.#isResting = this.#untilUs > 0 && !this.#isResting
      this.#untilUs += 1 + this.#prng.skewed(this.#isResting ? this.#restMeanUs : WORK_MEAN_US)
    }
    return this.#isResting ? this.#untilUs - nowUs : 0
  }
}
