import {
  type Event,
  prefixEnd,
  type V3Client,
  type WatchResponse,
  type WatchStream,
} from '../interop/support/v3-client.js'
import { describeEvent } from './history.js'

export interface WatchedStreamOptions {
  readonly client: V3Client
  /** Of the member. */
  readonly url: string
  /** Tells the stream from the others of its watcher. */
  readonly number: number
  readonly prefix: string
  readonly startRevision: number
  /** Every event, in the order in which they came. */
  readonly onEvent: (event: Event) => void
  /** What a watcher must never see; `missing` are revisions that were left out, if it is that. */
  readonly onDisorder: (what: string, missing: Revisions | undefined) => void
  /** The watch was ended by the member because revisions below this are gone. */
  readonly onCompacted: (compactRevision: number) => void
  readonly onEnd: () => void
}

/** Both included. */
export interface Revisions {
  readonly first: number
  readonly last: number
}

/**
 * One stream with one watch of a prefix, under which every revision is one event. The events have to come one revision
 * after the other from the first that was asked for; where they do not, it says which way they came.
 */
export class WatchedStream {
  readonly #options: WatchedStreamOptions
  readonly #stream: WatchStream
  #next: number
  #responses = 0
  #created = 'not created'
  #isClosed = false

  constructor(options: WatchedStreamOptions) {
    this.#options = options
    this.#next = options.startRevision
    const { client, prefix, startRevision } = options
    this.#stream = client.watch(
      { key: prefix, range_end: prefixEnd(prefix), start_revision: startRevision },
      (response) => this.#onResponse(response),
      () => {
        if (!this.#isClosed) options.onEnd()
      },
    )
  }

  /** The revision that comes next. */
  get next(): number {
    return this.#next
  }

  #onResponse(response: WatchResponse): void {
    if (this.#isClosed) return
    this.#responses += 1
    const { header, canceled, compact_revision, cancel_reason, events } = response
    if (response.created) {
      this.#created = `created at ${header.revision} of ${BigInt(header.member_id).toString(16)}`
    }
    if (canceled) this.#onCanceled(Number(compact_revision), cancel_reason)
    for (const event of events) {
      const revision = Number(event.kv.mod_revision)
      if (revision !== this.#next) this.#onDisorder(event, response)
      this.#next = Math.max(this.#next, revision + 1)
      this.#options.onEvent(event)
    }
  }

  #onCanceled(compactRevision: number, reason: string): void {
    if (compactRevision > this.#next) this.#options.onCompacted(compactRevision)
    else this.#options.onDisorder(`canceled at ${this.#next}: ${reason}`, undefined)
  }

  #onDisorder({ kv }: Event, { header, events }: WatchResponse): void {
    const { url, number, startRevision } = this.#options
    const revision = Number(kv.mod_revision)
    const expected = this.#next
    const way = [
      `stream ${number} at ${url} from ${startRevision} on, ${this.#created}`,
      `response ${this.#responses} with ${events.length} events at ${header.revision}`,
    ]
    const isMissing = revision > expected
    this.#options.onDisorder(
      `${describeEvent(kv)} instead of ${expected} (${way.join(', ')})`,
      isMissing ? { first: expected, last: revision - 1 } : undefined,
    )
  }

  close(): void {
    this.#isClosed = true
    this.#stream.cancel()
  }
}
