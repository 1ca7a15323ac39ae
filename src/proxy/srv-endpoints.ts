import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { checkServerIdentity, connect as connectTls } from 'node:tls'
import type { DnsLookups } from '../discovery/dns-lookups.js'
import { orderRecords } from '../discovery/srv-cluster.js'
import { networkErrorText } from '../peer/dial.js'
import type { Log } from '../ports/log.js'

/** How long a discovered endpoint may take to accept a connection, ms. */
const DIAL_TIMEOUT_MS = 30_000

/** A client endpoint of the cluster, with what its SRV record says. */
export interface SrvEndpoint {
  readonly host: string
  readonly port: number
  /** Lower ones come first. */
  readonly priority: number
  readonly weight: number
  /** `https://host:port`, or http. */
  readonly url: string
}

export interface SrvEndpointOptions {
  /** `--discovery-srv`; not ''. */
  readonly domain: string
  /** `--discovery-srv-name`; '' = none. */
  readonly serviceName: string
  /** Whether endpoints without TLS, or that do not answer, are taken too. */
  readonly isInsecure: boolean
  /** File of the authorities that must have signed the endpoints' certificates; '' = any. */
  readonly trustedCaFile: string
  readonly lookups: DnsLookups
  readonly random: () => number
  readonly log: Log
}

async function recordsOf(
  scheme: 'http' | 'https',
  options: SrvEndpointOptions,
): Promise<readonly SrvEndpoint[]> {
  const { domain, serviceName, lookups, random } = options
  const base = scheme === 'https' ? 'etcd-client-ssl' : 'etcd-client'
  const service = serviceName === '' ? base : `${base}-${serviceName}`
  const records = orderRecords(await lookups.srv(service, domain), random)
  return records.map(({ target, port, priority, weight }) => {
    const host = target.replace(/\.$/, '')
    return { host, port, priority, weight, url: `${scheme}://${host}:${port}` }
  })
}

/** Why this endpoint is not to be used, or `undefined`. */
function problemOf(
  { url, host, port }: SrvEndpoint,
  trusted: Readonly<{ ca: string | undefined; domain: string }>,
): Promise<string | undefined> {
  if (!url.startsWith('https://')) return Promise.resolve(`${JSON.stringify(url)} is insecure`)
  const { ca, domain } = trusted
  return new Promise((resolve) => {
    const socket =
      ca === undefined
        ? connect({ host, port })
        : connectTls({
            ...{ host, port, ca, servername: domain },
            // The certificate may be for the host or for the whole domain.
            checkServerIdentity: (_, certificate) =>
              checkServerIdentity(domain, certificate) && checkServerIdentity(host, certificate),
          })
    const fail = (error: Error): void => {
      socket.destroy()
      resolve(`${JSON.stringify(url)} failed to dial (${networkErrorText(error)})`)
    }
    socket.setTimeout(DIAL_TIMEOUT_MS, () => fail(new Error('i/o timeout')))
    socket.once('error', fail)
    socket.once(ca === undefined ? 'connect' : 'secureConnect', () => {
      socket.destroy()
      resolve(undefined)
    })
  })
}

/**
 * The client endpoints that the SRV records of a domain name. Unless told otherwise only those with
 * TLS that accept a connection now. Rejects when neither service has records.
 */
export async function discoverEndpoints(
  options: SrvEndpointOptions,
): Promise<readonly SrvEndpoint[]> {
  const { domain, isInsecure, log } = options
  const failures: string[] = []
  const found: SrvEndpoint[] = []
  for (const scheme of ['https', 'http'] as const) {
    try {
      found.push(...(await recordsOf(scheme, options)))
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
    }
  }
  if (failures.length === 2) throw new Error(`dns lookup errors: ${failures.join(' and ')}`)
  const urls = found.map(({ url }) => url)
  log.info('discovered cluster from SRV', { 'srv-server': domain, endpoints: urls })
  if (isInsecure) return found
  log.info('validating discovered SRV endpoints', { 'srv-server': domain, endpoints: urls })
  const { trustedCaFile } = options
  const ca = trustedCaFile === '' ? undefined : readFileSync(trustedCaFile, 'utf8')
  const problems = await Promise.all(found.map((one) => problemOf(one, { ca, domain })))
  const sound = found.filter((_, at) => problems[at] === undefined)
  const endpoints = sound.map(({ url }) => url)
  const told = problems.filter((problem) => problem !== undefined)
  if (told.length === 0)
    log.info('using validated discovered SRV endpoints', { 'srv-server': domain, endpoints })
  else {
    const fields = { 'srv-server': domain, endpoints, error: told.join(',') }
    log.warn('failed to validate discovered endpoints', fields)
  }
  return sound
}
