import { clusterId } from '../../../src/base/ids.js'
import { Membership } from '../../../src/membership/membership.js'
import { ConfChange, type ConfState } from '../../../src/wire/raftpb.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker, Commit } from './checker.js'

/** As the simulated members have it. */
const LEARNERS_MAX = 1

export interface Configuration {
  /** It holds from the entry after this one on. */
  readonly index: number
  readonly voters: ReadonlySet<bigint>
  readonly learners: ReadonlySet<bigint>
}

/** Before the first change. */
export const NOBODY: Configuration = { index: 0, voters: new Set(), learners: new Set() }

/**
 * Who may vote follows from the committed changes of membership and from nothing else: one member
 * at a time, in the order of the log, and only once the change is committed.
 */
export class MembershipChanges implements Checker {
  readonly #world: World
  /** One for each change that was committed, oldest first. */
  readonly #configurations: Configuration[] = [NOBODY]

  /** Which changes make sense at all. */
  readonly #rules = new Membership({ clusterId: clusterId(0n), learnersMax: LEARNERS_MAX })

  constructor(world: World) {
    this.#world = world
  }

  /** The voters that may have been counted for an entry: the last change may still be under way. */
  configurationsAt(index: number): readonly ReadonlySet<bigint>[] {
    const { length } = this.#configurations
    const found: ReadonlySet<bigint>[] = []
    for (let at = length - 1; at >= 0 && found.length < 2; at--) {
      const configuration = this.#configurations[at]
      if (configuration === undefined || configuration.index >= index) continue
      if (configuration.voters.size > 0) found.push(configuration.voters)
    }
    return found
  }

  /** As the last committed change made it. */
  get last(): Configuration {
    return this.#configurations.at(-1) ?? NOBODY
  }

  onCommitted({ entry }: Commit): void {
    if (entry.type !== 'EntryConfChange') return
    const verdict = this.#rules.validate(ConfChange.decode(entry.data))
    if (verdict.kind !== 'valid') return
    this.#rules.apply(verdict.change, { tree: undefined, rows: undefined })
    const { last } = this
    const voters = new Set<bigint>(this.#rules.votingMembers().map(({ id }) => id))
    const learners = new Set<bigint>(this.#rules.learners().map(({ id }) => id))
    this.#configurations.push({ index: entry.index, voters, learners })
    const changed = [...voters, ...last.voters].filter(
      (id) => voters.has(id) !== last.voters.has(id),
    )
    if (changed.length > 1)
      this.#world.fail('membership', `entry ${entry.index} changes ${changed.length} voters`)
  }

  onConfiguration(place: SimulatedNode, state: ConfState): void {
    const { voters, votersOutgoing, learners } = state
    if (votersOutgoing.length > 0)
      this.#world.fail('membership', `member ${place.place} is in a joint configuration`)
    for (const { voters: wanted, learners: known } of this.#configurations) {
      const isThis =
        voters.length === wanted.size &&
        learners.length === known.size &&
        voters.every((id) => wanted.has(id)) &&
        learners.every((id) => known.has(id))
      if (isThis) return
    }
    this.#world.fail(
      'membership',
      `member ${place.place} counts with voters ${voters.map((id) => id.toString(16)).join(' ')}, which no committed change made`,
    )
  }
}
