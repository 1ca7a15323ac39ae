import { lookup } from 'node:dns/promises'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type DetailedPeerCertificate, TLSSocket } from 'node:tls'
import type { ServerConfig, TlsConfig } from '../config/server-config.js'
import { isSecure, type ServerUrl } from '../config/server-url.js'
import { MemorySocket } from '../http2/memory-socket.js'
import { selfSignedCertificate } from '../platform/self-signed.js'
import { TlsIdentity, type TlsOptions } from '../platform/tls.js'
import { hostsOf } from './addresses.js'

/** The certificates of both sides; undefined where nothing is listened to, or dialled, over TLS. */
export interface Identities {
  readonly client: TlsIdentity | undefined
  readonly peer: TlsIdentity | undefined
}

/** One side of the process that may speak TLS. */
export interface TlsSide {
  readonly tls: TlsConfig
  /** Where a certificate of its own making is kept. */
  readonly directory: string
  /** What is listened on, or advertised; without a secure one the side has no identity. */
  readonly urls: readonly ServerUrl[]
}

/** One side's options, with a certificate made now when it is to make its own. */
export async function identityOf(
  config: ServerConfig,
  side: TlsSide,
): Promise<TlsIdentity | undefined> {
  const { tls } = side
  if (!side.urls.some(isSecure)) return undefined
  let { certFile, keyFile } = tls
  if (tls.isAuto) {
    const made = await selfSignedCertificate({
      directory: side.directory,
      hosts: hostsOf(side.urls),
      validityYears: config.selfSignedCertValidityYears,
      nowMs: Date.now(),
    })
    certFile = made.certFile
    keyFile = made.keyFile
  }
  const options: TlsOptions = {
    certFile,
    keyFile,
    clientCertFile: tls.clientCertFile,
    clientKeyFile: tls.clientKeyFile,
    trustedCaFile: tls.trustedCaFile,
    clientCertAuth: tls.certAuth,
    minVersion: config.tlsVersionMin,
    maxVersion: config.tlsVersionMax,
    cipherSuites: config.cipherSuites,
    skipServerVerification: tls.isAuto,
  }
  return new TlsIdentity(options)
}

export async function createIdentities(config: ServerConfig): Promise<Identities> {
  return {
    client: await identityOf(config, {
      tls: config.clientTls,
      directory: join(config.dataDir, 'fixtures', 'client'),
      urls: [
        ...config.listenClientUrls,
        ...config.listenClientHttpUrls,
        ...config.advertiseClientUrls,
        ...config.listenMetricsUrls,
      ],
    }),
    peer: await identityOf(config, {
      tls: config.peerTls,
      directory: join(config.dataDir, 'fixtures', 'peer'),
      urls: [...config.listenPeerUrls, ...config.initialAdvertisePeerUrls],
    }),
  }
}

interface CertificateNames {
  readonly commonName: string
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
}

function namesOf(socket: TLSSocket): CertificateNames | undefined {
  const certificate = socket.getPeerCertificate()
  if (Object.keys(certificate).length === 0) return undefined
  const alternatives = (certificate.subjectaltname ?? '').split(', ')
  const among = (prefix: string): string[] =>
    alternatives.filter((one) => one.startsWith(prefix)).map((one) => one.slice(prefix.length))
  const { CN } = certificate.subject as { CN?: string | string[] }
  return {
    commonName: (Array.isArray(CN) ? CN[0] : CN) ?? '',
    dnsNames: among('DNS:'),
    ipAddresses: among('IP Address:'),
  }
}

/** The most certificates of a chain that are looked at. */
const CHAIN_LENGTH_MAX = 10

/**
 * The common names of a verified client's certificate and of those that it was verified with, the
 * client's first. None where the client showed no certificate.
 */
export function verifiedNames(socket: Duplex): readonly string[] {
  const connection = socket instanceof MemorySocket ? socket.origin : socket
  if (!(connection instanceof TLSSocket) || !connection.authorized) return []
  const names: string[] = []
  let certificate: DetailedPeerCertificate | undefined = connection.getPeerCertificate(true)
  while (certificate?.subject !== undefined && names.length < CHAIN_LENGTH_MAX) {
    const { CN } = certificate.subject as { CN?: string | string[] }
    names.push((Array.isArray(CN) ? CN.at(-1) : CN) ?? '')
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate
    certificate = issuer === certificate ? undefined : issuer
  }
  return names
}

/** `*.example.com` covers one label. */
function matchesName(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern.toLowerCase() === host.toLowerCase()
  return host.slice(host.indexOf('.') + 1).toLowerCase() === pattern.slice(2).toLowerCase()
}

const plainAddress = (address: string): string => address.replace(/^::ffff:/, '')

/**
 * A peer's certificate with alternative names must name the address it comes from (facts: ops.md
 * 5).
 */
async function sanProblem(names: CertificateNames, remote: string): Promise<string | undefined> {
  if (names.ipAddresses.length === 0 && names.dnsNames.length === 0) return undefined
  if (names.ipAddresses.includes(remote)) return undefined
  if (names.dnsNames.length === 0) {
    return `tls: "${remote}" does not match any of IPAddresses [${names.ipAddresses.join(' ')}]`
  }
  for (const name of names.dnsNames) {
    const found = await lookup(name, { all: true }).catch(() => [])
    if (found.some(({ address }) => plainAddress(address) === remote)) return undefined
  }
  return `tls: "${remote}" does not match any of DNSNames [${names.dnsNames.map((name) => `"${name}"`).join(' ')}]`
}

const NOT_ALLOWED = 'client certificate authentication failed'

/** Whether an accepted TLS connection may stay; a text says why not. */
export function admission(
  tls: TlsConfig,
  side: 'client' | 'peer',
): (socket: TLSSocket) => Promise<string | undefined> {
  return async (socket) => {
    const names = namesOf(socket)
    const { allowedCommonNames, allowedHostnames } = tls
    if (allowedCommonNames.length > 0 && !allowedCommonNames.includes(names?.commonName ?? ''))
      return NOT_ALLOWED
    if (allowedHostnames.length > 0) {
      const patterns = names?.dnsNames.length ? names.dnsNames : [names?.commonName ?? '']
      const known = [...patterns, ...(names?.ipAddresses ?? [])]
      const isAllowed = allowedHostnames.some((host) =>
        known.some((pattern) => matchesName(pattern, host)),
      )
      if (!isAllowed) return NOT_ALLOWED
    }
    if (side === 'client' || tls.skipClientSanVerification || names === undefined || tls.isAuto)
      return undefined
    return sanProblem(names, plainAddress(socket.remoteAddress ?? ''))
  }
}
