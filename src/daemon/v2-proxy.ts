import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import type { ServerConfig, TlsConfig } from '../config/server-config.js'
import { isSecure, urlTexts } from '../config/server-url.js'
import { parseMembers } from '../membership/member.js'
import { fetchMembers } from '../peer/cluster-discovery.js'
import type { DialOptions } from '../peer/dial.js'
import { nodeDisk } from '../platform/disk.js'
import { outgoingTls } from '../platform/outgoing-tls.js'
import { systemEntropy } from '../platform/system.js'
import type { Log } from '../ports/log.js'
import { ClusterFile } from '../proxy/cluster-file.js'
import { V2Proxy } from '../proxy/v2-proxy.js'
import { listenAddressOf } from './addresses.js'
import { findCluster } from './discover-cluster.js'
import { makeDurableDirectory } from './durable-directory.js'
import { Listener } from './listener.js'
import { watchSlowRequests } from './slow-requests.js'
import { admission, identityOf } from './tls.js'

/** How long a member may take to name the members of its cluster, ms. */
const MEMBERS_TIMEOUT_MS = 10_000
/** What stands for "no limit" where there must be one, ms: the longest that a timer can wait. */
const NO_LIMIT_MS = 2 ** 31 - 1

export interface V2ProxyStart {
  readonly config: ServerConfig
  readonly log: Log
  /**
   * The peer URLs of the cluster; asked only when this proxy has not kept them from an earlier
   * life. What it throws ends the start.
   */
  readonly findPeerUrls: () => Promise<readonly string[]>
}

/** A v2 proxy that serves. */
export interface RunningV2Proxy {
  readonly addresses: readonly string[]
  stop(): Promise<void>
}

/**
 * The peer URLs that `--initial-cluster` names, or those of the members that met at a v2 discovery
 * service. Rejects when there are none to be had.
 */
export async function initialPeerUrls(config: ServerConfig, log: Log): Promise<readonly string[]> {
  const { members, problem } = await findCluster(config, log)
  if (problem !== undefined) throw new Error(`error setting up initial cluster: ${problem}`)
  return [...members.values()].flatMap(urlTexts).sort()
}

/** How one side is dialled: `tls.isAuto` servers have certificates that nobody signed. */
function dialOptions(config: ServerConfig, tls: TlsConfig, isAuto: boolean): DialOptions {
  const options = outgoingTls({
    certFile: tls.clientCertFile || tls.certFile,
    keyFile: tls.clientKeyFile || tls.keyFile,
    trustedCaFile: tls.trustedCaFile,
    skipVerification: isAuto,
    minVersion: config.tlsVersionMin,
    maxVersion: config.tlsVersionMax,
    cipherSuites: config.cipherSuites,
  })
  return {
    dialTimeoutMs: config.v2Proxy.dialTimeoutMs || NO_LIMIT_MS,
    tlsClientOptions: (): ConnectionOptions => options(),
  }
}

/** The members' client URLs, found through their peer URLs, which are kept up to date on disk. */
class MemberList {
  readonly #file: ClusterFile
  readonly #log: Log
  readonly #dial: DialOptions
  #peerUrls: readonly string[]

  constructor(options: {
    readonly file: ClusterFile
    readonly log: Log
    readonly dial: DialOptions
    readonly peerUrls: readonly string[]
  }) {
    this.#file = options.file
    this.#log = options.log
    this.#dial = options.dial
    this.#peerUrls = options.peerUrls
  }

