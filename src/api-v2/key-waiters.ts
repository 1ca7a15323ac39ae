/**
 * Clients that wait for changes of keys: long polls and streams. One waiter costs its connection,
 * one watcher of the store and two callbacks; no timer. What a slow client does not take stays in
 * the watcher's queue, which ends the watcher when it is full.
 */
import type { ServerResponse } from 'node:http'
import type { V2Event } from '../v2store/event.js'
import type { V2Watcher } from '../v2store/watcher-hub.js'
import { type HeaderList, JSON_TYPE, keepQuietAboutConnection } from './answer.js'
import { eventLine, v2ErrorAnswer } from './key-answer.js'
import type { KeyOperation } from './key-request.js'
import { ResponseReply } from './reply.js'
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
/** A client that vanished without a word is noticed by TCP after this much silence, ms. */
const KEEP_ALIVE_MS = 30_000

interface Waiter {
  readonly response: ServerResponse
  readonly operation: KeyOperation
  watcher: V2Watcher
  isQueued: boolean
}

export class KeyWaiters {
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
  open(response: ServerResponse, headers: HeaderList, operation: KeyOperation): void {
    // Who asked may have left while their password was checked.
    if (response.req.socket.destroyed) return
    this.followStore()
    const waiter: { current: Waiter | undefined } = { current: undefined }
    const result = this.#store.watch({
      path: operation.Path,
      isRecursive: operation.Recursive,
      isStream: operation.Stream,
      sinceIndex: operation.Since,
      onReadable: () => {
        if (waiter.current !== undefined) this.#enqueue(waiter.current)
      },
    })
    if (result.kind === 'error') {
      v2ErrorAnswer(new ResponseReply(response), headers, result.error)
      return
    }
    waiter.current = { response, operation, watcher: result.watcher, isQueued: false }
    this.#begin(waiter.current, headers)
  }

  #begin(waiter: Waiter, headers: HeaderList): void {
    const { response, watcher } = waiter
    keepQuietAboutConnection(response)
    response.writeHead(200, [
      ...headers,
      ...['Content-Type', JSON_TYPE, 'X-Etcd-Index', String(watcher.startIndex)],
      ...['X-Raft-Index', String(this.#source.raftIndex())],
      ...['X-Raft-Term', String(this.#source.term())],
    ])
    this.#open.add(waiter)
    this.#deliver(waiter)
    if (!this.#open.has(waiter)) return
    response.flushHeaders()
    response.socket?.setKeepAlive(true, KEEP_ALIVE_MS)
    response.once('close', () => this.#forget(waiter))
    if (waiter.operation.Stream) response.on('drain', () => this.#enqueue(waiter))
    this.#timer ??= setInterval(() => this.followStore(), STORE_CHECK_MS).unref()
  }

  /** After the apply that brought the event, and not within it. */
  #enqueue(waiter: Waiter): void {
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
    const { response, watcher } = waiter
    while (!response.writableNeedDrain) {
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
      response.write(text)
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
    this.#forget(waiter)
    waiter.response.end(text)
  }

  #forget(waiter: Waiter): void {
    waiter.watcher.remove()
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
    const { operation, watcher } = waiter
    if (watcher.isEnded) return
    watcher.remove()
    const result = this.#store.watch({
      path: operation.Path,
      isRecursive: operation.Recursive,
      isStream: operation.Stream,
      sinceIndex: Math.max(operation.Since, nextIndex),
      onReadable: () => this.#enqueue(waiter),
    })
    if (result.kind === 'error') {
      this.#end(waiter, '')
      return
    }
    waiter.watcher = result.watcher
    this.#enqueue(waiter)
  }

  /** Sends everybody away with an empty body, which clients take as "ask again". */
  closeAll(): void {
    for (const waiter of [...this.#open]) this.#end(waiter, '')
  }
}
