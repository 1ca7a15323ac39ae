import { invariant } from '../base/invariant.js'

/** Width of nodes that are built at once: some room is left for what comes later. */
const BUILT_WIDTH = 56

/** The lowest level of the tree of OrderedKeys. */
export interface Leaf {
  readonly kind: 'leaf'
  keys: string[]
  slots: number[]
  /** How many of its keys are live. */
  live: number
  next: Leaf | undefined
}

/** Any other level of it. */
export interface Inner {
  readonly kind: 'inner'
  /** `lows[i]`: no key of `children[i]` is below it, for i > 0; `lows[0]` is not looked at. */
  lows: string[]
  children: Node[]
  live: number
}

export type Node = Leaf | Inner

interface Bounded {
  /** The first key below the node. */
  readonly low: string
  readonly node: Node
}

/**
 * Keys that come in order, gathered into the leaves of a tree: nothing is compared but neighbours.
 */
export class KeysInOrder {
  readonly #leaves: Leaf[] = []
  /** What the next leaf will have; leaves get copies, which have no room to spare. */
  readonly #keys: string[] = []
  readonly #slots: number[] = []
  #live = 0
  #last: string | undefined
  #isTaken = false

  /** Adds a key, which must be above the last one. */
  append(key: string, slot: number, isLive: boolean): void {
    invariant(!this.#isTaken, 'nothing is added to a tree this way')
    invariant(this.isAboveLast(key), 'gathered keys come in order')
    this.#last = key
    this.#keys.push(key)
    this.#slots.push(slot)
    if (isLive) this.#live++
    if (this.#keys.length === BUILT_WIDTH) this.#endLeaf()
  }

  #endLeaf(): void {
    const leaf: Leaf = {
      kind: 'leaf',
      keys: this.#keys.slice(),
      slots: this.#slots.slice(),
      live: this.#live,
      next: undefined,
    }
    const before = this.#leaves[this.#leaves.length - 1]
    if (before !== undefined) before.next = leaf
    this.#leaves.push(leaf)
    this.#keys.length = 0
    this.#slots.length = 0
    this.#live = 0
  }

  /** Whether a key may come next. */
  isAboveLast(key: string): boolean {
    return this.#last === undefined || this.#last < key
  }

  /** The root of the tree over all keys. Once. */
  tree(): Node {
    invariant(!this.#isTaken, 'the tree is taken once')
    this.#isTaken = true
    if (this.#keys.length > 0 || this.#leaves.length === 0) this.#endLeaf()
    let level: Bounded[] = this.#leaves.map((node) => ({ low: node.keys[0] ?? '', node }))
    while (level.length > 1) level = parentsOf(level)
    return (level[0] as Bounded).node
  }
}

function parentsOf(children: readonly Bounded[]): Bounded[] {
  const parents: Bounded[] = []
  for (let at = 0; at < children.length; at += BUILT_WIDTH) {
    const part = children.slice(at, at + BUILT_WIDTH)
    const node: Inner = {
      kind: 'inner',
      lows: part.map((child) => child.low),
      children: part.map((child) => child.node),
      live: part.reduce((sum, child) => sum + child.node.live, 0),
    }
    parents.push({ low: node.lows[0] as string, node })
  }
  return parents
}
