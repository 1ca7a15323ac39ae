import type { LogIndex, MemberId } from '../../base/ids.js'
import { NO_MEMBER } from '../../base/ids.js'
import { exhaustive } from '../../base/invariant.js'
import type { ConfChangeSingle } from '../../wire/raftpb.js'
import type { Progress } from '../tracker/progress.js'
import type { ProgressTracker, TrackerConfig } from '../tracker/progress-tracker.js'

/** A configuration and the progress of exactly its members. */
export interface Membership {
  readonly config: TrackerConfig
  readonly progress: ReadonlyMap<MemberId, Progress>
}

/** The membership after a change, or why the change cannot be made (etcd's text). */
export type ChangeResult = Membership | string

/** A copy to work on. */
interface Draft {
  readonly incoming: Set<MemberId>
  readonly outgoing: Set<MemberId>
  readonly learners: Set<MemberId>
  readonly learnersNext: Set<MemberId>
  autoLeave: boolean
  readonly progress: Map<MemberId, Progress>
}

/**
 * Works out configurations (Raft §6, thesis 4.3). Never touches what it is given: results are
 * copies, to be put in force by the caller. Removing who is absent and adding who is present are no
 * errors.
 */
export class ConfChanger {
  readonly #tracker: ProgressTracker
  readonly #lastIndex: LogIndex
  readonly #membership: Membership

  /**
   * `lastIndex`: where probing of new members starts. `membership`: what to change, else the
   * tracker's.
   */
  constructor(tracker: ProgressTracker, lastIndex: LogIndex, membership: Membership = tracker) {
    this.#tracker = tracker
    this.#lastIndex = lastIndex
    this.#membership = membership
  }

  /** Changes at most one voter, any number of learners: both configurations share a majority. */
  simple(changes: readonly ConfChangeSingle[]): ChangeResult {
    const draft = this.#draft()
    if (isJoint(draft)) return "can't apply simple config change in joint config"
    const error = this.#apply(draft, changes)
    if (error !== undefined) return error
    if (differenceCount(this.#membership.config.incoming, draft.incoming) > 1) {
      return 'more than one voter changed without entering joint config'
    }
    return finish(draft)
  }

  /** The present voters become the outgoing half; the changes make the incoming one. */
  enterJoint(autoLeave: boolean, changes: readonly ConfChangeSingle[]): ChangeResult {
    const draft = this.#draft()
    if (isJoint(draft)) return 'config is already joint'
    if (draft.incoming.size === 0) return "can't make a zero-voter config joint"
    for (const id of draft.incoming) draft.outgoing.add(id)
    const error = this.#apply(draft, changes)
    if (error !== undefined) return error
    draft.autoLeave = autoLeave
    return finish(draft)
  }

  /**
   * The incoming half alone is in force; who was demoted becomes a learner, who left is forgotten.
   */
  leaveJoint(): ChangeResult {
    const draft = this.#draft()
    if (!isJoint(draft)) return "can't leave a non-joint config"
    for (const id of draft.learnersNext) {
      draft.learners.add(id)
      const progress = draft.progress.get(id)
      if (progress !== undefined) progress.isLearner = true
    }
    draft.learnersNext.clear()
    for (const id of draft.outgoing) {
      if (!draft.incoming.has(id) && !draft.learners.has(id)) draft.progress.delete(id)
    }
    draft.outgoing.clear()
    draft.autoLeave = false
    return finish(draft)
  }

  #draft(): Draft {
    const { config, progress } = this.#membership
    const copies = new Map<MemberId, Progress>()
    for (const [id, original] of progress) copies.set(id, original.clone())
    return {
      incoming: new Set(config.incoming),
      outgoing: new Set(config.outgoing),
      learners: new Set(config.learners),
      learnersNext: new Set(config.learnersNext),
      autoLeave: config.autoLeave,
      progress: copies,
    }
  }

