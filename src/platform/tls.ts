import {
  type ConnectionOptions,
  checkServerIdentity,
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type SecureVersion,
} from 'node:tls'

import { opensslCipherName } from '../base/cipher-suites.js'
import { nameProblem, namesOf } from './certificate-names.js'
import { assertPair, fileStamp, readPath } from './pem-files.js'
import { systemAuthorities } from './system-authorities.js'

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
  /** Names of which the certificate of a server that we dial must carry one; default any. */
  readonly allowedCommonNames?: readonly string[]
  readonly allowedHostnames?: readonly string[]
}

/** TLS 1.3 chooses among its own suites; etcd's flag is about the older ones. */
const isBefore13 = (name: string): boolean => !name.startsWith('TLS_')
const TLS13_SUITES = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'

export const secureVersion = (version: TlsVersion): SecureVersion =>
  version.replace('TLS', 'TLSv') as SecureVersion

/** OpenSSL's cipher list for Go's suite names; undefined = OpenSSL's default. */
export function opensslCiphers(goNames: readonly string[]): string | undefined {
  if (goNames.length === 0) return undefined
  const known = goNames.flatMap((name) => opensslCipherName(name) ?? []).filter(isBefore13)
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
    const stamp = fileStamp(this.path)
    if (stamp === this.#stamp) return false
    this.#content = readPath(this.path).toString('utf8')
    this.#stamp = stamp
    return true
  }

  get content(): string {
    return this.#content
  }
}

/** A certificate and its key, re-read when their files change. */
export class ReloadedPair {
  readonly #certificate: WatchedFile
  readonly #key: WatchedFile
  /** Whether the files hold something that was not taken up yet. */
  #isStale = true
  #current: { readonly cert: string; readonly key: string } | undefined

  constructor(certFile: string, keyFile: string) {
    this.#certificate = new WatchedFile(certFile)
    this.#key = new WatchedFile(keyFile)
  }

  /**
   * The newest pair that could be read and belongs together: one that cannot (a renewal half done)
   * leaves the last good one in use. Throws when there has never been one. The same object while
   * nothing changed.
   */
  current(): { readonly cert: string; readonly key: string } {
    try {
      this.#isStale = this.#certificate.refresh() || this.#isStale
      this.#isStale = this.#key.refresh() || this.#isStale
      if (this.#current !== undefined && !this.#isStale) return this.#current
      const pair = { cert: this.#certificate.content, key: this.#key.content }
      assertPair(pair.cert, pair.key)
      this.#current = pair
      this.#isStale = false
      return pair
    } catch (error) {
      if (this.#current === undefined) throw error
      return this.#current
    }
  }
}

/**
 * The certificates of one listener and of the connections dialled in its name. Certificate and key
 * are re-read when their files change, the trusted CA is read once (facts: ops.md 5).
 */
export class TlsIdentity {
  readonly options: TlsOptions
  readonly #pair: ReloadedPair
  readonly #clientPair: ReloadedPair
  readonly #trusted: string | undefined
  #server: SecureContextOptions | undefined
  #systemContext: { readonly pair: object; readonly context: SecureContext } | undefined
  #generation = 0

  /** Throws when a file cannot be read or certificate and key do not belong together. */
  constructor(options: TlsOptions) {
    this.options = options
    this.#pair = new ReloadedPair(options.certFile, options.keyFile)
    this.#clientPair =
      options.clientCertFile === ''
        ? this.#pair
        : new ReloadedPair(options.clientCertFile, options.clientKeyFile || options.keyFile)
    this.#trusted =
      options.trustedCaFile === '' ? undefined : readPath(options.trustedCaFile).toString('utf8')
    this.serverOptions()
    this.#clientPair.current()
  }

  get asksForClientCertificate(): boolean {
    return this.options.clientCertAuth || this.#trusted !== undefined
  }

  /**
   * What the next handshake is to use: the same object until a new pair of files is taken up. A
   * pair that is unreadable or does not match leaves the last good one in use.
   */
  serverOptions(): SecureContextOptions {
    const { cert, key } = this.#pair.current()
    const before = this.#server
    if (before !== undefined && before.cert === cert && before.key === key) return before
    const options = { cert, key, ...this.#common() }
    createSecureContext(options)
    this.#server = options
    this.#generation++
    return options
  }

  /** Grows each time `serverOptions` took up a new certificate. */
  get generation(): number {
    return this.#generation
  }

  /** Options for one connection that we dial, with the newest good pair of files. */
  clientOptions(): ConnectionOptions {
    const { skipServerVerification } = this.options
    const pair = this.#clientPair.current()
    const options = {
      ...pair,
      ...this.#common(),
      rejectUnauthorized: !skipServerVerification,
      checkServerIdentity: this.#checkServer,
    }
    if (this.#trusted !== undefined || skipServerVerification) return options
    // Whoever names no authority trusts those of the machine. Reading them all takes milliseconds.
    if (this.#systemContext?.pair !== pair) {
      const ca = systemAuthorities()
      const context = createSecureContext({ ...options, ...(ca === undefined ? {} : { ca }) })
      this.#systemContext = { pair, context }
    }
    return { ...options, secureContext: this.#systemContext.context }
  }

  /** As etcd does, whom we dial must carry one of the names that we let in. */
  readonly #checkServer: NonNullable<ConnectionOptions['checkServerIdentity']> = (
    host,
    certificate,
  ) => {
    const { allowedCommonNames = [], allowedHostnames = [] } = this.options
    const wrongHost = checkServerIdentity(host, certificate)
    const names = namesOf(certificate)
    if (wrongHost !== undefined || names === undefined) return wrongHost
    const problem = nameProblem(names, { allowedCommonNames, allowedHostnames })
    return problem === undefined ? undefined : new Error(problem)
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
