/** A node of the v2 tree: a file or a directory. Changed by the store only. */
import { compareGo, isPlainText } from '../base/go-json.js'
import { invariant } from '../base/invariant.js'
import type { V2NodeView } from './event.js'
import { nameOf } from './node-path.js'

/**
 * When a node ends. `text` is how another daemon wrote it, kept so that it is written back the
 * same.
 */
export interface Expiry {
  /** Unix nanoseconds. */
  readonly ns: bigint
  readonly text?: string | undefined
}

const NANOS_PER_SECOND = 1_000_000_000n

/** Wall clock in unix milliseconds as nanoseconds. */
export const millisToNanos = (ms: number): bigint => BigInt(Math.round(ms * 1000)) * 1000n

export class TreeNode {
  readonly path: string
  /** Changes only when a file takes the place of this one. */
  createdIndex: number
  modifiedIndex: number
  #value: string
  /** What isPlainText says of the value; looked at once, when somebody is shown the node. */
  #isPlain: boolean | undefined
  /** `undefined` = permanent. */
  expiry: Expiry | undefined
  /** Children by name; `undefined` = this is a file. */
  readonly children: Map<string, TreeNode> | undefined
  parent: TreeNode | undefined
  /** Place in the TTL heap; -1 = not in it. The heap's own. */
  heapPlace = -1

  constructor(options: {
    readonly path: string
    readonly createdIndex: number
    readonly modifiedIndex?: number
    readonly value?: string
    readonly isDirectory: boolean
    readonly expiry?: Expiry | undefined
  }) {
    this.path = options.path
    this.createdIndex = options.createdIndex
    this.modifiedIndex = options.modifiedIndex ?? options.createdIndex
    this.#value = options.value ?? ''
    this.children = options.isDirectory ? new Map() : undefined
    this.expiry = options.expiry
  }

  get value(): string {
    return this.#value
  }

  set value(value: string) {
    this.#value = value
    this.#isPlain = undefined
  }

  /** Makes this file one that was created now, in the same place. Its end is the tree's to set. */
  begin(index: number, value: string): void {
    invariant(this.children === undefined, 'only a file takes the place of a file')
    this.createdIndex = index
    this.modifiedIndex = index
    this.value = value
  }

  get isDirectory(): boolean {
    return this.children !== undefined
  }

  /** Hidden nodes are left out of listings; their own path works. */
  get isHidden(): boolean {
    return nameOf(this.path).startsWith('_')
  }

  /**
   * Whole seconds until the node ends, rounded up; 0 for a permanent one; negative after the end.
   */
  ttlSeconds(nowMs: number): number {
    if (this.expiry === undefined) return 0
    const left = this.expiry.ns - millisToNanos(nowMs)
    return Number(left / NANOS_PER_SECOND) + (left % NANOS_PER_SECOND > 0n ? 1 : 0)
  }

  /** The node from outside, without children. */
  #fields(nowMs: number, key: string): V2NodeView {
    if (!this.isDirectory) this.#isPlain ??= isPlainText(this.#value)
    return {
      key,
      value: this.isDirectory ? undefined : this.#value,
      isPlain: this.#isPlain,
      dir: this.isDirectory,
      expirationNs: this.expiry?.ns,
      ttlSeconds: this.ttlSeconds(nowMs),
      modifiedIndex: this.modifiedIndex,
      createdIndex: this.createdIndex,
    }
  }

  /** The node alone, as `prevNode` of an event. */
  view(nowMs: number, key: string = this.path): V2NodeView {
    return this.#fields(nowMs, key)
  }

  /**
   * The node with its children that are not hidden, or with all below them when recursive. Cost:
   * the nodes shown, and their sorting. Without recursion: how deep a tree is, its users decide.
   */
  list(options: {
    readonly nowMs: number
    readonly key: string
    readonly isRecursive: boolean
    readonly isSorted: boolean
  }): V2NodeView {
    const { nowMs, isRecursive, isSorted } = options
    const top = this.#fields(nowMs, options.key)
    if (this.children === undefined) return top
    const nodes: V2NodeView[] = []
    const rest: { from: TreeNode; into: V2NodeView[] }[] = [{ from: this, into: nodes }]
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      for (const child of next.from.children?.values() ?? []) {
        if (child.isHidden) continue
        const fields = child.#fields(nowMs, child.path)
        if (!isRecursive || !child.isDirectory) {
          next.into.push(fields)
          continue
        }
        const below: V2NodeView[] = []
        next.into.push({ ...fields, nodes: below })
        rest.push({ from: child, into: below })
      }
      if (isSorted) next.into.sort((a, b) => compareGo(a.key, b.key))
    }
    return { ...top, nodes }
  }

  /** A deep copy, in no heap. */
  clone(): TreeNode {
    const copy = this.#copy()
    const rest: { from: TreeNode; to: TreeNode }[] = [{ from: this, to: copy }]
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      for (const [name, child] of next.from.children ?? []) {
        const childCopy = child.#copy()
        next.to.adopt(name, childCopy)
        if (child.isDirectory) rest.push({ from: child, to: childCopy })
      }
    }
    return copy
  }

  #copy(): TreeNode {
    return new TreeNode({
      path: this.path,
      createdIndex: this.createdIndex,
      modifiedIndex: this.modifiedIndex,
      value: this.value,
      isDirectory: this.isDirectory,
      expiry: this.expiry,
    })
  }

  /** Puts `child` under `name`, in place of what was there. */
  adopt(name: string, child: TreeNode): void {
    invariant(this.children !== undefined, 'only a directory has children')
    this.children.set(name, child)
    child.parent = this
  }
}
