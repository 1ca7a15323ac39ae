import { buggify, mark } from '../base/buggify.js'
import { invariant } from '../base/invariant.js'
import { groupForCatchUp } from './catch-up-group.js'
import type { EventDelivery } from './event-delivery.js'
import { CATCH_UP_BYTES_MAX, WATCHERS_PER_PASS_MAX } from './limits.js'
import { SharedEvent } from './shared-event.js'
import type { EventsOutcome, WatchHistory } from './watch-history.js'
import type { Watcher } from './watcher.js'
import type { WatcherPlaces } from './watcher-places.js'

export interface CatchUpOptions {
  readonly history: WatchHistory
  readonly places: WatcherPlaces
  readonly delivery: EventDelivery
  /** Distinct revisions in one response. */
  readonly revisionsMax: number
  /** The newest revision that watchers were told of. */
  readonly revision: () => number
  /** Called when a read has ended and `pass` has more to do. */
  readonly onWork: () => void
}

/**
 * Brings watchers that are behind to the present: from the newest events in memory when these reach
 * back far enough, else by reading the store, one read at a time for all that are behind.
 */
export class CatchUp {
  readonly #history: WatchHistory
  readonly #places: WatcherPlaces
  readonly #delivery: EventDelivery
  readonly #revisionsMax: number
  readonly #revisionNow: () => number
  readonly #onWork: () => void
  #isReading = false
  /** Counts replacements of the store: what was read of the store before is thrown away. */
  #generation = 0

  constructor(options: CatchUpOptions) {
    this.#history = options.history
    this.#places = options.places
    this.#delivery = options.delivery
    this.#revisionsMax = options.revisionsMax
    this.#revisionNow = options.revision
    this.#onWork = options.onWork
  }

  /** A read of the store is under way. */
  get isReading(): boolean {
    return this.#isReading
  }

  /** Whether `pass` should be called at once. */
  get hasWork(): boolean {
    return this.#places.behind.size > 0 && !this.#isReading
  }

  /** Forgets the read that is under way. */
  restart(): void {
    this.#generation++
    this.#isReading = false
  }

  /**
   * Serves up to WATCHERS_PER_PASS_MAX watchers that are behind; those far behind wait for one read
   * of the store.
   */
  pass(): void {
    const near: Watcher[] = []
    const far: Watcher[] = []
    const { compactedRevision } = this.#history
    const watchersMax = buggify('watch/one-watcher') ? 1 : WATCHERS_PER_PASS_MAX
    for (const watcher of this.#places.behind) {
      if (near.length + far.length >= watchersMax) break
      if (watcher.stream.isBlocked) this.#places.park(watcher)
      else if (watcher.nextRevision < compactedRevision) {
        watcher.stream.cancelCompacted(watcher, compactedRevision)
      } else if (watcher.nextRevision >= this.#places.recent.coversFrom) near.push(watcher)
      else if (!this.#isReading) far.push(watcher)
    }
    this.#serveFromMemory(near)
    if (far.length > 0) this.#readFor(far)
  }

  #serveFromMemory(watchers: readonly Watcher[]): void {
    if (watchers.length === 0) return
    mark('watch/from-memory')
    const from = lowestRevision(watchers)
    this.#serve(watchers, this.#places.recent.since(from), this.#revisionNow() + 1)
  }

  /** One read of the store for all of them, from where the last of them stands. */
  #readFor(watchers: readonly Watcher[]): void {
    const generation = this.#generation
    const from = lowestRevision(watchers)
    this.#isReading = true
    mark('watch/from-store')
    this.#history.eventsSince(
      {
        from,
        to: this.#history.currentRevision,
        revisionsMax: buggify('watch/one-revision') ? 1 : this.#revisionsMax,
        bytesMax: buggify('watch/few-bytes') ? 1 : CATCH_UP_BYTES_MAX,
      },
      (outcome) => {
        if (generation !== this.#generation) return
        this.#isReading = false
        this.#onRead(watchers, from, outcome)
        if (this.hasWork) this.#onWork()
      },
    )
  }

  #onRead(watchers: readonly Watcher[], from: number, outcome: EventsOutcome): void {
    const waiting = watchers.filter((watcher) => watcher.state === 'behind')
    if (outcome.kind === 'compacted') {
      const { compactRevision } = outcome
      for (const watcher of waiting) {
        if (watcher.nextRevision > from && watcher.nextRevision >= compactRevision) continue
        watcher.stream.cancelCompacted(watcher, compactRevision)
      }
      return
    }
    invariant(outcome.nextRevision > from, 'a read of the store gets ahead')
    const reached = waiting.filter((watcher) => watcher.nextRevision < outcome.nextRevision)
    const events = outcome.events.map((event) => new SharedEvent(event))
    this.#serve(reached, events, outcome.nextRevision)
    if (outcome.nextRevision < this.#places.recent.coversFrom) return
    this.#serveFromMemory(reached.filter((watcher) => watcher.state === 'behind'))
  }

  /**
   * Gives the watchers what they want of the events, which are all from their places to below
   * `nextRevision`.
   */
  #serve(watchers: readonly Watcher[], events: readonly SharedEvent[], nextRevision: number): void {
    const revision = Math.max(this.#revisionNow(), nextRevision - 1)
    for (const group of groupForCatchUp(watchers, events)) {
      if (group.events.length === 0) {
        for (const watcher of group.watchers) this.#advance(watcher, nextRevision)
        continue
      }
      const [sample] = group.watchers as [Watcher]
      const content = this.#delivery.contentOf(group.events, sample.settings.wantsPrevious)
      for (const watcher of group.watchers) {
        if (watcher.stream.isBlocked) {
          this.#places.park(watcher)
          continue
        }
        this.#delivery.sendMany(watcher, content, revision)
        this.#advance(watcher, nextRevision)
      }
    }
  }

  #advance(watcher: Watcher, nextRevision: number): void {
    watcher.nextRevision = nextRevision
    if (nextRevision > this.#revisionNow()) this.#places.sync(watcher)
    else this.#places.moveToBack(watcher)
  }
}

function lowestRevision(watchers: readonly Watcher[]): number {
  let lowest = Number.POSITIVE_INFINITY
  for (const watcher of watchers) lowest = Math.min(lowest, watcher.nextRevision)
  return lowest
}
