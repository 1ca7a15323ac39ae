/** Streams that are remembered after they were closed. */
const REMEMBERED_COUNT = 64

/**
 * Remembers the streams closed last, so that a late frame of one is told from a frame of a stream
 * that never was: after our own reset the client's frames may still be on their way and are
 * ignored.
 */
export class ClosedStreams {
  #ids: Int32Array | undefined
  #next = 0

  add(id: number, wasResetByUs: boolean): void {
    this.#ids ??= new Int32Array(REMEMBERED_COUNT)
    this.#ids[this.#next] = wasResetByUs ? -id : id
    this.#next = (this.#next + 1) % REMEMBERED_COUNT
  }

  /** undefined = not remembered. */
  find(id: number): 'ended' | 'reset' | undefined {
    if (this.#ids === undefined) return undefined
    if (this.#ids.includes(-id)) return 'reset'
    return this.#ids.includes(id) ? 'ended' : undefined
  }
}
