import type { ConnectionOptions } from 'node:tls'
import { readPath } from './pem-files.js'
import { opensslCiphers, ReloadedPair, secureVersion, type TlsVersion } from './tls.js'

/** TLS of connections that we dial without listening ourselves. Paths; '' = not given. */
export interface OutgoingTlsOptions {
  /** What we show when we are asked who we are; '' = nothing. */
  readonly certFile: string
  readonly keyFile: string
  /** Whom we trust; '' = the authorities that Node.js knows. */
  readonly trustedCaFile: string
  /** Whether to trust anybody. */
  readonly skipVerification: boolean
  readonly minVersion: TlsVersion
  /** undefined = the newest. */
  readonly maxVersion: TlsVersion | undefined
  /** Go names of TLS 1.2 suites; empty = the default list. */
  readonly cipherSuites: readonly string[]
}

/**
 * Gives the options of one connection each time it is called: certificate and key are read again
 * when their files changed, the authorities are read once. Throws when a file cannot be read or
 * certificate and key do not belong together.
 */
export function outgoingTls(options: OutgoingTlsOptions): () => ConnectionOptions {
  const { certFile, keyFile, trustedCaFile, maxVersion } = options
  const pair = certFile === '' && keyFile === '' ? undefined : new ReloadedPair(certFile, keyFile)
  pair?.current()
  const ciphers = opensslCiphers(options.cipherSuites)
  const common: ConnectionOptions = {
    rejectUnauthorized: !options.skipVerification,
    minVersion: secureVersion(options.minVersion),
    ...(trustedCaFile === '' ? {} : { ca: readPath(trustedCaFile).toString('utf8') }),
    ...(maxVersion === undefined ? {} : { maxVersion: secureVersion(maxVersion) }),
    ...(ciphers === undefined ? {} : { ciphers }),
  }
  return () => ({ ...common, ...pair?.current() })
}
