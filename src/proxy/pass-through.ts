import { serverStreamMethod, unaryMethod } from '../grpc/methods.js'
import type { RpcMethod } from '../ports/rpc.js'
import { rawMessage } from './raw-message.js'
import { type Upstream, UpstreamError } from './upstream.js'

const UNARY: readonly string[] = [
  ...['LeaseGrant', 'LeaseRevoke', 'LeaseLeases'].map((name) => `/etcdserverpb.Lease/${name}`),
  ...['MemberAdd', 'MemberRemove', 'MemberUpdate'].map((name) => `/etcdserverpb.Cluster/${name}`),
  ...['Alarm', 'Status', 'Defragment', 'Hash', 'HashKV', 'MoveLeader', 'Downgrade'].map(
    (name) => `/etcdserverpb.Maintenance/${name}`,
  ),
  ...[
    ...['AuthEnable', 'AuthDisable', 'AuthStatus', 'Authenticate'],
    ...['UserAdd', 'UserGet', 'UserList', 'UserDelete', 'UserChangePassword'],
    ...['UserGrantRole', 'UserRevokeRole', 'RoleAdd', 'RoleGet', 'RoleList', 'RoleDelete'],
    ...['RoleGrantPermission', 'RoleRevokePermission'],
  ].map((name) => `/etcdserverpb.Auth/${name}`),
  ...['Lock', 'Unlock'].map((name) => `/v3lockpb.Lock/${name}`),
  ...['Campaign', 'Proclaim', 'Leader', 'Resign'].map((name) => `/v3electionpb.Election/${name}`),
]
const SERVER_STREAMS = ['/etcdserverpb.Maintenance/Snapshot', '/v3electionpb.Election/Observe']

/** A unary method that a member answers; what it refuses, an unknown method too, is passed on. */
export function passUnary(upstream: Upstream, path: string): RpcMethod {
  return unaryMethod<Uint8Array, Uint8Array>({
    path,
    request: rawMessage,
    response: rawMessage,
    handle: (request, call) => {
      upstream.unary(path, Uint8Array.from(request), call).then(
        (answer) => call.reply(answer),
        (error) => call.fail(UpstreamError.from(error)),
      )
    },
  })
}

function passServerStream(upstream: Upstream, path: string): RpcMethod {
  return serverStreamMethod<Uint8Array, Uint8Array>({
    path,
    request: rawMessage,
    response: rawMessage,
    handle: (request, call) => {
      const stream = upstream.serverStream(path, Uint8Array.from(request), call)
      let hasFailed = false
      call.onCancel(() => stream.cancel())
      // A client that does not read holds the member back, not the proxy's memory.
      call.onDrain(() => stream.resume())
      stream.on('data', (message: Buffer) => {
        if (!call.send(message)) stream.pause()
      })
      stream.on('error', (error) => {
        hasFailed = true
        call.fail(UpstreamError.from(error))
      })
      stream.on('end', () => {
        if (!hasFailed) call.end()
      })
    },
  })
}

/** Everything that the proxy leaves to the members. */
export function passThroughMethods(upstream: Upstream): RpcMethod[] {
  return [
    ...UNARY.map((path) => passUnary(upstream, path)),
    ...SERVER_STREAMS.map((path) => passServerStream(upstream, path)),
  ]
}
