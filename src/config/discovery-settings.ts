import type { DiscoveryConfig } from './server-config.js'
import type { Settings } from './settings.js'

/** Where a new member learns of the others; the checks before allow one way at most. */
export function discoveryConfig(settings: Settings): DiscoveryConfig {
  const url = settings.get('discovery')
  if (url !== '') {
    return {
      kind: 'v2',
      url,
      proxy: settings.get('discovery-proxy'),
      fallback: settings.get('discovery-fallback') === 'exit' ? 'exit' : 'proxy',
    }
  }
  const domain = settings.get('discovery-srv')
  if (domain !== '') return { kind: 'dns', domain, service: settings.get('discovery-srv-name') }
  const endpoints = settings.get('discovery-endpoints')
  if (endpoints.length === 0) return { kind: 'none' }
  return {
    kind: 'v3',
    service: {
      token: settings.get('discovery-token'),
      endpoints,
      dialTimeoutMs: settings.get('discovery-dial-timeout'),
      requestTimeoutMs: settings.get('discovery-request-timeout'),
      keepAliveTimeMs: settings.get('discovery-keepalive-time'),
      keepAliveTimeoutMs: settings.get('discovery-keepalive-timeout'),
      isInsecureTransport: settings.get('discovery-insecure-transport'),
      skipTlsVerify: settings.get('discovery-insecure-skip-tls-verify'),
      certFile: settings.get('discovery-cert'),
      keyFile: settings.get('discovery-key'),
      caFile: settings.get('discovery-cacert'),
      user: settings.get('discovery-user'),
      password: settings.get('discovery-password'),
    },
  }
}
