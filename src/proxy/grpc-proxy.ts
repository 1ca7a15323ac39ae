import type { ChannelOptions } from '@grpc/grpc-js'
import type { DialOptions } from '../peer/dial.js'
import type { Entropy } from '../ports/clock.js'
import type { Log } from '../ports/log.js'
import type { RpcMethod } from '../ports/rpc.js'
import * as rpc from '../wire/rpc.js'
import { clusterProxyMethods } from './cluster-proxy.js'
import { GrpcProxyPages } from './grpc-proxy-pages.js'
import { KeyNamespace } from './key-namespace.js'
import { MemberKv } from './kv-calls.js'
import { KvProxy } from './kv-proxy.js'
import { LeaderWatch } from './leader-watch.js'
import { LeaseHolder } from './lease-holder.js'
import { KeepAlives, leaseProxyMethods } from './lease-proxy.js'
import { LeasedKv } from './leased-kv.js'
import { LeasingProtocol } from './leasing-protocol.js'
import { passThroughMethods } from './pass-through.js'
import { ProxyFigures } from './proxy-figures.js'
import { Registration } from './registration.js'
import { Upstream, type UpstreamEndpoint, UpstreamError } from './upstream.js'
import { WatchBroadcasts } from './watch-broadcasts.js'
import { watchProxyMethod } from './watch-proxy.js'

/** How long the cluster may take to answer when its health is asked for, ms. */
const HEALTH_TIMEOUT_MS = 1000
/** Between two attempts to recover the order of answers at the start, ms. */
const RECOVERY_PAUSE_MS = 1000

export interface GrpcProxyOptions {
  /** As the operator named them; at least one. */
  readonly endpoints: readonly string[]
  readonly endpointOf: (text: string) => UpstreamEndpoint
  readonly channelOptions: ChannelOptions
  /** How the members' HTTP pages are dialled, and whether over TLS without a scheme. */
  readonly pageDial: DialOptions
  readonly isPageSecure: boolean
  /** Prefix of all keys of the clients; empty = none. */
  readonly namespace: Uint8Array
  readonly isOrdered: boolean
  /** Prefix of the lease keys, among the clients' keys; empty = no key is held. */
  readonly leasingPrefix: Uint8Array
  readonly advertiseUrl: string
  /** '' = this proxy does not register. */
  readonly resolverPrefix: string
  readonly resolverTtlSeconds: number
  /** Between two looks at the members for endpoints, ms; 0 = none. */
  readonly syncIntervalMs: number
  readonly hostname: string
  readonly entropy: Entropy
  readonly log: Log
}

/** etcd's gRPC proxy: a server of the v3 API in front of a cluster (facts: flags.md 7). */
export class GrpcProxy {
  readonly methods: readonly RpcMethod[]
  readonly pages: GrpcProxyPages
  readonly #options: GrpcProxyOptions
  readonly #upstream: Upstream
  readonly #kv: KvProxy
  readonly #members: MemberKv
  readonly #holder: LeaseHolder | undefined
  readonly #broadcasts: WatchBroadcasts
  readonly #leader: LeaderWatch
  readonly #keepAlives: KeepAlives
  readonly #registration: Registration | undefined
  #timer: NodeJS.Timeout | undefined

