import { setTimeout as sleep } from 'node:timers/promises'
import { goDuration } from '../peer/go-duration.js'
import { tooManyRetries } from './discovery-error.js'

/** Waits so many milliseconds; replaced in tests. */
export type Pause = (ms: number) => Promise<unknown>

/** As often as etcd tries before it gives up: for longer than a machine lives. */
export const RETRIES_MAX = 2 ** 32 - 1
/** From this retry on the pause grows no more: 256 s. */
const GROWING_RETRIES_MAX = 8

/** The pauses between attempts to reach a discovery service: 2 s, 4 s, up to 256 s. */
export class RetryPauses {
  #retries = 0
  readonly #pause: Pause

  constructor(pause: Pause = sleep) {
    this.#pause = pause
  }

  /**
   * Waits before the next attempt; `announce` is told how long, as Go prints it. Rejects when there
   * were too many attempts.
   */
  async next(announce: (backoff: string) => void): Promise<void> {
    if (this.#retries >= RETRIES_MAX) throw tooManyRetries()
    this.#retries += 1
    const pauseMs = 1000 * 2 ** Math.min(this.#retries, GROWING_RETRIES_MAX)
    announce(goDuration(pauseMs))
    await this.#pause(pauseMs)
  }

  /** The service answered: the next pause is a short one again. */
  reset(): void {
    this.#retries = 0
  }
}
