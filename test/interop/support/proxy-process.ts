import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Ending, endingOf, type MemberKind, programOf, spawnLogged } from './member-process.js'
import { until } from './until.js'

export interface ProxyOptions {
  readonly kind: MemberKind
  /** Names the log file in `folder`, and nothing else. */
  readonly name: string
  readonly folder: string
  /** The whole command line behind the program's name. */
  readonly args: readonly string[]
}

/** A proxy of any sort as a child process, of ours or of the machine's etcd. */
export class ProxyProcess {
  readonly name: string
  readonly #options: ProxyOptions
  readonly #logFile: string
  #child: ChildProcess | undefined

  constructor(options: ProxyOptions) {
    this.name = options.name
    this.#options = options
    this.#logFile = join(options.folder, `${options.name}.log`)
  }

  get isRunning(): boolean {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  start(): void {
    const { kind, folder, args } = this.#options
    this.#child = spawnLogged([...programOf(kind), ...args], { log: this.#logFile, cwd: folder })
  }

  /** Starts it and waits for this in its log. */
  async startUntil(text: string): Promise<void> {
    this.start()
    await until(`${this.name} says ${text}`, () => {
      if (!this.isRunning) throw new Error(`it ended: ${this.log()}`)
      return this.log().includes(text)
    })
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ending | undefined> {
    const child = this.#child
    if (child === undefined) return undefined
    const ended = endingOf(child)
    child.kill(signal)
    return ended
  }

  log(): string {
    try {
      return readFileSync(this.#logFile, 'utf8')
    } catch {
      return ''
    }
  }
}
