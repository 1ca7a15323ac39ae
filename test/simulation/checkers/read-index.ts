import { latin1FromBytes } from '../../../src/base/latin1.js'
import type { Ready } from '../../../src/raft/raw-node.js'
import type { Operation } from '../history.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'
import type { CommitHistory } from './commit-history.js'

/** Questions without an answer that are remembered at most; the oldest are forgotten first. */
const QUESTIONS_MAX = 10_000

/** A read waits at least for every revision that any client had been told of before it began. */
export class ReadIndexes implements Checker {
  readonly #world: World
  readonly #commits: CommitHistory
  /** Highest revision in an answer that reached its client. */
  #acknowledged = 1
  /** By context: the entry that the answer must not be below. */
  readonly #floors = new Map<string, number>()

  constructor(world: World, commits: CommitHistory) {
    this.#world = world
    this.#commits = commits
  }

  onAnswered({ outcome }: Operation): void {
    if (outcome.kind === 'answered' && outcome.revision > this.#acknowledged)
      this.#acknowledged = outcome.revision
  }

  onReadIndex(_place: SimulatedNode, context: Uint8Array): void {
    const key = latin1FromBytes(context)
    if (this.#floors.has(key)) return
    this.#floors.set(key, this.#commits.indexOfRevision[this.#acknowledged] ?? 0)
    if (this.#floors.size <= QUESTIONS_MAX) return
    const [oldest] = this.#floors.keys()
    if (oldest !== undefined) this.#floors.delete(oldest)
  }

  onReady(place: SimulatedNode, { readStates }: Ready): void {
    for (const { context, index } of readStates) {
      const key = latin1FromBytes(context)
      const floor = this.#floors.get(key)
      if (floor === undefined) continue
      this.#floors.delete(key)
      if (index < floor)
        this.#world.fail(
          'read-index',
          `member ${place.place} may read at entry ${index}, but ${floor} was acknowledged before`,
        )
    }
  }
}
