import type { Applied } from '../../../src/apply/state-machine.js'
import { leaseId } from '../../../src/base/ids.js'
import type { V3Request } from '../../../src/wire/raft-envelope.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'
import type { CommitHistory } from './commit-history.js'

/**
 * A lease ends on all members at one revision: with the entry that revokes it the lease, its hold
 * on keys, and the keys are gone.
 */
export class LeaseEnds implements Checker {
  readonly #world: World
  readonly #commits: CommitHistory

  constructor(world: World, commits: CommitHistory) {
    this.#world = world
    this.#commits = commits
  }

  onApplied(place: SimulatedNode, request: V3Request, { outcome, events }: Applied): void {
    if (request.operation !== 'leaseRevoke' || outcome.kind !== 'applied') return
    const { member } = place
    if (member === undefined) return
    const id = leaseId(request.request.ID)
    const { lessor } = member.state
    if (lessor.has(id) || lessor.keysOf(id).length > 0)
      this.#fail(place, `lease ${id} is there after its end`)
    const { model } = this.#commits
    const wanted = events.length === 0 ? [] : (model.events.get(outcome.revision) ?? [])
    for (const { key } of wanted) {
      const isGone = events.some((event) => event.key === key && event.type === 'DELETE')
      if (!isGone) this.#fail(place, `key ${key} of lease ${id} is there after its end`)
    }
    for (const { key, type } of events) {
      if (type !== 'DELETE') this.#fail(place, `the end of lease ${id} put ${key}`)
    }
  }

  #fail(place: SimulatedNode, message: string): void {
    this.#world.fail('lease-end', `member ${place.place}: ${message}`)
  }
}
