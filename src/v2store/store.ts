/**
 * The v2 store: the tree, its index, its history, its watchers and its counters, as etcd has them
 * (facts: v2-api.md 1 to 5). A state machine: the same operations give the same state on every
 * member. Time comes in with each operation (`nowMs`, wall clock in unix milliseconds) and touches
 * only the TTLs shown.
 */
import { invariant } from '../base/invariant.js'
import { createV2Error, V2_CODES, type V2Error, type V2ErrorCode } from '../base/v2-errors.js'
import { AUTH_NAMESPACE, CLUSTER_NAMESPACE, KEYS_NAMESPACE } from '../base/v2-paths.js'
import type { V2Action, V2Event, V2NodeView } from './event.js'
import { type Expiry, TreeNode } from './node.js'
import { cleanPath, nameOf } from './node-path.js'
import type {
  CompareAndDeleteOptions,
  CompareAndSwapOptions,
  Compared,
  CreateOptions,
  DeleteOptions,
  GetOptions,
  RecoverResult,
  SetOptions,
  UpdateOptions,
  V2Result,
  V2WatchOptions,
} from './operations.js'
import { type Statistic, Statistics } from './statistics.js'
import { encodeStore, parseStore } from './store-json.js'
import { Tree } from './tree.js'
import { type V2Watcher, WatcherHub, type WatchResult } from './watcher-hub.js'

/** The version of the tree's format that snapshots name. */
export const STORE_VERSION = 2
/**
 * An end before 2000-01-01 given to a new node means "none": clients that lost the time send such.
 */
export const EXPIRATION_MIN_NS = 946_684_800_000_000_000n

const toExpiry = (ns: bigint | undefined): Expiry | undefined =>
  ns === undefined || ns === 0n ? undefined : { ns }

/** The end of a new node. */
function toKeptExpiry(ns: bigint | undefined): Expiry | undefined {
  const expiry = toExpiry(ns)
  return expiry !== undefined && expiry.ns < EXPIRATION_MIN_NS ? undefined : expiry
}

/** Why a comparison failed, in etcd's words; `undefined` = it holds. */
function mismatch(node: TreeNode, { prevValue, prevIndex }: Compared): string | undefined {
  const parts: string[] = []
  if (prevValue !== '' && node.value !== prevValue) parts.push(`[${prevValue} != ${node.value}]`)
  if (prevIndex !== 0 && node.modifiedIndex !== prevIndex) {
    parts.push(`[${prevIndex} != ${node.modifiedIndex}]`)
  }
  return parts.length === 0 ? undefined : parts.join(' ')
}

export class V2Store {
  #tree: Tree
  #index = 0
  #authChanges = 0
  #version = STORE_VERSION
  #statistics = new Statistics()
  readonly #hub = new WatcherHub()
  readonly #namespaces: readonly string[]
  readonly #readOnly: ReadonlySet<string>

  /** An empty store with its top directories, which like the root cannot be changed themselves. */
  constructor(namespaces: readonly string[] = [CLUSTER_NAMESPACE, KEYS_NAMESPACE]) {
    this.#namespaces = namespaces
    this.#readOnly = new Set(['/', ...namespaces])
    this.#tree = Tree.create(namespaces)
  }

  /** How many changes there have been: every write and every expired node is one. */
  get index(): number {
    return this.#index
  }

  /**
   * How often users and roles may have changed since this object was made; 0 = there are none. Who
   * keeps what is known of them compares this, which costs the hot path nothing.
   */
  get authChanges(): number {
    return this.#authChanges
  }

  /** The format's version, 2 unless a snapshot said otherwise. */
  get version(): number {
    return this.#version
  }

  /** Whether any node has an end: only then a SYNC is worth proposing. */
  get hasTtlKeys(): boolean {
    return this.#tree.heap.size > 0
  }

