import { crc32c } from '../../../src/base/crc32c.js'
import { LOCAL_APPLY_THREAD } from '../../../src/raft/message.js'
import type { RawNode, Ready } from '../../../src/raft/raw-node.js'
import type { Entry } from '../../../src/wire/raftpb.js'
import { Model } from '../linearizability/model.js'
import { V2Model } from '../linearizability/v2-model.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker, Commit } from './checker.js'

/**
 * A committed entry never changes: there is one history of the cluster, and every member that has
 * something to apply has that. The history is played on the model as it grows.
 */
export class CommitHistory implements Checker {
  readonly #world: World
  readonly #onCommitted: (commit: Commit, by: SimulatedNode) => void
  /** By index. */
  readonly committed: (Commit | undefined)[] = []
  /** After the whole history as far as it has no gap. */
  readonly model = new Model()
  readonly v2 = new V2Model()
  /** By revision: the entry that made it, and when the first member had that. */
  readonly indexOfRevision: number[] = []
  readonly madeUs = new Map<number, number>()
  #playedIndex = 0

  constructor(world: World, onCommitted: (commit: Commit, by: SimulatedNode) => void) {
    this.#world = world
    this.#onCommitted = onCommitted
  }

  get lastIndex(): number {
    return this.committed.length - 1
  }

  /** Up to here there is no gap, and the model has it. */
  get playedIndex(): number {
    return this.#playedIndex
  }

  onReady(place: SimulatedNode, ready: Ready, core: RawNode): void {
    for (const message of ready.messages) {
      if (message.to !== LOCAL_APPLY_THREAD) continue
      for (const entry of message.entries) this.#take(place, entry, core.term)
    }
  }

  #take(place: SimulatedNode, entry: Entry, term: number): void {
    const crc = crc32c(entry.data, 0, entry.data.length)
    const known = this.committed[entry.index]
    if (known === undefined) {
      const commit = { entry, crc, atUs: this.#world.nowUs, term }
      this.committed[entry.index] = commit
      this.#world.trace.event(place.place, 'commit', entry.index, entry.term, crc)
      this.#play()
      this.#onCommitted(commit, place)
      return
    }
    const isSame = known.entry.term === entry.term && known.crc === crc
    if (!isSame)
      this.#world.fail(
        'commit-history',
        `member ${place.place} has entry ${entry.index} of term ${entry.term}, others of term ${known.entry.term}`,
      )
  }

  #play(): void {
    for (;;) {
      const next = this.committed[this.#playedIndex + 1]
      if (next === undefined) return
      this.#playedIndex++
      const before = this.model.revision
      try {
        this.model.apply(next.entry)
        this.v2.apply(next.entry)
      } catch (error) {
        this.#world.fail('commit-history', `entry ${this.#playedIndex} makes no sense: ${error}`)
      }
      if (this.model.revision > before) {
        this.indexOfRevision[this.model.revision] = this.#playedIndex
        this.madeUs.set(this.model.revision, next.atUs)
      }
      if (this.model.duplicate !== undefined)
        this.#world.fail('applied-twice', this.model.duplicate)
    }
  }
}
