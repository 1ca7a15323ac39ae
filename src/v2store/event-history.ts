/** The last events of the whole tree, in a ring that snapshots carry. */
import { createV2Error, V2_CODES, type V2Error } from '../base/v2-errors.js'
import { encodeV2Event, type V2Event } from './event.js'

/** How many events are kept. The oldest makes room: a watcher that asks for it gets error 401. */
export const EVENT_HISTORY_MAX = 1000

/**
 * The JSON of an event up to this length is kept for the next snapshot; longer ones are made again.
 */
const KEPT_CHARACTERS_MAX = 1024

export type ScanResult =
  | { readonly kind: 'event'; readonly event: V2Event }
  | { readonly kind: 'none' }
  | { readonly kind: 'error'; readonly error: V2Error }

/** The ring's state as snapshots have it; slots that were never used are `undefined`. */
export interface HistoryState {
  readonly events: readonly (V2Event | undefined)[]
  readonly size: number
  readonly front: number
  readonly back: number
  readonly startIndex: number
  readonly lastIndex: number
}

/**
 * Whether `event` is of interest to who watches `key`. The ring is scanned without the rule of
 * hidden paths.
 */
function matches(event: V2Event, key: string, isRecursive: boolean): boolean {
  if (event.refresh) return false
  if (event.node.key === key) return true
  if (isRecursive && event.node.key.startsWith(key === '/' ? '/' : `${key}/`)) return true
  const isRemoval = event.action === 'delete' || event.action === 'expire'
  const removed = isRemoval && event.prevNode?.dir === true ? event.prevNode.key : undefined
  // etcd compares the texts, not the elements: removing /foo also tells who asks for /foobar.
  return removed !== undefined && key.startsWith(removed)
}

export class EventHistory {
  #events: (V2Event | undefined)[] = new Array(EVENT_HISTORY_MAX).fill(undefined)
  /** JSON of events that a snapshot had before, by their place in the ring. */
  #encoded: (string | undefined)[] = []
  #size = 0
  #front = 0
  #back = 0
  /** Index of the oldest event; `undefined` = ask that event. */
  #knownStart: number | undefined = 0
  #lastIndex = 0

  /** Appends `event`; the oldest leaves a full ring. */
  add(event: V2Event): void {
    const capacity = this.#events.length
    this.#events[this.#back] = event
    this.#encoded[this.#back] = undefined
    this.#back = (this.#back + 1) % capacity
    if (this.#size === capacity) this.#front = (this.#front + 1) % capacity
    else this.#size++
    this.#lastIndex = event.node.modifiedIndex
    // To look at the oldest now, which nobody else has for long, would wait for memory.
    this.#knownStart = undefined
  }

  get #startIndex(): number {
    this.#knownStart ??= this.#events[this.#front]?.node.modifiedIndex ?? 0
    return this.#knownStart
  }

  /**
   * The first event at `index` or later that who watches `key` wants. Error 401 when `index` is
   * gone.
   */
  scan(options: {
    readonly key: string
    readonly isRecursive: boolean
    readonly index: number
    readonly storeIndex: number
  }): ScanResult {
    const { key, isRecursive, index, storeIndex } = options
    if (index < this.#startIndex) {
      const cause = `the requested history has been cleared [${this.#startIndex}/${index}]`
      return { kind: 'error', error: createV2Error(V2_CODES.eventIndexCleared, cause, storeIndex) }
    }
    if (index > this.#lastIndex) return { kind: 'none' }
    const skipped = index - this.#startIndex
    for (let at = skipped; at < this.#size; at++) {
      const event = this.#events[(this.#front + at) % this.#events.length]
      if (event !== undefined && matches(event, key, isRecursive)) return { kind: 'event', event }
    }
    return { kind: 'none' }
  }

  clone(): EventHistory {
    const copy = new EventHistory()
    copy.restore(this.state())
    return copy
  }

  state(): HistoryState {
    return {
      events: this.#events,
      size: this.#size,
      front: this.#front,
      back: this.#back,
      startIndex: this.#startIndex,
      lastIndex: this.#lastIndex,
    }
  }

  /** Takes over a state, whose ring may have another capacity than ours. */
  restore(state: HistoryState): void {
    this.#events = [...state.events]
    this.#encoded = []
    this.#size = state.size
    this.#front = state.front
    this.#back = state.back
    this.#knownStart = state.startIndex
    this.#lastIndex = state.lastIndex
  }

  /** The JSON of `EventHistory`. */
  encode(): string {
    const events = this.#events.map((event, at) =>
      event === undefined ? 'null' : this.#encode(event, at),
    )
    const ring = `"Size":${this.#size},"Front":${this.#front},"Back":${this.#back}`
    const queue = `{"Events":[${events.join(',')}],${ring},"Capacity":${this.#events.length}}`
    return `{"Queue":${queue},"StartIndex":${this.#startIndex},"LastIndex":${this.#lastIndex}}`
  }

  #encode(event: V2Event, at: number): string {
    const kept = this.#encoded[at]
    if (kept !== undefined) return kept
    const encoded = encodeV2Event(event)
    if (encoded.length <= KEPT_CHARACTERS_MAX) this.#encoded[at] = encoded
    return encoded
  }
}
