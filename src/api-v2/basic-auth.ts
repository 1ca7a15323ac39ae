/** The Authorization header as Go's server reads it: the Basic scheme, in any case. */

export interface Credentials {
  readonly user: string
  readonly password: string
}

const SCHEME = /^basic /i
/** Standard base64 with its padding. Node would take much more. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * User and password of a header; `undefined` when it is malformed. Bytes that are not UTF-8 are
 * nobody's name and nobody's password, so they count as that.
 */
export function parseBasicAuth(header: string): Credentials | undefined {
  const encoded = SCHEME.test(header) ? header.slice('Basic '.length) : undefined
  if (encoded === undefined || !BASE64.test(encoded)) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return undefined
  }
  const colon = text.indexOf(':')
  if (colon === -1) return undefined
  return { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
