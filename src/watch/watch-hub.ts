import { invariant } from '../base/invariant.js'
import { IntervalMap } from '../mvcc/interval-map.js'
import type { StoreEvent } from '../mvcc/store-event.js'
import type { Entropy } from '../ports/clock.js'
import { groupForCatchUp } from './catch-up.js'
import { type EventContent, EventDelivery } from './event-delivery.js'
import {
  BLOCKED_RETRY_MS,
  CATCH_UP_BYTES_MAX,
  FRAGMENT_BYTES,
  PROGRESS_INTERVAL_MS,
  REVISIONS_PER_RESPONSE_MAX,
  STREAM_BYTES_MAX,
  STREAM_RESPONSES_MAX,
  WATCHERS_PER_PASS_MAX,
} from './limits.js'
import { ProgressSchedule } from './progress-schedule.js'
import { RecentEvents } from './recent-events.js'
import { ResponseEncoder, type ResponseOrigin } from './response-encoder.js'
import { SharedEvent } from './shared-event.js'
import type { EventsOutcome, WatchHistory } from './watch-history.js'
import { type WatchHost, WatchStream, type WatchStreamOptions } from './watch-stream.js'
import type { Watcher, WatcherState } from './watcher.js'

export interface WatchHubOptions extends ResponseOrigin {
  readonly history: WatchHistory
  /** For the jitter of progress notifications. */
  readonly entropy: Entropy
  /** Default PROGRESS_INTERVAL_MS; raised to PROGRESS_INTERVAL_MS_MIN. */
  readonly progressIntervalMs?: number
  /** Default FRAGMENT_BYTES. */
  readonly fragmentBytes?: number
  /** Default STREAM_BYTES_MAX. */
  readonly streamBytesMax?: number
  /** Default STREAM_RESPONSES_MAX. */
  readonly streamResponsesMax?: number
  /** Default REVISIONS_PER_RESPONSE_MAX. */
  readonly revisionsPerResponseMax?: number
  /** Called when `syncSome` has got something to do at once; must not call it from inside. */
  readonly onWork?: () => void
}

/**
 * Gives the changes of the store to everybody who watches them.
 *
 * Synced watchers are found by key when a transaction happens. A watcher that starts in the past, or whose client
 * does not read, is behind: it remembers only where it stopped, and catches up from memory or from the store. So
 * nothing is lost, repeated, or kept for it.
 *
 * What a watcher gets is in order, each event once, the events of one revision together, and a progress
 * notification never runs ahead of an event.
 */
