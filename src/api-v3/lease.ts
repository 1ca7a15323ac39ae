import { failpoint } from '../base/failpoints.js'
import { type LeaseId, leaseId } from '../base/ids.js'
import { bytesFromLatin1 } from '../base/latin1.js'
import type { ProposalOutcome } from '../member/proposals.js'
import type { RpcMethod, UnaryCall } from '../ports/rpc.js'
import * as rpc from '../wire/rpc.js'
import { bidiStream, failureOf, type ServiceContext, unary } from './method.js'

/** Answers a unary call with what its proposal came to; the header is filled in here. */
export function answerProposal<Init extends object>(
  context: ServiceContext,
  call: UnaryCall<Init>,
): (outcome: ProposalOutcome) => void {
  return (outcome) => {
    if (outcome.kind === 'failed') call.fail(failureOf(outcome.code))
    else {
      const header = context.member.header(outcome.revision)
      call.reply({ ...outcome.response, header } as unknown as Init)
    }
  }
}

/** The Lease service (facts: v3-api.md 5). */
export function leaseMethods(context: ServiceContext): RpcMethod[] {
  const { member } = context
  return [
    unary(
      context,
      '/etcdserverpb.Lease/LeaseGrant',
      { request: rpc.LeaseGrantRequest, response: rpc.LeaseGrantResponse },
      (request, call) => {
        const ID: LeaseId = request.ID === 0n ? member.newLeaseId() : request.ID
        const encoded = rpc.LeaseGrantRequest.encode({ ID, TTL: request.TTL })
        if (!member.hasRoomFor(0)) {
          member.raiseNoSpace()
          call.fail(failureOf('NO_SPACE'))
          return
        }
        member.propose('leaseGrant', encoded, answerProposal(context, call))
      },
    ),
    unary(
      context,
      '/etcdserverpb.Lease/LeaseRevoke',
      { request: rpc.LeaseRevokeRequest, response: rpc.LeaseRevokeResponse },
      (_request, call, bytes) =>
        member.propose('leaseRevoke', bytes, answerProposal(context, call)),
    ),
    bidiStream(
      context,
      '/etcdserverpb.Lease/LeaseKeepAlive',
      { request: rpc.LeaseKeepAliveRequest, response: rpc.LeaseKeepAliveResponse },
      (call) => {
        let waiting = 0
        let isHalfClosed = false
        const endWhenIdle = (): void => {
          if (isHalfClosed && waiting === 0) call.end()
        }
        return {
          onRequest: (request) => {
            const ID = leaseId(request.ID)
            const header = member.header(member.currentRevision)
            waiting++
            member.renewLease(ID, (outcome) => {
              waiting--
              if (outcome.kind === 'failed' && outcome.code !== 'LEASE_NOT_FOUND') {
                call.fail(failureOf(outcome.code))
                return
              }
              // A lease that is gone is no error here: its TTL is 0.
              call.send({ header, ID, TTL: outcome.kind === 'failed' ? 0 : outcome.ttlSeconds })
              endWhenIdle()
            })
          },
          onRequestsEnd: () => {
            isHalfClosed = true
            endWhenIdle()
          },
        }
      },
    ),
    unary(
      context,
      '/etcdserverpb.Lease/LeaseTimeToLive',
      { request: rpc.LeaseTimeToLiveRequest, response: rpc.LeaseTimeToLiveResponse },
      (request, call) => {
        if (member.isLeader) failpoint('beforeLookupWhenLeaseTimeToLive')
        member.leaseTimeToLive(request.ID, request.keys, (outcome) => {
          const header = member.header(member.currentRevision)
          if (outcome.kind === 'found') {
            const { ttlSeconds: TTL, grantedTtlSeconds: grantedTTL } = outcome
            call.reply({
              header,
              ID: request.ID,
              TTL,
              grantedTTL,
              keys: outcome.keys.map(bytesFromLatin1),
            })
          } else if (outcome.code === 'LEASE_NOT_FOUND')
            call.reply({ header, ID: request.ID, TTL: -1 })
          else call.fail(failureOf(outcome.code))
        })
      },
    ),
    unary(
      context,
      '/etcdserverpb.Lease/LeaseLeases',
      { request: rpc.LeaseLeasesRequest, response: rpc.LeaseLeasesResponse },
      (_request, call) =>
        call.reply({
          header: member.header(member.currentRevision),
          leases: member.leaseIds().map((ID) => ({ ID })),
        }),
    ),
  ]
}
