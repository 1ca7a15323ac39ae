import type { Member } from '../../../src/member/member.js'
import { readAt } from '../describe-store.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'
import type { CommitHistory } from './commit-history.js'

/**
 * A compaction takes nothing that a reader at its revision or above sees, revives nothing that was
 * deleted, and leaves nothing to be read below. Looked at whenever a member has carried one out.
 */
export class Compactions implements Checker {
  readonly #world: World
  readonly #commits: CommitHistory
  readonly #finished = new Map<SimulatedNode, number>()

  constructor(world: World, commits: CommitHistory) {
    this.#world = world
    this.#commits = commits
  }

  onMember(place: SimulatedNode, { store }: Member): void {
    this.#finished.set(place, store.finishedCompactRevision)
  }

  afterEvent(place: SimulatedNode): void {
    const { member } = place
    if (member === undefined || !member.isServing) return
    const { store } = member
    const finished = store.finishedCompactRevision
    if (this.#finished.get(place) === finished) return
    this.#finished.set(place, finished)
    this.#world.mark('compaction-finished')
    const { compactedRevision, currentRevision } = store
    this.#compare(place, member, compactedRevision)
    this.#compare(place, member, currentRevision)
    if (compactedRevision > 1 && readAt(member, compactedRevision - 1) !== 'COMPACTED')
      this.#fail(place, `can be read at ${compactedRevision - 1}, below what was compacted`)
  }

  #compare(place: SimulatedNode, member: Member, at: number): void {
    const { model } = this.#commits
    if (at < 1 || at > model.revision) return
    const found = readAt(member, at)
    const wanted = model.describeRange(at)
    if (found !== wanted)
      this.#fail(place, `has at ${at} after a compaction ${found}, the model ${wanted}`)
  }

  #fail(place: SimulatedNode, message: string): void {
    this.#world.fail('compaction', `member ${place.place} ${message}`)
  }
}
