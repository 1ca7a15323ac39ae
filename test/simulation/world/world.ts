import { EventQueue } from './event-queue.js'
import type { Mark } from './marks.js'
import { Prng } from './prng.js'
import { Trace, type TraceSink } from './trace.js'

/** Something happened that must not. */
export interface Violation {
  readonly checker: string
  readonly message: string
  readonly atUs: number
}

/** What everything in a run shares: time, chance, the trace, and the first violation. */
export class World {
  readonly queue = new EventQueue()
  readonly prng: Prng
  readonly trace: Trace
  violation: Violation | undefined
  /** How often each fault and each rare case happened. */
  readonly marks = new Map<Mark, number>()

  constructor(seed: number, sink: TraceSink | undefined) {
    this.prng = new Prng(seed)
    this.trace = new Trace(() => this.queue.nowUs, sink)
  }

  get nowUs(): number {
    return this.queue.nowUs
  }

  fail(checker: string, message: string): void {
    this.violation ??= { checker, message, atUs: this.nowUs }
    this.trace.note(99, () => `VIOLATION ${checker}: ${message}`)
  }

  mark(name: Mark): void {
    this.marks.set(name, (this.marks.get(name) ?? 0) + 1)
  }
}