  #apply(draft: Draft, changes: readonly ConfChangeSingle[]): string | undefined {
    for (const { type, nodeId } of changes) {
      // etcd puts 0 into a change that it decided not to make when applying it.
      if (nodeId === NO_MEMBER) continue
      switch (type) {
        case 'ConfChangeAddNode':
          this.#makeVoter(draft, nodeId)
          break
        case 'ConfChangeAddLearnerNode':
          this.#makeLearner(draft, nodeId)
          break
        case 'ConfChangeRemoveNode':
          remove(draft, nodeId)
          break
        case 'ConfChangeUpdateNode':
          break
        case 'UNKNOWN':
          return 'unexpected conf type'
        default:
          exhaustive(type)
      }
    }
    return draft.incoming.size === 0 ? 'removed all voters' : undefined
  }

  #makeVoter(draft: Draft, id: MemberId): void {
    const progress = draft.progress.get(id)
    if (progress === undefined) this.#join(draft, id, false)
    else progress.isLearner = false
    draft.learners.delete(id)
    draft.learnersNext.delete(id)
    draft.incoming.add(id)
  }

  /** A voter of the outgoing half can only become a learner later: a member is never both. */
  #makeLearner(draft: Draft, id: MemberId): void {
    const progress = draft.progress.get(id)
    if (progress === undefined) {
      this.#join(draft, id, true)
      draft.learners.add(id)
      return
    }
    if (progress.isLearner) return
    remove(draft, id)
    draft.progress.set(id, progress)
    if (draft.outgoing.has(id)) {
      draft.learnersNext.add(id)
      return
    }
    progress.isLearner = true
    draft.learners.add(id)
  }

  #join(draft: Draft, id: MemberId, isLearner: boolean): void {
    draft.progress.set(id, this.#tracker.createProgress(id, this.#lastIndex, isLearner))
  }
}

function remove(draft: Draft, id: MemberId): void {
  draft.incoming.delete(id)
  draft.learners.delete(id)
  draft.learnersNext.delete(id)
  if (!draft.outgoing.has(id)) draft.progress.delete(id)
}

const isJoint = (draft: Draft): boolean => draft.outgoing.size > 0

function differenceCount(a: ReadonlySet<MemberId>, b: ReadonlySet<MemberId>): number {
  let count = 0
  for (const id of a) if (!b.has(id)) count += 1
  for (const id of b) if (!a.has(id)) count += 1
  return count
}

function finish(draft: Draft): ChangeResult {
  const { incoming, outgoing, learners, learnersNext, autoLeave, progress } = draft
  const config: TrackerConfig = { incoming, outgoing, learners, learnersNext, autoLeave }
  const membership = { config, progress }
  return brokenRule(membership) ?? membership
}

/** The rule that a membership breaks, in etcd's words; `undefined` when it is sound. */
export function brokenRule({ config, progress }: Membership): string | undefined {
  const { incoming, outgoing, learners, learnersNext } = config
  for (const id of [...incoming, ...outgoing, ...learners, ...learnersNext]) {
    if (!progress.has(id)) return `no progress for ${id}`
  }
  for (const id of learnersNext) {
    if (!outgoing.has(id)) return `${id} is in LearnersNext, but not Voters[1]`
    if (progress.get(id)?.isLearner === true) {
      return `${id} is in LearnersNext, but is already marked as learner`
    }
  }
  for (const id of learners) {
    if (outgoing.has(id)) return `${id} is in Learners and Voters[1]`
    if (incoming.has(id)) return `${id} is in Learners and Voters[0]`
    if (progress.get(id)?.isLearner === false) {
      return `${id} is in Learners, but is not marked as learner`
    }
  }
  if (outgoing.size > 0) return undefined
  if (learnersNext.size > 0) return 'cfg.LearnersNext must be nil when not joint'
  return config.autoLeave ? 'AutoLeave must be false when not joint' : undefined
}
