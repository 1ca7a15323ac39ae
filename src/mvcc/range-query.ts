import { invariant } from '../base/invariant.js'
import { NO_SLOT } from './key-index.js'
import type { StoreState } from './store-state.js'

/** The end that means "every key from the start on". */
export const FROM_KEY = '\0'

/** Which keys are read, and as of when. Keys are latin1 strings. */
export interface RangeQuery {
  readonly key: string
  /**
   * Exclusive; '' = the key alone; '\0' = all keys from `key` on. An end at or below the key:
   * nothing.
   */
  readonly end: string
  /** Most key-values returned; 0 or less = all. The count does not know the limit. */
  readonly limit?: number
  /** 0 or less = the newest. */
  readonly revision?: number
  /** Only the count is wanted. */
  readonly isCountOnly?: boolean
}

export interface RangeResult {
  readonly kind: 'range'
  /** Encoded KeyValues in key order. */
  readonly kvs: readonly Uint8Array[]
  /** All keys of the range that live at the revision, whatever the limit. */
  readonly count: number
  /** The store's current revision, whatever revision was read. */
  readonly revision: number
}

export interface RevisionFailure {
  readonly kind: 'failed'
  readonly code: 'COMPACTED' | 'FUTURE_REVISION'
}
export type RangeOutcome = RangeResult | RevisionFailure

const COMPACTED: RevisionFailure = { kind: 'failed', code: 'COMPACTED' }
const FUTURE: RevisionFailure = { kind: 'failed', code: 'FUTURE_REVISION' }

/** The bound of an ordered walk: undefined = none. */
export const endBound = (end: string): string | undefined => (end === FROM_KEY ? undefined : end)

/** The revision that a query reads, or why it cannot. */
export function readableRevision(
  state: StoreState,
  wanted: number,
  current: number,
): number | RevisionFailure {
  if (wanted > current) return FUTURE
  const revision = wanted <= 0 ? current : wanted
  return revision < state.compactedRevision ? COMPACTED : revision
}

/** The value of a row that the index says exists. */
export function storedValue(state: StoreState, link: number): Uint8Array {
  const { chains } = state.index
  const value = state.rows.getRow(chains.main(link), chains.sub(link))
  invariant(
    value !== undefined,
    'a revision in the index has a row',
    () => `revision ${chains.main(link)}.${chains.sub(link)}`,
  )
  return value
}

/** Reads a range at once. `current` is the newest revision that this reader may see. */
export function readRange(state: StoreState, query: RangeQuery, current: number): RangeOutcome {
  const at = readableRevision(state, query.revision ?? 0, current)
  if (typeof at !== 'number') return at
  if (query.end === '') return readOne(state, query, at, current)
  const links: number[] = []
  const limit = query.limit ?? 0
  const linksMax = query.isCountOnly === true ? 0 : limit > 0 ? limit : Number.POSITIVE_INFINITY
  const count = collect(state, query, { at, current, linksMax }, links)
  const kvs = links.map((link) => storedValue(state, link))
  return { kind: 'range', kvs, count, revision: current }
}

function readOne(state: StoreState, query: RangeQuery, at: number, current: number): RangeResult {
  const slot = state.index.slotOf(query.key)
  const link = slot === NO_SLOT ? 0 : state.index.seenAt(slot, at)
  if (link === 0) return { kind: 'range', kvs: [], count: 0, revision: current }
  const kvs = query.isCountOnly === true ? [] : [storedValue(state, link)]
  return { kind: 'range', kvs, count: 1, revision: current }
}

/** Collects links of living keys in key order; returns how many there are in all. */
function collect(
  state: StoreState,
  query: RangeQuery,
  bounds: Readonly<{ at: number; current: number; linksMax: number }>,
  links: number[],
): number {
  const { index } = state
  const end = endBound(query.end)
  // The tree counts what lives now; a past revision has to be counted one by one.
  const isNow = bounds.at === bounds.current
  if (isNow && bounds.linksMax === 0) return index.countLive(query.key, end)
  let count = 0
  index.walk(query.key, end, (_, slot) => {
    const link = isNow && !index.isLive(slot) ? 0 : index.seenAt(slot, bounds.at)
    if (link === 0) return true
    count++
    if (links.length < bounds.linksMax) links.push(link)
    return !isNow || links.length < bounds.linksMax
  })
  return isNow && links.length >= bounds.linksMax ? index.countLive(query.key, end) : count
}
