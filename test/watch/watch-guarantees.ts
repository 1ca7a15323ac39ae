/**
 * Checks what a client read against all that ever happened: the guarantees of watching, one by one.
 */
import { expect } from 'vitest'
import type { StoreEvent } from '../../src/mvcc/store-event.js'
import { type Event, KeyValue } from '../../src/wire/mvccpb.js'
import type { WatchResponse } from '../../src/wire/rpc.js'
import type { ModelStore } from './model-store.js'
import type { CreateOptions, TestClient } from './test-client.js'

interface Watch {
  readonly asked: CreateOptions
  readonly from: number
  /** All events that it is owed, ever. */
  readonly owed: readonly StoreEvent[]
  seen: number
  lastRevision: number
  fragments: Event[]
}

/**
 * `asked` are the client's create requests in order. `isAtRest`: everything owed has been
 * delivered.
 */
export function checkGuarantees(
  store: ModelStore,
  client: TestClient,
  asked: readonly CreateOptions[],
): void {
  const open = new Map<number, Watch>()
  const requests = [...asked]
  for (const response of client.responses) {
    if (response.created) {
      const request = requests.shift()
      expect(request).toBeDefined()
      if (request !== undefined && !response.canceled) onCreated(store, open, response, request)
    } else if (response.canceled) {
      expect(open.has(response.watchId)).toBe(true)
      expect(response.compactRevision).toBeLessThanOrEqual(Math.max(store.compactedRevision, 0))
      open.delete(response.watchId)
    } else if (response.events.length === 0) onProgress(open, response)
    else onEvents(store, open, response)
  }
  expect(requests).toEqual([])
  for (const watch of open.values()) {
    // Reliable: nothing is missing, and no response was left unfinished.
    expect(watch.fragments).toEqual([])
    expect(watch.seen).toBe(watch.owed.length)
  }
}

function onCreated(
  store: ModelStore,
  open: Map<number, Watch>,
  response: WatchResponse,
  asked: CreateOptions,
): void {
  expect(open.has(response.watchId)).toBe(false)
  const revision = response.header?.revision ?? 0
  const from = asked.from || revision + 1
  const owed = store.all.filter(
    (event) => event.modRevision >= from && covers(asked, event.key) && passes(asked, event),
  )
  open.set(response.watchId, { asked, from, owed, seen: 0, lastRevision: 0, fragments: [] })
}

/** Bookmarkable: a progress notification comes after every event up to its revision. */
function onProgress(open: Map<number, Watch>, response: WatchResponse): void {
  const revision = response.header?.revision ?? 0
  const meant = response.watchId === -1 ? [...open.keys()] : [response.watchId]
  for (const watchId of meant) {
    const watch = open.get(watchId)
    expect(watch).toBeDefined()
    if (watch === undefined) continue
    expect(watch.fragments).toEqual([])
    const next = watch.owed[watch.seen]
    if (next !== undefined) expect(next.modRevision).toBeGreaterThan(revision)
    watch.lastRevision = Math.max(watch.lastRevision, revision)
  }
}

function onEvents(store: ModelStore, open: Map<number, Watch>, response: WatchResponse): void {
  const watch = open.get(response.watchId)
  expect(watch).toBeDefined()
  if (watch === undefined) return
  if (response.fragment) expect(watch.asked.fragment).toBe(true)
  watch.fragments.push(...response.events)
  if (response.fragment) return
  const events = watch.fragments
  watch.fragments = []
  const [first] = events
  const last = events.at(-1)
  // Atomic: a revision is never continued in another response; ordered: it never goes back.
  expect(first?.kv?.modRevision).toBeGreaterThan(watch.lastRevision)
  watch.lastRevision = last?.kv?.modRevision ?? 0
  expect(response.header?.revision).toBeGreaterThanOrEqual(watch.lastRevision)
  for (const event of events) {
    // Unique, ordered, filtered, resumable: exactly the next event that is owed.
    const owed = watch.owed[watch.seen++]
    expect(owed).toBeDefined()
    if (owed !== undefined) checkEvent(store, watch.asked, event, owed)
  }
}

function checkEvent(store: ModelStore, asked: CreateOptions, event: Event, owed: StoreEvent): void {
  expect(event.type).toBe(owed.type)
  expect(Buffer.from(KeyValue.encode(event.kv ?? {})).equals(owed.kv)).toBe(true)
  const previous = asked.prevKv ? store.previousOf(owed) : undefined
  if (event.prevKv === undefined) {
    if (previous !== undefined) expect(owed.modRevision - 1).toBeLessThan(store.compactedRevision)
    return
  }
  expect(previous).toBeDefined()
  expect(Buffer.from(KeyValue.encode(event.prevKv)).equals(previous ?? Buffer.alloc(0))).toBe(true)
}

function covers({ key, end = '' }: CreateOptions, name: string): boolean {
  if (end === '') return name === key
  return name >= key && (end === '\0' || name < end)
}

function passes({ filters = [] }: CreateOptions, event: StoreEvent): boolean {
  return !filters.includes(event.type === 'PUT' ? 'NOPUT' : 'NODELETE')
}
