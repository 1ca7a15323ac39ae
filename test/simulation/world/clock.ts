import type { Clock } from '../../../src/ports/clock.js'

export interface ClockOptions {
  /** How much faster (or slower) than true time, parts per million. */
  readonly driftPpm: number
  /** Where the monotonic clock stood at the beginning, ms. */
  readonly offsetMs: number
  /** What each look at the clock costs, microseconds: long events are then seen to take long. */
  readonly creepUs: number
}

/** How far a clock runs ahead within one long event at most, microseconds. */
export const CREEP_US_MAX = 50_000
const EPOCH_MS = 1_790_000_000_000

/** The clock of one machine over true virtual time. */
export class SimulatedClock implements Clock {
  readonly #nowUs: () => number
  readonly #options: ClockOptions
  #wallStepMs = 0
  #seenUs = -1
  #crept = 0

  constructor(nowUs: () => number, options: ClockOptions) {
    this.#nowUs = nowUs
    this.#options = options
  }

  monotonicMs(): number {
    const nowUs = this.#nowUs()
    if (nowUs > this.#seenUs + this.#crept) {
      this.#seenUs = nowUs
      this.#crept = 0
    }
    this.#crept = Math.min(CREEP_US_MAX, this.#crept + this.#options.creepUs)
    return this.#monotonic(this.#seenUs + this.#crept)
  }

  wallMs(): number {
    return EPOCH_MS + this.#monotonic(this.#nowUs()) + this.#wallStepMs
  }

  /** True microseconds that this clock takes for `delayMs` of its own. */
  trueUs(delayMs: number): number {
    return (delayMs * 1000 * 1_000_000) / (1_000_000 + this.#options.driftPpm)
  }

  /** Somebody sets the wall clock. */
  step(byMs: number): void {
    this.#wallStepMs += byMs
  }

  #monotonic(us: number): number {
    return this.#options.offsetMs + (us * (1_000_000 + this.#options.driftPpm)) / 1_000_000_000
  }
}
