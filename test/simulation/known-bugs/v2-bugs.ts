import { EventHistory } from '../../../src/v2store/event-history.js'
import { WatcherHub } from '../../../src/v2store/watcher-hub.js'
import type { SimulationOptions } from '../options.js'
import type { KnownBug } from './known-bug.js'
import { replaced, shaped } from './tools.js'

/** Members are cut off while others write v2 keys, and find the log gone that they lack. */
const waiting = (options: SimulationOptions): SimulationOptions => ({
  ...shaped(
    { partition: 5, 'isolate-leader': 4 },
    {},
    { snapshotCount: 10, catchUpEntries: 1, cutSlackEntries: 5 },
  )(options),
  v2ClientCount: 4,
  v2WatcherCount: 6,
  keyCount: 3,
  faultMeanMs: 2500,
})

/** What clients that wait for v2 keys are told. */
export const V2_BUGS: readonly KnownBug[] = [
  {
    name: 'who waits for v2 keys is not told of what a snapshot brought',
    foundBy: ['v2-watch'],
    shape: waiting,
    install: () =>
      replaced(WatcherHub.prototype, 'adopt', (adopt) => {
        return function (this: WatcherHub, watcher, _nextIndex, storeIndex) {
          return adopt.call(this, watcher, storeIndex + 1, storeIndex)
        }
      }),
  },
  {
    name: 'a v2 wait for an index begins behind it',
    foundBy: ['v2-watch'],
    shape: waiting,
    install: () =>
      replaced(EventHistory.prototype, 'scan', (scan) => {
        return function (this: EventHistory, options) {
          return scan.call(this, { ...options, index: options.index + 1 })
        }
      }),
  },
]
