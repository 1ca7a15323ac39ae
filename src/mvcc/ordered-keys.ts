import { invariant } from '../base/invariant.js'
import type { Inner, KeysInOrder, Leaf, Node } from './keys-in-order.js'

/** Most keys in a leaf and most children of an inner node. */
const WIDTH_MAX = 64
/** Neighbours that fit into this many after a removal become one. */
const MERGED_MAX = 40

/**
 * Keys in order, each with a number (its slot in the index) and a mark: live or deleted. A B+ tree
 * that counts its live keys in each node, so that the number of live keys in a range costs O(log n)
 * instead of a walk.
 *
 * Whether a key is live is asked through `isLive`; whoever changes that says so through `addLive`.
 */
export class OrderedKeys {
  readonly #isLive: (slot: number) => boolean
  #root: Node = { kind: 'leaf', keys: [], slots: [], live: 0, next: undefined }

  constructor(isLive: (slot: number) => boolean) {
    this.#isLive = isLive
  }

  get liveCount(): number {
    return this.#root.live
  }

  /** Adds a key that must be absent. It counts as live when its slot is. */
  insert(key: string, slot: number): void {
    const right = this.#insert(this.#root, key, slot, this.#isLive(slot) ? 1 : 0)
    if (right === undefined) return
    const left = this.#root
    this.#root = {
      kind: 'inner',
      lows: ['', right.low],
      children: [left, right.node],
      live: left.live + right.node.live,
    }
  }

  /**
   * Replaces everything by the keys that were gathered; nothing may be added to those afterwards.
   */
  build(keys: KeysInOrder): void {
    this.#root = keys.tree()
  }

  /** A present key became live (+1) or stopped being so (-1). */
  addLive(key: string, change: 1 | -1): void {
    let node = this.#root
    for (;;) {
      node.live += change
      if (node.kind === 'leaf') return
      node = childOf(node, childIndex(node.lows, key))
    }
  }

  /** Removes a present key that is not live. */
  remove(key: string): void {
    this.#remove(this.#root, key)
    while (this.#root.kind === 'inner' && this.#root.children.length === 1) {
      this.#root = childOf(this.#root, 0)
    }
  }

  /** How many live keys are in [start, end); an undefined end has no bound. */
  countLive(start: string, end: string | undefined): number {
    if (end !== undefined && end <= start) return 0
    const before = start === '' ? 0 : this.#liveBelow(start)
    return (end === undefined ? this.#root.live : this.#liveBelow(end)) - before
  }

  /**
   * Visits the keys of [start, end) in order, live or not, until `visit` returns false. Nothing may
   * be inserted or removed meanwhile.
   */
  walk(
    start: string,
    end: string | undefined,
    visit: (key: string, slot: number) => boolean,
  ): void {
    let node = this.#root
    while (node.kind === 'inner') node = childOf(node, childIndex(node.lows, start))
    let leaf: Leaf | undefined = node
    let at = lowerBound(leaf.keys, start)
    while (leaf !== undefined) {
      const { keys, slots } = leaf
      for (; at < keys.length; at++) {
        const key = keys[at] as string
        if (end !== undefined && key >= end) return
        if (!visit(key, slots[at] as number)) return
      }
      leaf = leaf.next
      at = 0
    }
  }

  #liveBelow(key: string): number {
    let node = this.#root
    let count = 0
    while (node.kind === 'inner') {
      const at = childIndex(node.lows, key)
      for (let left = 0; left < at; left++) count += childOf(node, left).live
      node = childOf(node, at)
    }
    const until = lowerBound(node.keys, key)
    for (let at = 0; at < until; at++) if (this.#isLive(node.slots[at] as number)) count++
    return count
  }

  #insert(
    node: Node,
    key: string,
    slot: number,
    live: number,
  ): { readonly low: string; readonly node: Node } | undefined {
    node.live += live
    if (node.kind === 'leaf') {
      const at = lowerBound(node.keys, key)
      invariant(node.keys[at] !== key, 'an inserted key must be absent')
      insertAt(node.keys, at, key)
      insertAt(node.slots, at, slot)
      return node.keys.length > WIDTH_MAX ? this.#splitLeaf(node, at) : undefined
    }
    const at = childIndex(node.lows, key)
    const right = this.#insert(childOf(node, at), key, slot, live)
    if (right === undefined) return undefined
    insertAt(node.lows, at + 1, right.low)
    insertAt(node.children, at + 1, right.node)
    return node.children.length > WIDTH_MAX ? splitInner(node, at + 1) : undefined
  }

  /** Keys that arrive in order leave full leaves behind; others leave halves. */
  #splitLeaf(leaf: Leaf, insertedAt: number): { readonly low: string; readonly node: Node } {
    const cut = insertedAt === WIDTH_MAX ? WIDTH_MAX : WIDTH_MAX >>> 1
    const right: Leaf = {
      kind: 'leaf',
      keys: leaf.keys.slice(cut),
      slots: leaf.slots.slice(cut),
      live: 0,
      next: leaf.next,
    }
    leaf.keys = leaf.keys.slice(0, cut)
    leaf.slots = leaf.slots.slice(0, cut)
    for (const slot of right.slots) if (this.#isLive(slot)) right.live++
    leaf.live -= right.live
    leaf.next = right
    return { low: right.keys[0] as string, node: right }
  }

  #remove(node: Node, key: string): void {
    if (node.kind === 'leaf') {
      const at = lowerBound(node.keys, key)
      invariant(node.keys[at] === key, 'a removed key must be present')
      node.keys.splice(at, 1)
      node.slots.splice(at, 1)
      return
    }
    const at = childIndex(node.lows, key)
    this.#remove(childOf(node, at), key)
    mergeAround(node, at)
  }
}

