import type { Entropy } from '../ports/clock.js'
import type { Log } from '../ports/log.js'

/** While nobody is known, the list is looked at this often, ms (facts: ops.md 9). */
const REFRESH_WHILE_EMPTY_MS = 1000
/** Only an interval as long as the default is shortened while nobody is known, as in etcd. */
const SHORTENED_INTERVAL_MS_MIN = 30_000
/** An interval of 0 would ask the members without a pause; etcd does. */
const REFRESH_INTERVAL_MS_MIN = 100

export interface DirectorOptions {
  /** Base URLs of the members' client listeners, as they are now; empty when nobody answers. */
  readonly findUrls: () => Promise<readonly string[]>
  /** How long a failed endpoint is left alone, ms. */
  readonly failureWaitMs: number
  /** Between two looks at the list, ms; at least 100 are waited. */
  readonly refreshIntervalMs: number
  /** Shuffles the endpoints. */
  readonly entropy: Entropy
  readonly log: Log
}

/** One member that requests can be sent to. */
export class Endpoint {
  readonly url: URL
  /** As the member gave it, without a slash at its end. */
  readonly text: string
  readonly #failureWaitMs: number
  readonly #log: Log
  #isAvailable = true
  #timer: NodeJS.Timeout | undefined

  constructor(text: string, options: DirectorOptions) {
    this.url = new URL(text)
    this.text = text
    this.#failureWaitMs = options.failureWaitMs
    this.#log = options.log
  }

  get isAvailable(): boolean {
    return this.#isAvailable
  }

  /** A request could not be sent: no more are for a while. */
  markFailed(): void {
    if (!this.#isAvailable) return
    this.#isAvailable = false
    this.#log.info('marked endpoint unavailable', { endpoint: this.text })
    this.#timer = setTimeout(() => {
      this.#isAvailable = true
      this.#log.info('marked endpoint available, to retest connectivity', { endpoint: this.text })
    }, this.#failureWaitMs)
    this.#timer.unref()
  }

  /** Nobody will ask about this endpoint any more. */
  forget(): void {
    clearTimeout(this.#timer)
  }
}

function shuffled<Item>(items: readonly Item[], entropy: Entropy): Item[] {
  const mixed: Item[] = []
  for (const item of items) {
    const at = entropy.below(mixed.length + 1)
    const moved = mixed[at]
    mixed[at] = item
    if (moved !== undefined) mixed.push(moved)
  }
  return mixed
}

/**
 * Knows where requests can go: the members' client URLs, asked for again and again, without those
 * that failed a moment ago. A new list starts with everybody available.
 */
export class EndpointDirector {
  readonly #options: DirectorOptions
  #endpoints: readonly Endpoint[] = []
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  #hasFound = false

  constructor(options: DirectorOptions) {
    this.#options = options
  }

  /** Looks for endpoints once, and from then on by itself. */
  async start(): Promise<void> {
    await this.#refresh()
    this.#schedule()
  }

  /** In the order in which they are to be tried; the list of one look keeps its order. */
  available(): readonly Endpoint[] {
    return this.#endpoints.filter(({ isAvailable }) => isAvailable)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    for (const endpoint of this.#endpoints) endpoint.forget()
  }

  async #refresh(): Promise<void> {
    const { findUrls, entropy, log } = this.#options
    const urls = await findUrls()
    if (this.#isStopped) return
    const found: Endpoint[] = []
    for (const text of urls) {
      try {
        found.push(new Endpoint(text, this.#options))
      } catch (error) {
        log.info('upstream URL invalid', { url: text, error: String(error) })
      }
    }
    for (const endpoint of this.#endpoints) endpoint.forget()
    this.#endpoints = shuffled(found, entropy)
  }

  #schedule(): void {
    if (this.#isStopped) return
    const { refreshIntervalMs, log } = this.#options
    const available = this.available()
    if (available.length > 0 && !this.#hasFound) {
      this.#hasFound = true
      log.info('endpoints found', { endpoints: available.map(({ text }) => text) })
    }
    const isShortened = available.length === 0 && refreshIntervalMs >= SHORTENED_INTERVAL_MS_MIN
    const waitMs = isShortened
      ? REFRESH_WHILE_EMPTY_MS
      : Math.max(refreshIntervalMs, REFRESH_INTERVAL_MS_MIN)
    this.#timer = setTimeout(() => void this.#refresh().then(() => this.#schedule()), waitMs)
  }
}
