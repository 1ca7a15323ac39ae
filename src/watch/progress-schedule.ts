import { invariant } from '../base/invariant.js'
import type { Entropy } from '../ports/clock.js'
import { PROGRESS_INTERVAL_MS_MIN } from './limits.js'
import type { WatchStream } from './watch-stream.js'

/** Not before the next run, because a stream has no time yet. */
const AT_ONCE = Number.NEGATIVE_INFINITY
const NEVER = Number.POSITIVE_INFINITY

/**
 * When streams tell their idle watchers how far they are. Each stream has a period of its own, the
 * interval and up to a tenth more, so that streams opened together do not speak together.
 */
export class ProgressSchedule {
  readonly #intervalMs: number
  readonly #entropy: Entropy
  readonly #streams = new Set<WatchStream>()
  /** No stream is due before. */
  #dueMs = NEVER

  constructor(options: Readonly<{ intervalMs: number; entropy: Entropy }>) {
    this.#intervalMs = Math.max(options.intervalMs, PROGRESS_INTERVAL_MS_MIN)
    this.#entropy = options.entropy
  }

  /** Counts one more watcher of the stream that wants to be told. */
  add(stream: WatchStream): void {
    stream.progressCount++
    if (stream.progressCount > 1) return
    this.#streams.add(stream)
    if (stream.progressPeriodMs === 0) this.#dueMs = AT_ONCE
    else this.#dueMs = Math.min(this.#dueMs, stream.progressDueMs)
  }

  /** Counts one less. */
  remove(stream: WatchStream): void {
    stream.progressCount--
    invariant(stream.progressCount >= 0, 'a watcher that wants progress is counted')
    if (stream.progressCount === 0) this.#streams.delete(stream)
    if (this.#streams.size === 0) this.#dueMs = NEVER
  }

  /** In how many milliseconds `run` has something to do. */
  nextInMs(nowMs: number): number {
    return this.#dueMs === NEVER ? NEVER : Math.max(this.#dueMs - nowMs, 0)
  }

  /**
   * Tells the watchers of all streams that are due. Cost: one step a stream, only when one is due.
   */
  run(nowMs: number): void {
    if (this.#dueMs > nowMs) return
    this.#dueMs = NEVER
    for (const stream of this.#streams) {
      if (stream.progressPeriodMs === 0) {
        const tenth = Math.max(Math.floor(this.#intervalMs / 10), 1)
        stream.progressPeriodMs = this.#intervalMs + this.#entropy.below(tenth)
        stream.progressDueMs = nowMs + stream.progressPeriodMs
      } else if (stream.progressDueMs <= nowMs) {
        stream.progressDueMs = nowMs + stream.progressPeriodMs
        tell(stream)
      }
      this.#dueMs = Math.min(this.#dueMs, stream.progressDueMs)
    }
  }
}

/** A watcher that got an event since the last time is passed over once, as etcd does. */
function tell(stream: WatchStream): void {
  for (const watcher of stream.watchers()) {
    if (!watcher.settings.wantsProgress) continue
    if (watcher.isQuiet && watcher.state === 'synced' && !stream.isBlocked) {
      stream.sendProgress(watcher.id)
    }
    watcher.isQuiet = true
  }
}
