/**
 * Clients that wait for changes of keys: long polls and streams. One waiter costs its connection,
 * one watcher of the store and one callback; no timer. What a slow client does not take stays in
 * the watcher's queue, which ends the watcher when it is full.
 */
import type { V2Event } from '../v2store/event.js'
import type { V2Watcher } from '../v2store/watcher-hub.js'
import type { HeaderList } from './answer.js'
import { eventLine, v2ErrorAnswer } from './key-answer.js'
import type { KeyOperation } from './key-request.js'
import type { PieceListener, Pieces, Reply } from './reply.js'
import type { V2Source } from './source.js'

/**
 * Waiters that are served in one turn of the event loop, so that one event cannot hold up the
 * daemon.
 */
export const WAITERS_PER_TURN_MAX = 512
/**
 * How often it is looked at whether the member took over a snapshot, ms; one timer for all waiters.
 */
const STORE_CHECK_MS = 1000

/** What a waiter tells. */
interface WaiterHost {
  onReadable(waiter: Waiter): void
  onGone(waiter: Waiter): void
}

/** One client that waits. There may be tens of thousands: it holds no more than is needed. */
class Waiter implements PieceListener {
  readonly #host: WaiterHost
  readonly path: string
  readonly isRecursive: boolean
  readonly isStream: boolean
  readonly sinceIndex: number
  /** Both are there from right after the start: until then nothing is told. */
  pieces: Pieces | undefined
  watcher: V2Watcher | undefined
  isQueued = false

  constructor(host: WaiterHost, operation: KeyOperation) {
    this.#host = host
    this.path = operation.Path
    this.isRecursive = operation.Recursive
    this.isStream = operation.Stream
    this.sinceIndex = operation.Since
  }

  readonly onReadable = (): void => {
    if (this.pieces !== undefined) this.#host.onReadable(this)
  }

  onClosed(): void {
    this.#host.onGone(this)
  }

  onDrained(): void {
    this.#host.onReadable(this)
  }
}

export class KeyWaiters implements WaiterHost {
  readonly #source: V2Source
  readonly #open = new Set<Waiter>()
  #store: ReturnType<V2Source['store']>
  #readable: Waiter[] = []
  #isScheduled = false
  #timer: NodeJS.Timeout | undefined
  #lastEvent: V2Event | undefined
  #lastText = ''

  constructor(source: V2Source) {
    this.#source = source
    this.#store = source.store()
  }

  /** How many clients wait. */
  get count(): number {
    return this.#open.size
  }

  /** Answers a wait: with an error, with what the history has, or later. */
  open(reply: Reply, headers: HeaderList, operation: KeyOperation): void {
    // Who asked may have left while their password was checked.
    if (reply.isGone) {
      reply.drop()
      return
    }
    this.followStore()
    const waiter = new Waiter(this, operation)
    const result = this.#store.watch(waiter)
    if (result.kind === 'error') {
      v2ErrorAnswer(reply, headers, result.error)
      return
    }
    const { watcher } = result
    waiter.watcher = watcher
    const source = this.#source
    const place = {
      etcdIndex: watcher.startIndex,
      raftIndex: source.raftIndex(),
      term: source.term(),
    }
    const pieces = reply.begin(headers, place, waiter)
    waiter.pieces = pieces
    this.#open.add(waiter)
    this.#timer ??= setInterval(() => this.followStore(), STORE_CHECK_MS).unref()
    this.#deliver(waiter)
    if (this.#open.has(waiter)) pieces.flush()
  }

  /** Serves the waiter after the apply that brought the event, and not within it. */
  onReadable(waiter: Waiter): void {
    if (waiter.isQueued) return
    waiter.isQueued = true
    this.#readable.push(waiter)
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.#serve())
  }

  #serve(): void {
    const turn = this.#readable.slice(0, WAITERS_PER_TURN_MAX)
    this.#readable = this.#readable.slice(WAITERS_PER_TURN_MAX)
    this.#isScheduled = this.#readable.length > 0
    for (const waiter of turn) {
      waiter.isQueued = false
      if (this.#open.has(waiter)) this.#deliver(waiter)
    }
    this.#lastEvent = undefined
    this.#lastText = ''
    if (this.#isScheduled) setImmediate(() => this.#serve())
  }

  #deliver(waiter: Waiter): void {
    const { pieces, watcher } = waiter
    if (pieces === undefined || watcher === undefined) return
    while (!pieces.mustWait) {
      const event = watcher.take()
      if (event === undefined) {
        if (watcher.isEnded) this.#end(waiter, '')
        return
      }
      const text = this.#encode(event)
      if (!watcher.isStream) {
        this.#end(waiter, text)
        return
      }
      pieces.write(text)
    }
  }

  /** Many wait for one event: it is encoded once. */
  #encode(event: V2Event): string {
    if (this.#lastEvent !== event) {
      this.#lastEvent = event
      this.#lastText = eventLine(event)
    }
    return this.#lastText
  }

  #end(waiter: Waiter, text: string): void {
    this.onGone(waiter)
    waiter.pieces?.end(text)
  }

  /** Nobody waits there any more. */
  onGone(waiter: Waiter): void {
    waiter.watcher?.remove()
    this.#open.delete(waiter)
    if (this.#open.size > 0 || this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /**
   * When the member took over a snapshot its tree is another one: who waits goes on waiting there,
   * from where the old one ended. Who missed more than the new history has is sent away to ask
   * again.
   */
  followStore(): void {
    const store = this.#source.store()
    if (store === this.#store) return
    const nextIndex = this.#store.index + 1
    this.#store = store
    for (const waiter of [...this.#open]) this.#move(waiter, nextIndex)
  }

  #move(waiter: Waiter, nextIndex: number): void {
    const { watcher } = waiter
    if (watcher === undefined || watcher.isEnded) return
    if (this.#store.adopt(watcher, nextIndex) !== undefined) this.#end(waiter, '')
  }

  /** Sends everybody away with an empty body, which clients take as "ask again". */
  closeAll(): void {
    for (const waiter of [...this.#open]) this.#end(waiter, '')
  }
}
