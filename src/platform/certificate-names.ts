import { lookup, lookupService } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { PeerCertificate } from 'node:tls'

/** What a certificate says of whom it is for. */
export interface CertificateNames {
  /** '' = none. */
  readonly commonName: string
  readonly dnsNames: readonly string[]
  /** In their shortest form. */
  readonly ipAddresses: readonly string[]
}

/** Names of which a certificate must carry one; both empty = any certificate will do. */
export interface AllowedNames {
  readonly allowedCommonNames: readonly string[]
  readonly allowedHostnames: readonly string[]
}

const NOT_ALLOWED = 'client certificate authentication failed'
/** Any port: what is wanted is the name of the address. */
const SOME_PORT = 80

/** One form for one address: IPv4 in IPv6 as IPv4, IPv6 without leading zeros. */
function shortAddress(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  return isIP(plain) === 6 ? new URL(`http://[${plain}]`).hostname.slice(1, -1) : plain
}

/** The names in a certificate that the other side showed; `undefined` = it showed none. */
export function namesOf(certificate: PeerCertificate): CertificateNames | undefined {
  if (Object.keys(certificate).length === 0) return undefined
  const alternatives = (certificate.subjectaltname ?? '').split(', ')
  const among = (prefix: string): string[] =>
    alternatives.filter((one) => one.startsWith(prefix)).map((one) => one.slice(prefix.length))
  const { CN } = certificate.subject as { CN?: string | string[] }
  return {
    commonName: (Array.isArray(CN) ? CN.at(-1) : CN) ?? '',
    dnsNames: among('DNS:'),
    ipAddresses: among('IP Address:').map(shortAddress),
  }
}

/** `*.example.com` covers one label. */
function matchesName(pattern: string, host: string): boolean {
  const [wanted, given] = [pattern.toLowerCase(), host.toLowerCase().replace(/\.$/, '')]
  if (!wanted.startsWith('*.')) return wanted === given
  const dot = given.indexOf('.')
  return dot > 0 && given.slice(dot + 1) === wanted.slice(2)
}

/** Whether a certificate is for this host or address. As in Go a common name is not one of them. */
export function isFor({ dnsNames, ipAddresses }: CertificateNames, host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, '$1')
  if (isIP(address) !== 0) return ipAddresses.includes(shortAddress(address))
  return dnsNames.some((pattern) => matchesName(pattern, host))
}

/** Why these names are not among those that are allowed, or `undefined`. */
export function nameProblem(names: CertificateNames, allowed: AllowedNames): string | undefined {
  const { allowedCommonNames, allowedHostnames } = allowed
  if (allowedCommonNames.length > 0 && !allowedCommonNames.includes(names.commonName))
    return NOT_ALLOWED
  if (allowedHostnames.length > 0 && !allowedHostnames.some((host) => isFor(names, host)))
    return NOT_ALLOWED
  return undefined
}

/**
 * Why a certificate with alternative names is not for the address that it comes from, or
 * `undefined` (facts: ops.md 5). DNS names are looked up in both directions.
 */
export async function addressProblem(
  names: CertificateNames,
  address: string,
): Promise<string | undefined> {
  const { dnsNames, ipAddresses } = names
  const remote = shortAddress(address)
  if (ipAddresses.length === 0 && dnsNames.length === 0) return undefined
  if (ipAddresses.includes(remote)) return undefined
  if (dnsNames.length === 0)
    return `x509: certificate is valid for ${ipAddresses.join(', ')}, not ${remote}`
  if ((await isNamed(dnsNames, remote)) || (await isAt(dnsNames, remote))) return undefined
  const quoted = dnsNames.map((name) => JSON.stringify(name)).join(' ')
  return `tls: ${JSON.stringify(remote)} does not match any of DNSNames [${quoted}]`
}

/** Whether the name of the address is one of these; `*.` stands for any number of labels here. */
async function isNamed(dnsNames: readonly string[], address: string): Promise<boolean> {
  const found = await lookupService(address, SOME_PORT).catch(() => undefined)
  const name = found?.hostname.replace(/\.$/, '')
  if (name === undefined || isIP(name) !== 0) return false
  return dnsNames.some((one) => (one.startsWith('*.') ? name.endsWith(one.slice(1)) : name === one))
}

/** Whether one of these names has this address. */
async function isAt(dnsNames: readonly string[], address: string): Promise<boolean> {
  for (const name of dnsNames) {
    if (name.startsWith('*.')) continue
    const found = await lookup(name, { all: true }).catch(() => [])
    if (found.some((one) => shortAddress(one.address) === address)) return true
  }
  return false
}
