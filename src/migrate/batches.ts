import type { Item } from './v2-tree.js'

/** What was copied of a key, and what the target made of it. */
export interface Copied {
  readonly index: number
  /** The target's revision of the key; `undefined` when it is not known whether it was written. */
  readonly revision: number | undefined
}

/** One change of the target. */
export type Change =
  | Readonly<{ kind: 'put'; item: Item }>
  | Readonly<{ kind: 'delete'; key: string; revision: number | undefined }>

/**
 * Operations of one transaction: etcd's default limit (--max-txn-ops) is 128, and a deletion with
 * its condition is a transaction inside, which may have as many as the outer one leaves.
 */
export const BATCH_CHANGES_MAX = 127
/** Keys and values of one transaction, unless a single one is larger: etcd refuses 1.5 MiB. */
export const BATCH_BYTES_MAX = 1024 * 1024

/** What makes the target, which has `copied`, like the source, which has `items`. */
export function changesTowards(
  items: ReadonlyMap<string, Item>,
  copied: ReadonlyMap<string, Copied>,
): Change[] {
  const changes: Change[] = []
  for (const [key, { revision }] of copied) {
    if (!items.has(key)) changes.push({ kind: 'delete', key, revision })
  }
  for (const [key, item] of items) {
    const known = copied.get(key)
    const isCopied = known?.index === item.index && known.revision !== undefined
    if (!isCopied) changes.push({ kind: 'put', item })
  }
  return changes
}

const bytesOf = (change: Change): number =>
  change.kind === 'delete'
    ? Buffer.byteLength(change.key)
    : Buffer.byteLength(change.item.key) + Buffer.byteLength(change.item.value)

/** Cuts changes into transactions. */
export function* batchesOf(changes: readonly Change[]): Generator<readonly Change[]> {
  let batch: Change[] = []
  let bytes = 0
  for (const change of changes) {
    const more = bytesOf(change)
    const isFull = batch.length === BATCH_CHANGES_MAX || bytes + more > BATCH_BYTES_MAX
    if (batch.length > 0 && isFull) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(change)
    bytes += more
  }
  if (batch.length > 0) yield batch
}
