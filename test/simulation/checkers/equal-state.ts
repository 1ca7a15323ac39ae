import type { Applied } from '../../../src/apply/state-machine.js'
import type { StoreEvent } from '../../../src/mvcc/store-event.js'
import type { V3Request } from '../../../src/wire/raft-envelope.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'

/** What is counted of a member's state. */
interface Outline {
  readonly revision: number
  readonly keys: number
  readonly compacted: number
  readonly leases: number
  readonly leasedKeys: number
}

const isEqual = (a: Outline, b: Outline): boolean =>
  a.revision === b.revision &&
  a.keys === b.keys &&
  a.compacted === b.compacted &&
  a.leases === b.leases &&
  a.leasedKeys === b.leasedKeys

const describe = ({ revision, keys, compacted, leases, leasedKeys }: Outline): string =>
  `${revision}/${keys}/${compacted}/${leases}/${leasedKeys}`

/**
 * Members that applied the same are the same: each request came to the same end on all of them, and
 * at each applied index their stores have the same outline. Their whole content is compared by
 * HashKV, now and then and at quiet (`compareHashes`).
 */
export class EqualState implements Checker {
  readonly #world: World
  /** What the first member that applied a request had of it, by request id. */
  readonly #outcomes = new Map<bigint, number>()
  /** What the first member that stopped at an applied index looked like. */
  readonly #outlines = new Map<number, Outline>()
  readonly #seen = new Map<SimulatedNode, number>()

  constructor(world: World) {
    this.#world = world
  }

  onApplied(place: SimulatedNode, { id, operation }: V3Request, applied: Applied): void {
    // Whether the quota is used up is each member's own affair; the alarm then stops all of them.
    if (applied.outcome.kind === 'failed' && applied.outcome.code === 'NO_SPACE') return
    const digest = digestOf(applied)
    const known = this.#outcomes.get(id)
    if (known === undefined) this.#outcomes.set(id, digest)
    else if (known !== digest)
      this.#world.fail(
        'equal-state',
        `request ${id} (${operation}) came to another end on member ${place.place} than on others`,
      )
  }

  afterEvent(place: SimulatedNode): void {
    const { member } = place
    if (member === undefined || !member.isServing) return
    const { appliedIndex } = member
    if (this.#seen.get(place) === appliedIndex) return
    this.#seen.set(place, appliedIndex)
    // After a restart the backend may be ahead of what was applied again.
    if (member.backend.consistentIndex > appliedIndex) return
    const { store, currentRevision } = member
    const { lessor } = member.state
    const outline: Outline = {
      revision: currentRevision,
      keys: store.liveKeyCount,
      compacted: store.compactedRevision,
      leases: lessor.size,
      leasedKeys: lessor.attachedKeyCount,
    }
    const known = this.#outlines.get(appliedIndex)
    if (known === undefined) this.#outlines.set(appliedIndex, outline)
    else if (!isEqual(known, outline))
      this.#world.fail(
        'equal-state',
        `member ${place.place} at ${appliedIndex} is ${describe(outline)}, another was ${describe(known)}`,
      )
  }
}

function digestOf({ outcome, events }: Applied): number {
  let digest = outcome.kind === 'applied' ? outcome.revision : -text(outcome.code)
  for (const event of events) digest = (Math.imul(digest, 31) + digestOfEvent(event)) | 0
  return digest
}

function digestOfEvent({ type, key, modRevision, sub, kv }: StoreEvent): number {
  return (
    text(key) ^
    (type === 'PUT' ? 0x5555 : 0) ^
    (modRevision << 8) ^
    sub ^
    Math.imul(kv.length, 0x01000193)
  )
}

function text(value: string): number {
  let digest = 0
  for (let at = 0; at < value.length; at++) digest = (digest * 31 + value.charCodeAt(at)) | 0
  return digest
}
