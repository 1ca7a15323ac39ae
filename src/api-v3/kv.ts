import { putCost, txnCost } from '../apply/request-cost.js'
import { type Revision, revision } from '../base/ids.js'
import {
  checkRangeRequest,
  evaluateRange,
  queryOf,
  type RangeReply,
  shapeRange,
} from '../mvcc/range-request.js'
import { checkDeleteRangeRequest, checkPutRequest, checkTxnRequest } from '../mvcc/txn-checks.js'
import { isReadOnlyTxn, isSerializableTxn, readTxn } from '../mvcc/txn-request.js'
import type { RpcMethod, UnaryCall } from '../ports/rpc.js'
import type { Encodable } from '../wire/codec.js'
import * as rpc from '../wire/rpc.js'
import { answerProposal } from './lease.js'
import { failureOf, type ServiceContext, unary } from './method.js'
import { readInSlices } from './range-slices.js'

type RangeCall = UnaryCall<Encodable<typeof rpc.RangeResponse>>

/**
 * Ranges with no limit, or a larger one, are read in slices so that others are served in between.
 */
const DIRECT_LIMIT_MAX = 1000

function replyRange(context: ServiceContext, call: RangeCall, reply: RangeReply, at: number): void {
  call.reply({ ...reply, header: context.member.header(revision(at)) })
}

/** Reads at once when the answer is small for sure, in slices otherwise. */
function answerRange(context: ServiceContext, request: rpc.RangeRequest, call: RangeCall): void {
  const { store } = context.member
  context.member.counts.ranges++
  const query = queryOf(request)
  const limit = query.limit ?? 0
  const isSmall =
    query.end === '' || query.isCountOnly === true || (limit > 0 && limit <= DIRECT_LIMIT_MAX)
  if (isSmall) {
    const evaluation = evaluateRange(request, (wanted) => store.range(wanted))
    if (evaluation.kind === 'failed') call.fail(failureOf(evaluation.code))
    else replyRange(context, call, evaluation.reply, evaluation.revision)
    return
  }
  readInSlices(store, query, {
    isCancelled: () => call.isCancelled,
    done: (outcome) => {
      if (outcome.kind === 'failed') call.fail(failureOf(outcome.code))
      else replyRange(context, call, shapeRange(request, outcome), outcome.revision)
    },
  })
}

/** The KV service (facts: v3-api.md 3). */
export function kvMethods(context: ServiceContext): RpcMethod[] {
  const { member } = context
  return [
    unary(
      context,
      '/etcdserverpb.KV/Range',
      { request: rpc.RangeRequest, response: rpc.RangeResponse },
      (request, call) => {
        const refusal = checkRangeRequest(request)
        if (refusal !== undefined) {
          call.fail(failureOf(refusal))
          return
        }
        if (member.isLearner && !request.serializable) {
          call.fail(failureOf('LEARNER_RPC_NOT_SUPPORTED'))
          return
        }
        // The request's bytes live until this returns only; a read that waits keeps a copy of its
        // keys.
        if (request.serializable) answerRange(context, request, call)
        else {
          const kept = { ...request, key: request.key.slice(), rangeEnd: request.rangeEnd.slice() }
          member.linearize((failure) => {
            if (failure === undefined) answerRange(context, kept, call)
            else call.fail(failureOf(failure))
          })
        }
      },
      'allowed-on-learner',
    ),
    unary(
      context,
      '/etcdserverpb.KV/Put',
      { request: rpc.PutRequest, response: rpc.PutResponse },
      (request, call, bytes) => {
        const refusal = checkPutRequest(request)
        if (refusal !== undefined) call.fail(failureOf(refusal))
        else if (hasRoom(context, call, putCost(request))) {
          member.counts.puts++
          member.propose('put', bytes, (outcome) => {
            if (outcome.kind === 'failed') call.fail(failureOf(outcome.code))
            else {
              const { prevKv } = outcome.response as rpc.PutResponse
              call.reply({ header: member.header(outcome.revision), prevKv })
            }
          })
        }
      },
    ),
    unary(
      context,
      '/etcdserverpb.KV/DeleteRange',
      { request: rpc.DeleteRangeRequest, response: rpc.DeleteRangeResponse },
      (request, call, bytes) => {
        const refusal = checkDeleteRangeRequest(request)
        if (refusal !== undefined) {
          call.fail(failureOf(refusal))
          return
        }
        member.counts.deletes++
        member.propose('deleteRange', bytes, answerProposal(context, call))
      },
    ),
    unary(
      context,
      '/etcdserverpb.KV/Txn',
      { request: rpc.TxnRequest, response: rpc.TxnResponse },
      (request, call, bytes) => answerTxn(context, request, call, bytes),
    ),
    unary(
      context,
      '/etcdserverpb.KV/Compact',
      { request: rpc.CompactionRequest, response: rpc.CompactionResponse },
      (request, call, bytes) => answerCompaction(context, request, call, bytes),
    ),
  ]
}

/** Refuses what would not fit, and tells the cluster. */
function hasRoom(
  context: ServiceContext,
  call: Pick<UnaryCall<unknown>, 'fail'>,
  cost: number,
): boolean {
  if (cost === 0 || context.member.hasRoomFor(cost)) return true
  context.member.raiseNoSpace()
  call.fail(failureOf('NO_SPACE'))
  return false
}

type TxnCall = UnaryCall<rpc.TxnResponseInit>

function answerTxn(
  context: ServiceContext,
  request: rpc.TxnRequest,
  call: TxnCall,
  bytes: Uint8Array,
): void {
  const { member } = context
  const refusal = checkTxnRequest(request, context.txnOpsMax)
  if (refusal !== undefined) {
    call.fail(failureOf(refusal))
    return
  }
  member.counts.txns++
  if (!isReadOnlyTxn(request)) {
    if (hasRoom(context, call, txnCost(request)))
      member.propose('txn', bytes, answerProposal(context, call))
    return
  }
  const kept = rpc.TxnRequest.decode(bytes.slice())
  const answer = (): void => {
    const read = readTxn(member.store, kept)
    if (read.kind === 'failed') call.fail(failureOf(read.code))
    else call.reply({ ...read.response, header: member.header(read.result.revision) })
  }
  if (isSerializableTxn(request)) {
    answer()
    return
  }
  member.linearize((failure) => {
    if (failure === undefined) answer()
    else call.fail(failureOf(failure))
  })
}

/** With `physical` the answer waits until the rows are gone from the store. */
function answerCompaction(
  context: ServiceContext,
  request: rpc.CompactionRequest,
  call: UnaryCall<Encodable<typeof rpc.CompactionResponse>>,
  bytes: Uint8Array,
): void {
  const { member } = context
  const at: Revision = request.revision
  const answer = answerProposal(context, call)
  const isPhysical = request.physical
  member.propose('compaction', bytes, (outcome) => {
    if (outcome.kind === 'failed' || !isPhysical) answer(outcome)
    else member.whenCompacted(at, () => answer(outcome))
  })
}
