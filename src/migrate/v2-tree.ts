/** Pure: what of a v2 tree becomes v3 keys. */

/** A node as the v2 API gives it; absent fields are false, empty or none. */
export interface V2Node {
  readonly key?: string
  readonly value?: string
  readonly dir?: boolean
  /** Whole seconds that are left, rounded up. */
  readonly ttl?: number
  readonly nodes?: readonly V2Node[]
  readonly modifiedIndex?: number
}

/** One v3 key to be. */
export interface Item {
  /** The key in v3. */
  readonly key: string
  readonly value: string
  /** Rises with each change of the v2 key, a refreshed time to live included. */
  readonly index: number
  /** When it expires, by this machine's clock, ms since 1970; `undefined` = never. */
  readonly deadlineMs: number | undefined
}

export interface Flattened {
  /** By key, in the order of the tree. */
  readonly items: ReadonlyMap<string, Item>
  /** Directories without keys: v3 has no form for them. */
  readonly emptyDirectories: readonly string[]
}

export interface FlattenOptions {
  /** When the tree was read, ms since 1970 by this machine's clock. */
  readonly readAtMs: number
  /** What is cut off the beginning of each key; '' = nothing. */
  readonly cut: string
}

/** Directories nest by path, whose length the server bounds; far beyond what anybody has. */
const DEPTH_MAX = 2000

/**
 * The files of a tree as v3 keys. A directory that expires takes what is in it along, so a key
 * expires with the first of its directories. The index of a key is the newest of its own and those
 * of directories with a time to live: their refresh changes the key's time too.
 */
export function flattenTree(root: V2Node, options: FlattenOptions): Flattened {
  const items = new Map<string, Item>()
  const emptyDirectories: string[] = []
  const { readAtMs, cut } = options
  const visit = (node: V2Node, above: Pick<Item, 'deadlineMs' | 'index'>, depth: number): void => {
    if (depth > DEPTH_MAX) throw new Error(`directories nest deeper than ${DEPTH_MAX}`)
    const path = node.key ?? '/'
    const own = node.ttl === undefined ? undefined : readAtMs + node.ttl * 1000
    const deadlineMs = earlier(own, above.deadlineMs)
    const index = Math.max(node.modifiedIndex ?? 0, above.index)
    if (node.dir !== true) {
      const key = path.slice(cut.length)
      items.set(key, { key, value: node.value ?? '', index, deadlineMs })
      return
    }
    const children = node.nodes ?? []
    if (children.length === 0) emptyDirectories.push(path)
    const inherited = { deadlineMs, index: own === undefined ? above.index : index }
    for (const child of children) visit(child, inherited, depth + 1)
  }
  visit(root, { deadlineMs: undefined, index: 0 }, 0)
  return { items, emptyDirectories }
}

function earlier(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined || right === undefined) return left ?? right
  return Math.min(left, right)
}
