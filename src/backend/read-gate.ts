import { invariant } from '../base/invariant.js'

/** Counts the reads that are under way, and lets one task wait for their end. */
export class ReadGate {
  readonly #defer: (task: () => void) => void
  #count = 0
  #onEnd: (() => void) | undefined

  constructor(defer: (task: () => void) => void) {
    this.#defer = defer
  }

  /** Keeps the task waiting until what it returns is called, once. */
  begin(): () => void {
    this.#count++
    return () => {
      this.#count--
      invariant(this.#count >= 0, 'a read ends once')
      if (this.#count === 0 && this.#onEnd !== undefined) this.afterReads(this.#onEnd)
    }
  }

  /** Runs the task once no read is under way, in a later turn: a read may lead to the next one. */
  afterReads(task: () => void): void {
    this.#onEnd = task
    this.#defer(() => {
      if (this.#count > 0 || this.#onEnd !== task) return
      this.#onEnd = undefined
      task()
    })
  }
}
