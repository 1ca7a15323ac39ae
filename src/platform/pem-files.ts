import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'

/** The system's reasons in the words that operators of etcd know. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'is a directory',
}

/** Why a file could not be opened, as etcd says it. */
export function openError(path: string, cause: unknown): Error {
  const reason = REASONS[(cause as NodeJS.ErrnoException).code ?? '']
  if (reason !== undefined) return new Error(`open ${path}: ${reason}`, { cause })
  return cause instanceof Error ? cause : new Error(String(cause))
}

/** The whole file. Throws with etcd's words when there is none. */
export function readPath(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw openError(path, error)
  }
}

/** Changes when the file was written or replaced. Throws as `readPath` does. */
export function fileStamp(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path)
    return `${mtimeMs} ${size} ${ino}`
  } catch (error) {
    throw openError(path, error)
  }
}

const blockTypes = (pem: string): readonly string[] =>
  [...pem.matchAll(/^-----BEGIN ([^\n]*)-----\r?$/gm)].map(([, type]) => type ?? '')

const isKey = (type: string): boolean => type === 'PRIVATE KEY' || type.endsWith(' PRIVATE KEY')
const SKIPPED = 'after skipping PEM blocks of the following types:'

function certificateProblem(types: readonly string[]): string | undefined {
  if (types.includes('CERTIFICATE')) return undefined
  if (types.length === 0) return 'tls: failed to find any PEM data in certificate input'
  const [only = ''] = types
  if (types.length === 1 && isKey(only))
    return (
      'tls: failed to find certificate PEM data in certificate input, but did find a private ' +
      'key; PEM inputs may have been switched'
    )
  const wanted = 'tls: failed to find "CERTIFICATE" PEM block in certificate input'
  return `${wanted} ${SKIPPED} [${types.join(' ')}]`
}

function keyProblem(types: readonly string[]): string | undefined {
  if (types.some(isKey)) return undefined
  if (types.length === 0) return 'tls: failed to find any PEM data in key input'
  if (types.length === 1 && types[0] === 'CERTIFICATE')
    return 'tls: found a certificate rather than a key in the PEM for the private key'
  const wanted = 'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input'
  return `${wanted} ${SKIPPED} [${types.join(' ')}]`
}

/**
 * Throws when certificate and key, in PEM, are not what they should be or do not belong together,
 * in the words of Go. OpenSSL alone takes two of different kinds for a pair, and fails at
 * handshakes.
 */
export function assertPair(cert: string, key: string): void {
  const problem = certificateProblem(blockTypes(cert)) ?? keyProblem(blockTypes(key))
  if (problem !== undefined) throw new Error(problem)
  const certificate = new X509Certificate(cert)
  const privateKey = createPrivateKey(key)
  if (certificate.checkPrivateKey(privateKey)) return
  const isSameKind = certificate.publicKey.asymmetricKeyType === privateKey.asymmetricKeyType
  throw new Error(
    isSameKind
      ? 'tls: private key does not match public key'
      : 'tls: private key type does not match public key type',
  )
}
