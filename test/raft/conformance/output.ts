import type { RaftLogger } from '../../../src/raft/logger.js'

const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'] as const
type Level = (typeof LEVELS)[number]

/** Collects what a command prints, log lines of the nodes included. Level NONE silences everything. */
export class Output implements RaftLogger {
  level: Level = 'DEBUG'
  #text = ''

  setLevel(name: string): void {
    const level = LEVELS.find((known) => known === name.toUpperCase())
    if (level === undefined) throw new Error(`log levels must be one of ${LEVELS.join(' ')}`)
    this.level = level
  }

  line(text: string): void {
    if (this.level !== 'NONE') this.#text += text.endsWith('\n') ? text : `${text}\n`
  }

  /** What `action` prints appears two columns further in. */
  indented(action: () => void): void {
    const before = this.#text
    this.#text = ''
    action()
    const inner = this.#text
    this.#text = before + inner.replace(/^(?=.)/gm, '  ')
  }

  take(): string {
    const text = this.#text
    this.#text = ''
    return text
  }

  debug(text: () => string): void {
    this.#log('DEBUG', text)
  }
  info(text: () => string): void {
    this.#log('INFO', text)
  }
  warning(text: () => string): void {
    this.#log('WARN', text)
  }
  error(text: () => string): void {
    this.#log('ERROR', text)
  }

  #log(level: Level, text: () => string): void {
    if (LEVELS.indexOf(level) >= LEVELS.indexOf(this.level)) this.line(`${level} ${text()}`)
  }
}