function childOf(node: Inner, at: number): Node {
  const child = node.children[at]
  invariant(child !== undefined, 'an inner node has a child for each bound')
  return child
}

/** The first place whose key is not below `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((keys[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}

/** The child in which `key` is, or would be. */
function childIndex(lows: readonly string[], key: string): number {
  let low = 0
  let high = lows.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((lows[middle] as string) <= key) low = middle
    else high = middle - 1
  }
  return low
}

function insertAt<T>(list: T[], at: number, item: T): void {
  list.push(item)
  for (let to = list.length - 1; to > at; to--) list[to] = list[to - 1] as T
  list[at] = item
}

function splitInner(
  node: Inner,
  insertedAt: number,
): { readonly low: string; readonly node: Node } {
  const cut = insertedAt === WIDTH_MAX ? WIDTH_MAX : WIDTH_MAX >>> 1
  const low = node.lows[cut] as string
  const right: Inner = {
    kind: 'inner',
    lows: node.lows.slice(cut),
    children: node.children.slice(cut),
    live: 0,
  }
  node.lows = node.lows.slice(0, cut)
  node.children = node.children.slice(0, cut)
  for (const child of right.children) right.live += child.live
  node.live -= right.live
  return { low, node: right }
}

const widthOf = (node: Node): number =>
  node.kind === 'leaf' ? node.keys.length : node.children.length

/** Joins the child at `at` with a neighbour when both together are small. */
function mergeAround(parent: Inner, at: number): void {
  if (widthOf(childOf(parent, at)) > MERGED_MAX >>> 1) return
  for (const left of [at, at - 1]) {
    const first = parent.children[left]
    const second = parent.children[left + 1]
    if (first === undefined || second === undefined) continue
    if (widthOf(first) + widthOf(second) > MERGED_MAX) continue
    if (first.kind === 'leaf' && second.kind === 'leaf') {
      first.keys.push(...second.keys)
      first.slots.push(...second.slots)
      first.next = second.next
    } else if (first.kind === 'inner' && second.kind === 'inner') {
      first.lows.push(parent.lows[left + 1] as string, ...second.lows.slice(1))
      first.children.push(...second.children)
    }
    first.live += second.live
    parent.lows.splice(left + 1, 1)
    parent.children.splice(left + 1, 1)
    return
  }
}
