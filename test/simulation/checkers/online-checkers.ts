import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'
import type { CommitHistory } from './commit-history.js'
import { Compactions } from './compaction.js'
import { Durability } from './durability.js'
import { Election } from './election.js'
import { EqualState } from './equal-state.js'
import { HardStates } from './hard-state.js'
import { LeaseEnds } from './lease-end.js'
import { LogMatching } from './log-matching.js'
import { MemberProgress } from './member-progress.js'
import type { MembershipChanges } from './membership-changes.js'
import { QueueBounds } from './queue-bounds.js'
import { ReadIndexes } from './read-index.js'
import { Revisions } from './revisions.js'
import { SnapshotBodies } from './snapshot-bodies.js'

/** Those that look while things happen, in the order in which they are told. */
export function onlineCheckers(
  world: World,
  commits: CommitHistory,
  membership: MembershipChanges,
  nodes: () => readonly SimulatedNode[],
): readonly Checker[] {
  return [
    new Election(world),
    new HardStates(world),
    new LogMatching(world),
    // The configurations that a commitment is counted with are known before it is counted.
    membership,
    new Durability(world, nodes, membership),
    new ReadIndexes(world, commits),
    commits,
    new MemberProgress(world),
    new EqualState(world),
    new Revisions(world, commits),
    new Compactions(world, commits),
    new LeaseEnds(world, commits),
    new SnapshotBodies(world),
    new QueueBounds(world),
  ]
}
