import type { RpcMethod } from '../ports/rpc.js'
import type { Encodable } from '../wire/codec.js'
import * as rpc from '../wire/rpc.js'
import type { LeaderGuard } from './leader-guard.js'
import { bidiStream, failureOf, type ServiceContext } from './method.js'

/** The Watch service (facts: v3-api.md 4). The hub encodes responses itself, once for everybody. */
export function watchMethods(context: ServiceContext, guard: LeaderGuard): RpcMethod[] {
  return [
    bidiStream<rpc.WatchRequest, Encodable<typeof rpc.WatchResponse>>(
      context,
      '/etcdserverpb.Watch/Watch',
      { request: rpc.WatchRequest, response: rpc.WatchResponse },
      (call) => {
        const stream = context.member.hub.open({ sink: call })
        const release = guard.watch(call, () => {
          stream.close()
          call.fail(failureOf('NO_LEADER'))
        })
        call.onCancel(() => {
          release()
          stream.close()
        })
        return {
          onRequest: (request) => {
            if (stream.onRequest(request) === 'taken') return
            release()
            stream.close()
            call.fail(failureOf('TOO_MANY_REQUESTS'))
          },
          onRequestsEnd: () => {
            release()
            stream.close()
            call.end()
          },
        }
      },
    ),
  ]
}
