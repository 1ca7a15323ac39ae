/** The tree itself: finding, making and removing nodes, and the heap of those that end. */
import { invariant } from '../base/invariant.js'
import { createV2Error, V2_CODES, type V2Error } from '../base/v2-errors.js'
import { type Expiry, TreeNode } from './node.js'
import { childPath, nameOf } from './node-path.js'
import { TtlHeap } from './ttl-heap.js'

export type Found =
  | { readonly kind: 'node'; readonly node: TreeNode }
  | { readonly kind: 'error'; readonly error: V2Error }

const failed = (error: V2Error): Found => ({ kind: 'error', error })

export class Tree {
  readonly root: TreeNode
  readonly heap = new TtlHeap()

  /** Takes over the nodes under `root`. Cost: all nodes. */
  constructor(root: TreeNode) {
    this.root = root
    const rest = [root]
    for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
      if (node.expiry !== undefined) this.heap.push(node)
      for (const child of node.children?.values() ?? []) rest.push(child)
    }
  }

  /** A tree with a root and the given directories in it, all with index 0. */
  static create(namespaces: readonly string[]): Tree {
    const tree = new Tree(new TreeNode({ path: '/', createdIndex: 0, isDirectory: true }))
    for (const path of namespaces) tree.ensureNamespace(path)
    return tree
  }

  /** Makes the top directory `path` (`/1`) when it is missing. */
  ensureNamespace(path: string): void {
    const name = nameOf(path)
    if (this.root.children?.has(name) === true) return
    this.root.adopt(name, new TreeNode({ path, createdIndex: 0, isDirectory: true }))
  }

  /**
   * The node at a clean path. Errors: 100 names the first missing path, 104 the file in the way.
   */
  find(path: string, index: number): Found {
    let node = this.root
    for (let start = 1; start < path.length; ) {
      if (node.children === undefined) {
        return failed(createV2Error(V2_CODES.notADirectory, node.path, index))
      }
      const slash = path.indexOf('/', start)
      const name = slash === -1 ? path.slice(start) : path.slice(start, slash)
      start += name.length + 1
      const child = node.children.get(name)
      if (child === undefined) {
        return failed(createV2Error(V2_CODES.keyNotFound, childPath(node.path, name), index))
      }
      node = child
    }
    return { kind: 'node', node }
  }

  /**
   * The directory that holds a clean path, made with all above it at `index + 1`. Error 104: a
   * file.
   */
  makeParent(path: string, index: number): Found {
    let node = this.root
    for (let start = 1, slash = path.indexOf('/', 1); slash !== -1; ) {
      const name = path.slice(start, slash)
      start = slash + 1
      slash = path.indexOf('/', start)
      const child = node.children?.get(name)
      if (child === undefined) {
        const made = new TreeNode({
          path: childPath(node.path, name),
          createdIndex: index + 1,
          isDirectory: true,
        })
        node.adopt(name, made)
        node = made
      } else if (child.isDirectory) {
        node = child
      } else {
        return failed(createV2Error(V2_CODES.notADirectory, child.path, index))
      }
    }
    return { kind: 'node', node }
  }

  /** Puts a new node into `parent`, in place of what had its name. */
  add(parent: TreeNode, node: TreeNode): void {
    parent.adopt(nameOf(node.path), node)
    if (node.expiry !== undefined) this.heap.push(node)
  }

  /** Gives `node` another end; `undefined` makes it permanent. */
  setExpiry(node: TreeNode, expiry: Expiry | undefined): void {
    this.heap.maybeRemove(node)
    node.expiry = expiry
    if (expiry !== undefined) this.heap.push(node)
  }

  /**
   * Removes `node` and all below it, children before their directory, and calls `onRemoved` with
   * each path. Cost: the nodes removed.
   */
  remove(node: TreeNode, onRemoved?: (path: string) => void): void {
    invariant(node !== this.root, 'the root is not removed')
    const order: TreeNode[] = [node]
    for (let at = 0; at < order.length; at++) {
      for (const child of order[at]?.children?.values() ?? []) order.push(child)
    }
    for (const gone of order.reverse()) {
      gone.parent?.children?.delete(nameOf(gone.path))
      gone.parent = undefined
      onRemoved?.(gone.path)
      this.heap.maybeRemove(gone)
    }
  }
}
