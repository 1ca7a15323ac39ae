import { X509Certificate } from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type ChannelOptions, credentials } from '@grpc/grpc-js'
import { splitHostPort } from '../config/server-url.js'
import { MachineDns } from '../discovery/dns-lookups.js'
import { GrpcServer } from '../grpc/server.js'
import type { DialOptions } from '../peer/dial.js'
import { createLog, type ProcessLog } from '../platform/log.js'
import { outgoingTls } from '../platform/outgoing-tls.js'
import { readPath } from '../platform/pem-files.js'
import { selfSignedCertificate } from '../platform/self-signed.js'
import { systemEntropy } from '../platform/system.js'
import { TlsIdentity, type TlsVersion } from '../platform/tls.js'
import { type CobraValues, parseCobra } from '../proxy/cobra.js'
import { GrpcProxy } from '../proxy/grpc-proxy.js'
import { grpcProxyCommand, grpcProxyProblem } from '../proxy/grpc-proxy-settings.js'
import { discoverEndpoints } from '../proxy/srv-endpoints.js'
import type { UpstreamEndpoint } from '../proxy/upstream.js'
import { Listener, type ListenerOptions } from './listener.js'
import { endOnContradictions, failureText, printOutcome, stopOnSignals } from './process-life.js'
import { watchSlowRequests } from './slow-requests.js'
import { notifySystemd } from './systemd.js'
import { revocationCheck } from './tls.js'

/** How long connecting to a member may take, ms. */
const DIAL_TIMEOUT_MS = 5000
/** How long calls under way may take when the process stops, ms. */
const DRAIN_GRACE_MS = 1000
/** Largest request of a client, bytes: what a gRPC server of Go takes. */
const REQUEST_BYTES_MAX = 4 * 1024 * 1024

/** Whether members are called over TLS whatever the scheme of their endpoints says. */
const hasUpstreamTls = (values: CobraValues): boolean =>
  ['cert', 'key', 'cacert'].some((name) => values.text(name) !== '') ||
  values.isOn('insecure-skip-tls-verify')

/** A member takes the name in a certificate for a user, and the proxy's is not the client's. */
function refuseNamedCertificate(file: string): void {
  if (file === '') return
  const { subject } = new X509Certificate(readPath(file))
  if (/^CN=./m.test(subject ?? '')) throw new Error(`cert has non empty Common Name (CN): ${file}`)
}

function endpointOf(values: CobraValues): (text: string) => UpstreamEndpoint {
  const read = (name: string): Buffer | null =>
    values.text(name) === '' ? null : readPath(values.text(name))
  const [ca, key, cert] = [read('cacert'), read('key'), read('cert')]
  const rejectUnauthorized = !values.isOn('insecure-skip-tls-verify')
  const secure = credentials.createSsl(ca, key, cert, { rejectUnauthorized })
  return (text) => {
    const [, scheme = '', rest = text] = /^([a-z]+):\/\/(.*)$/.exec(text) ?? []
    const isSecure = hasUpstreamTls(values) ? scheme !== 'http' : scheme === 'https'
    const target = scheme.startsWith('unix') ? `unix:${rest}` : `dns:${rest.replace(/\/.*$/, '')}`
    return { text, target, credentials: isSecure ? secure : credentials.createInsecure() }
  }
}

function channelOptions(values: CobraValues): ChannelOptions {
  const keepAliveMs = values.number('dial-keepalive-time')
  return {
    'grpc.max_send_message_length': values.number('max-send-bytes') || -1,
    'grpc.max_receive_message_length': values.number('max-recv-bytes') || -1,
    'grpc.keepalive_timeout_ms': values.number('dial-keepalive-timeout'),
    'grpc.keepalive_permit_without_calls': values.isOn('permit-without-stream') ? 1 : 0,
    ...(keepAliveMs > 0 ? { 'grpc.keepalive_time_ms': keepAliveMs } : {}),
  }
}

async function findEndpoints(values: CobraValues, log: ProcessLog): Promise<readonly string[]> {
  const domain = values.text('discovery-srv')
  if (domain === '') return values.list('endpoints')
  const found = await discoverEndpoints({
    domain,
    serviceName: values.text('discovery-srv-name'),
    isInsecure: values.isOn('insecure-discovery'),
    trustedCaFile: values.text('cacert'),
    lookups: new MachineDns(),
    random: () => systemEntropy.below(2 ** 32) / 2 ** 32,
    log,
  })
  return found.length > 0 ? found.map(({ url }) => url) : values.list('endpoints')
}

/** How the members' pages are dialled. */
function pageDial(values: CobraValues): DialOptions {
  const options = outgoingTls({
    certFile: values.text('cert'),
    keyFile: values.text('key'),
    trustedCaFile: values.text('cacert'),
    skipVerification: values.isOn('insecure-skip-tls-verify'),
    minVersion: 'TLS1.2',
    maxVersion: undefined,
    cipherSuites: [],
  })
  return { dialTimeoutMs: DIAL_TIMEOUT_MS, tlsClientOptions: options }
}

const tlsVersion = (text: string): TlsVersion | undefined =>
  text === 'TLS1.2' || text === 'TLS1.3' ? text : undefined

