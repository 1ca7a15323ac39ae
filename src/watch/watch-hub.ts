import { invariant } from '../base/invariant.js'
import type { StoreEvent } from '../mvcc/store-event.js'
import type { Entropy } from '../ports/clock.js'
import { CatchUp } from './catch-up.js'
import { type EventContent, EventDelivery } from './event-delivery.js'
import {
  BLOCKED_RETRY_MS,
  FRAGMENT_BYTES,
  PROGRESS_INTERVAL_MS,
  REVISIONS_PER_RESPONSE_MAX,
  STREAM_BYTES_MAX,
  STREAM_RESPONSES_MAX,
} from './limits.js'
import { ProgressSchedule } from './progress-schedule.js'
import { RecentEvents } from './recent-events.js'
import { ResponseEncoder, type ResponseOrigin } from './response-encoder.js'
import { SharedEvent } from './shared-event.js'
import type { WatchHistory } from './watch-history.js'
import { type WatchHost, WatchStream, type WatchStreamOptions } from './watch-stream.js'
import type { Watcher } from './watcher.js'
import { WatcherPlaces } from './watcher-places.js'

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
 * Synced watchers are found by key when a transaction happens. A watcher that starts in the past,
 * or whose client does not read, is behind: it remembers only where it stopped, and catches up from
 * memory or from the store. So nothing is lost, repeated, or kept for it.
 *
 * What a watcher gets is in order, each event once, the events of one revision together, and a
 * progress notification never runs ahead of an event.
 */
export class WatchHub {
  readonly #history: WatchHistory
  readonly #catchUp: CatchUp
  readonly #delivery: EventDelivery
  readonly #host: WatchHost
  readonly #onWork: () => void
  readonly #progress: ProgressSchedule
  readonly #streams = new Set<WatchStream>()
  readonly #places: WatcherPlaces
  readonly #blocked = new Set<WatchStream>()
  /** The newest revision that `notify` was called with. */
  #revision: number
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
    const revisionsMax = options.revisionsPerResponseMax ?? REVISIONS_PER_RESPONSE_MAX
    this.#onWork = options.onWork ?? (() => {})
    this.#places = new WatcherPlaces({
      recent: new RecentEvents(revisionsMax),
      onFirstBehind: () => {
        if (!this.#catchUp.isReading) this.#onWork()
      },
    })
    this.#delivery = new EventDelivery({
      encoder,
      prevKv: (event) => history.prevKv(event),
      fragmentBytes: options.fragmentBytes ?? FRAGMENT_BYTES,
    })
    this.#catchUp = new CatchUp({
      history,
      places: this.#places,
      delivery: this.#delivery,
      revisionsMax,
      revision: () => this.#revision,
      onWork: this.#onWork,
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
      onUnblocked: (stream) => {
        this.#blocked.delete(stream)
        this.#places.unpark(stream)
      },
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
    return this.#places.count
  }

  /** Watchers that have not seen everything. */
  get slowWatcherCount(): number {
    return this.#places.unsyncedCount
  }

  /** Events in responses that wait for their clients, approximately. Cost: one step a stream. */
  get pendingEventCount(): number {
    let count = 0
    for (const stream of this.#streams) count += stream.pendingEventCount
    return count
  }

  /** Events given to streams since the start of the process. */
  get eventsSent(): number {
    return this.#delivery.eventsSent
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
   * Tells of a transaction that changed the store: once each, in order, right after it became
   * visible. The events are all of its revision.
   */
  notify(revision: number, events: readonly StoreEvent[]): void {
    invariant(revision > this.#revision, 'transactions are told in the order of their revisions')
    invariant(events.length > 0, 'a transaction that changes nothing has no revision')
    this.#revision = revision
    if (this.#places.synced.count === 0 && !this.#places.recent.isKeeping) return
    const [first] = events
    if (events.length === 1 && first !== undefined) this.#notifyOne(revision, first)
    else this.#notifySeveral(revision, events)
  }

  /**
   * One step of everything that takes time: full streams are looked at, due progress is told, and
   * up to WATCHERS_PER_PASS_MAX watchers that are behind are served. True when there is more to do
   * at once.
   */
  syncSome(nowMs: number): boolean {
    for (const stream of this.#blocked) stream.maybeUnblock()
    this.#progress.run(nowMs)
    this.#catchUp.pass()
    return this.#catchUp.hasWork
  }

  /** In how many milliseconds `syncSome` should be called; Infinity = not before `onWork`. */
  nextPassInMs(nowMs: number): number {
    if (this.#catchUp.hasWork) return 0
    const progressInMs = this.#progress.nextInMs(nowMs)
    return this.#blocked.size > 0 ? Math.min(BLOCKED_RETRY_MS, progressInMs) : progressInMs
  }

  /**
   * The store was replaced by a snapshot of another member: what happened in between was not told,
   * so every watcher catches up from where it was.
   */
  resync(): void {
    const seen = this.#revision
    this.#catchUp.restart()
    this.#places.recent.stop()
    this.#revision = this.#history.currentRevision
    for (const stream of this.#streams) {
      for (const watcher of stream.watchers()) {
        if (watcher.state !== 'synced') continue
        watcher.nextRevision = Math.max(watcher.nextRevision, seen + 1)
        if (watcher.nextRevision > this.#revision) continue
        this.#places.fallBehind(watcher, this.#revision + 1)
      }
    }
    if (this.#places.unsyncedCount > 0) this.#places.recent.start(this.#revision + 1)
    if (this.#catchUp.hasWork) this.#onWork()
  }

  #notifyOne(revision: number, event: StoreEvent): void {
    const touched = this.#touched
    const { recent, synced } = this.#places
    synced.forEachMatch(event.key, this.#touch)
    if (touched.length === 0 && !recent.isKeeping) return
    const shared = new SharedEvent(event)
    if (recent.isKeeping) recent.add(revision, [shared])
    for (const watcher of touched) {
      if (watcher.nextRevision > revision || !watcher.accepts(event)) continue
      if (watcher.stream.isBlocked) {
        this.#missed(watcher, revision, [shared])
        continue
      }
      watcher.nextRevision = revision + 1
      this.#delivery.sendOne(watcher, shared, revision)
    }
    touched.length = 0
    this.#delivery.forget()
  }

  #notifySeveral(revision: number, events: readonly StoreEvent[]): void {
    const all = events.map((event) => new SharedEvent(event))
    if (this.#places.recent.isKeeping) this.#places.recent.add(revision, all)
    for (const shared of all) {
      this.#current = shared
      this.#places.synced.forEachMatch(shared.event.key, this.#collect)
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
    }
    touched.length = 0
  }

  /** The client of a synced watcher is full: from this transaction on the watcher is behind. */
  #missed(watcher: Watcher, revision: number, events: readonly SharedEvent[]): void {
    watcher.nextRevision = revision
    const wasKept = this.#places.recent.isKeeping
    this.#places.fallBehind(watcher, revision)
    if (!wasKept) this.#places.recent.add(revision, events)
  }

  #add(watcher: Watcher): void {
    if (watcher.settings.wantsProgress) this.#progress.add(watcher.stream)
    this.#places.add(watcher, this.#revision)
  }

  #remove(watcher: Watcher): void {
    if (!this.#places.maybeRemove(watcher)) return
    if (watcher.settings.wantsProgress) this.#progress.remove(watcher.stream)
  }
}
