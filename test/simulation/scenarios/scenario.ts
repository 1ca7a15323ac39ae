import type { ProposalOutcome } from '../../../src/member/proposals.js'
import { NOBODY } from '../checkers/membership-changes.js'
import { Cluster } from '../cluster.js'
import type { SimulatedNode } from '../node.js'
import { drawFirst, type SimulationOptions } from '../options.js'
import { World } from '../world/world.js'

/** How many microtasks a promise of ours needs at most to move on. */
const MICROTASK_HOPS = 16
/** What is waited for comes within so long, virtual microseconds. */
const PATIENCE_US = 60_000_000

/** A cluster in which nothing goes wrong but what a script does to it. */
export class Scenario {
  readonly world: World
  readonly cluster: Cluster

  constructor(seed: number, change: Partial<SimulationOptions> = {}) {
    const drawn = drawFirst(seed)
    const network = { ...drawn.network, lossPerMille: 0, duplicatePerMille: 0 }
    const options = { ...drawn, memberCount: 3, network, ...change }
    this.world = new World(seed, undefined)
    this.cluster = new Cluster(
      this.world,
      options,
      [],
      () => NOBODY,
      () => undefined,
    )
    this.cluster.start()
  }

  /** Lets things happen until `isDone`; throws when that takes too long, or when something happened that must not. */
  async until(what: string, isDone: () => boolean): Promise<void> {
    const { queue } = this.world
    const untilUs = queue.nowUs + PATIENCE_US
    while (!isDone()) {
      if (!queue.step(untilUs)) throw new Error(`waited in vain: ${what}`)
      for (let hop = 0; hop < MICROTASK_HOPS; hop++) await undefined
      if (this.world.violation !== undefined) throw new Error(this.world.violation.message)
    }
  }

  /** Waits until there is a leader that everybody follows, with everything applied everywhere. */
  async settled(): Promise<SimulatedNode> {
    await this.until('all members equal', () => {
      const applied = this.cluster.leader?.member?.appliedIndex ?? -1
      return this.cluster.nodes.every(
        ({ isUp, member }) =>
          isUp && member?.appliedIndex === applied && member.lastIndex === applied,
      )
    })
    const { leader } = this.cluster
    if (leader === undefined) throw new Error('somebody leads')
    return leader
  }

  /** Proposes at a member and waits for what comes of it. */
  async propose(
    { member }: SimulatedNode,
    operation: 'put' | 'compaction' | 'alarm',
    encoded: Uint8Array,
  ): Promise<ProposalOutcome> {
    let outcome: ProposalOutcome | undefined
    member?.propose(operation, encoded, (came) => {
      outcome = came
    })
    await this.until(`an answer to a ${operation}`, () => outcome !== undefined)
    if (outcome === undefined) throw new Error('there is an answer')
    return outcome
  }
}
