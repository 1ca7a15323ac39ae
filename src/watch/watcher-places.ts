import { invariant } from '../base/invariant.js'
import { IntervalMap } from '../mvcc/interval-map.js'
import type { RecentEvents } from './recent-events.js'
import type { WatchStream } from './watch-stream.js'
import type { Watcher } from './watcher.js'

/**
 * Which watchers have seen everything, which are behind, and which of those wait for their clients.
 * The state of a watcher says in which collection it is; both change here only. While any watcher
 * is not synced, the newest events are kept in memory for it.
 */
export class WatcherPlaces {
  readonly #synced = new IntervalMap<Watcher>()
  readonly #behind = new Set<Watcher>()
  readonly #onFirstBehind: () => void
  readonly recent: RecentEvents
  #count = 0
  #parkedCount = 0

  /** `onFirstBehind` is called when a watcher is behind and none was before. */
  constructor(options: Readonly<{ recent: RecentEvents; onFirstBehind: () => void }>) {
    this.recent = options.recent
    this.#onFirstBehind = options.onFirstBehind
  }

  /** Watchers in any state but closed. */
  get count(): number {
    return this.#count
  }

  /** Watchers that are behind or parked. */
  get unsyncedCount(): number {
    return this.#behind.size + this.#parkedCount
  }

  /** Synced watchers by what they watch. */
  get synced(): IntervalMap<Watcher> {
    return this.#synced
  }

  /** Watchers that are behind and whose clients read, those served longest ago in front. */
  get behind(): ReadonlySet<Watcher> {
    return this.#behind
  }

  /** Takes in a new watcher; `revision` is the newest that watchers were told of. */
  add(watcher: Watcher, revision: number): void {
    this.#count++
    watcher.stream.unsyncedCount++
    if (watcher.nextRevision > revision) this.sync(watcher)
    else this.#wait(watcher, revision + 1)
  }

  /** Closes the watcher; returns false when it was closed before. */
  maybeRemove(watcher: Watcher): boolean {
    if (watcher.state === 'closed') return false
    this.#leave(watcher)
    if (watcher.state !== 'synced') watcher.stream.unsyncedCount--
    watcher.state = 'closed'
    this.#count--
    this.#stopKeepingWhenAllSynced()
    return true
  }

  /** The watcher has seen everything. */
  sync(watcher: Watcher): void {
    this.#leave(watcher)
    watcher.state = 'synced'
    watcher.stream.unsyncedCount--
    this.#synced.add(watcher.key, watcher.end, watcher)
    this.#stopKeepingWhenAllSynced()
  }

  /** The watcher has not seen `watcher.nextRevision`; events from `keepFrom` on are kept for it. */
  fallBehind(watcher: Watcher, keepFrom: number): void {
    invariant(watcher.state === 'synced', 'only a synced watcher falls behind')
    this.#leave(watcher)
    watcher.stream.unsyncedCount++
    this.#wait(watcher, keepFrom)
  }

  /** The watcher got something and is still behind: others come first now. */
  moveToBack(watcher: Watcher): void {
    invariant(watcher.state === 'behind', 'only a watcher that is behind moves among them')
    this.#behind.delete(watcher)
    this.#behind.add(watcher)
  }

  /** The watcher is behind and its client is found to be full. */
  park(watcher: Watcher): void {
    invariant(watcher.stream.isBlocked, 'watchers are parked only while their client is full')
    this.#behind.delete(watcher)
    this.#place(watcher)
  }

  /** The client has read: its watchers may be served again. */
  unpark(stream: WatchStream): void {
    for (const watcher of stream.takeParked()) {
      this.#parkedCount--
      this.#place(watcher)
    }
  }

  /** Takes the watcher out of the collection that its state stands for. */
  #leave(watcher: Watcher): void {
    if (watcher.state === 'synced') {
      const wasThere = this.#synced.remove(watcher.key, watcher.end, watcher)
      invariant(wasThere, 'a synced watcher is found by its range')
    } else if (watcher.state === 'behind') {
      this.#behind.delete(watcher)
    } else if (watcher.state === 'parked') {
      watcher.stream.unpark(watcher)
      this.#parkedCount--
    }
  }

  #wait(watcher: Watcher, keepFrom: number): void {
    this.recent.start(keepFrom)
    this.#place(watcher)
  }

  /** Puts an unsynced watcher that is in no collection where it belongs. */
  #place(watcher: Watcher): void {
    if (watcher.stream.isBlocked) {
      watcher.state = 'parked'
      watcher.stream.park(watcher)
      this.#parkedCount++
      return
    }
    watcher.state = 'behind'
    this.#behind.add(watcher)
    if (this.#behind.size === 1) this.#onFirstBehind()
  }

  #stopKeepingWhenAllSynced(): void {
    if (this.unsyncedCount === 0) this.recent.stop()
  }
}
