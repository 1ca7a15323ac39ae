import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto)
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 24 * 3600 * 1000

/** Paths of a certificate and its key, in PEM. */
export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = await webcrypto.subtle.exportKey('pkcs8', key)
  return x509.PemConverter.encode(bytes, 'PRIVATE KEY')
}

function validity(): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) }
}

/** A certificate authority in a folder: one CA, and certificates signed by it, for 127.0.0.1. */
export class Authority {
  readonly caFile: string
  readonly #folder: string
  readonly #keys: webcrypto.CryptoKeyPair
  readonly #name: string
  #serial = 1

  private constructor(folder: string, name: string, keys: webcrypto.CryptoKeyPair) {
    this.#folder = folder
    this.#name = `CN=${name}`
    this.#keys = keys
    this.caFile = join(folder, `${name}.pem`)
  }

  static async create(folder: string, name = 'ca'): Promise<Authority> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
    const authority = new Authority(folder, name, keys)
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      ...validity(),
      serialNumber: '01',
      name: authority.#name,
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    })
    writeFileSync(authority.caFile, certificate.toString('pem'))
    return authority
  }

  /**
   * For servers and clients alike, with 127.0.0.1 as IP SAN, or `dnsName` as the only name; written to `name`.pem,
   * over what is there.
   */
  async issue(name: string, commonName = name, dnsName?: string): Promise<CertificateFiles> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
    this.#serial += 1
    const certificate = await x509.X509CertificateGenerator.create({
      ...validity(),
      serialNumber: this.#serial.toString(16).padStart(4, '0'),
      subject: `CN=${commonName}`,
      issuer: this.#name,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        new x509.SubjectAlternativeNameExtension([
          dnsName === undefined
            ? { type: 'ip', value: '127.0.0.1' }
            : { type: 'dns', value: dnsName },
        ]),
      ],
    })
    const files = {
      certFile: join(this.#folder, `${name}.pem`),
      keyFile: join(this.#folder, `${name}-key.pem`),
    }
    writeFileSync(files.keyFile, await pemOf(keys.privateKey))
    writeFileSync(files.certFile, certificate.toString('pem'))
    return files
  }
}
