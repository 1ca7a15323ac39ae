import { type LogIndex, type MemberId, ZERO_INDEX } from '../../base/ids.js'
import type { ConfState } from '../../wire/raftpb.js'
import { minIndex } from '../log-position.js'
import { type JointVoters, jointVoteResult } from '../quorum/joint.js'
import { majorityIndex, type VoteResult } from '../quorum/majority.js'
import { Inflights } from './inflights.js'
import { Progress } from './progress.js'

/** Who belongs to the group. Invariants are checked by the changer (confchange/changer.ts). */
export interface TrackerConfig extends JointVoters {
  /** Leave the joint configuration as soon as entering it is applied. False unless joint. */
  readonly autoLeave: boolean
  /** Receive the log, do not count. Disjoint from both sets of voters. */
  readonly learners: ReadonlySet<MemberId>
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learnersNext: ReadonlySet<MemberId>
}

const NOBODY: ReadonlySet<MemberId> = new Set()

export const EMPTY_CONFIG: TrackerConfig = {
  incoming: NOBODY,
  outgoing: NOBODY,
  autoLeave: false,
  learners: NOBODY,
  learnersNext: NOBODY,
}

/** How much may be under way to one follower. */
export type WindowLimits = Readonly<{ countMax: number; bytesMax: number }>

export const compareIds = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)
export const sortedIds = (ids: Iterable<MemberId>): MemberId[] => [...ids].sort(compareIds)

/** The configuration, the progress of every member in it, and the votes of the present election. */
export class ProgressTracker {
  readonly window: WindowLimits
  #config: TrackerConfig = EMPTY_CONFIG
  #progress: ReadonlyMap<MemberId, Progress> = new Map()
  #votes = new Map<MemberId, boolean>()
  /** Derived from the two above on each change, so that the hot paths neither sort nor look up. */
  #members: readonly Progress[] = []
  #incoming: readonly Progress[] = []
  #outgoing: readonly Progress[] = []
  #scratch: LogIndex[] = []

  constructor(window: WindowLimits) {
    this.window = window
  }

  get config(): TrackerConfig {
    return this.#config
  }

  get progress(): ReadonlyMap<MemberId, Progress> {
    return this.#progress
  }

  /** All members, learners included, by ascending id. */
  get members(): readonly Progress[] {
    return this.#members
  }

  /** Takes over a checked configuration with the progress of exactly its members. */
  replace(config: TrackerConfig, progress: ReadonlyMap<MemberId, Progress>): void {
    this.#config = config
    this.#progress = progress
    this.#members = [...progress.values()].sort((a, b) => compareIds(a.id, b.id))
    this.#incoming = this.#members.filter(({ id }) => config.incoming.has(id))
    this.#outgoing = this.#members.filter(({ id }) => config.outgoing.has(id))
    const scratchCount = Math.max(this.#incoming.length, this.#outgoing.length)
    this.#scratch = new Array(scratchCount).fill(ZERO_INDEX)
  }

  /**
   * Progress of a member that joins: optimistic about its log, and active until the next quorum
   * check.
   */
  createProgress(id: MemberId, lastIndex: LogIndex, isLearner: boolean): Progress {
    const next = (lastIndex > 1 ? lastIndex : 1) as LogIndex
    const progress = new Progress({ id, next, isLearner, inflights: new Inflights(this.window) })
    progress.recentActive = true
    return progress
  }

  isVoter(id: MemberId): boolean {
    return this.#config.incoming.has(id) || this.#config.outgoing.has(id)
  }

  /** Whether one voter decides alone. */
  isSingleton(): boolean {
    return this.#config.incoming.size === 1 && this.#config.outgoing.size === 0
  }

  /** The voters of both halves, ascending. */
  voterIds(): MemberId[] {
    return sortedIds(new Set([...this.#config.incoming, ...this.#config.outgoing]))
  }

  confState(): ConfState {
    const { incoming, outgoing, learners, learnersNext, autoLeave } = this.#config
    return {
      voters: sortedIds(incoming),
      learners: sortedIds(learners),
      votersOutgoing: sortedIds(outgoing),
      learnersNext: sortedIds(learnersNext),
      autoLeave,
    }
  }

  /** The highest index that a quorum has. O(voters), no allocation. */
  committedIndex(): LogIndex {
    return minIndex(this.#reachedBy(this.#incoming), this.#reachedBy(this.#outgoing))
  }

  #reachedBy(voters: readonly Progress[]): LogIndex {
    for (let i = 0; i < voters.length; i++) this.#scratch[i] = (voters[i] as Progress).match
    return majorityIndex(this.#scratch, voters.length)
  }

  /** Whether a quorum has been heard from since the last check. */
  isQuorumActive(): boolean {
    const votes = new Map<MemberId, boolean>()
    for (const { id, isLearner, recentActive } of this.#members) {
      if (!isLearner) votes.set(id, recentActive)
    }
    return jointVoteResult(this.#config, votes) === 'won'
  }

  resetVotes(): void {
    this.#votes = new Map()
  }

  /** The first vote of a member counts. */
  recordVote(id: MemberId, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted)
  }

  tallyVotes(): Readonly<{ granted: number; rejected: number; result: VoteResult }> {
    let granted = 0
    let rejected = 0
    for (const { id, isLearner } of this.#members) {
      const vote = this.#votes.get(id)
      if (isLearner || vote === undefined) continue
      if (vote) granted += 1
      else rejected += 1
    }
    return { granted, rejected, result: jointVoteResult(this.#config, this.#votes) }
  }
}
