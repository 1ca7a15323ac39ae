import { pause } from './until.js'
import { prefixEnd, V3Client } from './v3-client.js'

/** Milliseconds between two writes. */
const BETWEEN_MS = 15
const PREFIX = 'light/'

/**
 * Puts one unique value after the other, through one member after the other, and remembers what was acknowledged.
 * A write that fails may or may not have happened; each key is written once, so both are fine.
 */
export class LightWriter {
  readonly #endpoints: readonly string[]
  readonly #acknowledged: string[] = []
  #isStopping = false
  #done: Promise<void> = Promise.resolve()

  constructor(endpoints: readonly string[]) {
    this.#endpoints = endpoints
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.length
  }

  start(): void {
    this.#done = this.#run()
  }

  async #run(): Promise<void> {
    const clients = this.#endpoints.map((endpoint) => new V3Client(endpoint))
    try {
      for (let count = 0; !this.#isStopping; count += 1) {
        const key = `${PREFIX}${count}`
        try {
          await clients[count % clients.length]?.put(key, key, 2000)
          this.#acknowledged.push(key)
        } catch {}
        await pause(BETWEEN_MS)
      }
    } finally {
      for (const client of clients) client.close()
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#done
  }

  /** Acknowledged keys that a linearizable read through this member does not show. */
  async lostAt(endpoint: string): Promise<readonly string[]> {
    const client = new V3Client(endpoint)
    try {
      const { kvs } = await client.range({ key: PREFIX, range_end: prefixEnd(PREFIX) })
      const present = new Set(kvs.map(({ key }) => key.toString()))
      return this.#acknowledged.filter((key) => !present.has(key))
    } finally {
      client.close()
    }
  }
}