export class WatchHub {
  readonly #history: WatchHistory
  readonly #delivery: EventDelivery
  readonly #host: WatchHost
  readonly #onWork: () => void
  readonly #progress: ProgressSchedule
  readonly #streams = new Set<WatchStream>()
  readonly #synced = new IntervalMap<Watcher>()
  /** Watchers that are behind and whose clients read, those served longest ago in front. */
  readonly #behind = new Set<Watcher>()
  readonly #blocked = new Set<WatchStream>()
  readonly #recent: RecentEvents
  readonly #revisionsMax: number
  /** The newest revision that `notify` was called with. */
  #revision: number
  #watcherCount = 0
  #parkedCount = 0
  #eventsSent = 0
  #isReading = false
  /** Counts replacements of the store: what was read of the store before is thrown away. */
  #generation = 0
  /** Watchers that the transaction in `notify` concerns, in order. */
  readonly #touched: Watcher[] = []
  #current: SharedEvent | undefined = undefined
  readonly #touch = (watcher: Watcher): void => {
    this.#touched.push(watcher)
  }
  readonly #collect = (watcher: Watcher): void => {
    const shared = this.#current as SharedEvent
    if (!watcher.accepts(shared.event)) return
    if (watcher.matched === undefined) {
      watcher.matched = [shared]
      this.#touched.push(watcher)
    } else {
      watcher.matched.push(shared)
    }
  }

  constructor(options: WatchHubOptions) {
    const { history } = options
    const encoder = new ResponseEncoder(options)
    this.#history = history
    this.#revision = history.currentRevision
    this.#revisionsMax = options.revisionsPerResponseMax ?? REVISIONS_PER_RESPONSE_MAX
    this.#recent = new RecentEvents(this.#revisionsMax)
    this.#onWork = options.onWork ?? (() => {})
    this.#delivery = new EventDelivery({
      encoder,
      prevKv: (event) => history.prevKv(event),
      fragmentBytes: options.fragmentBytes ?? FRAGMENT_BYTES,
    })
    this.#progress = new ProgressSchedule({
      intervalMs: options.progressIntervalMs ?? PROGRESS_INTERVAL_MS,
      entropy: options.entropy,
    })
    this.#host = {
      encoder,
      streamBytesMax: options.streamBytesMax ?? STREAM_BYTES_MAX,
      streamResponsesMax: options.streamResponsesMax ?? STREAM_RESPONSES_MAX,
      revision: () => this.#revision,
      add: (watcher) => this.#add(watcher),
      remove: (watcher) => this.#remove(watcher),
      onBlocked: (stream) => this.#blocked.add(stream),
      onUnblocked: (stream) => this.#onUnblocked(stream),
      onClosed: (stream) => {
        this.#streams.delete(stream)
        this.#blocked.delete(stream)
      },
    }
  }

  /** Streams that are open. */
  get streamCount(): number {
    return this.#streams.size
  }

  /** Watchers of all streams. */
  get watcherCount(): number {
    return this.#watcherCount
  }

  /** Watchers that have not seen everything. */
  get slowWatcherCount(): number {
    return this.#behind.size + this.#parkedCount
  }

  /** Events in responses that wait for their clients, approximately. Cost: one step a stream. */
  get pendingEventCount(): number {
    let count = 0
    for (const stream of this.#streams) count += stream.pendingEventCount
    return count
  }

  /** Events given to streams since the start of the process. */
  get eventsSent(): number {
    return this.#eventsSent
  }

  /** The newest revision that watchers were told of. */
  get revision(): number {
    return this.#revision
  }

  /** Begins a stream; its owner gives it requests and closes it. */
  open(options: WatchStreamOptions): WatchStream {
    const stream = new WatchStream(this.#host, options)
    this.#streams.add(stream)
    return stream
  }

  /**
   * Tells of a transaction that changed the store: once each, in order, right after it became visible. The events
   * are all of its revision.
   */
  notify(revision: number, events: readonly StoreEvent[]): void {
    invariant(revision > this.#revision, 'transactions are told in the order of their revisions')
    invariant(events.length > 0, 'a transaction that changes nothing has no revision')
    this.#revision = revision
    if (this.#synced.count === 0 && !this.#recent.isKeeping) return
    const [first] = events
    if (events.length === 1 && first !== undefined) this.#notifyOne(revision, first)
    else this.#notifySeveral(revision, events)
  }

  /**
   * One step of everything that takes time: full streams are looked at, due progress is told, and up to
   * WATCHERS_PER_PASS_MAX watchers that are behind are served. True when there is more to do at once.
   */
  syncSome(nowMs: number): boolean {
    for (const stream of this.#blocked) stream.maybeUnblock()
    this.#progress.run(nowMs)
    this.#catchUp()
    return this.#hasWork()
  }

  /** In how many milliseconds `syncSome` should be called; Infinity = not before `onWork`. */
  nextPassInMs(nowMs: number): number {
    if (this.#hasWork()) return 0
    const progressInMs = this.#progress.nextInMs(nowMs)
    return this.#blocked.size > 0 ? Math.min(BLOCKED_RETRY_MS, progressInMs) : progressInMs
  }

  /**
   * The store was replaced by a snapshot of another member: what happened in between was not told, so every
   * watcher catches up from where it was.
   */
  resync(): void {
    const seen = this.#revision
    this.#generation++
    this.#isReading = false
    this.#recent.stop()
    this.#revision = this.#history.currentRevision
    for (const stream of this.#streams) {
      for (const watcher of stream.watchers()) {
        if (watcher.state !== 'synced') continue
        watcher.nextRevision = Math.max(watcher.nextRevision, seen + 1)
        if (watcher.nextRevision <= this.#revision) this.#fallBehind(watcher)
      }
    }
  }

  #hasWork(): boolean {
    return this.#behind.size > 0 && !this.#isReading
  }

  #notifyOne(revision: number, event: StoreEvent): void {
    const shared = new SharedEvent(event)
    if (this.#recent.isKeeping) this.#recent.add(revision, [shared])
    const touched = this.#touched
    this.#synced.forEachMatch(event.key, this.#touch)
    for (const watcher of touched) {
      if (watcher.nextRevision > revision || !watcher.accepts(event)) continue
      if (watcher.stream.isBlocked) {
        this.#missed(watcher, revision, [shared])
        continue
      }
      watcher.nextRevision = revision + 1
      this.#delivery.sendOne(watcher, shared, revision)
      this.#eventsSent++
    }
    touched.length = 0
    this.#delivery.forget()
  }

  #notifySeveral(revision: number, events: readonly StoreEvent[]): void {
    const all = events.map((event) => new SharedEvent(event))
    if (this.#recent.isKeeping) this.#recent.add(revision, all)
    for (const shared of all) {
      this.#current = shared
      this.#synced.forEachMatch(shared.event.key, this.#collect)
    }
    this.#current = undefined
    const touched = this.#touched
    /** What watchers of all of the events get, without and with prev_kv. */
    const whole: (EventContent | undefined)[] = [undefined, undefined]
    for (const watcher of touched) {
      const matched = watcher.matched as SharedEvent[]
      watcher.matched = undefined
      if (watcher.nextRevision > revision) continue
      if (watcher.stream.isBlocked) {
        this.#missed(watcher, revision, all)
        continue
      }
      watcher.nextRevision = revision + 1
      const { wantsPrevious } = watcher.settings
      const place = wantsPrevious ? 1 : 0
      const isWhole = matched.length === all.length
      const content =
        (isWhole ? whole[place] : undefined) ?? this.#delivery.contentOf(matched, wantsPrevious)
      if (isWhole) whole[place] = content
      this.#delivery.sendMany(watcher, content, revision)
      this.#eventsSent += matched.length
    }
    touched.length = 0
  }

  /** The client of a synced watcher is full: from this transaction on the watcher is behind. */
  #missed(watcher: Watcher, revision: number, events: readonly SharedEvent[]): void {
    watcher.nextRevision = revision
    if (!this.#recent.isKeeping) {
      this.#recent.start(revision)
      this.#recent.add(revision, events)
    }
    this.#fallBehind(watcher)
  }

  #add(watcher: Watcher): void {
    this.#watcherCount++
    if (watcher.settings.wantsProgress) this.#progress.add(watcher.stream)
    watcher.stream.unsyncedCount++
    if (watcher.nextRevision > this.#revision) {
      this.#sync(watcher)
    } else {
      this.#setWaiting(watcher)
    }
  }

  #remove(watcher: Watcher): void {
    if (watcher.state === 'closed') return
    this.#leave(watcher)
    if (watcher.state !== 'synced') watcher.stream.unsyncedCount--
    watcher.state = 'closed'
    this.#watcherCount--
    if (watcher.settings.wantsProgress) this.#progress.remove(watcher.stream)
    this.#stopKeepingWhenAllSynced()
  }

  /** Takes the watcher out of the collection that its state stands for. */
  #leave(watcher: Watcher): void {
    const state: WatcherState = watcher.state
    if (state === 'synced') {
      const wasThere = this.#synced.remove(watcher.key, watcher.end, watcher)
      invariant(wasThere, 'a synced watcher is found by its range')
    } else if (state === 'behind') {
      this.#behind.delete(watcher)
    } else if (state === 'parked') {
      watcher.stream.unpark(watcher)
      this.#parkedCount--
    }
  }

  #sync(watcher: Watcher): void {
    invariant(watcher.nextRevision > this.#revision, 'a synced watcher has seen everything')
    this.#leave(watcher)
    watcher.state = 'synced'
    watcher.stream.unsyncedCount--
    this.#synced.add(watcher.key, watcher.end, watcher)
    this.#stopKeepingWhenAllSynced()
  }

  #fallBehind(watcher: Watcher): void {
    invariant(watcher.state === 'synced', 'only a synced watcher falls behind')
    this.#leave(watcher)
    watcher.stream.unsyncedCount++
    watcher.state = 'behind'
    this.#setWaiting(watcher)
  }

  /** Puts a watcher that is in no collection where it waits to be served. */
  #setWaiting(watcher: Watcher): void {
    if (!this.#recent.isKeeping) this.#recent.start(this.#revision + 1)
    if (watcher.stream.isBlocked) {
      watcher.state = 'parked'
      watcher.stream.park(watcher)
      this.#parkedCount++
      return
    }
    watcher.state = 'behind'
    this.#behind.add(watcher)
    if (this.#behind.size === 1 && !this.#isReading) this.#onWork()
  }

  #stopKeepingWhenAllSynced(): void {
    if (this.#behind.size === 0 && this.#parkedCount === 0) this.#recent.stop()
  }

  #onUnblocked(stream: WatchStream): void {
    this.#blocked.delete(stream)
    for (const watcher of stream.takeParked()) {
      this.#parkedCount--
      this.#setWaiting(watcher)
    }
  }

  #catchUp(): void {
    const near: Watcher[] = []
    const far: Watcher[] = []
    const { compactedRevision } = this.#history
    for (const watcher of this.#behind) {
      if (near.length + far.length >= WATCHERS_PER_PASS_MAX) break
      if (watcher.stream.isBlocked) this.#moveToParked(watcher)
      else if (watcher.nextRevision < compactedRevision) {
        watcher.stream.cancelCompacted(watcher, compactedRevision)
      } else if (watcher.nextRevision >= this.#recent.coversFrom) near.push(watcher)
      else if (!this.#isReading) far.push(watcher)
    }
    this.#serveFromMemory(near)
    if (far.length > 0) this.#readFor(far)
  }

  #moveToParked(watcher: Watcher): void {
    this.#leave(watcher)
    this.#setWaiting(watcher)
  }

  #serveFromMemory(watchers: readonly Watcher[]): void {
    if (watchers.length === 0) return
    const from = lowestRevision(watchers)
    this.#serve(watchers, this.#recent.since(from), this.#revision + 1)
  }

  /** One read of the store for all of them, from where the last of them stands. */
  #readFor(watchers: readonly Watcher[]): void {
    const generation = this.#generation
    const from = lowestRevision(watchers)
    this.#isReading = true
    this.#history.eventsSince(
      {
        from,
        to: this.#history.currentRevision,
        revisionsMax: this.#revisionsMax,
        bytesMax: CATCH_UP_BYTES_MAX,
      },
      (outcome) => {
        if (generation !== this.#generation) return
        this.#isReading = false
        this.#onRead(watchers, from, outcome)
        if (this.#hasWork()) this.#onWork()
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
    if (outcome.nextRevision < this.#recent.coversFrom) return
    this.#serveFromMemory(reached.filter((watcher) => watcher.state === 'behind'))
  }

  /** Gives the watchers what they want of the events, which are all from their places to below `nextRevision`. */
  #serve(watchers: readonly Watcher[], events: readonly SharedEvent[], nextRevision: number): void {
    const revision = Math.max(this.#revision, nextRevision - 1)
    for (const group of groupForCatchUp(watchers, events)) {
      if (group.events.length === 0) {
        for (const watcher of group.watchers) this.#advance(watcher, nextRevision)
        continue
      }
      const [sample] = group.watchers as [Watcher]
      const content = this.#delivery.contentOf(group.events, sample.settings.wantsPrevious)
      for (const watcher of group.watchers) {
        if (watcher.stream.isBlocked) {
          this.#moveToParked(watcher)
          continue
        }
        this.#delivery.sendMany(watcher, content, revision)
        this.#eventsSent += group.events.length
        this.#advance(watcher, nextRevision)
      }
    }
  }

  #advance(watcher: Watcher, nextRevision: number): void {
    watcher.nextRevision = nextRevision
    if (nextRevision > this.#revision) {
      this.#sync(watcher)
    } else {
      this.#behind.delete(watcher)
      this.#behind.add(watcher)
    }
  }
}

function lowestRevision(watchers: readonly Watcher[]): number {
  let lowest = Number.POSITIVE_INFINITY
  for (const watcher of watchers) lowest = Math.min(lowest, watcher.nextRevision)
  return lowest
}
