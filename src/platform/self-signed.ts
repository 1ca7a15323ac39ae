import { webcrypto } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isIP } from 'node:net'
import { join } from 'node:path'

const YEAR_MS = 365 * 24 * 3600 * 1000
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' }

export interface SelfSignedOptions {
  /** Folder for cert.pem and key.pem; made when missing, files that exist are used again. */
  readonly directory: string
  /** Host names and IP addresses that the certificate is for. */
  readonly hosts: readonly string[]
  /** At least 1. */
  readonly validityYears: number
  readonly nowMs: number
}

/**
 * A self-signed certificate for `--auto-tls` and `--peer-auto-tls` (facts: ops.md 5): ECDSA P-521,
 * org etcd.
 */
export async function selfSignedCertificate(
  options: SelfSignedOptions,
): Promise<{ readonly certFile: string; readonly keyFile: string }> {
  const certFile = join(options.directory, 'cert.pem')
  const keyFile = join(options.directory, 'key.pem')
  if (existsSync(certFile) && existsSync(keyFile)) return { certFile, keyFile }
  // The certificate library is loaded only when one has to be made; its container needs this one
  // first. By `require`: V8 forgets how to import in code that it kept compiled.
  const load = createRequire(import.meta.url)
  load('reflect-metadata')
  const x509 = load('@peculiar/x509') as typeof import('@peculiar/x509')
  x509.cryptoProvider.set(webcrypto)
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(16))).toString('hex'),
    name: 'O=etcd',
    notBefore: new Date(options.nowMs),
    notAfter: new Date(options.nowMs + options.validityYears * YEAR_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature |
          x509.KeyUsageFlags.keyCertSign |
          x509.KeyUsageFlags.keyEncipherment,
        true,
      ),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(
        options.hosts.map((host) => ({
          type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const),
          value: host,
        })),
      ),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  mkdirSync(options.directory, { recursive: true, mode: 0o700 })
  writeFileSync(certFile, `${certificate.toString('pem')}\n`, { mode: 0o644 })
  writeFileSync(keyFile, pem('PRIVATE KEY', pkcs8), { mode: 0o600 })
  return { certFile, keyFile }
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
