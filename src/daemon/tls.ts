import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type DetailedPeerCertificate, TLSSocket } from 'node:tls'
import type { ServerConfig, TlsConfig } from '../config/server-config.js'
import { isSecure, type ServerUrl } from '../config/server-url.js'
import { MemorySocket } from '../http2/memory-socket.js'
import { addressProblem, nameProblem, namesOf } from '../platform/certificate-names.js'
import { RevocationList } from '../platform/revocation-list.js'
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
    allowedCommonNames: tls.allowedCommonNames,
    allowedHostnames: tls.allowedHostnames,
  }
  return new TlsIdentity(options)
}

export async function createIdentities(config: ServerConfig): Promise<Identities> {
  const peer = await identityOf(config, {
    tls: config.peerTls,
    directory: join(config.dataDir, 'fixtures', 'peer'),
    urls: [...config.listenPeerUrls, ...config.initialAdvertisePeerUrls],
  })
  const client = await identityOf(config, {
    tls: config.clientTls,
    directory: join(config.dataDir, 'fixtures', 'client'),
    urls: [
      ...config.listenClientUrls,
      ...config.listenClientHttpUrls,
      ...config.advertiseClientUrls,
      ...config.listenMetricsUrls,
    ],
  })
  return { client, peer }
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

/** Refuses a connection that showed a revoked certificate; `undefined` where there is no list. */
export function revocationCheck(
  file: string,
): ((socket: TLSSocket) => string | undefined) | undefined {
  if (file === '') return undefined
  const list = new RevocationList(file)
  return (socket) => list.problem(socket)
}

/** Whether an accepted TLS connection may stay; a text says why not. */
export function admission(
  tls: TlsConfig,
  side: 'client' | 'peer',
): (socket: TLSSocket) => Promise<string | undefined> {
  const isRevoked = revocationCheck(tls.revocationListFile)
  const comparesAddress = side === 'peer' && !tls.skipClientSanVerification && !tls.isAuto
  return async (socket) => {
    const names = namesOf(socket.getPeerCertificate())
    // Whoever was not asked for a certificate has shown none, and is let in.
    if (names === undefined) return undefined
    const refused = nameProblem(names, tls)
    if (refused !== undefined) return refused
    if (comparesAddress) {
      const elsewhere = await addressProblem(names, socket.remoteAddress ?? '')
      if (elsewhere !== undefined) return elsewhere
    }
    return isRevoked?.(socket)
  }
}
