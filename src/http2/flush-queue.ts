/** Something that collects output and can give it to its socket. */
export interface Flushable {
  /** Gives everything collected to the socket in one write. Does nothing when nothing is there. */
  flush(): void
}

/**
 * Connections with unwritten output; beyond it they are flushed early, for each holds an output
 * buffer.
 */
const DIRTY_MAX = 512

/**
 * The connections with output that has not been written. They are flushed once per turn of the
 * event loop: by `flush` where the program knows that its turn ends, else as soon as the running
 * callback has returned.
 */
export class FlushQueue {
  #dirty: Flushable[] = []
  #spare: Flushable[] = []
  #isScheduled = false
  readonly #run = (): void => {
    this.#isScheduled = false
    this.flush()
  }

  /** Each connection adds itself once per turn. */
  add(connection: Flushable): void {
    if (this.#dirty.length >= DIRTY_MAX) this.flush()
    this.#dirty.push(connection)
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(this.#run)
  }

  /** Writes the output of all connections now. What they add meanwhile waits for the next time. */
  flush(): void {
    const dirty = this.#dirty
    if (dirty.length === 0) return
    this.#dirty = this.#spare
    this.#spare = []
    for (const connection of dirty) connection.flush()
    dirty.length = 0
    this.#spare = dirty
  }
}
