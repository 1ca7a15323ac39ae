import type { MemberId } from '../base/ids.js'
import type { Member } from '../member/member.js'
import type { MembershipOutcome } from '../member/membership-service.js'
import type { Member as ClusterMember } from '../membership/member.js'
import type { RpcMethod, UnaryCall } from '../ports/rpc.js'
import type { Encodable } from '../wire/codec.js'
import * as rpc from '../wire/rpc.js'
import { failureOf, type ServiceContext, unary } from './method.js'

type Listed = { readonly members: readonly rpc.Member[] }

/** A member as the v3 API shows it. */
const shown = (member: ClusterMember): rpc.Member => ({
  ID: member.id,
  name: member.name,
  peerURLs: member.peerUrls,
  clientURLs: member.clientUrls,
  isLearner: member.isLearner,
})

/** The header of the Cluster service names no revision (facts: v3-api.md 2). */
const headerOf = (member: Member): rpc.ResponseHeader => member.header(undefined)

const allOf = (member: Member): Listed => ({ members: member.membership.members().map(shown) })

/** Whether each text is a URL that a member can be reached at: scheme, host and port, no path. */
export function arePeerUrls(urls: readonly string[]): boolean {
  return (
    urls.length > 0 && urls.every((url) => /^(https?:\/\/[^/\s]+:\d+|unixs?:\/\/\S+)$/.test(url))
  )
}

/** The Cluster service (facts: v3-api.md 6). */
export function clusterMethods(context: ServiceContext): RpcMethod[] {
  const { member } = context
  const answer =
    <Init extends { readonly header?: rpc.ResponseHeader | undefined }>(
      call: UnaryCall<Init>,
      response: () => Omit<Init, 'header'>,
    ) =>
    (outcome: MembershipOutcome): void => {
      if (outcome.kind === 'failed') call.fail(failureOf(outcome.code))
      else call.reply({ ...response(), header: headerOf(member) } as Init)
    }
  return [
    unary(
      context,
      '/etcdserverpb.Cluster/MemberAdd',
      { request: rpc.MemberAddRequest, response: rpc.MemberAddResponse },
      (request, call) => {
        if (!arePeerUrls(request.peerURLs)) {
          call.fail(failureOf('BAD_MEMBER_URLS'))
          return
        }
        const added = member.members.newMember(request.peerURLs, request.isLearner)
        member.members.add(
          added,
          answer<Encodable<typeof rpc.MemberAddResponse>>(call, () => ({
            member: { ...shown(added) },
            ...allOf(member),
          })),
        )
      },
    ),
    unary(
      context,
      '/etcdserverpb.Cluster/MemberRemove',
      { request: rpc.MemberRemoveRequest, response: rpc.MemberRemoveResponse },
      (request, call) =>
        member.members.remove(
          request.ID as MemberId,
          answer<Encodable<typeof rpc.MemberRemoveResponse>>(call, () => allOf(member)),
        ),
    ),
    unary(
      context,
      '/etcdserverpb.Cluster/MemberUpdate',
      { request: rpc.MemberUpdateRequest, response: rpc.MemberUpdateResponse },
      (request, call) =>
        member.members.update(
          request.ID as MemberId,
          request.peerURLs,
          answer<Encodable<typeof rpc.MemberUpdateResponse>>(call, () => allOf(member)),
        ),
    ),
    unary(
      context,
      '/etcdserverpb.Cluster/MemberPromote',
      { request: rpc.MemberPromoteRequest, response: rpc.MemberPromoteResponse },
      (request, call) =>
        member.members.promote(
          request.ID as MemberId,
          answer<Encodable<typeof rpc.MemberPromoteResponse>>(call, () => allOf(member)),
        ),
    ),
    unary(
      context,
      '/etcdserverpb.Cluster/MemberList',
      { request: rpc.MemberListRequest, response: rpc.MemberListResponse },
      (request, call) => {
        const reply = (): void => call.reply({ ...allOf(member), header: headerOf(member) })
        if (!request.linearizable) {
          reply()
          return
        }
        member.linearize((failure) => {
          if (failure === undefined) reply()
          else call.fail(failureOf(failure))
        })
      },
    ),
  ]
}