/** What clients are shown; undefined = they come in plain text. */
async function listenIdentity(
  values: CobraValues,
  address: string,
): Promise<TlsIdentity | undefined> {
  let [certFile, keyFile] = [values.text('cert-file'), values.text('key-file')]
  const trustedCaFile = values.text('trusted-ca-file')
  const isGiven = certFile !== '' || trustedCaFile !== ''
  if (!isGiven && !values.isOn('auto-tls')) return undefined
  if (isGiven && certFile === '')
    throw new Error(`cannot listen on TLS for ${address}: KeyFile and CertFile are not presented`)
  if (!isGiven) {
    const made = await selfSignedCertificate({
      directory: join(values.text('data-dir'), 'fixtures', 'proxy'),
      hosts: [address.slice(0, address.lastIndexOf(':'))],
      validityYears: values.number('self-signed-cert-validity'),
      nowMs: Date.now(),
    })
    certFile = made.certFile
    keyFile = made.keyFile
  }
  return new TlsIdentity({
    ...{ certFile, keyFile, clientCertFile: '', clientKeyFile: '', trustedCaFile },
    clientCertAuth: false,
    minVersion: tlsVersion(values.text('tls-min-version')) ?? 'TLS1.2',
    maxVersion: tlsVersion(values.text('tls-max-version')),
    cipherSuites: values.list('listen-cipher-suites'),
    skipServerVerification: false,
  })
}

function createProxy(
  values: CobraValues,
  endpoints: readonly string[],
  log: ProcessLog,
): GrpcProxy {
  return new GrpcProxy({
    endpoints,
    endpointOf: endpointOf(values),
    channelOptions: channelOptions(values),
    pageDial: pageDial(values),
    isPageSecure: hasUpstreamTls(values),
    namespace: Buffer.from(values.text('namespace')),
    isOrdered: values.isOn('experimental-serializable-ordering'),
    leasingPrefix: Buffer.from(values.text('experimental-leasing-prefix')),
    advertiseUrl: values.text('advertise-client-url'),
    resolverPrefix: values.text('resolver-prefix'),
    resolverTtlSeconds: values.number('resolver-ttl'),
    syncIntervalMs: values.number('endpoints-auto-sync-interval'),
    hostname: hostname(),
    entropy: systemEntropy,
    log,
  })
}

async function start(values: CobraValues, log: ProcessLog): Promise<() => Promise<void>> {
  refuseNamedCertificate(values.text('cert'))
  const address = values.text('listen-addr')
  const split = splitHostPort(address)
  if (split.kind === 'refused') throw new Error(`listen tcp: ${split.reason}`)
  const { host, port } = split.value
  const identity = await listenIdentity(values, address)
  if (values.isOn('insecure-skip-tls-verify'))
    log.warn('--insecure-skip-tls-verify: certificates of members are not verified; for tests only')
  const proxy = createProxy(values, await findEndpoints(values, log), log)
  const grpc = new GrpcServer({
    methods: proxy.methods,
    limits: { receiveBytesMax: REQUEST_BYTES_MAX },
    http2Limits: {
      concurrentStreamsMax: values.number('max-concurrent-streams'),
      keepaliveMinTimeMs: values.number('grpc-keepalive-min-time'),
      keepaliveIntervalMs: values.number('grpc-keepalive-interval'),
      keepaliveTimeoutMs: values.number('grpc-keepalive-timeout'),
    },
    onError: (error) => log.error('a call failed', { error: String(error) }),
    ...(values.isOn('experimental-enable-grpc-logging') ? { observer: callLog(log) } : {}),
  })
  watchSlowRequests(proxy.pages.server)
  const http1 = (socket: import('node:net').Socket): void => {
    proxy.pages.server.emit('connection', socket)
  }
  const isRevoked = revocationCheck(values.text('client-crl-file'))
  const common = {
    ...{ tls: identity, log, side: 'client' },
    ...(isRevoked === undefined ? {} : { admit: async (socket) => isRevoked(socket) }),
  } satisfies Partial<ListenerOptions>
  const listener = new Listener({
    ...common,
    address: { kind: 'tcp', host, port: Number(port) },
    targets: { http1, http2: (socket, head) => grpc.handleConnection(socket, head) },
  })
  await proxy.start()
  await listener.listen()
  log.info('listening for gRPC proxy client requests', { address })
  const listeners = [listener]
  const metricsText = values.text('metrics-addr')
  if (metricsText !== '') {
    const url = new URL(metricsText)
    const metrics = new Listener({
      ...common,
      tls: url.protocol === 'https:' ? identity : undefined,
      address: { kind: 'tcp', host: url.hostname, port: Number(url.port) },
      targets: { http1 },
    })
    await metrics.listen()
    log.info('gRPC proxy server metrics URL serving', { url: metricsText })
    listeners.push(metrics)
  }
  return async () => {
    for (const one of listeners) one.stopAccepting()
    await grpc.drain(DRAIN_GRACE_MS)
    await proxy.stop()
    for (const one of listeners) one.destroyConnections()
  }
}

const callLog = (
  log: ProcessLog,
): NonNullable<ConstructorParameters<typeof GrpcServer>[0]['observer']> => ({
  started: () => undefined,
  received: () => undefined,
  sent: () => undefined,
  handled: ({ path }, status, tookMs) =>
    log.info('finished call', { path, 'grpc-code': status, took: `${tookMs.toFixed(3)}ms` }),
})

/** `etcd grpc-proxy`: resolves once it serves, or once it has said why it does not. */
export async function runGrpcProxy(argv: readonly string[]): Promise<void> {
  const outcome = parseCobra(grpcProxyCommand, argv)
  if (outcome.kind === 'print') {
    printOutcome(outcome)
    return
  }
  const { values } = outcome
  const problem = grpcProxyProblem(values)
  if (problem !== undefined) {
    process.stderr.write(`${problem}\n`)
    process.exitCode = 1
    return
  }
  const level = values.isOn('debug') ? 'debug' : 'info'
  const log = createLog({ level, format: 'json', outputs: ['stderr'] })
  endOnContradictions(log)
  try {
    stopOnSignals(await start(values, log), log)
  } catch (error) {
    process.stderr.write(`${failureText(error)}\n`)
    process.exit(1)
  }
  log.info('started gRPC proxy', { address: values.text('listen-addr') })
  notifySystemd(log)
}
