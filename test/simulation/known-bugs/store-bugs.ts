import { revision } from '../../../src/base/ids.js'
import type { Member } from '../../../src/member/member.js'
import { Compaction } from '../../../src/mvcc/compaction.js'
import { MvccStore } from '../../../src/mvcc/mvcc-store.js'
import type { V3Request } from '../../../src/wire/raft-envelope.js'
import type { PutResponse } from '../../../src/wire/rpc.js'
import type { SimulatedNode } from '../node.js'
import type { KnownBug } from './known-bug.js'
import { replaced, shaped } from './tools.js'

/** The state that follows from the log. */
export const STORE_BUGS: readonly KnownBug[] = [
  {
    name: 'an entry is applied twice after a restart',
    foundBy: [
      'equal-state',
      'model',
      'equal-hash',
      'no-crash',
      'replay-check',
      'watch',
      'monotonic',
    ],
    shape: shaped({ crash: 4, 'power-loss': 4 }),
    create: () => ({
      member: (_place, member) => {
        const { backend } = member
        let isFirst = true
        const index = backend.consistentIndex
        // Once after each start the member believes that the last entry is not in its store.
        Object.defineProperty(backend, 'consistentIndex', {
          configurable: true,
          get() {
            if (isFirst && index > 5) {
              isFirst = false
              return index - 1
            }
            delete (backend as { consistentIndex?: unknown }).consistentIndex
            return backend.consistentIndex
          },
        })
      },
    }),
  },
  {
    name: 'an entry is applied on one member only in part',
    foundBy: ['equal-state', 'model', 'equal-hash', 'replay-check', 'watch'],
    create: (prng) => ({
      member: (place, member) => {
        if (place.place !== 0) return
        const { machine, store } = member.state
        const apply = machine.apply.bind(machine)
        machine.apply = (entry, nowMs) => {
          if (entry.operation === 'deleteRange' && prng.perMille(100)) {
            const revision = store.currentRevision
            return {
              outcome: { kind: 'applied', response: { deleted: 0, prevKvs: [] }, revision },
              events: [],
              isOverQuota: false,
            }
          }
          return apply(entry, nowMs)
        }
      },
    }),
    shape: shaped({}, { 'delete-range': 10, delete: 10, put: 20 }),
  },
  {
    name: 'a compaction takes a revision too many',
    foundBy: [
      'revisions',
      'compaction',
      'model',
      'equal-state',
      'watch',
      'replay-check',
      'equal-hash',
    ],
    shape: shaped({}, { compact: 10, put: 20, 'get-old': 20 }, { compactionBatchLimit: 1000 }),
    create: () => ({
      member: (_place: SimulatedNode, member: Member) => {
        const { store } = member
        const compact = store.compact.bind(store)
        store.compact = (wanted) => compact(Math.min(store.currentRevision, wanted + 1))
      },
    }),
  },
  {
    name: 'a compaction that a restart cut off is hashed anew',
    foundBy: ['equal-hash'],
    shape: shaped(
      { crash: 6, 'power-loss': 2, 'check-hashes': 10 },
      { compact: 20, put: 40, delete: 10 },
      { compactionBatchLimit: 1, compactionSleepMs: 100 },
    ),
    install: () => {
      let restored: MvccStore | undefined
      const restore = replaced(
        MvccStore.prototype,
        'finishRestore',
        (original) =>
          function (this: MvccStore): void {
            restored = this
            original.call(this)
          },
      )
      const schedule = replaced(
        Compaction.prototype,
        'schedule',
        (original) =>
          function (this: Compaction, main: number, previous: number | undefined): void {
            original.call(this, main, previous ?? restored?.finishedCompactRevision)
          },
      )
      return () => {
        restore()
        schedule()
      }
    },
  },
  {
    name: 'an entry is left out at apply after a restart',
    foundBy: [
      'equal-state',
      'model',
      'equal-hash',
      'no-crash',
      'replay-check',
      'watch',
      'durability',
    ],
    shape: shaped({ crash: 4, 'power-loss': 4 }, { put: 30 }, { backendBatchIntervalMs: 1000 }),
    create: () => ({
      member: (_place, member) => {
        const { backend } = member
        // The index is believed to be one further than the store is.
        if (backend.consistentIndex > 5)
          backend.setConsistentIndex(
            (backend.consistentIndex + 1) as typeof backend.consistentIndex,
            backend.consistentTerm,
          )
      },
    }),
  },
  {
    name: 'the index of an entry is durable before what the entry did',
    foundBy: ['equal-state', 'model', 'equal-hash', 'no-crash', 'revisions', 'durability'],
    shape: shaped({ crash: 8, 'power-loss': 4 }, { put: 20 }, { backendBatchIntervalMs: 1000 }),
    create: (prng) => ({
      member: (_place, member) => {
        const { machine, backend } = member.state
        const apply = machine.apply.bind(machine)
        machine.apply = (entry, nowMs) => {
          if (prng.perMille(100)) backend.flush(false)
          return apply(entry, nowMs)
        }
      },
    }),
  },
  {
    name: 'what is written during a defragmentation is lost',
    foundBy: ['equal-hash', 'model', 'equal-state', 'no-crash', 'replay-check', 'compaction'],
    shape: shaped({ defragment: 10, crash: 2 }, { put: 30 }),
    create: () => ({
      member: (_place, member) => {
        const { backend } = member
        let isRewriting = false
        const defragment = backend.defragment.bind(backend)
        backend.defragment = (done) => {
          isRewriting = true
          defragment((failure) => {
            isRewriting = false
            done(failure)
          })
        }
        const appendRow = backend.appendRow.bind(backend)
        backend.appendRow = (main, sub, isTombstone, value) => {
          appendRow(main, sub, isTombstone, value)
          if (isRewriting) backend.deleteRow(main, sub, isTombstone, value.length)
        }
      },
    }),
  },
  {
    name: 'a transaction reads what is compacted on some members and not on others',
    foundBy: ['equal-state', 'model', 'revisions', 'replay-check', 'equal-hash'],
    shape: shaped(
      { pause: 2 },
      { compact: 10, put: 20, 'txn-old': 20 },
      { compactionBatchLimit: 1, compactionSleepMs: 100 },
    ),
    create: () => ({
      member: (_place, member) => {
        const { machine } = member.state
        const apply = machine.apply.bind(machine)
        machine.apply = (entry, nowMs) => apply(withoutFreed(entry, member.store), nowMs)
      },
    }),
  },
  {
    name: 'a v2 compare-and-swap does not compare on one member',
    foundBy: ['v2'],
    shape: (options) => ({ ...shaped({ crash: 2 })(options), v2ClientCount: 2, keyCount: 2 }),
    create: () => ({
      member: (place, member) => {
        const { v2 } = member.state
        if (place.place === 1) v2.compareAndSwap = (options) => v2.update(options)
      },
    }),
  },
  {
    name: 'a put tells of what another put took the place of',
    foundBy: ['replay-check'],
    shape: (options) => ({
      ...shaped({}, { put: 30 })(options),
      world: { ...options.world, previousPerMille: 500 },
    }),
    create: () => ({
      member: (_place, member) => {
        const { machine } = member.state
        const apply = machine.apply.bind(machine)
        let last: PutResponse['prevKv']
        machine.apply = (entry, nowMs) => {
          const applied = apply(entry, nowMs)
          const { outcome } = applied
          if (entry.operation !== 'put' || outcome.kind !== 'applied') return applied
          const response = outcome.response as PutResponse
          const prevKv = last ?? response.prevKv
          last = response.prevKv
          return { ...applied, outcome: { ...outcome, response: { ...response, prevKv } } }
        }
      },
    }),
  },
  {
    name: 'the end of a lease leaves a key',
    foundBy: ['lease-end', 'equal-state', 'revisions', 'replay-check', 'model'],
    shape: shaped({}, { grant: 20, 'put-lease': 30, revoke: 10 }),
    create: () => ({
      member: (_place, member) => {
        const { lessor } = member.state
        const keysOf = lessor.keysOf.bind(lessor)
        lessor.keysOf = (id) => keysOf(id).slice(1)
      },
    }),
  },
]

/**
 * A member that has not yet freed what a compaction made unreachable takes a range of it for
 * readable, and gives the transaction what is there now.
 */
function withoutFreed(entry: V3Request, store: MvccStore): V3Request {
  if (entry.operation !== 'txn') return entry
  const { finishedCompactRevision: freed, compactedRevision: compacted } = store
  const success = entry.request.success.map((operation) => {
    const { requestRange } = operation
    const at = requestRange?.revision ?? 0
    if (requestRange === undefined || at === 0 || at >= compacted || at < freed) return operation
    return { ...operation, requestRange: { ...requestRange, revision: revision(0) } }
  })
  return { ...entry, request: { ...entry.request, success } }
}
