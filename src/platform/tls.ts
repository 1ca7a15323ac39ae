import { readFileSync, statSync } from 'node:fs'
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContextOptions,
  type SecureVersion,
} from 'node:tls'

export type TlsVersion = 'TLS1.2' | 'TLS1.3'

/**
 * One side's TLS set-up: which files identify us, whom we trust, whom we let in. Paths; '' = not
 * given.
 */
export interface TlsOptions {
  readonly certFile: string
  readonly keyFile: string
  /** Identity used when we dial; the server's own when ''. */
  readonly clientCertFile: string
  readonly clientKeyFile: string
  readonly trustedCaFile: string
  /**
   * Whether a client must show a certificate signed by the trusted CA. A trusted CA alone asks for
   * it too.
   */
  readonly clientCertAuth: boolean
  readonly minVersion: TlsVersion
  /** undefined = the newest. */
  readonly maxVersion: TlsVersion | undefined
  /** Go names of TLS 1.2 suites; empty = the default list. */
  readonly cipherSuites: readonly string[]
  /**
   * Names of the certificate we accept when dialling self-signed peers (auto TLS) are not checked.
   */
  readonly skipServerVerification: boolean
}

/** Go's names of cipher suites and OpenSSL's (facts: flags.md 5). */
const OPENSSL_SUITES: Readonly<Record<string, string>> = {
  TLS_RSA_WITH_AES_128_CBC_SHA: 'AES128-SHA',
  TLS_RSA_WITH_AES_256_CBC_SHA: 'AES256-SHA',
  TLS_RSA_WITH_AES_128_CBC_SHA256: 'AES128-SHA256',
  TLS_RSA_WITH_AES_128_GCM_SHA256: 'AES128-GCM-SHA256',
  TLS_RSA_WITH_AES_256_GCM_SHA384: 'AES256-GCM-SHA384',
  TLS_RSA_WITH_3DES_EDE_CBC_SHA: 'DES-CBC3-SHA',
  TLS_RSA_WITH_RC4_128_SHA: 'RC4-SHA',
  TLS_ECDHE_ECDSA_WITH_RC4_128_SHA: 'ECDHE-ECDSA-RC4-SHA',
  TLS_ECDHE_RSA_WITH_RC4_128_SHA: 'ECDHE-RSA-RC4-SHA',
  TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA: 'ECDHE-RSA-DES-CBC3-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 'ECDHE-ECDSA-AES128-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 'ECDHE-ECDSA-AES256-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: 'ECDHE-ECDSA-AES128-SHA256',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: 'ECDHE-RSA-AES128-SHA',
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: 'ECDHE-RSA-AES256-SHA',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: 'ECDHE-RSA-AES128-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
}
const TLS13_SUITES = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'

const secureVersion = (version: TlsVersion): SecureVersion =>
  version.replace('TLS', 'TLSv') as SecureVersion

/** OpenSSL's cipher list for Go's suite names; undefined = OpenSSL's default. */
export function opensslCiphers(goNames: readonly string[]): string | undefined {
  if (goNames.length === 0) return undefined
  const known = goNames.flatMap((name) => OPENSSL_SUITES[name] ?? [])
  return [TLS13_SUITES, ...known].join(':')
}

/** A file that is read again when its modification time or size changed. */
class WatchedFile {
  readonly path: string
  #stamp = ''
  #content = ''

  constructor(path: string) {
    this.path = path
  }

  /**
   * Whether the file changed since the last call; its new content is kept. Throws when it cannot be
   * read.
   */
  refresh(): boolean {
    const { mtimeMs, size, ino } = statSync(this.path)
    const stamp = `${mtimeMs} ${size} ${ino}`
    if (stamp === this.#stamp) return false
    this.#content = readFileSync(this.path, 'utf8')
    this.#stamp = stamp
    return true
  }

  get content(): string {
    return this.#content
  }
}

/**
 * The certificates of one listener and of the connections dialled in its name. Certificate and key
 * are re-read when their files change, the trusted CA is read once (facts: ops.md 5).
 */
export class TlsIdentity {
  readonly options: TlsOptions
  readonly #certificate: WatchedFile
  readonly #key: WatchedFile
  readonly #clientCertificate: WatchedFile
  readonly #clientKey: WatchedFile
  readonly #trusted: string | undefined
  #server: SecureContextOptions | undefined
  #generation = 0

  /** Throws when a file cannot be read or certificate and key do not belong together. */
  constructor(options: TlsOptions) {
    this.options = options
    this.#certificate = new WatchedFile(options.certFile)
    this.#key = new WatchedFile(options.keyFile)
    this.#clientCertificate = new WatchedFile(options.clientCertFile || options.certFile)
    this.#clientKey = new WatchedFile(options.clientKeyFile || options.keyFile)
    this.#trusted =
      options.trustedCaFile === '' ? undefined : readFileSync(options.trustedCaFile, 'utf8')
    this.serverOptions()
  }

  get asksForClientCertificate(): boolean {
    return this.options.clientCertAuth || this.#trusted !== undefined
  }

  /**
   * What the next handshake is to use. A pair that is unreadable or does not match (a renewal half
   * done) leaves the last good one in use.
   */
  serverOptions(): SecureContextOptions {
    const before = this.#server
    try {
      const certificateChanged = this.#certificate.refresh()
      const keyChanged = this.#key.refresh()
      if (before !== undefined && !certificateChanged && !keyChanged) return before
      const options = { cert: this.#certificate.content, key: this.#key.content, ...this.#common() }
      createSecureContext(options)
      this.#server = options
      this.#generation++
      return options
    } catch (error) {
      if (before === undefined) throw error
      return before
    }
  }

  /** Grows each time `serverOptions` took up a new certificate. */
  get generation(): number {
    return this.#generation
  }

  /** Options for one connection that we dial; files are re-read when they changed. */
  clientOptions(): ConnectionOptions {
    this.#clientCertificate.refresh()
    this.#clientKey.refresh()
    return {
      cert: this.#clientCertificate.content,
      key: this.#clientKey.content,
      ...this.#common(),
      rejectUnauthorized: !this.options.skipServerVerification,
    }
  }

  #common(): {
    ca?: string
    minVersion: SecureVersion
    maxVersion?: SecureVersion
    ciphers?: string
  } {
    const ciphers = opensslCiphers(this.options.cipherSuites)
    return {
      minVersion: secureVersion(this.options.minVersion),
      ...(this.#trusted === undefined ? {} : { ca: this.#trusted }),
      ...(this.options.maxVersion === undefined
        ? {}
        : { maxVersion: secureVersion(this.options.maxVersion) }),
      ...(ciphers === undefined ? {} : { ciphers }),
    }
  }
}
