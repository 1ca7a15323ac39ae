/**
 * Where changes of the membership are written down beside memory: the v2 tree and the backend.
 * Types only.
 */

/** The buckets of the backend that hold the membership (facts: disk.md 5). */
export type MembershipBucket = 'members' | 'members_removed' | 'cluster'

/** Takes changes of rows. Keys are ASCII. */
export interface MembershipRows {
  put(bucket: MembershipBucket, key: string, value: Uint8Array): void
  delete(bucket: MembershipBucket, key: string): void
}

/** Gives the rows of a bucket, in any order. */
export interface MembershipRowSource {
  rows(bucket: MembershipBucket): Iterable<readonly [key: string, value: Uint8Array]>
}

export interface TreeNodeView {
  readonly key: string
  readonly value?: string | undefined
  readonly nodes?: readonly TreeNodeView[] | undefined
}

export type TreeResult =
  | { readonly kind: 'event'; readonly event: { readonly node: TreeNodeView } }
  | { readonly kind: 'error'; readonly error: { readonly code: number } }

interface TreeOptions {
  readonly path: string
  /** Used for TTLs only, which the cluster's nodes do not have. */
  readonly nowMs: number
}

/**
 * What membership needs of the v2 store, which has this shape (folders of one level do not import).
 */
export interface MembershipTree {
  get(
    options: TreeOptions & { readonly isRecursive: boolean; readonly isSorted: boolean },
  ): TreeResult
  create(
    options: TreeOptions & {
      readonly value: string
      readonly isDirectory: boolean
      readonly isUnique: boolean
    },
  ): TreeResult
  set(options: TreeOptions & { readonly value: string; readonly isDirectory: boolean }): TreeResult
  update(options: TreeOptions & { readonly value: string }): TreeResult
  delete(
    options: TreeOptions & { readonly isDirectory: boolean; readonly isRecursive: boolean },
  ): TreeResult
}

/**
 * Where a change goes beside memory. `rows` is absent while entries are replayed that the backend
 * already has (index at or below its consistent index).
 */
export interface MembershipSinks {
  readonly tree?: MembershipTree | undefined
  readonly rows?: MembershipRows | undefined
}
