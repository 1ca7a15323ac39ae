import { batchesOf, type Change, changesTowards } from './batches.js'
import type { Journal } from './journal.js'
import type { MigrateOptions } from './options.js'
import { Progress, type ProgressStream } from './progress.js'
import type { V2Snapshot, V2Source } from './v2-source.js'
import { type Flattened, flattenTree } from './v2-tree.js'
import type { V3Target } from './v3-target.js'

/** What one pass did. */
export interface Pass {
  readonly written: number
  readonly deleted: number
  readonly emptyDirectories: number
  /** Keys of the source now. */
  readonly keys: number
  /** Index of the source that the target is like. */
  readonly index: number
}

export interface MigrationParts {
  readonly options: MigrateOptions
  readonly source: V2Source
  readonly target: V3Target
  readonly journal: Journal
  readonly progress: ProgressStream
}

/** Passes until nothing changes any more: a source that is written to all the time has no end. */
export const PASSES_MAX = 10
/** While following: at most this often the tree is read, and at least that often, ms. */
const FOLLOW_INTERVAL_MS_MIN = 1000
const FOLLOW_INTERVAL_MS_MAX = 30_000
/** While following, the tree is read again when a key would expire within this time, ms. */
const EXPIRY_AHEAD_MS = 3000

/** gRPC's code for a lease that has ended; a transaction of puts finds nothing else missing. */
const NOT_FOUND = 5
const LEASE_ATTEMPTS_MAX = 5

/** What is cut off each key. A file has no name left without its prefix. */
export function cutOf({ options }: Pick<MigrationParts, 'options'>, root: V2Snapshot): string {
  const { prefix, strip } = options
  if (!strip || prefix === '/') return ''
  if (root.root.dir !== true) throw new Error(`--strip needs a directory, and ${prefix} is a key`)
  return prefix
}

/**
 * Makes the target like the source, pass by pass. A pass reads the whole tree, compares it with
 * what was copied, and writes the difference in transactions. So every pass ends in keys that the
 * source had at the index of the pass, whatever was interrupted before.
 */
export class Migration {
  readonly #parts: MigrationParts
  /** Leases by the second at which they end, so that keys that expire together share one. */
  readonly #leases = new Map<number, Awaited<ReturnType<V3Target['grant']>>>()
  #nextDeadlineMs = Number.POSITIVE_INFINITY

  constructor(parts: MigrationParts) {
    this.#parts = parts
  }

  /**
   * Passes until one finds nothing to do, PASSES_MAX at most; gives the sums, and whether it did.
   */
  async run(): Promise<Pass & { readonly isCaughtUp: boolean }> {
    let written = 0
    let deleted = 0
    for (let count = 1; ; count += 1) {
      const pass = await this.pass()
      written += pass.written
      deleted += pass.deleted
      const isCaughtUp = pass.written + pass.deleted === 0
      if (isCaughtUp || count === PASSES_MAX) return { ...pass, written, deleted, isCaughtUp }
    }
  }

  /**
   * Passes whenever something changed, until `signal`; `onPass` hears of those that did something.
   */
  async follow(from: Pass, signal: AbortSignal, onPass: (pass: Pass) => void): Promise<void> {
    let { index } = from
    while (!signal.aborted) {
      const toExpiry = this.#nextDeadlineMs - EXPIRY_AHEAD_MS - Date.now()
      const within = Math.min(FOLLOW_INTERVAL_MS_MAX, Math.max(FOLLOW_INTERVAL_MS_MIN, toExpiry))
      const since = Date.now()
      await this.#parts.source.changed(index, within, signal)
      const rest = FOLLOW_INTERVAL_MS_MIN - (Date.now() - since)
      if (rest > 0 && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, rest))
      if (signal.aborted) return
      const pass = await this.pass()
      index = pass.index
      if (pass.written + pass.deleted > 0) onPass(pass)
    }
  }

  async pass(): Promise<Pass> {
    const { source, journal, progress } = this.#parts
    const snapshot = await source.read()
    for (const second of this.#leases.keys()) {
      if (second * 1000 < snapshot.readAtMs) this.#leases.delete(second)
    }
    const { items, emptyDirectories } = flattened(this.#parts, snapshot)
    const changes = changesTowards(items, journal.copied)
    const shown = new Progress(progress, changes.length)
    for (const batch of batchesOf(changes)) {
      await this.#write(batch)
      shown.advance(batch.length)
    }
    shown.end()
    this.#nextDeadlineMs = Number.POSITIVE_INFINITY
    for (const { deadlineMs } of items.values()) {
      if (deadlineMs !== undefined && deadlineMs < this.#nextDeadlineMs) {
        this.#nextDeadlineMs = deadlineMs
      }
    }
    const deleted = changes.filter(({ kind }) => kind === 'delete').length
    return {
      written: changes.length - deleted,
      deleted,
      emptyDirectories: emptyDirectories.length,
      keys: items.size,
      index: snapshot.index,
    }
  }

  /** A lease may end between its grant and its use: then a new one is granted. */
  async #write(batch: readonly Change[]): Promise<void> {
    const { target, journal } = this.#parts
    journal.begin(batch)
    for (let attempt = 1; ; attempt += 1) {
      const leases = new Map<string, Awaited<ReturnType<V3Target['grant']>>>()
      for (const change of batch) {
        if (change.kind === 'delete' || change.item.deadlineMs === undefined) continue
        leases.set(change.item.key, await this.#leaseUntil(change.item.deadlineMs))
      }
      try {
        journal.done(batch, await target.write(batch, (key) => leases.get(key)))
        return
      } catch (thrown) {
        const isLeaseGone = (thrown as { code?: unknown }).code === NOT_FOUND
        if (!isLeaseGone || attempt === LEASE_ATTEMPTS_MAX) throw thrown
        this.#leases.clear()
      }
    }
  }

  async #leaseUntil(deadlineMs: number) {
    const second = Math.ceil(deadlineMs / 1000)
    const known = this.#leases.get(second)
    if (known !== undefined) return known
    const seconds = Math.round((deadlineMs - Date.now()) / 1000)
    const lease = await this.#parts.target.grant(Math.max(1, seconds))
    this.#leases.set(second, lease)
    return lease
  }
}

/** The keys of a snapshot under the names that they get. */
export function flattened(parts: Pick<MigrationParts, 'options'>, snapshot: V2Snapshot): Flattened {
  const { root, readAtMs } = snapshot
  return flattenTree(root, { readAtMs, cut: cutOf(parts, snapshot) })
}
