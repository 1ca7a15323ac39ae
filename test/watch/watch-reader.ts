import type { Revision } from '../../src/base/ids.js'
import type { WatchHub } from '../../src/watch/watch-hub.js'
import type { WatchSink } from '../../src/watch/watch-sink.js'
import type { WatchStream } from '../../src/watch/watch-stream.js'
import { WatchCreateRequest, WatchRequest, WatchResponse } from '../../src/wire/rpc.js'

/** A slow client is full from so many bytes on. */
const QUEUED_BYTES_MAX = 200

/** One watch of everything, whose client may stop reading for a while. */
export class WatchReader implements WatchSink {
  readonly stream: WatchStream
  readonly problems: string[] = []
  isSlow = false
  queuedBytes = 0
  next: number
  readonly #expected: ReadonlyMap<number, string>
  readonly #name: string
  readonly #queue: (readonly Uint8Array[])[] = []
  #onDrain: () => void = () => undefined

  constructor(hub: WatchHub, from: number, expected: ReadonlyMap<number, string>) {
    this.next = from
    this.#expected = expected
    this.#name = `from ${from}, created at ${hub.revision}`
    this.stream = hub.open({ sink: this })
    const createRequest = WatchCreateRequest.create({
      key: Uint8Array.of(0),
      rangeEnd: Uint8Array.of(0),
      startRevision: from as Revision,
    })
    this.stream.onRequest(WatchRequest.create({ createRequest }))
  }

  sendEncoded(parts: readonly Uint8Array[]): boolean {
    if (!this.isSlow && this.#queue.length === 0) {
      this.#take(parts)
      return true
    }
    this.#queue.push(parts)
    for (const part of parts) this.queuedBytes += part.length
    return this.queuedBytes < QUEUED_BYTES_MAX
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener
  }

  read(): void {
    this.isSlow = false
    this.queuedBytes = 0
    for (const parts of this.#queue.splice(0)) this.#take(parts)
    this.#onDrain()
  }

  #take(parts: readonly Uint8Array[]): void {
    const { canceled, events, header } = WatchResponse.decode(Buffer.concat(parts))
    if (canceled) this.next = Number.POSITIVE_INFINITY
    const shown = new Map<number, string>()
    for (const { type, kv } of events) {
      const revision = kv?.modRevision ?? 0
      const value = type === 'PUT' ? Buffer.from(kv?.value ?? []).toString() : '-'
      const key = Buffer.from(kv?.key ?? []).toString()
      shown.set(revision, `${shown.get(revision) ?? ''}${key}=${value} `)
    }
    for (const [revision, text] of shown) {
      const wanted = this.#expected.get(revision)
      if (revision !== this.next || text !== wanted) {
        const what = `${revision} ${text} instead of ${this.next} ${wanted}`
        this.problems.push(`${this.#name}, at ${header?.revision}: ${what}`)
      }
      this.next = revision + 1
    }
  }
}
