/** The heads of the fast lane's answers, as text of which all that stays the same is kept. */
import { STATUS_CODES } from 'node:http'
import { type HeaderList, JSON_TYPE } from './answer.js'

const STATUS_LINES = new Map(
  Object.entries(STATUS_CODES).map(([code, text]) => [
    Number(code),
    `HTTP/1.1 ${code} ${text}\r\n`,
  ]),
)

/** The lines of headers, each with its end. */
export function headerText(headers: HeaderList): string {
  let text = ''
  for (let at = 0; at + 1 < headers.length; at += 2)
    text += `${headers[at]}: ${headers[at + 1]}\r\n`
  return text
}

/** Texts that all connections of a lane share. */
export class AnswerHeads {
  #dateSecond = -1
  /** Whether the clock was asked in this turn of the event loop: once is enough. */
  #isTimeKept = false
  readonly #onTurn = (): void => {
    this.#isTimeKept = false
  }
  #dateLine = ''
  #dateAndLength = ''
  #placedTerm = -1
  #placedEnd = ''
  #before: HeaderList = []
  /** For `#before`, by status: the text up to the headers that an answer has of its own. */
  readonly #starts = new Map<number, string>()
  readonly #placedStarts = new Map<number, string>()

  /** The Date header's line; made once a second. */
  get date(): string {
    this.#keepTime()
    return this.#dateLine
  }

  /** That line and the Content-Length header's, up to its number. */
  get dateAndLength(): string {
    this.#keepTime()
    return this.#dateAndLength
  }

  /** What comes behind the log's index in the head of an answer about keys, up to its length. */
  placedEnd(term: number): string {
    this.#keepTime()
    if (term !== this.#placedTerm) {
      this.#placedTerm = term
      this.#placedEnd = `\r\nX-Raft-Term: ${term}\r\n${this.#dateAndLength}`
    }
    return this.#placedEnd
  }

  #keepTime(): void {
    if (this.#isTimeKept) return
    this.#isTimeKept = true
    setImmediate(this.#onTurn)
    const second = Math.floor(Date.now() / 1000)
    if (second === this.#dateSecond) return
    this.#dateSecond = second
    this.#dateLine = `Date: ${new Date(second * 1000).toUTCString()}\r\n`
    this.#dateAndLength = `${this.#dateLine}Content-Length: `
    this.#placedTerm = -1
  }

  /** The status line and the headers that the access rules add. */
  start(status: number, before: HeaderList): string {
    return this.#kept(this.#starts, status, before, '')
  }

  /** The same up to where the store's index goes. */
  placedStart(status: number, before: HeaderList): string {
    const more = `Content-Type: ${JSON_TYPE}\r\nX-Etcd-Index: `
    return this.#kept(this.#placedStarts, status, before, more)
  }

  /** Lists are the same array for all requests under the same rules: only the last one is known. */
  #kept(starts: Map<number, string>, status: number, before: HeaderList, more: string): string {
    if (before !== this.#before) {
      this.#before = before
      this.#starts.clear()
      this.#placedStarts.clear()
    }
    const known = starts.get(status)
    if (known !== undefined) return known
    const line = STATUS_LINES.get(status) ?? `HTTP/1.1 ${status} \r\n`
    const start = line + headerText(before) + more
    starts.set(status, start)
    return start
  }
}
