import { putCost, txnCost } from '../../../src/apply/request-cost.js'
import type { ErrorCode } from '../../../src/base/errors.js'
import { leaseId } from '../../../src/base/ids.js'
import type { Member } from '../../../src/member/member.js'
import { evaluateRange } from '../../../src/mvcc/range-request.js'
import * as rpc from '../../../src/wire/rpc.js'
import { describeResponse } from '../describe-response.js'
import type { ClientOutcome, ClientRequest } from '../history.js'

/** What the gRPC services do with a request, without the wire. */
export function serve(
  member: Member,
  request: ClientRequest,
  answer: (outcome: ClientOutcome) => void,
): void {
  const fail = (code: ErrorCode): void => answer({ kind: 'failed', code })
  if (!member.isServing) fail('STOPPED')
  else if (request.kind === 'read') serveRead(member, request.request, answer)
  else if (member.isLearner) fail('LEARNER_RPC_NOT_SUPPORTED')
  else if (request.kind === 'renew')
    member.renewLease(leaseId(request.lease), (outcome) => {
      if (outcome.kind === 'renewed')
        answer({ kind: 'answered', revision: 0, response: `renewed${outcome.ttlSeconds}` })
      else fail(outcome.code)
    })
  else if (!member.hasRoomFor(costOf(request))) {
    member.raiseNoSpace()
    fail('NO_SPACE')
  } else
    member.propose(request.operation, request.encoded, (outcome) => {
      if (outcome.kind === 'failed') fail(outcome.code)
      else
        answer({
          kind: 'answered',
          revision: outcome.revision,
          response: describeResponse(request.operation, outcome.response),
        })
    })
}

/** What a request would take of the quota, as the services count it. */
function costOf({ operation, encoded }: ClientRequest & { kind: 'write' }): number {
  switch (operation) {
    case 'put':
      return putCost(rpc.PutRequest.decode(encoded))
    case 'txn':
      return txnCost(rpc.TxnRequest.decode(encoded)) || Number.NEGATIVE_INFINITY
    case 'leaseGrant':
      return 0
    default:
      return Number.NEGATIVE_INFINITY
  }
}

function serveRead(
  member: Member,
  request: rpc.RangeRequest,
  answer: (outcome: ClientOutcome) => void,
): void {
  const look = (): void => {
    const { store } = member
    const evaluation = evaluateRange(request, (query) => store.range(query))
    if (evaluation.kind === 'failed') answer({ kind: 'failed', code: evaluation.code })
    else
      answer({
        kind: 'answered',
        revision: evaluation.revision,
        response: describeResponse('read', evaluation.reply),
      })
  }
  if (request.serializable) look()
  else if (member.isLearner) answer({ kind: 'failed', code: 'LEARNER_RPC_NOT_SUPPORTED' })
  else
    member.linearize((failure) => {
      if (failure === undefined) look()
      else answer({ kind: 'failed', code: failure })
    })
}
