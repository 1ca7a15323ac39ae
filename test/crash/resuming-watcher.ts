import { type Event, V3Client } from '../interop/support/v3-client.js'
import { describeEvent } from './history.js'
import { type Revisions, WatchedStream } from './watched-stream.js'

/** Between the end of a stream and the next attempt, in milliseconds. */
const RESUME_AFTER_MS = 50

export interface ResumingWatcherOptions {
  readonly urls: readonly string[]
  readonly prefix: string
  readonly startRevision: number
  /** Revisions were left out. */
  readonly onMissing?: (missing: Revisions) => void
}

/**
 * Watches a prefix as a client does that must miss nothing: when its member goes, it goes on at the next one, from the
 * revision after the last it saw. It notes what a watcher must never see: an event out of order, twice, or none of a
 * revision.
 */
export class ResumingWatcher {
  readonly events: string[] = []
  /** The same with everything that is in them. */
  readonly whole: Event[] = []
  readonly disorder: string[] = []
  readonly #clients: readonly V3Client[]
  readonly #options: ResumingWatcherOptions
  #next: number
  #attempts = 0
  #stream: WatchedStream | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: ResumingWatcherOptions) {
    this.#clients = options.urls.map((url) => new V3Client(url))
    this.#options = options
    this.#next = options.startRevision
    this.#open()
  }

  /** The highest revision seen. */
  get lastRevision(): number {
    return this.#next - 1
  }

  #open(): void {
    const { urls, prefix, onMissing } = this.#options
    const place = this.#attempts % urls.length
    const client = this.#clients[place]
    if (client === undefined) throw new Error('a watcher has somewhere to watch')
    this.#attempts += 1
    this.#stream = new WatchedStream({
      client,
      url: urls[place] ?? '',
      number: this.#attempts,
      prefix,
      startRevision: this.#next,
      onEvent: (event) => {
        this.events.push(describeEvent(event.kv))
        this.whole.push(event)
        this.#next = Math.max(this.#next, Number(event.kv.mod_revision) + 1)
      },
      onDisorder: (what, missing) => {
        this.disorder.push(what)
        if (missing !== undefined) onMissing?.(missing)
      },
      onCompacted: (at) => this.disorder.push(`canceled at ${this.#next}: compacted at ${at}`),
      onEnd: () => {
        this.#timer = setTimeout(() => this.#open(), RESUME_AFTER_MS)
      },
    })
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#stream?.close()
    for (const client of this.#clients) client.close()
  }
}
