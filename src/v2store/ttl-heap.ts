/** The nodes that end, soonest first: a binary min-heap that knows the place of each node. */
import { invariant } from '../base/invariant.js'
import type { TreeNode } from './node.js'

/**
 * Among nodes that end in the same nanosecond the order is that of the heap's own moves, which
 * follow from the history of operations alone: members that applied the same log agree.
 */
export class TtlHeap {
  readonly #nodes: TreeNode[] = []

  /** How many nodes have an end. */
  get size(): number {
    return this.#nodes.length
  }

  /** The node that ends first; `undefined` when none ends. */
  get soonest(): TreeNode | undefined {
    return this.#nodes[0]
  }

  /** Adds a node that has an expiry and is not yet here. Cost: log n. */
  push(node: TreeNode): void {
    invariant(node.heapPlace === -1, 'a node is in the heap once')
    invariant(node.expiry !== undefined, 'only a node that ends is in the heap')
    this.#place(node, this.#nodes.length)
    this.#rise(node.heapPlace)
  }

  /** Takes `node` out and returns whether it was here. Cost: log n. */
  maybeRemove(node: TreeNode): boolean {
    const place = node.heapPlace
    if (place === -1) return false
    invariant(this.#at(place) === node, 'a node knows its place')
    const last = this.#nodes.pop()
    invariant(last !== undefined, 'a heap with a node is not empty')
    node.heapPlace = -1
    if (last !== node) {
      this.#place(last, place)
      if (!this.#sink(place)) this.#rise(place)
    }
    return true
  }

  #at(place: number): TreeNode {
    const node = this.#nodes[place]
    invariant(node !== undefined, 'a place of the heap holds a node')
    return node
  }

  #place(node: TreeNode, place: number): void {
    this.#nodes[place] = node
    node.heapPlace = place
  }

  #isSooner(a: number, b: number): boolean {
    return endOf(this.#at(a)) < endOf(this.#at(b))
  }

  #swap(a: number, b: number): void {
    const [left, right] = [this.#at(a), this.#at(b)]
    this.#place(right, a)
    this.#place(left, b)
  }

  #rise(from: number): void {
    let place = from
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!this.#isSooner(place, parent)) return
      this.#swap(place, parent)
      place = parent
    }
  }

  /** Returns whether the node moved. */
  #sink(from: number): boolean {
    let place = from
    for (;;) {
      const left = 2 * place + 1
      if (left >= this.size) break
      const right = left + 1
      const sooner = right < this.size && this.#isSooner(right, left) ? right : left
      if (!this.#isSooner(sooner, place)) break
      this.#swap(place, sooner)
      place = sooner
    }
    return place > from
  }
}

function endOf(node: TreeNode): bigint {
  invariant(node.expiry !== undefined, 'a node in the heap has an end')
  return node.expiry.ns
}
