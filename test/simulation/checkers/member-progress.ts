import type { Member } from '../../../src/member/member.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'

/**
 * A member applies only what is committed, and neither its applied index nor its revision goes
 * back while its process lives. (That nothing beyond the end of the log is committed the core
 * asserts itself: its log is its own.)
 */
export class MemberProgress implements Checker {
  readonly #world: World
  readonly #seen = new Map<SimulatedNode, { readonly applied: number; readonly revision: number }>()

  constructor(world: World) {
    this.#world = world
  }

  onMember(place: SimulatedNode, _member: Member): void {
    this.#seen.delete(place)
  }

  afterEvent(place: SimulatedNode): void {
    const { member } = place
    if (member === undefined || !member.isServing) return
    const { appliedIndex } = member
    const before = this.#seen.get(place)
    if (before !== undefined && before.applied === appliedIndex) return
    const { committedIndex, currentRevision } = member
    this.#seen.set(place, { applied: appliedIndex, revision: currentRevision })
    if (appliedIndex > committedIndex)
      this.#world.fail(
        'applied',
        `member ${place.place} applied ${appliedIndex} of ${committedIndex}`,
      )
    const wentBack =
      before !== undefined && (appliedIndex < before.applied || currentRevision < before.revision)
    if (wentBack)
      this.#world.fail(
        'monotonic',
        `member ${place.place} went back: ${before.applied} -> ${appliedIndex}, revision ${before.revision} -> ${currentRevision}`,
      )
  }
}
