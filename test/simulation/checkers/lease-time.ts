import { LeaseGrantRequest, LeaseRevokeRequest } from '../../../src/wire/rpc.js'
import type { Operation } from '../history.js'
import type { Model } from '../linearizability/model.js'

/** What clocks may differ by, and more: a lease that ends so much early is not called early. */
const TOLERANCE = 0.998

/**
 * A lease does not end before its time: a revoke that no client asked for comes at least a TTL behind the call of
 * every keep-alive or grant that was answered before it. Returns what is wrong, or undefined.
 */
export function checkLeases(
  model: Model,
  operations: readonly Operation[],
  committedUs: (index: number) => number,
  /** How much a member's clock may run ahead within a long event. */
  creepUs: number,
): string | undefined {
  const ttls = new Map<bigint, number>()
  const wanted = new Map<bigint, number>()
  const calls = new Map<bigint, { readonly calledUs: number; readonly returnedUs: number }[]>()
  for (const { request, outcome, calledUs, returnedUs } of operations) {
    if (request.kind === 'write' && request.operation === 'leaseRevoke') {
      const { ID } = LeaseRevokeRequest.decode(request.encoded)
      if (!wanted.has(ID)) wanted.set(ID, calledUs)
    }
    if (outcome.kind !== 'answered') continue
    let id: bigint | undefined
    if (request.kind === 'renew') id = request.lease
    if (request.kind === 'write' && request.operation === 'leaseGrant') {
      const grant = LeaseGrantRequest.decode(request.encoded)
      id = grant.ID
      ttls.set(id, grant.TTL)
    }
    if (id === undefined) continue
    const list = calls.get(id) ?? []
    list.push({ calledUs, returnedUs })
    calls.set(id, list)
  }
  for (const step of model.steps) {
    if (step.operation !== 'leaseRevoke' || step.response !== 'leaseRevoke') continue
    const { ID } = step.request as LeaseRevokeRequest
    const ttl = ttls.get(ID)
    const atUs = committedUs(step.index)
    if (ttl === undefined || (wanted.get(ID) ?? Number.POSITIVE_INFINITY) <= atUs) continue
    for (const { calledUs, returnedUs } of calls.get(ID) ?? []) {
      if (returnedUs >= atUs) continue
      const livedUs = atUs - calledUs
      if (livedUs < ttl * 1_000_000 * TOLERANCE - creepUs)
        return `lease ${ID} of ${ttl} s ended ${livedUs} us after a call at ${calledUs} that kept it alive (entry ${step.index})`
    }
  }
  return undefined
}
