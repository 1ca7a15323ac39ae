import { type Event, V3Client } from '../interop/support/v3-client.js'
import { pick, type Random } from './random.js'
import { describeEvent } from './watched-log.js'
import { type Revisions, WatchedStream } from './watched-stream.js'

/** How long one stays where it is, in milliseconds. */
const STAY_MIN_MS = 100
const STAY_MAX_MS = 800
/** So far back most of them begin; one in RARE begins anywhere, and one in RARE in the future. */
const BACK_REVISIONS_MAX = 60
const FUTURE_REVISIONS_MAX = 20
const RARE = 16

export interface RoamingWatchersOptions {
  readonly count: number
  readonly urls: readonly string[]
  readonly prefix: string
  readonly random: Random
  /** The newest revision that somebody saw. */
  readonly newest: () => number
  readonly onMissing: (missing: Revisions) => void
}

/**
 * Watchers that begin anew again and again: at any member, from any revision that can still be read, many on one
 * connection. So each of the ways by which a member brings a watcher up to the present is gone often, in all of its
 * states. What they see of a revision has to be the same everywhere.
 */
export class RoamingWatchers {
  readonly disorder: string[] = []
  readonly #options: RoamingWatchersOptions
  readonly #clients: ReadonlyMap<string, V3Client>
  readonly #streams = new Map<number, WatchedStream>()
  readonly #timers = new Map<number, NodeJS.Timeout>()
  readonly #seen = new Map<number, string>()
  /** Below this revisions are gone on some member. */
  #oldest = 1
  #opened = 0
  #eventCount = 0

  constructor(options: RoamingWatchersOptions) {
    this.#options = options
    this.#clients = new Map(options.urls.map((url) => [url, new V3Client(url)]))
    for (let place = 0; place < options.count; place += 1) this.#roam(place)
  }

  /** Streams opened, and events seen on them. */
  get figures(): string {
    return `${this.#opened} streams, ${this.#eventCount} events`
  }

  #roam(place: number): void {
    const { random } = this.#options
    this.#streams.get(place)?.close()
    this.#open(place)
    const stayMs = STAY_MIN_MS + random(STAY_MAX_MS - STAY_MIN_MS)
    clearTimeout(this.#timers.get(place))
    this.#timers.set(
      place,
      setTimeout(() => this.#roam(place), stayMs),
    )
  }

  #open(place: number): void {
    const { random, urls, prefix, onMissing } = this.#options
    const url = pick(random, urls)
    const client = this.#clients.get(url)
    if (client === undefined) throw new Error(`no client of ${url}`)
    this.#opened += 1
    const stream = new WatchedStream({
      client,
      url,
      number: this.#opened,
      prefix,
      startRevision: this.#drawStart(),
      onEvent: (event) => this.#onEvent(event, url),
      onDisorder: (what, missing) => {
        this.disorder.push(what)
        if (missing !== undefined) onMissing(missing)
      },
      onCompacted: (compactRevision) => {
        this.#oldest = Math.max(this.#oldest, compactRevision)
      },
      // Its time to go on will come.
      onEnd: () => undefined,
    })
    this.#streams.set(place, stream)
  }

  #drawStart(): number {
    const { random, newest } = this.#options
    const [first, last] = [Math.max(2, this.#oldest), newest()]
    const draw = random(RARE)
    if (draw === 0) return first + random(Math.max(1, last - first))
    if (draw === 1) return last + 1 + random(FUTURE_REVISIONS_MAX)
    return Math.max(first, last + 1 - random(BACK_REVISIONS_MAX))
  }

  #onEvent(event: Event, url: string): void {
    this.#eventCount += 1
    const revision = Number(event.kv.mod_revision)
    const shown = describeEvent(event)
    const known = this.#seen.get(revision)
    if (known === undefined) this.#seen.set(revision, shown)
    else if (known !== shown) this.disorder.push(`${shown} at ${url}, but elsewhere ${known}`)
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    for (const stream of this.#streams.values()) stream.close()
    for (const client of this.#clients.values()) client.close()
  }
}
