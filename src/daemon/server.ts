import { createServer, type Server as HttpServer } from 'node:http'
import type { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { type FastifyInstance, fastify } from 'fastify'
import { createFastLane } from '../api-v2/fast-lane.js'
import { createMemberSource } from '../api-v2/member-source.js'
import { registerV2Routes } from '../api-v2/routes.js'
import { V2Handler } from '../api-v2/v2-handler.js'
import { clusterMethods } from '../api-v3/cluster.js'
import { kvMethods } from '../api-v3/kv.js'
import { LeaderGuard } from '../api-v3/leader-guard.js'
import { leaseMethods } from '../api-v3/lease.js'
import { maintenanceMethods } from '../api-v3/maintenance.js'
import { rangeStreamMethod } from '../api-v3/range-stream.js'
import { watchMethods } from '../api-v3/watch.js'
import { DaemonError } from '../base/errors.js'
import { createHttpAccess } from '../base/http-access.js'
import { idToHex } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { memberAttributesPath } from '../base/v2-paths.js'
import { SERVER_VERSION } from '../base/version.js'
import { resolveByDns } from '../config/resolve-host.js'
import type { ServerConfig } from '../config/server-config.js'
import { isSecure, type ServerUrl, urlTexts } from '../config/server-url.js'
import { HealthService } from '../grpc/health.js'
import { reflectionMethods } from '../grpc/reflection.js'
import { GrpcServer } from '../grpc/server.js'
import { HttpExchanges } from '../http2/http-exchange.js'
import type { Member } from '../member/member.js'
import { formatVersion } from '../membership/cluster-version.js'
import { encodeAttributes } from '../membership/member.js'
import { registerAccessControl } from '../ops/access-control.js'
import { cleanPath, movedPage } from '../ops/clean-path.js'
import { answerUnreadable, createGoHttpServer, HTTP_IDLE_MS } from '../ops/go-http-server.js'
import { Metrics } from '../ops/metrics.js'
import { type OpsSource, registerHealthRoutes, registerInfoRoutes } from '../ops/routes.js'
import { PeerTransport } from '../peer/peer-transport.js'
import { nodeDisk } from '../platform/disk.js'
import { LevelEngines } from '../platform/level-engine.js'
import type { ProcessLog } from '../platform/log.js'
import { PasswordThreads } from '../platform/password-threads.js'
import { systemClock, systemEntropy, turnScheduler } from '../platform/system.js'
import type { RpcMethod } from '../ports/rpc.js'
import { SnapshotFiles } from '../snapshot/snapshot-files.js'
import { listenAddressOf } from './addresses.js'
import { AppendTraffic } from './append-traffic.js'
import { AutoCompactor } from './auto-compactor.js'
import { findStart, type StartPoint } from './bootstrap.js'
import { composeMember } from './compose-member.js'
import { touchDataDirectory } from './data-directory.js'
import { makeDurableDirectory } from './durable-directory.js'
import { createLeaderCalls } from './leader-calls.js'
import { Listener } from './listener.js'
import { memberSettingsOf } from './member-settings.js'
import { feedMetrics, peerObserver, RpcCounts } from './metrics-feed.js'
import { PeerRoutes } from './peer-routes.js'
import { watchSlowRequests } from './slow-requests.js'
import { takeOverDb } from './take-over-db.js'
import { admission, createIdentities, type Identities, verifiedNames } from './tls.js'

/** How long connections may take to end when the process stops, ms. */
const DRAIN_GRACE_MS = 1000
/** Between two attempts to publish this member's name, ms. */
const PUBLISH_RETRY_MS = 100
/** What gRPC takes beside the largest request (facts: v3-api.md 2). */
const GRPC_OVERHEAD_BYTES = 512 * 1024
/** What bcrypt costs in etcd's v2 API, whatever --bcrypt-cost says. */
const V2_PASSWORD_COST = 10
/** How long a call to another member may take, ms. */
const PEER_CALL_TIMEOUT_MS = 5000

export interface ServerOptions {
  readonly config: ServerConfig
  readonly log: ProcessLog
  /**
   * The member cannot go on: its disk failed, its state is in doubt, or it was removed. Called
   * once.
   */
  readonly onEnd: (reason: 'failed' | 'removed', message: string) => void
}

type Timer = NodeJS.Timeout

/** The whole daemon in one process: a member, its peers, and everything clients talk to. */
export class EtcdServer {
  readonly #config: ServerConfig
  readonly #log: ProcessLog
  readonly #onEnd: ServerOptions['onEnd']
  readonly #metrics = new Metrics()
  readonly #health = new HealthService()
  readonly #traffic = new AppendTraffic(systemClock)
  readonly #passwords = new PasswordThreads({ cost: V2_PASSWORD_COST })
  readonly #listeners: Listener[] = []
  readonly #timers: Timer[] = []
  readonly #grpcServers: GrpcServer[] = []
  readonly #apps: FastifyInstance[] = []
  #member: Member | undefined
  #transport: PeerTransport | undefined
  #autoCompactor: AutoCompactor | undefined
  #isEnding = false

  private constructor(options: ServerOptions) {
    this.#config = options.config
    this.#log = options.log
    this.#onEnd = options.onEnd
  }

  /** Starts everything; resolves once this member is part of its cluster and serves clients. */
  static async start(options: ServerOptions): Promise<EtcdServer> {
    const server = new EtcdServer(options)
    try {
      await server.#start()
    } catch (error) {
      await server.#closeListeners()
      throw error
    }
    return server
  }

  get member(): Member {
    invariant(this.#member !== undefined, 'a server that started has a member')
    return this.#member
  }

  /** Addresses that clients can reach, as bound: ports that were 0 have their number. */
  get clientAddresses(): readonly string[] {
    return this.#listeners.map((listener) => listener.boundAddress)
  }

  /** Hands leadership over, finishes what is under way, and ends. */
  async stop(): Promise<void> {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#health.setStatus('', 'NOT_SERVING')
    this.#autoCompactor?.stop()
    const member = this.#member
    if (member !== undefined) {
      this.#log.info('closing etcd server', {
        name: this.#config.name,
        'data-dir': this.#config.dataDir,
      })
      await new Promise<void>((resolve) => {
        member.stop(resolve)
      })
    }
    for (const timer of this.#timers) clearInterval(timer)
    this.#transport?.stop()
    await Promise.all(this.#grpcServers.map((server) => server.drain(DRAIN_GRACE_MS)))
    await this.#closeListeners()
    await this.#passwords.close()
    this.#log.info('closed etcd server', {
      name: this.#config.name,
      'data-dir': this.#config.dataDir,
    })
  }

  async #closeListeners(): Promise<void> {
    for (const listener of this.#listeners) listener.stopAccepting()
    await Promise.all(this.#apps.map((app) => app.close()))
    for (const listener of this.#listeners) listener.destroyConnections()
  }

  async #start(): Promise<void> {
    const config = this.#config
    touchDataDirectory(config.dataDir, this.#log)
    makeDurableDirectory(nodeDisk, join(config.dataDir, 'member', 'snap'))
    makeDurableDirectory(nodeDisk, dirname(config.walDir))
    const identities = await createIdentities(config)
    const peerHttp = createServer({ keepAliveTimeout: HTTP_IDLE_MS })
    peerHttp.on('clientError', answerUnreadable)
    // A snapshot takes as long as it takes to arrive.
    peerHttp.requestTimeout = 0
    peerHttp.on('request', (_request, response) => {
      response.writeHead(503).end()
    })
    await this.#listenPeers(identities, peerHttp)
    const snapshots = new SnapshotFiles({
      disk: nodeDisk,
      directory: join(config.dataDir, 'member', 'snap'),
      log: this.#log,
    })
    snapshots.prepare()
    const start = await this.#findStart(identities, snapshots)
    const { member, transport } = await this.#createMember(start, snapshots, identities)
    this.#member = member
    this.#transport = transport
    this.#servePeers(peerHttp, member, transport)
    this.#run(member, start)
    await this.#publish(member)
    await this.#serveClients(member, identities)
    this.#health.setStatus('', 'SERVING')
    this.#log.info('ready to serve client requests')
  }

  #findStart(identities: Identities, snapshots: SnapshotFiles): Promise<StartPoint> {
    const config = this.#config
    return findStart({
      config,
      disk: nodeDisk,
      walOptions: {
        disk: nodeDisk,
        directory: config.walDir,
        unsafeNoFsync: config.unsafeNoFsync,
        log: this.#log,
        observer: {
          clock: systemClock,
          onSync: (durationMs, bytes) => {
            this.#metrics.observe('etcd_disk_wal_fsync_duration_seconds', durationMs / 1000)
            this.#metrics.add('etcd_disk_wal_write_bytes_total', bytes)
          },
        },
      },
      snapshots,
      log: this.#log,
      calls: this.#callOptions(identities),
      resolveHost: resolveByDns,
    })
  }

  #callOptions({ peer }: Identities, servername?: string) {
    const named = servername === undefined ? {} : { servername }
    return {
      dialTimeoutMs: 1000 + this.#config.electionTimeoutMs,
      timeoutMs: PEER_CALL_TIMEOUT_MS,
      ...(peer && { tlsClientOptions: () => ({ ...peer.clientOptions(), ...named }) }),
    }
  }

  async #createMember(
    start: StartPoint,
    snapshotFiles: SnapshotFiles,
    identities: Identities,
  ): Promise<{ member: Member; transport: PeerTransport }> {
    const config = this.#config
    const calls = this.#callOptions(identities, start.peerServerName)
    const engines = new LevelEngines(join(config.dataDir, 'member'), this.#log)
    if (!start.isNew) {
      const path = join(config.dataDir, 'member', 'snap', 'db')
      const indexMax = start.forcedAfter
      await takeOverDb({ disk: nodeDisk, engines, path, log: this.#log, indexMax })
    }
    const { member, network } = await composeMember({
      start,
      settings: memberSettingsOf(config),
      learnersMax: config.learnersMax,
      preVote: config.preVote,
      backendBatchChangesMax: config.backendBatchChangesMax,
      walFilesMax: config.walFilesMax,
      snapshotFilesMax: config.snapshotFilesMax,
      progressIntervalMs: config.watchProgressNotifyIntervalMs,
      fragmentBytes: config.requestBytesMax + GRPC_OVERHEAD_BYTES,
      engines,
      snapshotFiles,
      clock: systemClock,
      scheduler: turnScheduler,
      entropy: systemEntropy,
      log: this.#log,
      leaderCalls: createLeaderCalls(() => calls),
      createNetwork: (events) =>
        new PeerTransport({
          id: start.id,
          clusterId: start.clusterId,
          ownUrls: () => urlTexts(config.initialAdvertisePeerUrls),
          events,
          log: this.#log,
          clock: systemClock,
          timings: {
            streamIdleMs: config.raftReadTimeoutMs,
            streamStuckMs: config.raftWriteTimeoutMs,
          },
          observer: peerObserver(this.#metrics, idToHex(start.id), this.#traffic),
          ...calls,
        }),
      every: (intervalMs, work) => {
        this.#timers.push(setInterval(work, intervalMs))
      },
      onEnd: (reason, message, cause) => this.#end(reason, message, cause),
    })
    // Nothing is served, sent or applied before the store is known to be whole.
    await engines.verified()
    return { member, transport: network }
  }

  #end(reason: 'failed' | 'removed', message: string, cause: unknown): void {
    if (this.#isEnding) return
    if (reason === 'failed') {
      this.#log.error(message, {
        error: cause instanceof Error ? cause.message : String(cause ?? ''),
      })
    }
    this.#onEnd(reason, message)
  }

  #run(member: Member, start: StartPoint): void {
    const { settings } = member
    this.#timers.push(setInterval(() => member.tick(), settings.tickMs))
    const guard = this.#leaderGuardOf(member)
    this.#timers.push(setInterval(() => guard.check(), settings.electionTimeoutMs))
    member.start()
    turnScheduler.later(0, () => member.campaignWhenAlone())
    if (!start.isAlone && this.#config.initialElectionTickAdvance)
      this.#advanceWhenConnected(member)
    if (this.#config.autoCompaction.kind !== 'off') {
      this.#autoCompactor = new AutoCompactor(member, this.#config.autoCompaction, this.#log)
    }
  }

  /** A restarted member that reaches a peer waits for one heartbeat only before it may campaign. */
  #advanceWhenConnected(member: Member): void {
    const untilMs = systemClock.monotonicMs() + 5000
    const look = (): void => {
      if (this.#isEnding || systemClock.monotonicMs() > untilMs) return
      if ((this.#transport?.activePeers ?? 0) > 0)
        member.advanceTicks(member.settings.electionTicks - 2)
      else setTimeout(look, 50)
    }
    look()
  }

  #guard: LeaderGuard | undefined
  #leaderGuardOf(member: Member): LeaderGuard {
    this.#guard ??= new LeaderGuard(member)
    return this.#guard
  }

  /** Writes name and client URLs of this member into the cluster; tried until it succeeds. */
  async #publish(member: Member): Promise<void> {
    const attributes = encodeAttributes({
      name: this.#config.name,
      clientUrls: urlTexts(this.#config.advertiseClientUrls),
    })
    for (;;) {
      const outcome = await new Promise<string>((resolve) => {
        member.publish(attributes, memberAttributesPath(member.id), (result) =>
          resolve(result.kind === 'applied' ? 'applied' : result.code),
        )
      })
      if (outcome === 'applied') break
      if (this.#isEnding) throw new Error('the server stopped before it was published')
      this.#log.warn('failed to publish local member to cluster through raft', { error: outcome })
      await new Promise((resolve) => setTimeout(resolve, PUBLISH_RETRY_MS))
    }
    this.#log.info('published local member to cluster through raft', {
      'local-member-id': idToHex(member.id),
      'local-member-attributes': attributes,
      'cluster-id': idToHex(member.clusterId),
    })
  }

  // Listening.

  async #listen(
    urls: readonly ServerUrl[],
    side: 'client' | 'peer',
    identities: Identities,
    targets: ConstructorParameters<typeof Listener>[0]['targets'],
  ): Promise<void> {
    const { clientTls, peerTls } = this.#config
    for (const url of urls) {
      const identity = side === 'client' ? identities.client : identities.peer
      const listener = new Listener({
        address: listenAddressOf(url),
        tls: isSecure(url) ? identity : undefined,
        targets,
        log: this.#log,
        side,
        admit: admission(side === 'client' ? clientTls : peerTls, side),
      })
      await listener.listen()
      this.#listeners.push(listener)
    }
  }

  async #listenPeers(identities: Identities, http: HttpServer): Promise<void> {
    const { listenPeerUrls } = this.#config
    this.#log.info('configuring peer listeners', { 'listen-peer-urls': urlTexts(listenPeerUrls) })
    await this.#listen(listenPeerUrls, 'peer', identities, {
      http1: (socket) => http.emit('connection', socket),
      http2: (socket, head) => {
        const grpc = this.#grpcServers[0]
        if (grpc === undefined) socket.destroy()
        else grpc.handleConnection(socket, head)
      },
    })
    this.#log.info('serving peer traffic', { address: urlTexts(listenPeerUrls) })
  }

  #servePeers(http: HttpServer, member: Member, transport: PeerTransport): void {
    const routes = new PeerRoutes(member, this.#opsSource(member))
    http.removeAllListeners('request')
    http.on('request', (request, response) => {
      if (!transport.handlePeerRequest(request, response)) routes.handle(request, response)
    })
  }

  async #serveClients(member: Member, identities: Identities): Promise<void> {
    const config = this.#config
    const methods = this.#methods(member)
    const counts = new RpcCounts(methods, {
      aboveMs: config.warningUnaryRequestDurationMs,
      onSlow: (path, tookMs) =>
        this.#log.warn('request stats', {
          'response type': path,
          'time spent': `${tookMs.toFixed(3)}ms`,
        }),
    })
    feedMetrics(this.#metrics, member, counts, () => member.isDefragmenting)
    const { keepAlive } = config
    const grpc = new GrpcServer({
      methods,
      observer: counts,
      limits: { receiveBytesMax: config.requestBytesMax + GRPC_OVERHEAD_BYTES },
      http2Limits: {
        concurrentStreamsMax: config.concurrentStreamsMax,
        keepaliveMinTimeMs: keepAlive.minTimeMs,
        keepaliveIntervalMs: keepAlive.intervalMs,
        keepaliveTimeoutMs: keepAlive.timeoutMs,
      },
      onError: (error) =>
        this.#log.error('a call failed', { error: DaemonError.from(error).cause ?? error }),
    })
    this.#grpcServers.push(grpc)
    const v2 = config.enableV2 ? this.#createV2(member) : undefined
    const addRoutes = (instance: FastifyInstance): void => {
      registerInfoRoutes(instance, this.#opsSource(member))
      if (v2 !== undefined) registerV2Routes(instance, v2)
    }
    const app = await this.#createApp(member, addRoutes, v2)
    const isSplit = config.listenClientHttpUrls.length > 0
    const toNode = (socket: Socket): void => {
      app.server.emit('connection', socket)
    }
    const access = createHttpAccess(this.#accessOptions())
    const http1 =
      v2 === undefined ? toNode : createFastLane({ keys: v2.keys, access, fallback: toNode })
    // As etcd: over TLS everything but gRPC is for the HTTP handlers, in plain text nothing is.
    const http2 = (socket: Socket, head: Uint8Array): void => {
      if (isSplit || !(socket instanceof TLSSocket)) grpc.handleConnection(socket, head)
      else {
        const serve = (duplex: Duplex): boolean => app.server.emit('connection', duplex)
        const exchanges = new HttpExchanges({ origin: socket, serve })
        grpc.handleConnection(socket, head, exchanges.begin)
      }
    }
    this.#log.info('configuring client listeners', {
      'listen-client-urls': urlTexts(config.listenClientUrls),
    })
    await this.#listen(
      config.listenClientUrls,
      'client',
      identities,
      isSplit ? { http2 } : { http1, http2 },
    )
    await this.#listen(config.listenClientHttpUrls, 'client', identities, { http1 })
    await this.#serveMetrics(member, identities)
    for (const url of config.listenClientUrls) {
      const text = isSecure(url)
        ? 'serving client traffic securely'
        : 'serving client traffic insecurely; this is strongly discouraged!'
      this.#log.info(text, { address: url.host })
    }
  }

  async #serveMetrics(member: Member, identities: Identities): Promise<void> {
    const { listenMetricsUrls } = this.#config
    if (listenMetricsUrls.length === 0) return
    const app = await this.#createApp(member, () => undefined)
    await this.#listen(listenMetricsUrls, 'client', identities, {
      http1: (socket) => app.server.emit('connection', socket),
    })
  }

  /** An HTTP application without a socket of its own: connections are handed to it. */
  async #createApp(
    member: Member,
    addRoutes: (app: FastifyInstance) => void,
    v2?: V2Handler,
  ): Promise<FastifyInstance> {
    const access = createHttpAccess(this.#accessOptions())
    const app = fastify({
      logger: false,
      forceCloseConnections: true,
      exposeHeadRoutes: false,
      serverFactory: (handle) =>
        createGoHttpServer((request, response) => {
          if (v2?.maybeHandleFirst(request, response, access) !== true) handle(request, response)
        }),
      clientErrorHandler: answerUnreadable,
    })
    // No page reads a body, so none is refused for its type or size: Node throws it away.
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, _body, done) => done(null))
    registerAccessControl(app, {
      ...this.#accessOptions(),
      onRefusedHost: (host) =>
        this.#log.warn('rejecting HTTP request to prevent DNS rebinding attacks', { host }),
    })
    app.setNotFoundHandler((request, reply) => {
      const [path = '', ...query] = request.url.split('?')
      const clean = cleanPath(path)
      if (clean !== path) {
        const location = [clean, ...query].join('?')
        const page = request.method === 'GET' ? movedPage(location) : ''
        reply.code(301).header('Location', location).type('text/html; charset=utf-8').send(page)
        return
      }
      reply
        .code(404)
        .header('X-Content-Type-Options', 'nosniff')
        .type('text/plain; charset=utf-8')
        .send('404 page not found\n')
    })
    registerHealthRoutes(app, this.#opsSource(member))
    addRoutes(app)
    await app.ready()
    watchSlowRequests(app.server)
    this.#apps.push(app)
    return app
  }

  #accessOptions() {
    const { corsOrigins, hostWhitelist, listenClientUrls } = this.#config
    return { corsOrigins, hostWhitelist, isSecure: listenClientUrls.every(isSecure) }
  }

  #createV2(member: Member): V2Handler {
    const source = createMemberSource({
      member,
      clock: systemClock,
      name: this.#config.name,
      traffic: () => this.#traffic.statistics(),
      followers: () => this.#traffic.followers,
      startedMs: systemClock.wallMs() - process.uptime() * 1000,
      leaderSinceMs: () =>
        systemClock.wallMs() - (systemClock.monotonicMs() - member.leaderElectedMs),
    })
    const { certAuth } = this.#config.clientTls
    return new V2Handler({
      source,
      passwords: this.#passwords,
      log: this.#log,
      certificateNames: certAuth ? verifiedNames : undefined,
    })
  }

  #methods(member: Member): RpcMethod[] {
    const context = {
      member,
      requestBytesMax: this.#config.requestBytesMax,
      txnOpsMax: this.#config.transactionOperationsMax,
    }
    const methods = [
      ...kvMethods(context),
      rangeStreamMethod(context),
      ...watchMethods(context, this.#leaderGuardOf(member)),
      ...leaseMethods(context),
      ...clusterMethods(context),
      ...maintenanceMethods(context),
      ...this.#health.methods,
    ]
    return [...methods, ...reflectionMethods({ methods })]
  }

  #opsSource(member: Member): OpsSource {
    return {
      serverVersion: SERVER_VERSION,
      clusterVersion: () => {
        const { version } = member.membership
        return version === undefined ? 'not_decided' : formatVersion(version)
      },
      metricsText: () => this.#metrics.text(),
      debugVars: () => ({
        memstats: process.memoryUsage(),
        'raft.status': {
          id: idToHex(member.id),
          term: member.term,
          commit: member.committedIndex,
          lead: idToHex(member.leaderId),
          applied: member.appliedIndex,
        },
      }),
      onHealthChecked: (isHealthy) =>
        this.#metrics.add(isHealthy ? 'etcd_server_health_success' : 'etcd_server_health_failures'),
      activeAlarms: () => member.state.alarms.list(0n as never, 'NONE').map(({ kind }) => kind),
      hasLeader: () => member.leaderId !== 0n,
      isLearner: () => member.isLearner,
      probeRead: (kind) =>
        new Promise((resolve, reject) => {
          const finish = (code: Parameters<Parameters<Member['linearize']>[0]>[0]): void => {
            if (code !== undefined) reject(new DaemonError(code))
            else if (!member.isServing) reject(new DaemonError('STOPPED'))
            else {
              member.store.range({ key: '\0', end: '\0', limit: 1 })
              resolve()
            }
          }
          if (kind === 'serializable') finish(undefined)
          else member.linearize(finish)
        }),
    }
  }
}
