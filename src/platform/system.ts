import { randomInt } from 'node:crypto'
import type { Clock, Entropy, Scheduler } from '../ports/clock.js'

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
}

/** After the sockets that are readable now were read: the check phase of libuv's loop. */
export const turnScheduler: Scheduler = {
  soon: (work) => {
    setImmediate(work)
  },
  later: (delayMs, work) => {
    const timer = setTimeout(work, delayMs)
    return () => clearTimeout(timer)
  },
}

export const systemEntropy: Entropy = { below: (bound) => randomInt(bound) }
