import { readFileSync } from 'node:fs'

/** Where Go looks for the authorities that a Linux machine trusts; the first file counts. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/**
 * The authorities that this machine trusts, in PEM: of the file in SSL_CERT_FILE if that is set, as
 * Go does. `undefined` when there are none, which leaves Node's own in force.
 */
export function systemAuthorities(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const given = environment.SSL_CERT_FILE ?? ''
  for (const file of given === '' ? BUNDLES : [given]) {
    try {
      return readFileSync(file, 'utf8')
    } catch {
      // The next place may have it.
    }
  }
  return undefined
}