  /** Empty when no member answers. */
  async clientUrls(): Promise<readonly string[]> {
    const from = this.#peerUrls
    const found = await fetchMembers(
      from,
      { ...this.#dial, timeoutMs: MEMBERS_TIMEOUT_MS },
      ({ address, error }) => this.#log.warn('failed to get cluster response', { address, error }),
    )
    const members = found === undefined ? undefined : parseMembers(found.membersJson)
    if (members === undefined) {
      const error = 'could not retrieve cluster information from the given URLs'
      this.#log.warn('failed to get cluster from remote peers', { 'peer-urls': from, error })
      return []
    }
    this.#keep(members.flatMap(({ peerUrls }) => peerUrls).sort())
    return members.flatMap(({ clientUrls }) => clientUrls).sort()
  }

  #keep(peerUrls: readonly string[]): void {
    try {
      this.#file.write(peerUrls)
    } catch (error) {
      this.#log.warn('proxy failed to write cluster file', { error: String(error) })
      return
    }
    if (peerUrls.join() !== this.#peerUrls.join())
      this.#log.info('proxy updated peer URLs', { from: this.#peerUrls, to: peerUrls })
    this.#peerUrls = peerUrls
  }
}

async function knownPeerUrls(start: V2ProxyStart, file: ClusterFile): Promise<readonly string[]> {
  const { log } = start
  const kept = file.read()
  if (kept === undefined) {
    const found = await start.findPeerUrls()
    log.info('proxy using peer URLS', { 'peer-urls': found })
    return found
  }
  if (start.config.discovery.kind === 'v2') {
    log.warn(
      'discovery token ignored since the proxy has already been initialized; ' +
        'valid cluster file found',
      { 'cluster-file': file.path },
    )
  }
  const fields = { 'peer-urls': kept, 'cluster-file': file.path }
  log.info('proxy using peer URLS from cluster file', fields)
  return kept
}

/**
 * Starts the process as a v2 proxy (`--proxy`, or beyond the size of a cluster that was discovered)
 * and listens on the client URLs. Resolves once it serves; rejects with etcd's reason.
 */
export async function startV2Proxy(start: V2ProxyStart): Promise<RunningV2Proxy> {
  const { config, log } = start
  const { clientTls, peerTls, v2Proxy } = config
  log.info('v2 API proxy starting')
  const directory = join(config.dataDir, 'proxy')
  makeDurableDirectory(nodeDisk, directory)
  const file = new ClusterFile(nodeDisk, directory)
  const isClientTlsEmpty = clientTls.certFile === '' && clientTls.keyFile === ''
  const list = new MemberList({
    file,
    log,
    dial: dialOptions(config, peerTls, peerTls.isAuto),
    peerUrls: await knownPeerUrls(start, file),
  })
  const proxy = new V2Proxy({
    ...v2Proxy,
    mode: v2Proxy.mode === 'readonly' ? 'readonly' : 'on',
    findUrls: () => list.clientUrls(),
    // Without a certificate for clients, the peers' is shown to both.
    dial: dialOptions(config, isClientTlsEmpty ? peerTls : clientTls, clientTls.isAuto),
    corsOrigins: config.corsOrigins,
    entropy: systemEntropy,
    log,
  })
  await proxy.start()
  watchSlowRequests(proxy.server)
  const listeners = await listen(start, directory, proxy)
  return {
    addresses: listeners.map(({ boundAddress }) => boundAddress),
    stop: async () => {
      for (const listener of listeners) listener.stopAccepting()
      proxy.stop()
      for (const listener of listeners) listener.destroyConnections()
    },
  }
}

async function listen(
  { config, log }: V2ProxyStart,
  directory: string,
  proxy: V2Proxy,
): Promise<readonly Listener[]> {
  const identity = await identityOf(config, {
    tls: config.clientTls,
    directory: join(directory, 'clientCerts'),
    urls: [...config.listenClientUrls, ...config.advertiseClientUrls],
  })
  const listeners: Listener[] = []
  for (const url of config.listenClientUrls) {
    const listener = new Listener({
      address: listenAddressOf(url),
      tls: isSecure(url) ? identity : undefined,
      targets: { http1: (socket) => proxy.handleConnection(socket) },
      log,
      side: 'client',
      admit: admission(config.clientTls, 'client'),
    })
    await listener.listen()
    listeners.push(listener)
    log.info('v2 proxy started listening on client requests', { host: url.text })
  }
  return listeners
}
