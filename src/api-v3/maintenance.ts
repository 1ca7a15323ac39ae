import { revision as toRevision } from '../base/ids.js'
import { SERVER_VERSION } from '../base/version.js'
import type { RpcMethod } from '../ports/rpc.js'
import * as rpc from '../wire/rpc.js'
import { answerProposal } from './lease.js'
import { failureOf, type ServiceContext, unary } from './method.js'

/** The Maintenance service (facts: v3-api.md 6), without Snapshot and Downgrade: README says so. */
export function maintenanceMethods(context: ServiceContext): RpcMethod[] {
  const { member } = context
  return [
    unary(
      context,
      '/etcdserverpb.Maintenance/Status',
      { request: rpc.StatusRequest, response: rpc.StatusResponse },
      (_request, call) => call.reply(statusOf(context)),
      'allowed-on-learner',
    ),
    unary(
      context,
      '/etcdserverpb.Maintenance/Alarm',
      { request: rpc.AlarmRequest, response: rpc.AlarmResponse },
      (_request, call, bytes) => member.propose('alarm', bytes, answerProposal(context, call)),
    ),
    unary(
      context,
      '/etcdserverpb.Maintenance/Defragment',
      { request: rpc.DefragmentRequest, response: rpc.DefragmentResponse },
      (_request, call) =>
        member.defragment((failure) => {
          if (failure === undefined) call.reply({})
          else call.fail({ status: 2, message: failure.message })
        }),
    ),
    unary(
      context,
      '/etcdserverpb.Maintenance/Hash',
      { request: rpc.HashRequest, response: rpc.HashResponse },
      (_request, call) =>
        member.backend.hash((hash) =>
          call.reply({ header: member.header(member.currentRevision), hash }),
        ),
    ),
    unary(
      context,
      '/etcdserverpb.Maintenance/HashKV',
      { request: rpc.HashKVRequest, response: rpc.HashKVResponse },
      (request, call) => {
        const refused = member.store.hashKv(request.revision, (hashed) =>
          call.reply({
            header: member.header(hashed.currentRevision),
            hash: hashed.hash,
            compactRevision: toRevision(hashed.compactRevision),
            hashRevision: toRevision(hashed.revision),
          }),
        )
        if (refused !== undefined) call.fail(failureOf(refused.code))
      },
    ),
    unary(
      context,
      '/etcdserverpb.Maintenance/MoveLeader',
      { request: rpc.MoveLeaderRequest, response: rpc.MoveLeaderResponse },
      (request, call) =>
        member.moveLeader(request.targetID, (failure) => {
          if (failure === undefined) call.reply({})
          else call.fail(failureOf(failure))
        }),
    ),
  ]
}

/** One member's view of itself. */
function statusOf({ member }: ServiceContext): rpc.StatusResponse {
  const alarms = member.state.alarms.list(0n as never, 'NONE')
  const errors = alarms.map(({ memberId, kind }) => `memberID:${memberId} alarm:${kind} `)
  if (member.leaderId === 0n) errors.unshift('etcdserver: no leader')
  return {
    header: member.header(member.currentRevision),
    version: SERVER_VERSION,
    dbSize: member.backend.sizeBytes,
    leader: member.leaderId,
    raftIndex: member.committedIndex,
    raftTerm: member.term,
    raftAppliedIndex: member.appliedIndex,
    errors,
    dbSizeInUse: member.backend.inUseBytes,
    isLearner: member.isLearner,
    storageVersion: '',
    dbSizeQuota: 0,
    downgradeInfo: undefined,
  }
}
