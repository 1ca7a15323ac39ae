/** The members of a first start, when they are told of by others than `--initial-cluster`. */
import { idToHex, type MemberId } from '../base/ids.js'
import { exhaustive } from '../base/invariant.js'
import { goQuote } from '../config/go-value.js'
import {
  createInitialCluster,
  formatUrlsByName,
  hasDuplicateUrl,
  type UrlsByName,
} from '../config/initial-cluster.js'
import type { InitialCluster, ServerConfig } from '../config/server-config.js'
import type { Log } from '../ports/log.js'

/** What is known of the cluster before a discovery service was asked. */
export interface LocatedCluster {
  readonly initialCluster: InitialCluster
  /** Goes into cluster and member ids. */
  readonly token: string
  /** The name that peers' certificates must carry in place of their host; undefined = the host. */
  readonly peerServerName: string | undefined
}

function ownAlone(config: ServerConfig): InitialCluster {
  const urls = config.initialAdvertisePeerUrls
  return {
    text: formatUrlsByName(new Map([[config.name, urls]])),
    members: new Map([[config.name, urls]]),
    problem: undefined,
  }
}

/**
 * The members by flags or DNS; with a discovery service this member alone, which is what its id is
 * made from. Rejects with the reason when DNS has no members, or not this one.
 */
export async function locateCluster(config: ServerConfig, log: Log): Promise<LocatedCluster> {
  const { discovery, initialCluster, initialClusterToken } = config
  switch (discovery.kind) {
    case 'none':
      return { initialCluster, token: initialClusterToken, peerServerName: undefined }
    case 'dns':
      return locateByDns(config, discovery, log)
    case 'v3': {
      const { token } = discovery.service
      return { initialCluster: ownAlone(config), token, peerServerName: undefined }
    }
    case 'v2':
      return { initialCluster: ownAlone(config), token: discovery.url, peerServerName: undefined }
    default:
      return exhaustive(discovery)
  }
}

/** The members by DNS, this one among them or not. */
async function findByDns(
  config: ServerConfig,
  { domain, service }: Readonly<{ domain: string; service: string }>,
  log: Log,
): Promise<InitialCluster> {
  const { MachineDns } = await import('../discovery/dns-lookups.js')
  const { findSrvCluster } = await import('../discovery/srv-cluster.js')
  const { pairs, failure } = await findSrvCluster({
    domain,
    service,
    name: config.name,
    advertisedUrls: config.initialAdvertisePeerUrls,
    lookups: new MachineDns(),
    log,
    random: Math.random,
  })
  if (pairs.length === 0 && failure !== undefined) {
    throw new Error(`error setting up initial cluster: ${failure}`)
  }
  for (const node of pairs) log.info('got bootstrap from DNS for etcd-server', { node })
  return createInitialCluster(pairs.join(','))
}

async function locateByDns(
  config: ServerConfig,
  where: Readonly<{ domain: string; service: string }>,
  log: Log,
): Promise<LocatedCluster> {
  const initialCluster = await findByDns(config, where, log)
  if (!initialCluster.members.has(config.name)) {
    const missing = `cannot find local etcd member ${goQuote(config.name)} in SRV records`
    throw new Error(`error setting up initial cluster: ${missing}`)
  }
  const isSecure = initialCluster.text.includes('https://')
  return {
    initialCluster,
    token: config.initialClusterToken,
    // Without an authority of the cluster's own, the certificates speak for the domain.
    peerServerName: isSecure && config.peerTls.trustedCaFile === '' ? where.domain : undefined,
  }
}

/**
 * The whole cluster from the discovery service, this member registered there; `undefined` when no
 * service is set. Waits until all members have come. Rejects with a DiscoveryError.
 */
export async function joinDiscoveredCluster(
  config: ServerConfig,
  own: Readonly<{ id: MemberId; text: string }>,
  log: Log,
): Promise<UrlsByName | undefined> {
  const text = await discoveredText(config, own, log)
  if (text === undefined) return undefined
  const { members, problem } = createInitialCluster(text)
  if (problem !== undefined) throw new Error(problem)
  if (hasDuplicateUrl(members)) {
    throw new Error(`discovery cluster ${formatUrlsByName(members)} has duplicate url`)
  }
  return members
}

async function discoveredText(
  config: ServerConfig,
  own: Readonly<{ id: MemberId; text: string }>,
  log: Log,
): Promise<string | undefined> {
  const { discovery } = config
  switch (discovery.kind) {
    case 'none':
    case 'dns':
      return undefined
    case 'v3': {
      log.info('Bootstrapping cluster using v3 discovery.')
      const { joinByV3Discovery } = await import('../discovery/v3-discovery.js')
      const { service } = discovery
      return joinByV3Discovery({ service, memberId: idToHex(own.id), config: own.text, log })
    }
    case 'v2': {
      const { joinByV2Discovery } = await import('../discovery/v2-discovery.js')
      const { url, proxy } = discovery
      return joinByV2Discovery({ url, proxy, memberId: idToHex(own.id), config: own.text, log })
    }
    default:
      return exhaustive(discovery)
  }
}

/**
 * The cluster for one that is no member of it and does not register. Waits until a discovery
 * service knows all members. Rejects with the reason, which is a DiscoveryError from a service.
 */
export async function findCluster(config: ServerConfig, log: Log): Promise<InitialCluster> {
  const { discovery } = config
  switch (discovery.kind) {
    case 'none':
      return config.initialCluster
    case 'dns':
      return findByDns(config, discovery, log)
    case 'v2': {
      const { clusterByV2Discovery } = await import('../discovery/v2-discovery.js')
      const { url, proxy } = discovery
      return createInitialCluster(await clusterByV2Discovery({ url, proxy, log }))
    }
    case 'v3': {
      const { clusterByV3Discovery } = await import('../discovery/v3-discovery.js')
      const { service } = discovery
      return createInitialCluster(await clusterByV3Discovery({ service, log }))
    }
    default:
      return exhaustive(discovery)
  }
}
