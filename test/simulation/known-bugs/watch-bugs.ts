import { KeyIndex } from '../../../src/mvcc/key-index.js'
import { NO_WATCH_ID } from '../../../src/watch/response-encoder.js'
import { WatchStream } from '../../../src/watch/watch-stream.js'
import type { Watcher } from '../../../src/watch/watcher.js'
import { WatcherPlaces } from '../../../src/watch/watcher-places.js'
import type { SimulationOptions } from '../options.js'
import type { KnownBug } from './known-bug.js'
import { replaced, shaped, watched } from './tools.js'

/** Members are cut off for a while, and find the log gone that they lack. */
const behindSnapshots = (options: SimulationOptions): SimulationOptions => ({
  ...watched(
    shaped(
      { partition: 5, pause: 2 },
      { put: 30 },
      { snapshotCount: 10, catchUpEntries: 1, cutSlackEntries: 5 },
    ),
  )(options),
  faultMeanMs: 2500,
  thinkMeanMs: 20,
})

/** What watchers are told. */
export const WATCH_BUGS: readonly KnownBug[] = [
  {
    name: 'a watcher misses an event now and then',
    foundBy: ['watch'],
    shape: (options) => ({ ...options, watcherCount: 6 }),
    create: (prng) => ({
      member: (_place, member) => {
        const notify = member.hub.notify.bind(member.hub)
        member.hub.notify = (revision, events) => {
          const [, ...rest] = events
          if (prng.perMille(30) && rest.length > 0) notify(revision, rest)
          else notify(revision, events)
        }
      },
    }),
  },
  {
    name: 'a watcher that was behind skips a revision',
    foundBy: ['watch'],
    shape: (options) => ({ ...options, watcherCount: 6 }),
    create: (prng) => ({
      member: (_place, member) => {
        const { store } = member
        const eventsSince = store.eventsSince.bind(store)
        store.eventsSince = (wanted, done) => {
          const isSkipping = prng.perMille(100) && wanted.from < wanted.to
          eventsSince(isSkipping ? { ...wanted, from: wanted.from + 1 } : wanted, done)
        }
      },
    }),
  },
  {
    name: 'a previous value is that of another revision',
    foundBy: ['watch'],
    shape: (options) => ({
      ...options,
      watcherCount: 6,
      keyCount: 2,
      workload: { ...options.workload, put: 20 },
    }),
    create: () => ({
      member: (_place, member) => {
        const { store } = member
        const prevKv = store.prevKv.bind(store)
        store.prevKv = (event) =>
          prevKv({ ...event, modRevision: (event.modRevision - 1) as typeof event.modRevision })
      },
    }),
  },
  {
    name: 'progress is told although a watcher is behind',
    foundBy: ['watch'],
    shape: watched(shaped({ crash: 1 }, { put: 30 })),
    install: () =>
      replaced(WatchStream.prototype, 'onRequest', (onRequest) => {
        return function (this: WatchStream, request: Parameters<WatchStream['onRequest']>[0]) {
          if (request.progressRequest === undefined || this.watcherCount === 0)
            return onRequest.call(this, request)
          this.sendProgress(NO_WATCH_ID)
          return 'taken'
        }
      }),
  },
  {
    name: 'a watcher goes back when its member catches up by a snapshot',
    foundBy: ['watch'],
    shape: behindSnapshots,
    create: () => ({
      member: (_place, { hub }) => {
        const streams = new Set<WatchStream>()
        const [open, resync] = [hub.open.bind(hub), hub.resync.bind(hub)]
        hub.open = (options) => {
          const stream = open(options)
          streams.add(stream)
          return stream
        }
        hub.resync = () => {
          // Where it wanted to begin is forgotten.
          for (const stream of streams)
            for (const watcher of stream.watchers())
              if (watcher.state === 'synced') watcher.nextRevision = 0
          resync()
        }
      },
    }),
  },
  {
    name: 'a slow client gets its last event twice',
    foundBy: ['watch'],
    shape: watched(shaped({}, { put: 30 })),
    install: () =>
      replaced(WatcherPlaces.prototype, 'fallBehind', (fallBehind) => {
        return function (this: WatcherPlaces, watcher: Watcher, keepFrom: number): void {
          fallBehind.call(this, watcher, keepFrom)
          watcher.nextRevision = Math.max(1, watcher.nextRevision - 1)
        }
      }),
  },
  {
    name: 'a slow client loses the event that did not fit',
    foundBy: ['watch'],
    shape: watched(shaped({}, { put: 30 })),
    install: () =>
      replaced(WatcherPlaces.prototype, 'fallBehind', (fallBehind) => {
        return function (this: WatcherPlaces, watcher: Watcher, keepFrom: number): void {
          fallBehind.call(this, watcher, keepFrom)
          watcher.nextRevision++
        }
      }),
  },
  {
    name: 'a compaction takes the deletion at its own revision',
    foundBy: ['watch', 'no-crash'],
    shape: watched(shaped({}, { compact: 10, delete: 20, 'delete-range': 10, put: 20 })),
    install: () =>
      replaced(KeyIndex.prototype, 'compactSlot', (compactSlot) => {
        return function (this: KeyIndex, ...[slot, options, visit]): void {
          compactSlot.call(this, slot, { ...options, keepsTombstone: false }, visit)
        }
      }),
  },
  {
    name: 'a watch from the compacted revision itself is refused',
    foundBy: ['watch'],
    shape: watched(shaped({ crash: 2 }, { compact: 10, put: 20 })),
    create: () => ({
      member: (_place, { store }) => {
        const eventsSince = store.eventsSince.bind(store)
        store.eventsSince = (wanted, done) => {
          const { compactedRevision } = store
          if (wanted.from > compactedRevision) eventsSince(wanted, done)
          else done({ kind: 'compacted', compactRevision: compactedRevision })
        }
      },
    }),
  },
  {
    name: 'a watcher that a compaction overtook goes on behind it',
    foundBy: ['watch'],
    shape: watched(shaped({ crash: 2 }, { compact: 10, put: 20 })),
    install: () =>
      replaced(WatchStream.prototype, 'cancelCompacted', () => (watcher, compactRevision) => {
        watcher.nextRevision = compactRevision
      }),
  },
  {
    name: 'a full client is sent further events',
    foundBy: ['queue-bounds'],
    shape: watched(shaped({}, { put: 30 })),
    install: () => {
      const original = Object.getOwnPropertyDescriptor(WatchStream.prototype, 'isBlocked') ?? {}
      Object.defineProperty(WatchStream.prototype, 'isBlocked', { ...original, get: () => false })
      return () => Object.defineProperty(WatchStream.prototype, 'isBlocked', original)
    },
  },
  {
    name: 'a stream that was closed is kept',
    foundBy: ['leak'],
    shape: watched(shaped({}, { put: 10 })),
    install: () => replaced(WatchStream.prototype, 'close', () => () => undefined),
  },
]
