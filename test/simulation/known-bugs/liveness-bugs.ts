import { SnapshotReceiver } from '../../../src/backend/snapshot-receiver.js'
import type { LogIndex } from '../../../src/base/ids.js'
import { ProgressTracker } from '../../../src/raft/tracker/progress-tracker.js'
import type { KnownBug } from './known-bug.js'
import { replaced, shaped } from './tools.js'

/** Nothing is ever wrong, and it does not go on. */
export const LIVENESS_BUGS: readonly KnownBug[] = [
  {
    name: 'an entry is committed only when every voter has it',
    foundBy: ['liveness'],
    shape: shaped({ crash: 2 }),
    install: () =>
      replaced(ProgressTracker.prototype, 'committedIndex', () => {
        return function (this: ProgressTracker): LogIndex {
          const voters = this.voterIds()
          const reached = voters.map((id) => this.progress.get(id)?.match ?? 0)
          return Math.min(...reached) as LogIndex
        }
      }),
  },
  {
    name: 'a leader that was told by nobody that a quorum is gone leads on',
    foundBy: ['liveness'],
    // Whoever is deaf hears of no other leader, and its followers hear of it for ever.
    shape: shaped({ 'one-way-partition': 8 }, {}, { preVote: true }),
    install: () => replaced(ProgressTracker.prototype, 'isQuorumActive', () => () => true),
  },
  {
    name: 'a snapshot that was torn while it came stays open',
    foundBy: ['liveness', 'leak'],
    shape: (options) => ({
      ...shaped(
        { partition: 5, 'isolate-leader': 4 },
        { put: 30 },
        { snapshotCount: 10, catchUpEntries: 1, cutSlackEntries: 5 },
      )(options),
      network: { ...options.network, tornSnapshotPerMille: 500 },
    }),
    install: () => replaced(SnapshotReceiver.prototype, 'abort', () => (done) => done(undefined)),
  },
  {
    name: 'a snapshot that did not arrive is never sent again',
    foundBy: ['liveness'],
    shape: (options) => ({
      ...shaped(
        { partition: 4, 'isolate-leader': 6 },
        { put: 30 },
        { snapshotCount: 3, catchUpEntries: 1, cutSlackEntries: 1 },
      )(options),
      network: { ...options.network, tornSnapshotPerMille: 500 },
    }),
    create: () => ({
      node: (_place, node) => {
        const report = node.reportSnapshot.bind(node)
        node.reportSnapshot = (id, outcome) => {
          if (outcome === 'finish') report(id, outcome)
        }
        return node
      },
    }),
  },
]
