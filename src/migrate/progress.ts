/** Where progress goes: standard error, of which a terminal shows a bar. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const BAR_COLUMNS_MAX = 40
const TERMINAL_INTERVAL_MS = 100
const LINE_INTERVAL_MS = 5000

/**
 * One pass over the keys: a bar that is drawn over itself on a terminal, else a line now and then.
 */
export class Progress {
  readonly #stream: ProgressStream
  readonly #total: number
  readonly #now: () => number
  #done = 0
  #shownAtMs: number

  constructor(stream: ProgressStream, total: number, now: () => number = Date.now) {
    this.#stream = stream
    this.#total = total
    this.#now = now
    this.#shownAtMs = now()
  }

  /** `count` more changes are in the target. */
  advance(count: number): void {
    this.#done += count
    const interval = this.#stream.isTTY === true ? TERMINAL_INTERVAL_MS : LINE_INTERVAL_MS
    if (this.#now() - this.#shownAtMs >= interval) this.#show()
  }

  /** Shows the last state, if anything was to be done. */
  end(): void {
    if (this.#total === 0) return
    this.#show()
    if (this.#stream.isTTY === true) this.#stream.write('\n')
  }

  #show(): void {
    this.#shownAtMs = this.#now()
    const percent = Math.floor((100 * this.#done) / this.#total)
    const text = `${this.#done} of ${this.#total} keys, ${percent} %`
    if (this.#stream.isTTY !== true) {
      this.#stream.write(`${text}\n`)
      return
    }
    const room = (this.#stream.columns ?? 80) - text.length - 4
    const columns = Math.max(0, Math.min(BAR_COLUMNS_MAX, room))
    const full = Math.round((columns * this.#done) / this.#total)
    this.#stream.write(`\r[${'#'.repeat(full)}${'-'.repeat(columns - full)}] ${text}`)
  }
}
