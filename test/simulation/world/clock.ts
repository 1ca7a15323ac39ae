import type { Clock } from '../../../src/ports/clock.js'
import type { WallKind } from '../world-options.js'

export interface ClockOptions {
  /** How much faster (or slower) than true time, parts per million. */
  readonly driftPpm: number
  /** Where the monotonic clock stood at the beginning, ms. */
  readonly offsetMs: number
  /** What each look at the clock costs, microseconds: long events are then seen to take long. */
  readonly creepUs: number
  /** How the wall clock strays from the monotonic one. */
  readonly wall: WallKind
}

/** How far a clock runs ahead within one long event at most, microseconds. */
export const CREEP_US_MAX = 50_000
/** A periodic wall clock goes so far from the right time and back, ms. */
const WALL_SWING_MS = 1000
const WALL_PERIOD_MS = 20_000
/** A noisy one is off by up to so much, another amount each so often, ms. */
const WALL_NOISE_MS = 500
const WALL_NOISE_PERIOD_MS = 100
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
    const ms = this.#monotonic(this.#nowUs())
    return EPOCH_MS + ms + this.#wallStepMs + this.#strayMs(ms)
  }

  #strayMs(ms: number): number {
    switch (this.#options.wall) {
      case 'steady':
        return 0
      case 'periodic':
        // There and back at one speed.
        return (
          (Math.abs((ms % WALL_PERIOD_MS) - WALL_PERIOD_MS / 2) * 4 * WALL_SWING_MS) /
            WALL_PERIOD_MS -
          WALL_SWING_MS
        )
      case 'noisy': {
        const mixed = Math.imul(Math.floor(ms / WALL_NOISE_PERIOD_MS) + 1, 0x9e3779b1) >>> 16
        return (mixed % (2 * WALL_NOISE_MS + 1)) - WALL_NOISE_MS
      }
    }
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
