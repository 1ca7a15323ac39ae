interface Scheduled {
  readonly atUs: number
  readonly order: number
  task: (() => void) | undefined
}

const isBefore = (a: Scheduled, b: Scheduled): boolean =>
  a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order)

/** Everything that will happen: a binary heap by virtual time, then by order of arrival. The only scheduler. */
export class EventQueue {
  readonly #heap: Scheduled[] = []
  #nowUs = 0
  #order = 0
  #eventCount = 0

  /** Virtual microseconds since the start. */
  get nowUs(): number {
    return this.#nowUs
  }

  /** Events that have happened. */
  get eventCount(): number {
    return this.#eventCount
  }

  get size(): number {
    return this.#heap.length
  }

  /** Runs `task` in `delayUs`; the result takes it back. */
  after(delayUs: number, task: () => void): () => void {
    const scheduled: Scheduled = {
      atUs: this.#nowUs + Math.max(0, Math.ceil(delayUs)),
      order: this.#order++,
      task,
    }
    this.#push(scheduled)
    return () => {
      scheduled.task = undefined
    }
  }

  /** Lets the next thing happen, unless it is later than `untilUs`; false when nothing did. */
  step(untilUs: number): boolean {
    for (;;) {
      const next = this.#heap[0]
      if (next === undefined || next.atUs > untilUs) {
        this.#nowUs = Math.max(this.#nowUs, untilUs)
        return false
      }
      this.#pop()
      const { task } = next
      if (task === undefined) continue
      this.#nowUs = next.atUs
      this.#eventCount++
      task()
      return true
    }
  }

  #push(scheduled: Scheduled): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(scheduled)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Scheduled
      if (!isBefore(scheduled, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = scheduled
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (
        child + 1 < heap.length &&
        isBefore(heap[child + 1] as Scheduled, heap[child] as Scheduled)
      )
        child++
      const below = heap[child] as Scheduled
      if (!isBefore(below, last)) break
      heap[at] = below
      at = child
    }
    heap[at] = last
  }
}
