/** What the operations of the v2 store take and give. Types only. */
import type { V2Error } from '../base/v2-errors.js'
import type { V2Event } from './event.js'

export type V2Result =
  | { readonly kind: 'event'; readonly event: V2Event }
  | { readonly kind: 'error'; readonly error: V2Error }

export type RecoverResult =
  | { readonly kind: 'recovered' }
  | { readonly kind: 'unreadable'; readonly reason: string }

/** Where, and when it is now. */
export interface Timed {
  /** Absolute, cleaned here. */
  readonly path: string
  /** Wall clock, unix milliseconds. */
  readonly nowMs: number
}

/** When the node ends. */
export interface Expiring {
  /** Unix nanoseconds; absent or 0n = permanent. */
  readonly expirationNs?: bigint | undefined
  /** Change the TTL only: the value stays and no watcher is told. */
  readonly refresh?: boolean | undefined
}

/** What must be there; both may be asked for at once. */
export interface Compared {
  /** The value that must be there; empty = any. */
  readonly prevValue: string
  /** The modified index that must be there; 0 = any. */
  readonly prevIndex: number
}

export interface GetOptions extends Timed {
  readonly isRecursive: boolean
  readonly isSorted: boolean
}

export interface SetOptions extends Timed, Expiring {
  readonly isDirectory: boolean
  readonly value: string
}

export interface CreateOptions extends SetOptions {
  /** Make a child of `path` named by the next index, 20 digits. */
  readonly isUnique: boolean
}

export interface UpdateOptions extends Timed, Expiring {
  readonly value: string
}

export interface CompareAndSwapOptions extends UpdateOptions, Compared {}

export interface DeleteOptions extends Timed {
  readonly isDirectory: boolean
  readonly isRecursive: boolean
}

export interface CompareAndDeleteOptions extends Timed, Compared {}

export interface V2WatchOptions {
  readonly path: string
  readonly isRecursive: boolean
  readonly isStream: boolean
  /** Events at this index or later; 0 = from now on. */
  readonly sinceIndex: number
  /** See WatchOptions of the hub. */
  readonly onReadable: () => void
}
