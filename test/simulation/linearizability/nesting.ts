import type { RequestOp, TxnRequest } from '../../../src/wire/rpc.js'

/**
 * A transaction as if what is in inner ones stood in its place. The workload's inner transactions write
 * the same whichever way they take, so the one of success tells what is written.
 */
export function withoutNesting(request: TxnRequest): TxnRequest {
  return { ...request, success: flat(request.success), failure: flat(request.failure) }
}

const flat = (operations: readonly RequestOp[]): RequestOp[] =>
  operations.flatMap((operation) =>
    operation.requestTxn === undefined ? [operation] : flat(operation.requestTxn.success),
  )
