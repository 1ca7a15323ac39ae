/**
 * Random histories with random watchers over the model of the store: puts, deletes, compactions,
 * snapshots, watches from old, current and future revisions, slow clients, cancels. At the end
 * every client reads all, and what it got must keep the guarantees.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { setUp } from './setup.js'
import { type CreateOptions, TestClient } from './test-client.js'
import { checkGuarantees } from './watch-guarantees.js'

const KEYS = ['a', 'b', 'c', 'd']
const CLIENTS = 3

const change = fc.record({
  key: fc.constantFrom(...KEYS),
  value: fc.option(
    fc.integer({ min: 0, max: 60 }).map((length) => 'v'.repeat(length)),
    { nil: undefined, freq: 3 },
  ),
})
const client = fc.nat({ max: CLIENTS - 1 })
const range = fc.constantFrom(
  { key: 'a' },
  { key: 'b' },
  { key: 'a', end: 'c' },
  { key: 'b', end: 'd' },
  { key: 'c', end: '\0' },
  { key: '', end: '\0' },
  { key: 'c', end: 'a' },
)
const create = fc.record({
  kind: fc.constant('create' as const),
  client,
  range,
  /** Revisions from now; undefined = no start revision. */
  offset: fc.option(fc.integer({ min: -30, max: 5 }), { nil: undefined }),
  id: fc.constantFrom(0, 0, 0, 1, 2, 70),
  filters: fc.subarray(['NOPUT', 'NODELETE'] as const, { maxLength: 1 }),
  prevKv: fc.boolean(),
  fragment: fc.boolean(),
  progress: fc.boolean(),
})
const commit = fc.record({
  kind: fc.constant('commit' as const),
  changes: fc.oneof(
    { weight: 3, arbitrary: fc.tuple(change) },
    { weight: 1, arbitrary: fc.array(change, { minLength: 2, maxLength: 4 }) },
  ),
})
const other = fc.oneof(
  fc.record({ kind: fc.constant('compact' as const), behind: fc.nat({ max: 8 }) }),
  fc.record({ kind: fc.constant('cancel' as const), client, id: fc.constantFrom(0, 1, 2, 70) }),
  fc.record({ kind: fc.constant('slow' as const), client }),
  fc.record({ kind: fc.constant('read' as const), client }),
  fc.record({ kind: fc.constant('ask' as const), client }),
  fc.record({ kind: fc.constant('close' as const), client, isMeant: fc.nat({ max: 5 }) }),
  fc.record({
    kind: fc.constant('snapshot' as const),
    changes: fc.array(fc.tuple(change), { maxLength: 4 }),
  }),
)
const pass = fc.record({ kind: fc.constant('pass' as const), ms: fc.nat({ max: 150 }) })
const reads = fc.record({ kind: fc.constant('reads' as const) })
const command = fc.oneof(
  { weight: 8, arbitrary: commit },
  { weight: 4, arbitrary: create },
  { weight: 4, arbitrary: other },
  { weight: 3, arbitrary: pass },
  { weight: 2, arbitrary: reads },
)
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never

function play(commands: readonly Command[]): void {
  const { hub, store, commit, settle } = setUp({
    streamBytesMax: 300,
    streamResponsesMax: 6,
    fragmentBytes: 200,
    revisionsPerResponseMax: 4,
    progressIntervalMs: 100,
  })
  const clients = Array.from({ length: CLIENTS }, () => new TestClient(hub, { limit: 400 }))
  const asked: CreateOptions[][] = clients.map(() => [])
  const closed = new Set<number>()
  let nowMs = 0
  const run = (step: Command): void => {
    switch (step.kind) {
      case 'commit':
        commit(...step.changes)
        return
      case 'create': {
        if (closed.has(step.client)) return
        const { range: wanted, offset, kind: _kind, client: _client, ...options } = step
        const from = offset === undefined ? 0 : Math.max(store.currentRevision + offset, 1)
        const request = { ...wanted, ...options, from }
        asked[step.client]?.push({ ...request, key: wanted.key === '' ? '\0' : wanted.key })
        clients[step.client]?.create(request)
        return
      }
      case 'compact':
        store.compact(store.currentRevision - step.behind)
        return
      case 'cancel':
        clients[step.client]?.cancel(step.id)
        return
      case 'slow':
      case 'read': {
        const reader = clients[step.client]
        if (reader === undefined) return
        reader.isSlow = step.kind === 'slow'
        if (step.kind === 'read') reader.read()
        return
      }
      case 'ask':
        clients[step.client]?.askProgress()
        return
      case 'close':
        if (step.isMeant > 0) return
        closed.add(step.client)
        clients[step.client]?.stream.close()
        return
      case 'snapshot':
        for (const changes of step.changes) store.commit(changes)
        hub.resync()
        return
      case 'pass':
        nowMs += step.ms
        hub.syncSome(nowMs)
        return
      case 'reads':
        store.completeReads()
        return
    }
  }
  for (const step of commands) run(step)
  for (const one of clients) {
    one.isSlow = false
    one.read()
  }
  settle(nowMs)
  expect(hub.slowWatcherCount).toBe(0)
  clients.forEach((one, at) => {
    one.read()
    if (!closed.has(at)) checkGuarantees(store, one, asked[at] ?? [])
    one.stream.close()
  })
  expect([hub.watcherCount, hub.streamCount, hub.pendingEventCount]).toEqual([0, 0, 0])
}

test('whatever happens, watches keep their guarantees', () => {
  fc.assert(fc.property(fc.array(command, { maxLength: 150, size: 'max' }), play), {
    numRuns: Number(process.env.WATCH_RUNS ?? 200),
  })
}, 60_000)
