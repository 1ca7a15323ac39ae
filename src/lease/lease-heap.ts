import { invariant } from '../base/invariant.js'

/** The place of an item that is in no heap. */
export const NOT_IN_HEAP = -1

/** How a heap reads and writes what it keeps in its items: when they are due, and their place. */
export interface HeapAccess<T> {
  dueMs(item: T): number
  place(item: T): number
  setPlace(item: T, place: number): void
}

/**
 * Items by the time at which they are due, soonest first: a binary min-heap whose items know their
 * place, so that any of them is moved or removed in log n steps without a search and without an
 * allocation.
 */
export class LeaseHeap<T> {
  readonly #items: T[] = []
  readonly #access: HeapAccess<T>

  constructor(access: HeapAccess<T>) {
    this.#access = access
  }

  get size(): number {
    return this.#items.length
  }

  /** The item that is due first; undefined when the heap is empty. */
  get soonest(): T | undefined {
    return this.#items[0]
  }

  /**
   * Puts the item where its due time belongs, whether it was in the heap before or not. Cost: log
   * n.
   */
  put(item: T): void {
    const place = this.#access.place(item)
    if (place === NOT_IN_HEAP) {
      this.#settle(item, this.#items.length)
      this.#rise(this.#items.length - 1)
      return
    }
    invariant(this.#items[place] === item, 'an item knows its place in the heap')
    if (!this.#sink(place)) this.#rise(place)
  }

  /** Takes the item out; returns whether it was in. Cost: log n. */
  maybeRemove(item: T): boolean {
    const place = this.#access.place(item)
    if (place === NOT_IN_HEAP) return false
    invariant(this.#items[place] === item, 'an item knows its place in the heap')
    const last = this.#items.pop() as T
    this.#access.setPlace(item, NOT_IN_HEAP)
    if (last !== item) {
      this.#settle(last, place)
      if (!this.#sink(place)) this.#rise(place)
    }
    return true
  }

  clear(): void {
    for (const item of this.#items) this.#access.setPlace(item, NOT_IN_HEAP)
    this.#items.length = 0
  }

  #settle(item: T, place: number): void {
    this.#items[place] = item
    this.#access.setPlace(item, place)
  }

  #rise(from: number): void {
    const item = this.#items[from] as T
    const dueMs = this.#access.dueMs(item)
    let place = from
    while (place > 0) {
      const parentPlace = (place - 1) >> 1
      const parent = this.#items[parentPlace] as T
      if (this.#access.dueMs(parent) <= dueMs) break
      this.#settle(parent, place)
      place = parentPlace
    }
    if (place !== from) this.#settle(item, place)
  }

  /** Returns whether the item moved. */
  #sink(from: number): boolean {
    const item = this.#items[from] as T
    const dueMs = this.#access.dueMs(item)
    const count = this.#items.length
    let place = from
    for (;;) {
      let childPlace = 2 * place + 1
      if (childPlace >= count) break
      let child = this.#items[childPlace] as T
      if (childPlace + 1 < count) {
        const right = this.#items[childPlace + 1] as T
        if (this.#access.dueMs(right) < this.#access.dueMs(child)) {
          child = right
          childPlace++
        }
      }
      if (this.#access.dueMs(child) >= dueMs) break
      this.#settle(child, place)
      place = childPlace
    }
    if (place === from) return false
    this.#settle(item, place)
    return true
  }
}
