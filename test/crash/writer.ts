import { pause } from '../interop/support/until.js'
import { V3Client } from '../interop/support/v3-client.js'
import type { History } from './history.js'

/** How long one attempt may take, and the pause after one that failed, in milliseconds. */
const ATTEMPT_MS = 3000
const AFTER_FAILURE_MS = 20

/** Puts one unique value after the other to keys of its own, through one member after the other. */
export class Writer {
  readonly #id: number
  readonly #urls: readonly string[]
  readonly #keys: readonly string[]
  readonly #history: History
  #isStopping = false
  #done: Promise<void> = Promise.resolve()

  constructor(
    options: Readonly<{
      id: number
      urls: readonly string[]
      keys: readonly string[]
      history: History
    }>,
  ) {
    this.#id = options.id
    this.#urls = options.urls
    this.#keys = options.keys
    this.#history = options.history
  }

  start(): void {
    this.#done = this.#run()
  }

  async #run(): Promise<void> {
    const clients = this.#urls.map((url) => new V3Client(url))
    for (let count = 0; !this.#isStopping; count += 1) {
      const key = this.#keys[count % this.#keys.length] ?? ''
      const value = `${this.#id}-${count}`
      this.#history.onSent(value)
      try {
        const answer = await clients[count % clients.length]?.put(key, value, ATTEMPT_MS)
        const revision = Number(answer?.header.revision)
        this.#history.onAcknowledged({ key, value, revision })
      } catch {
        await pause(AFTER_FAILURE_MS)
      }
    }
    for (const client of clients) client.close()
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#done
  }
}
