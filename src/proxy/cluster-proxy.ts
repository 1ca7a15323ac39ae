import { unaryMethod } from '../grpc/methods.js'
import type { RpcMethod } from '../ports/rpc.js'
import * as rpc from '../wire/rpc.js'
import type { KvProxy } from './kv-proxy.js'
import { passUnary } from './pass-through.js'
import { rawMessage } from './raw-message.js'
import type { Registration } from './registration.js'
import { type Upstream, UpstreamError } from './upstream.js'

const service = (name: string): string => `/etcdserverpb.Cluster/${name}`

export interface ClusterProxyOptions {
  readonly upstream: Upstream
  readonly kv: KvProxy
  /** `--advertise-client-url`; '' = clients see the members themselves. */
  readonly advertiseUrl: string
  /** Where proxies register; undefined = this one is alone. */
  readonly registration: Registration | undefined
  readonly hostname: string
}

/** The name that a proxy registered with; throws when what it wrote is not JSON. */
function registeredMember(value: Uint8Array): { name: string; address: string } {
  const { Addr, Metadata } = JSON.parse(Buffer.from(value).toString('utf8')) as {
    readonly Addr?: unknown
    readonly Metadata?: unknown
  }
  const { name } = JSON.parse(String(Metadata)) as { readonly name?: unknown }
  return { name: typeof name === 'string' ? name : '', address: String(Addr) }
}

/** Clients that look for members find proxies (facts: flags.md 7). */
async function listMembers(options: ClusterProxyOptions): Promise<Uint8Array> {
  const { kv, registration, advertiseUrl, hostname } = options
  const found: { name: string; address: string }[] = []
  if (registration !== undefined) {
    const request = rpc.RangeRequest.create(registration.range)
    const { kvs } = rpc.RangeResponse.decode(await kv.range(request, undefined))
    found.push(...kvs.map(({ value }) => registeredMember(value)))
  }
  const shown = found.length > 0 ? found : [{ name: hostname, address: advertiseUrl }]
  return rpc.MemberListResponse.encode({
    members: shown.map(({ name, address }) => rpc.Member.create({ name, clientURLs: [address] })),
  })
}

/** What of the Cluster service is more than passed on. */
export function clusterProxyMethods(options: ClusterProxyOptions): RpcMethod[] {
  const { upstream, advertiseUrl } = options
  return [
    advertiseUrl === ''
      ? passUnary(upstream, service('MemberList'))
      : unaryMethod<Uint8Array, Uint8Array>({
          path: service('MemberList'),
          request: rawMessage,
          response: rawMessage,
          handle: (_request, call) => {
            listMembers(options).then(
              (answer) => call.reply(answer),
              (error) => call.fail(UpstreamError.from(error)),
            )
          },
        }),
    unaryMethod<Uint8Array, Uint8Array>({
      path: service('MemberPromote'),
      request: rawMessage,
      response: rawMessage,
      handle: (_request, call) => call.fail({ status: 2, message: 'not implemented' }),
    }),
  ]
}
