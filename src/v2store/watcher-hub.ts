/** Who waits for changes, and the history that late watchers are served from. */
import { invariant } from '../base/invariant.js'
import type { V2Error } from '../base/v2-errors.js'
import type { V2Event } from './event.js'
import { EventHistory } from './event-history.js'
import { isHiddenBelow } from './node-path.js'

/** Events that may wait in one watcher. One more removes the watcher: it has missed something. */
export const WATCHER_QUEUE_MAX = 100

export interface WatchOptions {
  /** A clean path. */
  readonly key: string
  /** Also everything below `key`. */
  readonly isRecursive: boolean
  /** Keep watching after the first event. */
  readonly isStream: boolean
  /** Events at this index or later. */
  readonly sinceIndex: number
  /**
   * Called when an event was queued or the watcher ended of itself. Not called for what is there
   * when `watch` returns: take once then. It runs inside an apply, so it must not change the store.
   */
  readonly onReadable: () => void
}

/**
 * One watcher. Events wait here until they are taken.
 *
 * States: `watching` → `ended`. It ends after its first event unless it streams, when its queue
 * overflows, when it is removed, and at once when the history already had its event. A quirk of
 * etcd: a stream that the history served stays open and hears nothing more.
 */
export class V2Watcher {
  /** The store's index when the watcher was made. */
  readonly startIndex: number
  readonly isRecursive: boolean
  readonly isStream: boolean
  readonly sinceIndex: number
  /** The path that is watched. */
  readonly key: string
  readonly #onReadable: () => void
  readonly #queue: V2Event[] = []
  /** The hub that knows the watcher. */
  #hub: WatcherHub | undefined
  #isEnded = false

  /** `first` is the event that the history already had; then the hub does not know the watcher. */
  constructor(
    options: WatchOptions,
    startIndex: number,
    start: { readonly hub: WatcherHub } | { readonly first: V2Event },
  ) {
    this.startIndex = startIndex
    this.key = options.key
    this.isRecursive = options.isRecursive
    this.isStream = options.isStream
    this.sinceIndex = options.sinceIndex
    this.#onReadable = options.onReadable
    if ('hub' in start) {
      this.#hub = start.hub
    } else {
      this.#queue.push(start.first)
      this.#isEnded = !this.isStream
    }
  }

  /** The next event, oldest first; `undefined` when none waits. */
  take(): V2Event | undefined {
    return this.#queue.shift()
  }

  /** Whether nothing will be queued any more. What is queued can still be taken. */
  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Stops watching. Doing it twice does nothing. */
  remove(): void {
    this.#isEnded = true
    this.#hub?.leave(this)
    this.#hub = undefined
  }

  /** Leaves the hub that knew it for `hub`, which has put it among its own. */
  moveTo(hub: WatcherHub): void {
    this.#hub?.leave(this)
    this.#hub = hub
  }

  /** Queues an event, for the hub. A full queue drops it and ends the watcher. */
  offer(event: V2Event): void {
    invariant(!this.#isEnded, 'an ended watcher is offered nothing')
    if (this.#queue.length < WATCHER_QUEUE_MAX) this.#queue.push(event)
    else this.remove()
    if (!this.isStream) this.remove()
    this.#onReadable()
  }
}

export type WatchResult =
  | { readonly kind: 'watcher'; readonly watcher: V2Watcher }
  | { readonly kind: 'error'; readonly error: V2Error }

export class WatcherHub {
  history = new EventHistory()
  readonly #watchers = new Map<string, Set<V2Watcher>>()
  #count = 0

  /**
   * How many watchers wait. Their number is bounded by who opens them: one for each open request.
   */
  get count(): number {
    return this.#count
  }

  /**
   * Registers a watcher, or serves it from the history. Error 401 when the index is no longer kept.
   */
  watch(options: WatchOptions, storeIndex: number): WatchResult {
    const found = this.history.scan({ ...options, index: options.sinceIndex, storeIndex })
    if (found.kind === 'error') return found
    if (found.kind === 'event') {
      const first = { ...found.event, etcdIndex: storeIndex, refresh: false }
      return { kind: 'watcher', watcher: new V2Watcher(options, storeIndex, { first }) }
    }
    const watcher = new V2Watcher(options, storeIndex, { hub: this })
    this.#put(watcher)
    return { kind: 'watcher', watcher }
  }

  /**
   * Takes over a watcher from the hub of a store that this one follows: it is told what the history
   * has from `nextIndex` on, and goes on waiting here. What it was told before stays in its queue.
   * Error 401 when the history begins later: it has missed something, and is no longer known.
   */
  adopt(watcher: V2Watcher, nextIndex: number, storeIndex: number): V2Error | undefined {
    const { key, isRecursive } = watcher
    this.#put(watcher)
    watcher.moveTo(this)
    let index = Math.max(watcher.sinceIndex, nextIndex)
    while (!watcher.isEnded) {
      const found = this.history.scan({ key, isRecursive, index, storeIndex })
      if (found.kind === 'none') break
      if (found.kind === 'error') {
        watcher.remove()
        return found.error
      }
      const { event } = found
      const isHidden = event.node.key !== key && isHiddenBelow(key, event.node.key)
      if (!isHidden) watcher.offer(event)
      index = event.node.modifiedIndex + 1
    }
    return undefined
  }

  #put(watcher: V2Watcher): void {
    const others = this.#watchers.get(watcher.key)
    if (others === undefined) this.#watchers.set(watcher.key, new Set([watcher]))
    else others.add(watcher)
    this.#count++
  }

  /** Forgets a watcher, for the watcher itself. */
  leave(watcher: V2Watcher): void {
    const watchers = this.#watchers.get(watcher.key)
    invariant(watchers?.delete(watcher) === true, 'a watcher leaves the place it was put')
    this.#count--
    invariant(this.#count >= 0, 'watchers are counted out once')
    if (watchers.size === 0) this.#watchers.delete(watcher.key)
  }

  /** Records `event` and tells the watchers of its path and of every path above. */
  notify(event: V2Event): void {
    this.history.add(event)
    if (this.#count === 0) return
    const key = event.node.key
    this.notifyAt(event, '/', false)
    for (let at = key.indexOf('/', 1); at !== -1; at = key.indexOf('/', at + 1)) {
      this.notifyAt(event, key.slice(0, at), false)
    }
    if (key.length > 1) this.notifyAt(event, key, false)
  }

  /**
   * Tells the watchers of `path`. `isRemoved`: the node at `path` went away with the event's node.
   */
  notifyAt(event: V2Event, path: string, isRemoved: boolean): void {
    const watchers = this.#watchers.get(path)
    if (watchers === undefined) return
    const isOwnPath = event.node.key === path
    if (!isOwnPath && isHiddenBelow(path, event.node.key)) return
    for (const watcher of [...watchers]) {
      const isWanted = watcher.isRecursive || isOwnPath || isRemoved
      const isLateEnough = event.node.modifiedIndex >= watcher.sinceIndex
      if (!watcher.isEnded && isWanted && isLateEnough) watcher.offer(event)
    }
  }
}
