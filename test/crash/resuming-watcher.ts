import {
  type Event,
  prefixEnd,
  V3Client,
  type WatchResponse,
  type WatchStream,
} from '../interop/support/v3-client.js'
import { describeEvent } from './history.js'

/** Between the end of a stream and the next attempt, in milliseconds. */
const RESUME_AFTER_MS = 50

/**
 * Watches a prefix as a client does that must miss nothing: when its member goes, it goes on at the next one, from the
 * revision after the last it saw. It notes what a watcher must never see: an event out of order, twice, or in part.
 */
export class ResumingWatcher {
  readonly events: string[] = []
  /** The same with everything that is in them. */
  readonly whole: Event[] = []
  readonly disorder: string[] = []
  readonly #clients: readonly V3Client[]
  readonly #prefix: string
  #next: number
  #attempts = 0
  #stream: WatchStream | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(
    options: Readonly<{ urls: readonly string[]; prefix: string; startRevision: number }>,
  ) {
    this.#clients = options.urls.map((url) => new V3Client(url))
    this.#prefix = options.prefix
    this.#next = options.startRevision
    this.#open()
  }

  /** The highest revision seen. */
  get lastRevision(): number {
    return this.#next - 1
  }

  #open(): void {
    if (this.#isClosed) return
    const client = this.#clients[this.#attempts % this.#clients.length]
    this.#attempts += 1
    const create = {
      key: this.#prefix,
      range_end: prefixEnd(this.#prefix),
      start_revision: this.#next,
    }
    this.#stream = client?.watch(
      create,
      (response) => this.#onResponse(response),
      () => {
        this.#timer = setTimeout(() => this.#open(), RESUME_AFTER_MS)
      },
    )
  }

  #onResponse(response: WatchResponse): void {
    if (response.canceled) this.disorder.push(`canceled: ${response.cancel_reason}`)
    for (const event of response.events) {
      const { kv } = event
      const revision = Number(kv.mod_revision)
      const described = describeEvent(kv)
      /* Each write here is a revision of its own. */
      if (revision < this.#next) this.disorder.push(`after ${this.lastRevision}: ${described}`)
      this.events.push(described)
      this.whole.push(event)
      this.#next = Math.max(this.#next, revision + 1)
    }
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#stream?.cancel()
    for (const client of this.#clients) client.close()
  }
}
