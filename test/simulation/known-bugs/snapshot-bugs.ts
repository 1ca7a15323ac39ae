import { SnapshotExchange } from '../../../src/member/snapshot-exchange.js'
import type { SimulationOptions } from '../options.js'
import type { KnownBug } from './known-bug.js'
import { POWER, replaced, shaped } from './tools.js'

/** How late the record of a snapshot comes, microseconds. */
const LATE_US = 20_000

/** How late a flush with nothing to write is told that it is done, microseconds. */
const TOLD_LATE_US = 300

/** Members fall behind again and again, and installing takes its time. */
const onSlowDisks = (options: SimulationOptions): SimulationOptions => ({
  ...shaped(
    { partition: 4, 'isolate-leader': 6 },
    { put: 30 },
    { snapshotCount: 3, catchUpEntries: 1, cutSlackEntries: 5 },
  )(options),
  clientCount: 8,
  faultMeanMs: 2000,
  disk: { latencyMeanUs: 20_000, stallPerMille: 10 },
})

/** Snapshots from other members. */
export const SNAPSHOT_BUGS: readonly KnownBug[] = [
  {
    name: 'a snapshot is taken over before it is durable in the log',
    foundBy: ['durable-first', 'no-crash', 'equal-state', 'durability', 'liveness', 'model'],
    shape: shaped(
      { ...POWER, 'isolate-leader': 3 },
      { put: 30 },
      { snapshotCount: 3, catchUpEntries: 1, cutSlackEntries: 5 },
    ),
    create: () => ({
      log: (_place, log) => ({
        save: (write, done) => log.save(write, done),
        saveSnapshot: (_snapshot, done) => done(undefined),
        close: (done) => log.close(done),
      }),
    }),
  },
  {
    name: 'what follows a snapshot overtakes it in the log',
    foundBy: ['durable-first', 'no-crash', 'liveness', 'durability'],
    shape: shaped(
      { ...POWER, 'isolate-leader': 3 },
      { put: 30 },
      { snapshotCount: 3, catchUpEntries: 1, cutSlackEntries: 5 },
    ),
    create: () => ({
      log: (place, log) => ({
        save: (write, done) => log.save(write, done),
        saveSnapshot: (snapshot, done) => {
          place.defer(LATE_US, () => log.saveSnapshot(snapshot, () => undefined))
          done(undefined)
        },
        close: (done) => log.close(done),
      }),
    }),
  },
  {
    name: 'a second snapshot does not wait for the first',
    foundBy: ['no-crash', 'equal-state', 'monotonic', 'model', 'durable-first', 'liveness'],
    shape: onSlowDisks,
    install: () =>
      replaced(SnapshotExchange.prototype, 'install', (install) => {
        return function (this: SnapshotExchange, ...[snapshot, write, done]): void {
          install.call(this, snapshot, write, () => undefined)
          done()
        }
      }),
  },
  {
    name: 'a snapshot is opened while a batch is being written',
    foundBy: ['snapshot-body', 'no-crash'],
    shape: (options) => ({
      ...shaped(
        { partition: 4, 'isolate-leader': 6 },
        { put: 30 },
        { snapshotCount: 3, catchUpEntries: 1, cutSlackEntries: 1, backendBatchChangesMax: 1 },
      )(options),
      clientCount: 8,
      thinkMeanMs: 10,
      disk: { latencyMeanUs: 1000, stallPerMille: 0 },
      // A follower that gets none asks again.
      network: { ...options.network, tornSnapshotPerMille: 500 },
    }),
    create: () => ({
      member: (place, { backend }) => {
        const flush = backend.flush.bind(backend)
        // Nothing is to be written, so no batch is held back until whoever asked was told.
        backend.flush = (sync, done, onCut) => {
          if (sync || backend.isDirty || done === undefined) {
            flush(sync, done, onCut)
            return
          }
          onCut?.()
          place.defer(TOLD_LATE_US, () => done(undefined))
        }
      },
    }),
  },
]
