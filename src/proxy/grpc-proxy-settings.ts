import { goQuote } from '../config/go-value.js'
import type { CobraFlag, CobraGroup, CobraValues } from './cobra.js'

const text = (name: string, help: string, preset = ''): CobraFlag => ({
  ...{ name, type: 'string', default: preset, help },
})
const toggle = (name: string, help: string): CobraFlag => ({
  ...{ name, type: 'bool', default: 'false', help },
})
const flagOf = (
  name: string,
  type: CobraFlag['type'],
  preset: string,
  help: string,
): CobraFlag => ({ name, type, default: preset, help })

/** `etcd grpc-proxy`. */
export const grpcProxyCommand: CobraGroup = {
  name: 'grpc-proxy',
  help: 'grpc-proxy related command',
  startHelp: 'start the grpc proxy',
  flags: [
    text('listen-addr', 'host:port to listen on', '127.0.0.1:23790'),
    text('discovery-srv', 'domain whose SRV records name the endpoints'),
    text('discovery-srv-name', 'suffix of the service names in the SRV records'),
    text('metrics-addr', 'URL to serve the pages on besides'),
    toggle('insecure-discovery', 'take discovered endpoints without TLS, and without trying them'),
    flagOf('endpoints', 'strings', '127.0.0.1:2379', 'client endpoints of the cluster'),
    flagOf(
      'endpoints-auto-sync-interval',
      'duration',
      '0s',
      'time between two looks at the members for endpoints (0: none)',
    ),
    flagOf('dial-keepalive-time', 'duration', '0s', 'time between pings to a member (0: none)'),
    flagOf('dial-keepalive-timeout', 'duration', '20s', 'time to wait for the answer to a ping'),
    toggle('permit-without-stream', 'ping members without calls under way too'),
    text('advertise-client-url', 'address under which clients find the proxy', '127.0.0.1:23790'),
    text('resolver-prefix', 'prefix of the keys under which proxies register'),
    flagOf('resolver-ttl', 'int', '0', 'seconds after which a dead proxy is forgotten'),
    text('namespace', 'prefix of all keys of the clients'),
    toggle('enable-pprof', 'profiles in the format of Go'),
    text('data-dir', 'directory of generated certificates', 'default.proxy'),
    flagOf('max-send-bytes', 'int', '1572864', 'largest message to a member, bytes'),
    flagOf('max-recv-bytes', 'int', '2147483647', 'largest message from a member, bytes'),
    flagOf('grpc-keepalive-min-time', 'duration', '5s', 'shortest time between pings of a client'),
    flagOf('grpc-keepalive-interval', 'duration', '2h0m0s', 'time between pings (0: none)'),
    flagOf('grpc-keepalive-timeout', 'duration', '20s', 'time to wait for the answer (0: ever)'),
    text('cert', 'certificate shown to the members'),
    text('key', 'key of that certificate'),
    text('cacert', 'authorities of the members'),
    toggle('insecure-skip-tls-verify', 'take any certificate of a member (for tests only)'),
    text('cert-file', 'certificate shown to clients'),
    text('key-file', 'key of that certificate'),
    text('trusted-ca-file', 'authorities of the clients, who must then show a certificate'),
    flagOf('listen-cipher-suites', 'strings', '', 'TLS 1.2 cipher suites for clients'),
    toggle('auto-tls', 'make a certificate for clients'),
    text('client-crl-file', 'revoked certificates of clients'),
    flagOf('self-signed-cert-validity', 'uint', '1', 'validity of a made certificate, years'),
    text('tls-min-version', 'lowest TLS version for clients', 'TLS1.2'),
    text('tls-max-version', 'highest TLS version for clients'),
    toggle('experimental-serializable-ordering', 'no answer is older than one before it'),
    text('experimental-leasing-prefix', 'prefix of leases on keys'),
    toggle('experimental-enable-grpc-logging', 'log every call'),
    toggle('debug', 'log more'),
    flagOf('max-concurrent-streams', 'uint32', '4294967295', 'open streams of one client'),
  ],
}

/** Why these flags cannot be run with, or `undefined`: etcd's checks, then what is not there. */
export function grpcProxyProblem(values: CobraValues): string | undefined {
  const prefix = values.text('resolver-prefix')
  const ttl = values.number('resolver-ttl')
  const advertised = values.text('advertise-client-url')
  if (prefix !== '' && ttl < 1) return `invalid resolver-ttl ${ttl}`
  if (prefix === '' && ttl > 0) return `invalid resolver-prefix ${goQuote(prefix)}`
  if (prefix !== '' && advertised === '')
    return `invalid advertise-client-url ${goQuote(advertised)}`
  if (values.isOn('auto-tls') && values.number('self-signed-cert-validity') === 0)
    return 'selfSignedCertValidity is invalid,it should be greater than 0'
  return tlsProblem(values) ?? missingProblem(values)
}

function tlsProblem(values: CobraValues): string | undefined {
  for (const name of ['tls-min-version', 'tls-max-version']) {
    const version = values.text(name)
    if (version !== '' && version !== 'TLS1.2' && version !== 'TLS1.3')
      return `unexpected TLS version ${goQuote(version)} (must be one of: TLS1.2, TLS1.3)`
  }
  const isPair = (cert: string, key: string): boolean =>
    (values.text(cert) === '') === (values.text(key) === '')
  for (const [cert, key] of [
    ['cert', 'key'],
    ['cert-file', 'key-file'],
  ] as const) {
    if (isPair(cert, key)) continue
    const shown = `key: ${values.text(key)}, cert: ${values.text(cert)}`
    return `KeyFile and CertFile must both be present[${shown}]`
  }
  return undefined
}

/** Flags that would need what the proxy does not have; they are refused, never ignored. */
function missingProblem(values: CobraValues): string | undefined {
  if (values.isOn('enable-pprof'))
    return '--enable-pprof: Node.js cannot make profiles in the format of Go'
  return undefined
}