  /** A node, its children and, when recursive, all below. Errors: 100, 104. */
  get(options: GetOptions): V2Result {
    const found = this.#tree.find(cleanPath(options.path), this.#index)
    if (found.kind === 'error') return this.#count('gets', found)
    const { nowMs, isRecursive, isSorted } = options
    const node = found.node.list({ nowMs, key: options.path, isRecursive, isSorted })
    const event: V2Event = { action: 'get', node, etcdIndex: this.#index, refresh: false }
    return this.#count('gets', { kind: 'event', event })
  }

  /** Creates or replaces a file, or creates a directory. Errors: 100 (refresh), 102, 104, 107. */
  set(options: SetOptions): V2Result {
    const path = cleanPath(options.path)
    const previous = this.#tree.find(path, this.#index)
    const isMissing = previous.kind === 'error' && previous.error.code === V2_CODES.keyNotFound
    if (previous.kind === 'error' && (!isMissing || options.refresh === true)) {
      return this.#count('sets', previous)
    }
    const prev = previous.kind === 'node' ? previous.node : undefined
    const refresh = options.refresh === true
    if (prev !== undefined && !prev.isDirectory && !options.isDirectory) {
      return this.#count('sets', this.#replace(prev, options))
    }
    const made = this.#make({
      action: 'set',
      path,
      nowMs: options.nowMs,
      isDirectory: options.isDirectory,
      value: refresh ? (prev?.value ?? '') : options.value,
      expirationNs: options.expirationNs,
      prevNode: prev?.view(options.nowMs, options.path),
      refresh,
      canReplace: true,
    })
    return this.#count('sets', made.kind === 'error' ? made : this.#tell(made.event))
  }

  /** Creates a file or directory where nothing is. Errors: 104, 105, 107. */
  create(options: CreateOptions): V2Result {
    const name = String(this.#index + 1).padStart(20, '0')
    const path = cleanPath(options.isUnique ? `${options.path}/${name}` : options.path)
    const made = this.#make({
      action: 'create',
      path,
      nowMs: options.nowMs,
      isDirectory: options.isDirectory,
      value: options.value,
      expirationNs: options.expirationNs,
      prevNode: undefined,
      refresh: false,
      canReplace: false,
    })
    return this.#count('create', made.kind === 'error' ? made : this.#tell(made.event))
  }

  /** Gives a file a value and an end, a directory an end. Errors: 100, 102, 104, 107. */
  update(options: UpdateOptions): V2Result {
    const path = cleanPath(options.path)
    // Where etcd forgets to note the failure, its counter says success; snapshots carry the
    // counter.
    if (this.#readOnly.has(path)) return this.#countAsSuccess('update', this.#readOnlyError())
    const found = this.#tree.find(path, this.#index)
    if (found.kind === 'error') return this.#count('update', found)
    if (found.node.isDirectory && options.value !== '') {
      return this.#countAsSuccess('update', this.#error(V2_CODES.notAFile, path))
    }
    return this.#count('update', this.#rewrite('update', found.node, options))
  }

  /** Update of a file if value and index are as given. Errors: 100, 101, 102, 104, 107. */
  compareAndSwap(options: CompareAndSwapOptions): V2Result {
    const path = cleanPath(options.path)
    if (this.#readOnly.has(path)) {
      return this.#countAsSuccess('compareAndSwap', this.#readOnlyError())
    }
    const found = this.#tree.find(path, this.#index)
    if (found.kind === 'error') return this.#count('compareAndSwap', found)
    if (found.node.isDirectory) {
      return this.#count('compareAndSwap', this.#error(V2_CODES.notAFile, path))
    }
    const cause = mismatch(found.node, options)
    if (cause !== undefined) {
      return this.#count('compareAndSwap', this.#error(V2_CODES.compareFailed, cause))
    }
    return this.#count('compareAndSwap', this.#rewrite('compareAndSwap', found.node, options))
  }

  /**
   * Removes a file, an empty directory or, when recursive, all. Errors: 100, 102, 104, 107, 108.
   */
  delete(options: DeleteOptions): V2Result {
    const path = cleanPath(options.path)
    if (this.#readOnly.has(path)) return this.#countAsSuccess('delete', this.#readOnlyError())
    const found = this.#tree.find(path, this.#index)
    if (found.kind === 'error') return this.#count('delete', found)
    const { node } = found
    if (node.children !== undefined && !options.isRecursive) {
      const code = options.isDirectory ? V2_CODES.directoryNotEmpty : V2_CODES.notAFile
      const isRefused = !options.isDirectory || node.children.size > 0
      if (isRefused) return this.#count('delete', this.#error(code, node.path))
    }
    return this.#count('delete', this.#takeAway('delete', node, options.nowMs))
  }

  /** Removes a file if value and index are as given. Errors: 100, 101, 102, 104. */
  compareAndDelete(options: CompareAndDeleteOptions): V2Result {
    const path = cleanPath(options.path)
    const found = this.#tree.find(path, this.#index)
    if (found.kind === 'error') return this.#count('compareAndDelete', found)
    if (found.node.isDirectory) {
      return this.#countAsSuccess('compareAndDelete', this.#error(V2_CODES.notAFile, path))
    }
    const cause = mismatch(found.node, options)
    if (cause !== undefined) {
      const error = this.#error(V2_CODES.compareFailed, cause)
      return this.#countAsSuccess('compareAndDelete', error)
    }
    const taken = this.#takeAway('compareAndDelete', found.node, options.nowMs)
    return this.#count('compareAndDelete', taken)
  }

  /** Removes every node whose end is at `cutoffNs` or before, soonest first, one index each. */
  deleteExpiredKeys(cutoffNs: bigint, nowMs: number): readonly V2Event[] {
    const events: V2Event[] = []
    for (let node = this.#tree.heap.soonest; node !== undefined; node = this.#tree.heap.soonest) {
      invariant(node.expiry !== undefined, 'a node in the heap has an end')
      if (node.expiry.ns > cutoffNs) break
      this.#tree.heap.maybeRemove(node)
      this.#statistics.increment('expireCount')
      events.push(this.#takeAway('expire', node, nowMs).event)
    }
    return events
  }

  /** Waits for changes of `path`, or gives the first one that the history has. Error 401. */
  watch(options: V2WatchOptions): WatchResult {
    const { isRecursive, isStream, onReadable } = options
    const key = cleanPath(options.path)
    const sinceIndex = options.sinceIndex === 0 ? this.#index + 1 : options.sinceIndex
    return this.#hub.watch({ key, isRecursive, isStream, sinceIndex, onReadable }, this.#index)
  }

  /**
   * Goes on with a watcher of the store that this one took the place of, from `nextIndex` on. Error
   * 401 when what happened meanwhile is no longer kept.
   */
  adopt(watcher: V2Watcher, nextIndex: number): V2Error | undefined {
    return this.#hub.adopt(watcher, nextIndex, this.#index)
  }

  /**
   * Whether there is nothing but the cluster's own data, which the backend has too: what etcd 3.6
   * asks of a directory that it takes over. Names that are hidden do not count, as with etcd.
   */
  get holdsOnlyClusterData(): boolean {
    for (const top of this.#tree.root.children?.values() ?? []) {
      if (top.path === CLUSTER_NAMESPACE) continue
      for (const child of top.children?.values() ?? []) if (!child.isHidden) return false
    }
    return true
  }

  /** How many watchers wait. */
  get watcherCount(): number {
    return this.#hub.count
  }

  /** The body of /v2/stats/store. Also notes the number of watchers, as etcd does only here. */
  statisticsJson(): string {
    this.#statistics.set('watchers', this.#hub.count)
    return this.#statistics.encode()
  }

  /** A copy to be serialised later, without watchers. Cost: all nodes; events are shared. */
  clone(): V2Store {
    const copy = new V2Store(this.#namespaces)
    copy.#tree = new Tree(this.#tree.root.clone())
    copy.#index = this.#index
    copy.#authChanges = this.#authChanges
    copy.#version = this.#version
    copy.#statistics = this.#statistics.clone()
    copy.#hub.history = this.#hub.history.clone()
    return copy
  }

  /** The JSON that snapshots carry, made from the store itself: nothing can change it meanwhile. */
  saveNoCopy(): Uint8Array {
    const text = encodeStore({
      root: this.#tree.root,
      history: this.#hub.history,
      index: this.#index,
      statistics: this.#statistics,
      version: this.#version,
    })
    return new TextEncoder().encode(text)
  }

  /**
   * Takes over what `saveNoCopy` or an etcd wrote. Watchers stay. When unreadable nothing changes.
   */
  recover(state: Uint8Array): RecoverResult {
    const parsed = parseStore(state)
    if (parsed.kind === 'unreadable') return parsed
    this.#tree = new Tree(parsed.contents.root)
    for (const path of this.#namespaces) this.#tree.ensureNamespace(path)
    this.#hub.history = parsed.contents.history
    this.#index = parsed.contents.index
    this.#statistics = parsed.contents.statistics
    this.#version = parsed.contents.version
    const hasAuth = this.#tree.find(AUTH_NAMESPACE, this.#index).kind === 'node'
    if (hasAuth || this.#authChanges > 0) this.#authChanges++
    return { kind: 'recovered' }
  }

  #noteChange(path: string): void {
    if (path.startsWith(AUTH_NAMESPACE)) this.#authChanges++
  }

  #error(code: V2ErrorCode, cause: string): V2Result & { kind: 'error' } {
    return { kind: 'error', error: createV2Error(code, cause, this.#index) }
  }

  #readOnlyError(): V2Result & { kind: 'error' } {
    return this.#error(V2_CODES.rootIsReadOnly, '/')
  }

  /** Counts `result` where it belongs and passes it on. */
  #count(operation: CountedOperation, result: V2Result): V2Result {
    const [success, failure] = COUNTERS[operation]
    this.#statistics.increment(result.kind === 'event' ? success : failure)
    return result
  }

  #countAsSuccess(operation: CountedOperation, result: V2Result): V2Result {
    this.#statistics.increment(COUNTERS[operation][0])
    return result
  }

  /** Puts a new node at `path` and moves the index on. Tells nobody. */
  #make(options: NewNode): V2Result {
    const { action, path, nowMs, isDirectory, value, prevNode, refresh } = options
    if (this.#readOnly.has(path)) return this.#readOnlyError()
    const parent = this.#tree.makeParent(path, this.#index)
    if (parent.kind === 'error') {
      this.#statistics.increment('setsFail')
      return parent
    }
    const existing = parent.node.children?.get(nameOf(path))
    if (existing !== undefined) {
      if (!options.canReplace) return this.#error(V2_CODES.keyExists, path)
      if (existing.isDirectory) return this.#error(V2_CODES.notAFile, path)
      this.#tree.remove(existing)
    }
    const node = new TreeNode({
      path,
      createdIndex: this.#index + 1,
      value: isDirectory ? '' : value,
      isDirectory,
      expiry: toKeptExpiry(options.expirationNs),
    })
    this.#tree.add(parent.node, node)
    this.#index++
    this.#noteChange(path)
    const etcdIndex = this.#index
    return {
      kind: 'event',
      event: { action, node: node.view(nowMs), prevNode, etcdIndex, refresh },
    }
  }

  /**
   * Puts a new file in the place of `file`: the same as making one there, but that the tree need
   * not be walked again.
   */
  #replace(file: TreeNode, options: SetOptions): V2Result {
    const { nowMs } = options
    const refresh = options.refresh === true
    // etcd shows the path of the request here, which is the node's but for how it was written.
    const prevNode = file.view(nowMs, options.path)
    this.#index++
    this.#noteChange(file.path)
    file.begin(this.#index, refresh ? file.value : options.value)
    this.#tree.setExpiry(file, toKeptExpiry(options.expirationNs))
    return this.#tell({
      action: 'set',
      node: file.view(nowMs),
      prevNode,
      etcdIndex: this.#index,
      refresh,
    })
  }

  /** Gives a node another value and end. A directory keeps its modified index, as etcd's does. */
  #rewrite(action: V2Action, node: TreeNode, options: UpdateOptions): V2Result {
    const prevNode = node.view(options.nowMs)
    this.#index++
    this.#noteChange(node.path)
    if (!node.isDirectory) {
      if (options.refresh !== true) node.value = options.value
      node.modifiedIndex = this.#index
    }
    this.#tree.setExpiry(node, toExpiry(options.expirationNs))
    const view: V2NodeView = { ...node.view(options.nowMs), modifiedIndex: this.#index }
    const refresh = options.refresh === true
    return this.#tell({ action, node: view, prevNode, etcdIndex: this.#index, refresh })
  }

  /** Removes a node with all below it and tells the watchers of each. */
  #takeAway(
    action: 'delete' | 'compareAndDelete' | 'expire',
    node: TreeNode,
    nowMs: number,
  ): { readonly kind: 'event'; readonly event: V2Event } {
    this.#index++
    this.#noteChange(node.path)
    const event: V2Event = {
      action,
      node: {
        key: node.path,
        dir: node.isDirectory,
        ttlSeconds: 0,
        modifiedIndex: this.#index,
        createdIndex: node.createdIndex,
      },
      prevNode: node.view(nowMs),
      etcdIndex: this.#index,
      refresh: false,
    }
    // A stream that watches the node itself hears of it here and again below, as with etcd.
    this.#tree.remove(node, (path) => this.#hub.notifyAt(event, path, true))
    this.#hub.notify(event)
    return { kind: 'event', event }
  }

  #tell(event: V2Event): V2Result {
    if (event.refresh) this.#hub.history.add(event)
    else this.#hub.notify(event)
    return { kind: 'event', event }
  }
}

/** What `#make` puts into the tree, and how its event looks. `path` is clean. */
interface NewNode {
  readonly action: V2Action
  readonly path: string
  readonly nowMs: number
  readonly isDirectory: boolean
  readonly value: string
  readonly expirationNs: bigint | undefined
  readonly prevNode: V2NodeView | undefined
  readonly refresh: boolean
  readonly canReplace: boolean
}

/** Where successes and failures of an operation are counted. */
const COUNTERS = {
  gets: ['getsSuccess', 'getsFail'],
  sets: ['setsSuccess', 'setsFail'],
  delete: ['deleteSuccess', 'deleteFail'],
  update: ['updateSuccess', 'updateFail'],
  create: ['createSuccess', 'createFail'],
  compareAndSwap: ['compareAndSwapSuccess', 'compareAndSwapFail'],
  compareAndDelete: ['compareAndDeleteSuccess', 'compareAndDeleteFail'],
} as const satisfies Record<string, readonly [Statistic, Statistic]>

type CountedOperation = keyof typeof COUNTERS
