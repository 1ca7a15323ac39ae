/** What to log when the daemon could not start: etcd's lines, with what the operator may do. */
import { exhaustive } from '../base/invariant.js'
import { type Notice, notice } from '../config/notice.js'
import { startFailureNotices } from '../config/parse-config.js'
import type { DiscoveryConfig, ServerConfig } from '../config/server-config.js'
import { DiscoveryError } from '../discovery/discovery-error.js'

const USE_ANOTHER_TOKEN = notice(
  'warn',
  'do not reuse discovery token; generate a new one to bootstrap a cluster',
)

type Fields = Notice['fields']

/** What etcd names the token by: v2 by its URL, v3 by the token and the endpoints. */
function tokenFields(discovery: DiscoveryConfig): Fields {
  switch (discovery.kind) {
    case 'v2':
      return { 'discovery-token': discovery.url }
    case 'v3': {
      const { token, endpoints } = discovery.service
      return { 'discovery-token': token, 'discovery-endpoints': endpoints }
    }
    case 'none':
    case 'dns':
      return {}
    default:
      return exhaustive(discovery)
  }
}

function advice(error: DiscoveryError, config: ServerConfig): readonly Notice[] {
  const token = tokenFields(config.discovery)
  const { reason } = error
  switch (error.problem) {
    case 'duplicate-id':
      return [
        notice('warn', 'member has been registered with discovery service', {
          name: config.name,
          ...token,
          error: reason,
        }),
        notice('warn', 'but could not find valid cluster configuration', {
          'data-dir': config.dataDir,
        }),
        notice('warn', 'check data dir if previous bootstrap succeeded'),
        notice('warn', 'or use a new discovery token if previous bootstrap failed'),
      ]
    case 'duplicate-name':
      return [
        notice('warn', 'member with duplicated name has already been registered', {
          ...token,
          error: reason,
        }),
        notice('warn', 'cURL the discovery token URL for details'),
        USE_ANOTHER_TOKEN,
      ]
    case 'full':
    case 'other':
      return [
        notice('warn', 'failed to bootstrap; discovery token was already used', {
          ...token,
          error: error.message,
        }),
        USE_ANOTHER_TOKEN,
      ]
    default:
      return exhaustive(error.problem)
  }
}

/** Whether the cluster was full and this member is to serve as a proxy for it instead. */
export function isProxyWanted(error: unknown, { discovery }: ServerConfig): boolean {
  const isFull = error instanceof DiscoveryError && error.problem === 'full'
  return isFull && discovery.kind === 'v2' && discovery.fallback === 'proxy'
}

/** The line before the process goes on as a proxy (`isProxyWanted`). */
export function proxyFallback(error: unknown): readonly Notice[] {
  const fields = {
    'fallback-proxy': 'proxy',
    error: error instanceof Error ? error.message : String(error),
  }
  return [notice('warn', 'discovery cluster is full, falling back to proxy', fields)]
}

/** The lines before the process ends. */
export function startFailure(error: unknown, config: ServerConfig): readonly Notice[] {
  if (!(error instanceof DiscoveryError)) {
    return startFailureNotices(error instanceof Error ? error.message : String(error))
  }
  const failed = notice('warn', 'failed to start etcd', { error: error.message })
  return [...(error.problem === 'full' ? [] : [failed]), ...advice(error, config)]
}
