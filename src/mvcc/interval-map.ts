import { invariant } from '../base/invariant.js'

/**
 * Several items in one place; a single item is kept without it, which saves a set for most keys.
 */
class Several<T> {
  readonly items = new Set<T>()
}

interface Node<T> {
  readonly start: string
  /** Exclusive; undefined = no upper bound. */
  readonly end: string | undefined
  readonly priority: number
  readonly items: Set<T>
  left: Node<T> | undefined
  right: Node<T> | undefined
  /** The largest end in this subtree; undefined = some interval in it has no upper bound. */
  endMax: string | undefined
}

/** The end of a range request that means "every key from the start on". */
const FROM_KEY = '\0'

/**
 * Items by the keys that they are interested in: one key each, or a half-open interval. Keys and
 * ends are latin1 strings with etcd's meaning of an end: '' = the key alone, '\0' = all keys from
 * it on. The same item may be added under several intervals, and once under each.
 *
 * Single keys are a map. Intervals are a treap ordered by (start, end) with the largest end of each
 * subtree, so that finding the k matches of a key among n distinct intervals costs O(k log n).
 */
export class IntervalMap<T> {
  readonly #exact = new Map<string, T | Several<T>>()
  #root: Node<T> | undefined
  #count = 0
  #seed = 0x9e3779b9

  /** How many (interval, item) pairs are in the map. */
  get count(): number {
    return this.#count
  }

  /** Adds the item; false when it was there already under this very interval. */
  add(key: string, end: string, item: T): boolean {
    const isNew = end === '' ? this.#addExact(key, item) : this.#addInterval(key, end, item)
    if (isNew) this.#count++
    return isNew
  }

  /** Removes the item; false when it was not there under this very interval. */
  remove(key: string, end: string, item: T): boolean {
    const wasThere =
      end === '' ? this.#removeExact(key, item) : this.#removeInterval(key, end, item)
    if (wasThere) this.#count--
    return wasThere
  }

  /**
   * Calls `visit` for each (interval, item) pair that covers the key. The map must not change
   * meanwhile.
   */
  forEachMatch(key: string, visit: (item: T) => void): void {
    const exact = this.#exact.get(key)
    if (exact instanceof Several) for (const item of exact.items) visit(item)
    else if (exact !== undefined) visit(exact)
    if (this.#root !== undefined) stab(this.#root, key, visit)
  }

  /** Whether any item covers the key. */
  matches(key: string): boolean {
    return this.#exact.has(key) || (this.#root !== undefined && isStabbed(this.#root, key))
  }

  #addExact(key: string, item: T): boolean {
    invariant(item !== undefined, 'an interval map holds no undefined items')
    const present = this.#exact.get(key)
    if (present === undefined) {
      this.#exact.set(key, item)
      return true
    }
    if (present instanceof Several) {
      if (present.items.has(item)) return false
      present.items.add(item)
      return true
    }
    if (present === item) return false
    const several = new Several<T>()
    several.items.add(present)
    several.items.add(item)
    this.#exact.set(key, several)
    return true
  }

  #removeExact(key: string, item: T): boolean {
    const present = this.#exact.get(key)
    if (present instanceof Several) {
      if (!present.items.delete(item)) return false
      if (present.items.size === 0) this.#exact.delete(key)
      return true
    }
    if (present === undefined || present !== item) return false
    this.#exact.delete(key)
    return true
  }

  #addInterval(key: string, end: string, item: T): boolean {
    const bound = end === FROM_KEY ? undefined : end
    const present = find(this.#root, key, bound)
    if (present !== undefined) {
      if (present.items.has(item)) return false
      present.items.add(item)
      return true
    }
    this.#root = insert(this.#root, {
      start: key,
      end: bound,
      priority: this.#nextPriority(),
      items: new Set([item]),
      left: undefined,
      right: undefined,
      endMax: bound,
    })
    return true
  }

  #removeInterval(key: string, end: string, item: T): boolean {
    const bound = end === FROM_KEY ? undefined : end
    const present = find(this.#root, key, bound)
    if (present === undefined || !present.items.delete(item)) return false
    if (present.items.size === 0) this.#root = remove(this.#root, present)
    return true
  }

  /** xorshift32: spreads priorities evenly, and the same way in every run. */
  #nextPriority(): number {
    let seed = this.#seed
    seed ^= seed << 13
    seed ^= seed >>> 17
    seed ^= seed << 5
    this.#seed = seed
    return seed
  }
}

function compare<T>(node: Node<T>, start: string, end: string | undefined): number {
  if (start !== node.start) return start < node.start ? -1 : 1
  if (end === node.end) return 0
  if (end === undefined) return 1
  return node.end === undefined || end < node.end ? -1 : 1
}

function find<T>(
  root: Node<T> | undefined,
  start: string,
  end: string | undefined,
): Node<T> | undefined {
  let node = root
  while (node !== undefined) {
    const order = compare(node, start, end)
    if (order === 0) return node
    node = order < 0 ? node.left : node.right
  }
  return undefined
}

function refresh<T>(node: Node<T>): void {
  let endMax = node.end
  for (const child of [node.left, node.right]) {
    if (child === undefined || endMax === undefined) continue
    if (child.endMax === undefined || child.endMax > endMax) endMax = child.endMax
  }
  node.endMax = endMax
}

function insert<T>(root: Node<T> | undefined, added: Node<T>): Node<T> {
  if (root === undefined) return added
  if (compare(root, added.start, added.end) < 0) {
    const left = insert(root.left, added)
    root.left = left
    if (left.priority > root.priority) return rotate(root, left, 'right')
  } else {
    const right = insert(root.right, added)
    root.right = right
    if (right.priority > root.priority) return rotate(root, right, 'left')
  }
  refresh(root)
  return root
}

/** Lifts `child` above `parent` and keeps the order. */
function rotate<T>(parent: Node<T>, child: Node<T>, direction: 'left' | 'right'): Node<T> {
  if (direction === 'right') {
    parent.left = child.right
    child.right = parent
  } else {
    parent.right = child.left
    child.left = parent
  }
  refresh(parent)
  refresh(child)
  return child
}

function remove<T>(root: Node<T> | undefined, gone: Node<T>): Node<T> | undefined {
  if (root === undefined) return undefined
  if (root === gone) return merge(root.left, root.right)
  if (compare(root, gone.start, gone.end) < 0) root.left = remove(root.left, gone)
  else root.right = remove(root.right, gone)
  refresh(root)
  return root
}

function merge<T>(left: Node<T> | undefined, right: Node<T> | undefined): Node<T> | undefined {
  if (left === undefined) return right
  if (right === undefined) return left
  if (left.priority > right.priority) {
    left.right = merge(left.right, right)
    refresh(left)
    return left
  }
  right.left = merge(left, right.left)
  refresh(right)
  return right
}

function stab<T>(root: Node<T>, key: string, visit: (item: T) => void): void {
  let node: Node<T> | undefined = root
  while (node !== undefined && (node.endMax === undefined || node.endMax > key)) {
    if (node.left !== undefined) stab(node.left, key, visit)
    if (node.start > key) return
    if (node.end === undefined || node.end > key) for (const item of node.items) visit(item)
    node = node.right
  }
}

function isStabbed<T>(root: Node<T>, key: string): boolean {
  let node: Node<T> | undefined = root
  while (node !== undefined && (node.endMax === undefined || node.endMax > key)) {
    if (node.left !== undefined && isStabbed(node.left, key)) return true
    if (node.start > key) return false
    if (node.end === undefined || node.end > key) return true
    node = node.right
  }
  return false
}
