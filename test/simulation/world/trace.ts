/** One line of a trace: when, where, what, and up to three numbers. */
export type TraceSink = (line: string) => void

/**
 * What happened in a run, as a hash that two runs of one seed share, and on request as text. The last lines are kept
 * for the report of a failure.
 */
export class Trace {
  #low = 0x811c9dc5
  #high = 0x01000193
  readonly #nowUs: () => number
  readonly #sink: TraceSink | undefined
  /** How a machine stands at the moment, in a few words of one width; for readers only. */
  describe: (place: number) => string = () => ''

  constructor(nowUs: () => number, sink: TraceSink | undefined) {
    this.#nowUs = nowUs
    this.#sink = sink
  }

  get isTold(): boolean {
    return this.#sink !== undefined
  }

  event(place: number, what: string, a = 0, b = 0, c = 0): void {
    const nowUs = this.#nowUs()
    this.#mix(nowUs)
    this.#mix(place)
    for (let at = 0; at < what.length; at++) this.#mix(what.charCodeAt(at))
    this.#mix(a)
    this.#mix(b)
    this.#mix(c)
    this.#sink?.(`${this.#head(place)} ${what} ${a} ${b} ${c}`)
  }

  /** A line for readers only. */
  note(place: number, text: () => string): void {
    this.#sink?.(`${this.#head(place)} ${text()}`)
  }

  #head(place: number): string {
    const seconds = (this.#nowUs() / 1_000_000).toFixed(6).padStart(12)
    return `${seconds} n${String(place).padEnd(2)} ${this.describe(place)}`
  }

  get hash(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0')
    return hex(this.#high) + hex(this.#low)
  }

  #mix(value: number): void {
    const upper = Math.floor(value / 0x1_0000_0000)
    this.#low = Math.imul(this.#low ^ (value >>> 0), 0x01000193) ^ upper
    this.#high = (Math.imul(this.#high ^ this.#low, 0x85ebca6b) + (this.#low >>> 13)) | 0
  }
}
