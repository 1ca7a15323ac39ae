import type { Applied } from '../../../src/apply/state-machine.js'
import type { Member } from '../../../src/member/member.js'
import type { MvccStore } from '../../../src/mvcc/mvcc-store.js'
import type { V3Request } from '../../../src/wire/raft-envelope.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'
import type { CommitHistory } from './commit-history.js'

/**
 * A request that changes keys makes one revision, one that changes none makes none; the changes of
 * a revision are numbered without a hole; and they are those that the model has at it.
 */
export class Revisions implements Checker {
  readonly #world: World
  readonly #commits: CommitHistory
  readonly #seen = new WeakMap<MvccStore, number>()

  constructor(world: World, commits: CommitHistory) {
    this.#world = world
    this.#commits = commits
  }

  onMember(_place: SimulatedNode, { store }: Member): void {
    this.#seen.set(store, store.currentRevision)
  }

  onApplied(place: SimulatedNode, { operation }: V3Request, { events }: Applied): void {
    const store = place.member?.store
    if (store === undefined) return
    const { currentRevision } = store
    const before = this.#seen.get(store)
    this.#seen.set(store, currentRevision)
    if (before !== undefined && currentRevision !== before + (events.length > 0 ? 1 : 0))
      this.#fail(place, `${operation} took revision ${before} to ${currentRevision}`)
    events.forEach(({ modRevision, sub }, at) => {
      if (modRevision !== currentRevision || sub !== at)
        this.#fail(place, `change ${at} of revision ${currentRevision} is ${modRevision}/${sub}`)
    })
    const { model } = this.#commits
    if (events.length === 0 || currentRevision > model.revision) return
    const wanted = model.events.get(currentRevision) ?? []
    const isSame =
      wanted.length === events.length &&
      events.every(({ type, key }, at) => wanted[at]?.key === key && wanted[at]?.kind === type)
    if (!isSame)
      this.#fail(
        place,
        `revision ${currentRevision} changed ${events.map(({ key }) => key).join(' ')}, in the model ${wanted.map(({ key }) => key).join(' ')}`,
      )
  }

  #fail(place: SimulatedNode, message: string): void {
    this.#world.fail('revisions', `member ${place.place}: ${message}`)
  }
}
