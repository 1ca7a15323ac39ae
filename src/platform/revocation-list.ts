import { createRequire } from 'node:module'
import type { TLSSocket } from 'node:tls'
import { fileStamp, readPath } from './pem-files.js'

/** The most certificates of a chain that are looked at. */
const CHAIN_LENGTH_MAX = 10
const PEM_START = '-----BEGIN '

/** Serial numbers as Go prints their bytes: lower case, no byte that is zero in front. */
function serialText(hex: string): string {
  const digits = hex.toLowerCase().replace(/^(?:00)+/, '')
  return digits.length % 2 === 0 ? digits : `0${digits}`
}

/** Serial numbers of the certificates that the other side sent, its own first. */
function sentSerials(socket: TLSSocket): readonly string[] {
  const serials: string[] = []
  let certificate = socket.getPeerX509Certificate()
  while (certificate !== undefined && serials.length < CHAIN_LENGTH_MAX) {
    serials.push(serialText(certificate.serialNumber))
    certificate = certificate.issuerCertificate
  }
  return serials
}

/**
 * A file of revoked certificates, in DER or PEM, that is read again for a new connection when it
 * changed. As with etcd only serial numbers count: who signed the list, and until when it is meant
 * to be used, is not looked at.
 */
export class RevocationList {
  readonly #file: string
  #stamp = ''
  #revoked: ReadonlySet<string> = new Set()

  constructor(file: string) {
    this.#file = file
  }

  /**
   * Why this connection is refused, or `undefined`. A client that showed no certificate is not
   * refused; one that did is, as long as the list cannot be read.
   */
  problem(socket: TLSSocket): string | undefined {
    const serials = sentSerials(socket)
    if (serials.length === 0) return undefined
    const unreadable = this.#refresh()
    if (unreadable !== undefined) return unreadable
    const revoked = serials.find((serial) => this.#revoked.has(serial))
    return revoked === undefined ? undefined : `transport: certificate serial ${revoked} revoked`
  }

  #refresh(): string | undefined {
    try {
      const stamp = fileStamp(this.#file)
      if (stamp === this.#stamp) return undefined
      this.#revoked = revokedSerials(readPath(this.#file))
      this.#stamp = stamp
      return undefined
    } catch (error) {
      this.#stamp = ''
      return error instanceof Error ? error.message : String(error)
    }
  }
}

/** Throws when the bytes are no revocation list. */
function revokedSerials(bytes: Buffer): ReadonlySet<string> {
  // The certificate library is loaded by the first list only, in the way the code cache allows.
  const load = createRequire(import.meta.url)
  load('reflect-metadata')
  const x509 = load('@peculiar/x509') as typeof import('@peculiar/x509')
  const isPem = bytes.subarray(0, PEM_START.length).toString('latin1') === PEM_START
  const list = new x509.X509Crl(isPem ? bytes.toString('latin1') : bytes)
  return new Set(list.entries.map(({ serialNumber }) => serialText(serialNumber)))
}
