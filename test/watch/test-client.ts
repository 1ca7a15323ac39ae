/** A client of one watch stream: a sink that can be slow, and what it has read so far. */
import type { Revision } from '../../src/base/ids.js'
import { bytesFromLatin1 } from '../../src/base/latin1.js'
import type { WatchHub } from '../../src/watch/watch-hub.js'
import type { WatchSink } from '../../src/watch/watch-sink.js'
import type { WatchStream } from '../../src/watch/watch-stream.js'
import { WatchCreateRequest, WatchRequest, WatchResponse } from '../../src/wire/rpc.js'

export interface CreateOptions {
  readonly key: string
  readonly end?: string
  readonly from?: number
  readonly id?: number
  readonly filters?: readonly ('NOPUT' | 'NODELETE')[]
  readonly prevKv?: boolean
  readonly fragment?: boolean
  readonly progress?: boolean
}

/** Reads at once unless `isSlow`; then responses wait until `read`. */
export class TestClient implements WatchSink {
  readonly responses: WatchResponse[] = []
  /** The bytes of each response, in its parts as they were given. */
  readonly parts: (readonly Uint8Array[])[] = []
  readonly stream: WatchStream
  isSlow = false
  queuedBytes = 0
  /** Bytes from which on the sink says that it is full. */
  readonly limit: number
  #queue: (readonly Uint8Array[])[] = []
  #wasFull = false
  #onDrain: () => void = () => {}

  constructor(
    hub: WatchHub,
    options: { limit?: number; mayWatch?: (key: string, end: string) => string | undefined } = {},
  ) {
    this.limit = options.limit ?? 1_000_000_000
    this.stream = hub.open({ sink: this, mayWatch: options.mayWatch })
  }

  sendEncoded(parts: readonly Uint8Array[]): boolean {
    if (!this.isSlow) {
      this.#deliver(parts)
      return true
    }
    this.#queue.push(parts)
    for (const part of parts) this.queuedBytes += part.length
    if (this.queuedBytes <= this.limit) return true
    this.#wasFull = true
    return false
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener
  }

  /** Reads everything that waits. */
  read(): void {
    const queue = this.#queue
    this.#queue = []
    this.queuedBytes = 0
    for (const parts of queue) this.#deliver(parts)
    if (!this.#wasFull) return
    this.#wasFull = false
    this.#onDrain()
  }

  create(options: CreateOptions): 'taken' | 'overflow' {
    return this.stream.onRequest(
      WatchRequest.create({
        createRequest: WatchCreateRequest.create({
          key: bytesFromLatin1(options.key),
          rangeEnd: bytesFromLatin1(options.end ?? ''),
          startRevision: (options.from ?? 0) as Revision,
          watchId: options.id ?? 0,
          filters: options.filters ?? [],
          prevKv: options.prevKv ?? false,
          fragment: options.fragment ?? false,
          progressNotify: options.progress ?? false,
        }),
      }),
    )
  }

  cancel(watchId: number): 'taken' | 'overflow' {
    return this.stream.onRequest(WatchRequest.create({ cancelRequest: { watchId } }))
  }

  askProgress(): 'taken' | 'overflow' {
    return this.stream.onRequest(WatchRequest.create({ progressRequest: {} }))
  }

  /** Takes the responses read so far. */
  take(): WatchResponse[] {
    return this.responses.splice(0)
  }

  #deliver(parts: readonly Uint8Array[]): void {
    this.parts.push(parts)
    this.responses.push(WatchResponse.decode(Buffer.concat(parts)))
  }
}
