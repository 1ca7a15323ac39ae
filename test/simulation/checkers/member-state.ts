import { revision } from '../../../src/base/ids.js'
import { bytesFromLatin1 } from '../../../src/base/latin1.js'
import { evaluateRange } from '../../../src/mvcc/range-request.js'
import { RangeRequest, RangeResponse } from '../../../src/wire/rpc.js'
import { describeKeyValue, plainKeyValue } from '../describe-response.js'
import type { Model } from '../linearizability/model.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'

interface Seen {
  readonly applied: number
  readonly revision: number
}

/** What holds of each member after each event, and what two members that applied the same must agree on. */
export class MemberState {
  readonly #world: World
  /** By place and incarnation. */
  readonly #seen = new Map<string, Seen>()
  /** What the first member that stopped at an applied index looked like. */
  readonly #fingerprints = new Map<number, string>()

  constructor(world: World) {
    this.#world = world
  }

  afterEvent(node: SimulatedNode): void {
    const { member } = node
    if (member === undefined || !member.isServing) return
    const { appliedIndex, committedIndex, currentRevision } = member
    const key = `${node.place}/${node.incarnation}`
    const before = this.#seen.get(key)
    if (before !== undefined && before.applied === appliedIndex) return
    if (appliedIndex > committedIndex)
      this.#world.fail(
        'applied',
        `member ${node.place} applied ${appliedIndex} of ${committedIndex}`,
      )
    if (
      before !== undefined &&
      (appliedIndex < before.applied || currentRevision < before.revision)
    )
      this.#world.fail(
        'monotonic',
        `member ${node.place} went back: ${before.applied} -> ${appliedIndex}, revision ${before.revision} -> ${currentRevision}`,
      )
    this.#seen.set(key, { applied: appliedIndex, revision: currentRevision })
    // After a restart the backend may be ahead of what was applied again.
    if (member.backend.consistentIndex > appliedIndex) return
    const print = `${currentRevision}/${member.store.liveKeyCount}/${member.store.compactedRevision}/${member.state.lessor.size}/${member.state.lessor.attachedKeyCount}`
    const known = this.#fingerprints.get(appliedIndex)
    if (known === undefined) this.#fingerprints.set(appliedIndex, print)
    else if (known !== print)
      this.#world.fail(
        'equal-state',
        `member ${node.place} at ${appliedIndex} is ${print}, another was ${known}`,
      )
  }

  /** Compares the whole store of a member with the model's; at the end, when all is quiet. */
  compare({ place, member }: SimulatedNode, model: Model): string | undefined {
    if (member === undefined || !member.isServing) return `member ${place} is not there`
    if (member.currentRevision !== model.revision)
      return `member ${place} is at revision ${member.currentRevision}, the model at ${model.revision}`
    const { compactedRevision } = member.store
    if (compactedRevision !== model.compacted)
      return `member ${place} compacted to ${compactedRevision}, the model to ${model.compacted}`
    const from = Math.max(1, compactedRevision)
    const step = Math.max(1, Math.floor((model.revision - from) / 20))
    for (let at = model.revision; at >= from; at -= step) {
      const request = RangeRequest.create({
        key: bytesFromLatin1('k'),
        rangeEnd: bytesFromLatin1('l'),
        revision: revision(at),
      })
      const found = evaluateRange(request, (query) => member.store.range(query))
      if (found.kind === 'failed') return `member ${place} cannot read at ${at}: ${found.code}`
      const { kvs } = RangeResponse.decode(RangeResponse.encode(found.reply))
      const reply = kvs.map((kv) => describeKeyValue(plainKeyValue(kv))).join(' ')
      const expected = model.range('k', 'l', at).map(describeKeyValue).join(' ')
      if (reply !== expected) return `member ${place} at ${at} has ${reply}, the model ${expected}`
    }
    const leases = member.leaseIds().map(String).sort().join(' ')
    const modelLeases = model.leaseIds().map(String).sort().join(' ')
    if (leases !== modelLeases)
      return `member ${place} has leases ${leases}, the model ${modelLeases}`
    for (const id of model.leaseIds()) {
      const keys = member.state.lessor.keysOf(id as never).join(' ')
      const modelKeys = model.leaseKeys(id).join(' ')
      if (keys !== modelKeys)
        return `member ${place}: lease ${id} holds ${keys}, the model ${modelKeys}`
    }
    return undefined
  }
}
