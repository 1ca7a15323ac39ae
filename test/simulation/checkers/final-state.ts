import { readAt } from '../describe-store.js'
import type { Model } from '../linearizability/model.js'
import type { SimulatedNode } from '../node.js'

/** Revisions between the compacted and the newest that are compared. */
const SAMPLES = 20

/**
 * What a member has when all is quiet against what the model has: keys at many revisions, leases,
 * and what hangs on them. Returns what differs, or undefined.
 */
export function compareWithModel(
  { place, member }: SimulatedNode,
  model: Model,
): string | undefined {
  if (member === undefined || !member.isServing) return `member ${place} is not there`
  if (member.currentRevision !== model.revision)
    return `member ${place} is at revision ${member.currentRevision}, the model at ${model.revision}`
  const { compactedRevision } = member.store
  if (compactedRevision !== model.compacted)
    return `member ${place} compacted to ${compactedRevision}, the model to ${model.compacted}`
  const from = Math.max(1, compactedRevision)
  const step = Math.max(1, Math.floor((model.revision - from) / SAMPLES))
  for (let at = model.revision; at >= from; at -= step) {
    const found = readAt(member, at)
    const wanted = model.describeRange(at)
    if (found !== wanted) return `member ${place} at ${at} has ${found}, the model ${wanted}`
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