  /** Throws when no endpoint is given. */
  constructor(options: GrpcProxyOptions) {
    this.#options = options
    const { endpoints, endpointOf, channelOptions, isOrdered, log } = options
    if (endpoints.length === 0) throw new Error('etcdclient: no available endpoints')
    const namespace = new KeyNamespace(options.namespace)
    const figures = new ProxyFigures()
    const upstream = new Upstream(endpoints.map(endpointOf), channelOptions)
    this.#upstream = upstream
    const members = new MemberKv({ upstream, namespace, isOrdered })
    this.#members = members
    const protocol = new LeasingProtocol(options.leasingPrefix)
    this.#holder =
      options.leasingPrefix.length === 0
        ? undefined
        : new LeaseHolder({ upstream, namespace, members, protocol, log })
    const calls =
      this.#holder === undefined
        ? members
        : new LeasedKv({ members, protocol, holder: this.#holder })
    this.#kv = new KvProxy({ upstream, calls, figures, isOrdered })
    this.#broadcasts = new WatchBroadcasts({ upstream, namespace, figures })
    this.#leader = new LeaderWatch(upstream)
    this.#keepAlives = new KeepAlives(upstream)
    this.#registration = this.#createRegistration(namespace)
    const { hostname, advertiseUrl } = options
    this.methods = [
      ...this.#kv.methods,
      watchProxyMethod({ broadcasts: this.#broadcasts, members, leader: this.#leader, log }),
      ...leaseProxyMethods({
        ...{ upstream, namespace, keepAlives: this.#keepAlives, leader: this.#leader },
      }),
      ...clusterProxyMethods({
        ...{ upstream, kv: this.#kv, advertiseUrl, hostname, registration: this.#registration },
      }),
      ...passThroughMethods(upstream),
    ]
    this.pages = new GrpcProxyPages({
      figures,
      memberUrl: () => this.#memberUrl(),
      dial: options.pageDial,
      clusterProblem: () => this.#problem(),
      proxyProblem: () => this.#problem(),
    })
  }

  #createRegistration(namespace: KeyNamespace): Registration | undefined {
    const { resolverPrefix: prefix, resolverTtlSeconds: ttlSeconds } = this.#options
    if (prefix === '') return undefined
    return new Registration({
      ...{ upstream: this.#upstream, namespace, keepAlives: this.#keepAlives },
      ...{ prefix, ttlSeconds, advertiseUrl: this.#options.advertiseUrl },
      ...{ hostname: this.#options.hostname, log: this.#options.log },
    })
  }

  /** With an order to keep, resolves once a member has given a linearizable answer. */
  async start(): Promise<void> {
    const { isOrdered, syncIntervalMs, log } = this.#options
    this.#leader.start()
    if (isOrdered) {
      log.info('waiting for linearized read from cluster to recover ordering')
      while (!(await this.#maybeRecover()))
        await new Promise((resolve) => setTimeout(resolve, RECOVERY_PAUSE_MS))
    }
    this.#holder?.start()
    this.#registration?.start()
    if (syncIntervalMs > 0)
      this.#timer = setInterval(() => void this.#syncEndpoints(), syncIntervalMs)
  }

  /** Resolves when the keys that were held are given back, as far as a member can be told. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#holder?.stop()
    this.#registration?.stop()
    this.#leader.stop()
    this.#keepAlives.stop()
    this.#broadcasts.stop()
    this.pages.server.closeAllConnections()
    this.#upstream.close()
  }

  async #maybeRecover(): Promise<boolean> {
    try {
      await this.#members.recoverOrder()
      return true
    } catch (error) {
      const { message } = UpstreamError.from(error)
      this.#options.log.warn('ordering recovery failed, retrying in 1s', { error: message })
      return false
    }
  }

  async #syncEndpoints(): Promise<void> {
    try {
      const path = '/etcdserverpb.Cluster/MemberList'
      const request = rpc.MemberListRequest.encode({ linearizable: true })
      const { members } = rpc.MemberListResponse.decode(
        await this.#upstream.unary(path, request, undefined),
      )
      const urls = members.filter(({ isLearner }) => !isLearner).flatMap((one) => one.clientURLs)
      if (urls.length > 0) this.#upstream.setEndpoints(urls.map(this.#options.endpointOf))
    } catch (error) {
      const { message } = UpstreamError.from(error)
      this.#options.log.info('Auto sync endpoints failed.', { error: message })
    }
  }

  #memberUrl(): string {
    const { endpoints } = this.#upstream
    const endpoint = endpoints[this.#options.entropy.below(endpoints.length)] ?? ''
    if (endpoint.includes('://')) return endpoint
    return `${this.#options.isPageSecure ? 'https' : 'http'}://${endpoint}`
  }

  async #problem(): Promise<string | undefined> {
    const request = rpc.RangeRequest.create({ key: Uint8Array.of(0x61) })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('context deadline exceeded')), HEALTH_TIMEOUT_MS)
    })
    try {
      await Promise.race([this.#members.mayRead(request, undefined), late])
      return undefined
    } catch (error) {
      const { message } = UpstreamError.from(error)
      return message === 'etcdserver: permission denied' ? undefined : `GET ERROR:${message}`
    } finally {
      clearTimeout(timer)
    }
  }
}
