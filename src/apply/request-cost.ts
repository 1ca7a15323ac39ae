import type { PutRequest, TxnRequest } from '../wire/rpc.js'

/**
 * What etcd reckons for a put beside key and value, and for a lease; bytes (facts: v3-api.md 9).
 */
const PUT_OVERHEAD_BYTES = 256
export const LEASE_COST_BYTES = 64

/** Bytes that the quota check counts for a put. */
export function putCost(request: PutRequest): number {
  return PUT_OVERHEAD_BYTES + request.key.length + request.value.length
}

/** Bytes that the quota check counts for a transaction: those of its dearer branch. */
export function txnCost(request: TxnRequest): number {
  return Math.max(branchCost(request.success), branchCost(request.failure))
}

function branchCost(operations: TxnRequest['success']): number {
  let cost = 0
  for (const { requestPut, requestTxn } of operations) {
    if (requestPut !== undefined) cost += putCost(requestPut)
    if (requestTxn !== undefined) cost += txnCost(requestTxn)
  }
  return cost
}
