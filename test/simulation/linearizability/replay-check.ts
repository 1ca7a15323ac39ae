import { latin1FromBytes } from '../../../src/base/latin1.js'
import { DeleteRangeRequest, PutRequest, TxnRequest } from '../../../src/wire/rpc.js'
import type { Operation } from '../history.js'
import type { Model, ModelStep } from './model.js'

/** Answers that say how things were; every other failure leaves open what happened. */
const JUDGED_CODES = new Set(['LEASE_NOT_FOUND', 'LEASE_EXISTS', 'COMPACTED', 'FUTURE_REVISION'])

/** The model after the whole committed log, and when each revision came to be. */
export interface Replayed {
  readonly model: Model
  /** First time that a member had the entry which made the revision, by revision. */
  readonly madeUs: ReadonlyMap<number, number>
}

/** The operation's bytes as a client encodes it. */
function encodingOf({ operation, request }: ModelStep): string {
  const codec = { put: PutRequest, txn: TxnRequest, deleteRange: DeleteRangeRequest }[
    operation as 'put'
  ]
  return codec === undefined ? operation : latin1FromBytes(codec.encode(request as never))
}

/**
 * Every answer against the model at its revision: content, time, and order. Returns what is wrong, or undefined. One
 * pass over the log and one over the history.
 */
export function replayCheck(
  replayed: Replayed,
  operations: readonly Operation[],
): string | undefined {
  const { model } = replayed
  if (model.duplicate !== undefined) return `applied twice: ${model.duplicate}`
  const byReturn = operations
    .filter((operation) => operation.outcome.kind === 'answered')
    .sort((a, b) => a.returnedUs - b.returnedUs)
  let acknowledged = 0
  let next = 0
  const used = new Map<number, Operation>()
  for (const operation of operations) {
    for (; next < byReturn.length; next++) {
      const earlier = byReturn[next]
      if (earlier === undefined || earlier.returnedUs >= operation.calledUs) break
      // Old and serializable reads answer with a revision that was there, so it counts as seen.
      if (earlier.outcome.kind === 'answered')
        acknowledged = Math.max(acknowledged, earlier.outcome.revision)
    }
    const problem = judge(operation, model, acknowledged, used) ?? judgeTime(operation, replayed)
    if (problem !== undefined)
      return `${problem} (client ${operation.client} at member ${operation.place}, called ${operation.calledUs}, returned ${operation.returnedUs}, ${describeRequest(operation)})`
  }
  return undefined
}

function judge(
  operation: Operation,
  model: Model,
  acknowledged: number,
  used: Map<number, Operation>,
): string | undefined {
  const { request, outcome } = operation
  if (outcome.kind === 'failed') {
    const isStrange = !JUDGED_CODES.has(outcome.code) && outcome.code === 'INTERNAL'
    return isStrange ? `failed with ${outcome.code}` : undefined
  }
  if (outcome.kind === 'unknown' || request.kind === 'renew') return undefined
  const { revision, response } = outcome
  if (revision > model.revision)
    return `answered with revision ${revision}, but the log has only ${model.revision}`
  if (request.kind === 'read') {
    if (!request.request.serializable && revision < acknowledged)
      return `stale read: revision ${revision}, but ${acknowledged} was acknowledged before the call`
    const at = request.request.revision > 0 ? request.request.revision : revision
    const expected = model.describeRead(request.request, at)
    return response === expected ? undefined : `read ${response}, expected ${expected} at ${at}`
  }
  return judgeWrite(operation, model, { revision, response }, acknowledged, used)
}

function judgeWrite(
  operation: Operation,
  model: Model,
  answer: { readonly revision: number; readonly response: string },
  acknowledged: number,
  used: Map<number, Operation>,
): string | undefined {
  const { request } = operation
  if (request.kind !== 'write') return undefined
  const { revision, response } = answer
  if (revision < acknowledged)
    return `write at revision ${revision}, but ${acknowledged} was acknowledged before the call`
  const changes =
    request.operation === 'put' || response.includes('put') || /deleted[1-9]/.test(response)
  if (!changes) return undefined
  const step = model.mutations.get(revision)
  if (step === undefined) return `no entry made revision ${revision}`
  if (step.operation !== request.operation || step.response !== response)
    return `${request.operation} answered ${response} at ${revision}, the log has ${step.operation} with ${step.response}`
  if (encodingOf(step) !== latin1FromBytes(request.encoded))
    return `another ${request.operation} made revision ${revision}`
  if (used.has(revision)) return `two operations were answered with revision ${revision}`
  used.set(revision, operation)
  return undefined
}

function judgeTime(operation: Operation, replayed: Replayed): string | undefined {
  const { model } = replayed
  const { request, outcome } = operation
  if (outcome.kind !== 'answered' || request.kind !== 'write') return undefined
  const step = model.mutations.get(outcome.revision)
  if (step === undefined || step.operation !== request.operation) return undefined
  const atUs = replayed.madeUs.get(outcome.revision)
  const isOwn = encodingOf(step) === latin1FromBytes(request.encoded)
  if (!isOwn || atUs === undefined) return undefined
  // What changed nothing shares the revision of another; and without a value, which is written once
  // only, two operations cannot be told apart.
  if (!outcome.response.includes('put')) return undefined
  return atUs < operation.calledUs
    ? `revision ${outcome.revision} is older than its call`
    : undefined
}

function describeRequest({ request }: Operation): string {
  if (request.kind === 'write') return `${request.operation} ${latin1FromBytes(request.encoded)}`
  if (request.kind === 'read')
    return `read ${latin1FromBytes(request.request.key)} at ${request.request.revision}`
  return `renew ${request.lease}`
}
