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

const emptyLeaf = (): Leaf => ({ kind: 'leaf', keys: [], slots: [], live: 0, next: undefined })

/** Keys that come in order, gathered into the leaves of a tree: nothing is compared but neighbours. */
export class KeysInOrder {
  readonly #leaves: Leaf[] = [emptyLeaf()]
  #last: string | undefined
  #isTaken = false

  /** Adds a key, which must be above the last one. */
  append(key: string, slot: number, isLive: boolean): void {
    invariant(!this.#isTaken, 'nothing is added to a tree this way')
    invariant(this.#last === undefined || this.#last < key, 'gathered keys come in order')
    this.#last = key
    let leaf = this.#leaves[this.#leaves.length - 1] as Leaf
    if (leaf.keys.length === BUILT_WIDTH) {
      const next = emptyLeaf()
      leaf.next = next
      leaf = next
      this.#leaves.push(leaf)
    }
    leaf.keys.push(key)
    leaf.slots.push(slot)
    if (isLive) leaf.live++
  }

  /** Whether a key may come next. */
  isAboveLast(key: string): boolean {
    return this.#last === undefined || this.#last < key
  }

  /** The root of the tree over all keys. Once. */
  tree(): Node {
    invariant(!this.#isTaken, 'the tree is taken once')
    this.#isTaken = true
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
