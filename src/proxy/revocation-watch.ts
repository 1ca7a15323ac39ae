import { Metadata } from '@grpc/grpc-js'
import { revision } from '../base/ids.js'
import type { Event } from '../wire/mvccpb.js'
import * as rpc from '../wire/rpc.js'
import {
  type Caller,
  metadataOf,
  type Upstream,
  UpstreamError,
  type UpstreamStream,
} from './upstream.js'

const WATCH = '/etcdserverpb.Watch/Watch'
/** Before the stream to a member is opened again, ms. */
const REOPEN_PAUSE_MS = 100
/** gRPC codes with which a member, not the way to it, refuses. */
const FINAL_CODES: readonly number[] = [3, 7, 12, 16]

interface Watched {
  readonly key: Uint8Array
  readonly startRevision: number
  readonly onEvent: (event: Event | undefined) => void
}

const createRequest = (key: Uint8Array, startRevision: number, watchId: number): Uint8Array =>
  rpc.WatchRequest.encode({
    createRequest: rpc.WatchCreateRequest.create({
      key,
      startRevision: revision(startRevision),
      watchId,
    }),
  })

/**
 * Watches of single keys, all over one stream. A stream that breaks is opened again, and every
 * watch begins where it began at first: an event may be told twice, none is missed.
 */
export class RevocationWatch {
  readonly #upstream: Upstream
  readonly #watched = new Map<number, Watched>()
  #lastId = 0
  #stream: UpstreamStream | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(upstream: Upstream) {
    this.#upstream = upstream
  }

  /** `undefined` instead of an event: no more of them will come. The result ends the watch. */
  add(watched: Watched): () => void {
    this.#lastId += 1
    const watchId = this.#lastId
    this.#watched.set(watchId, watched)
    if (this.#stream !== undefined)
      this.#stream.write(createRequest(watched.key, watched.startRevision, watchId))
    else if (this.#timer === undefined) this.#open()
    return () => {
      if (!this.#watched.delete(watchId)) return
      this.#stream?.write(rpc.WatchRequest.encode({ cancelRequest: { watchId } }))
    }
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#watched.clear()
    this.#stream?.cancel()
  }

  #open(): void {
    this.#timer = undefined
    const stream = this.#upstream.bidiStream(WATCH, new Metadata())
    this.#stream = stream
    stream.on('data', (bytes: Buffer) => this.#receive(rpc.WatchResponse.decode(bytes)))
    const onBreak = (failure: UpstreamError | undefined): void => {
      if (this.#isStopped || stream !== this.#stream) return
      this.#stream = undefined
      if (failure !== undefined && FINAL_CODES.includes(failure.status)) this.#loseAll()
      if (this.#watched.size > 0) this.#timer = setTimeout(() => this.#open(), REOPEN_PAUSE_MS)
    }
    stream.on('error', (error) => onBreak(UpstreamError.from(error)))
    stream.on('end', () => onBreak(undefined))
    for (const [watchId, { key, startRevision }] of this.#watched)
      stream.write(createRequest(key, startRevision, watchId))
  }

  #loseAll(): void {
    const lost = [...this.#watched.values()]
    this.#watched.clear()
    for (const { onEvent } of lost) onEvent(undefined)
  }

  #receive({ watchId, events, canceled }: rpc.WatchResponse): void {
    const watched = this.#watched.get(watchId)
    if (watched === undefined) return
    for (const event of events) watched.onEvent(event)
    // Its start was compacted, or it is not for us to see.
    if (canceled && this.#watched.delete(watchId)) watched.onEvent(undefined)
  }
}

export interface DeletionWait {
  readonly upstream: Upstream
  readonly key: Uint8Array
  /** Of the first event that counts. */
  readonly startRevision: number
  /** On whose behalf; what ends it ends the wait. */
  readonly caller: Caller
}

/**
 * Resolves once the key is deleted, or the watch for that ends in another way: whoever waits looks
 * again. Rejects when the caller waits no longer, or may not watch.
 */
export function deletionOf({ upstream, key, startRevision, caller }: DeletionWait): Promise<void> {
  if (caller?.isCancelled === true) return Promise.reject(new UpstreamError(1, 'context canceled'))
  return new Promise((resolve, reject) => {
    const stream = upstream.bidiStream(WATCH, metadataOf(caller))
    let timer: NodeJS.Timeout | undefined
    const finish = (settle: () => void): void => {
      clearTimeout(timer)
      stream.removeAllListeners('data')
      stream.cancel()
      settle()
    }
    const giveUp = (): void =>
      finish(() => reject(new UpstreamError(4, 'context deadline exceeded')))
    const deadlineMs = caller?.deadlineMs ?? Number.POSITIVE_INFINITY
    if (deadlineMs !== Number.POSITIVE_INFINITY)
      timer = setTimeout(giveUp, Math.max(0, deadlineMs - performance.now()))
    caller?.onCancel?.(giveUp)
    stream.on('data', (bytes: Buffer) => {
      const { events, canceled } = rpc.WatchResponse.decode(bytes)
      if (canceled || events.some(({ type }) => type === 'DELETE')) finish(resolve)
    })
    stream.on('error', (error) => {
      const failure = UpstreamError.from(error)
      if (FINAL_CODES.includes(failure.status)) finish(() => reject(failure))
      else setTimeout(() => finish(resolve), REOPEN_PAUSE_MS)
    })
    stream.on('end', () => finish(resolve))
    stream.write(createRequest(key, startRevision, 0))
  })
}
