import { buggify } from '../base/buggify.js'
import type { Revision } from '../base/ids.js'
import type { MvccStore } from '../mvcc/mvcc-store.js'
import type { Scheduler } from '../ports/clock.js'

interface Waiter {
  readonly revision: number
  readonly done: () => void
}

/** Carries compactions out in slices between other work, and tells who waits for the freed rows. */
export class Compactor {
  readonly #scheduler: Scheduler
  readonly #options: { readonly batchLimit: number; readonly sleepMs: number }
  readonly #store: () => MvccStore
  readonly #mayChange: () => boolean
  #waiters: Waiter[] = []
  #isScheduled = false
  #isStopped = false

  /** While `mayChange` is false the store is about to be replaced: nothing is freed in it. */
  constructor(
    scheduler: Scheduler,
    store: { readonly current: () => MvccStore; readonly mayChange: () => boolean },
    options: { readonly batchLimit: number; readonly sleepMs: number },
  ) {
    this.#scheduler = scheduler
    this.#store = store.current
    this.#mayChange = store.mayChange
    this.#options = options
  }

  /** A compaction was applied, or one was cut off by a restart: its rows are freed from now on. */
  poke(): void {
    if (this.#isScheduled || this.#isStopped || !this.#store().isCompacting) return
    this.#isScheduled = true
    this.#scheduler.later(this.#options.sleepMs, () => {
      this.#isScheduled = false
      this.#slice()
    })
  }

  /** Runs `done` once everything below the revision is freed (`physical`). */
  whenFinished(revision: Revision, done: () => void): void {
    if (this.#store().finishedCompactRevision >= revision) done()
    else this.#waiters.push({ revision, done })
  }

  stop(): void {
    this.#isStopped = true
    this.#waiters = []
  }

  #slice(): void {
    if (this.#isStopped) return
    const store = this.#store()
    const rowsMax = buggify('member/compact-one-row') ? 1 : this.#options.batchLimit
    if (store.isCompacting && this.#mayChange()) store.compactSome(rowsMax)
    const finished = store.finishedCompactRevision
    const ready = this.#waiters.filter((waiter) => waiter.revision <= finished)
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision > finished)
    for (const waiter of ready) waiter.done()
    this.poke()
  }
}
