/**
 * Who may talk to the HTTP port, by etcd's rules (facts: http.md 1): CORS, and hosts against DNS
 * rebinding.
 */

export interface HttpAccessOptions {
  /** Origins that may read answers in a browser; empty or with `*` = all. */
  readonly corsOrigins: readonly string[]
  /** Host names that plain-HTTP requests may be addressed to; empty or with `*` = all. */
  readonly hostWhitelist: readonly string[]
  /** Whether clients come over TLS: then the Host header needs no check. */
  readonly isSecure: boolean
}

/**
 * Headers (names and values in turn) that the answer to a request gets; `undefined` = the request
 * is refused for its host.
 */
export type HttpAccess = (
  host: string | undefined,
  origin: string | undefined,
) => readonly string[] | undefined

const NO_HEADERS: readonly string[] = []

const corsHeaders = (origin: string): readonly string[] => [
  ...['Access-Control-Allow-Headers', 'accept, content-type, authorization'],
  ...['Access-Control-Allow-Methods', 'POST, GET, OPTIONS, PUT, DELETE'],
  ...['Access-Control-Allow-Origin', origin],
]

/** The host of a Host header: no port, no brackets. */
export const withoutPort = (host: string): string =>
  host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')

/** The rules as a function; the list for an origin is the same array each time. */
export function createHttpAccess(options: HttpAccessOptions): HttpAccess {
  const { corsOrigins, hostWhitelist, isSecure } = options
  const allOrigins = corsOrigins.length === 0 || corsOrigins.includes('*')
  const allHosts = isSecure || hostWhitelist.length === 0 || hostWhitelist.includes('*')
  const forAll = corsHeaders('*')
  const forOrigin = new Map(corsOrigins.map((origin) => [origin, corsHeaders(origin)]))
  return (host, origin) => {
    if (!allHosts && !hostWhitelist.includes(withoutPort(host ?? ''))) return undefined
    if (allOrigins) return forAll
    return origin === undefined ? NO_HEADERS : (forOrigin.get(origin) ?? NO_HEADERS)
  }
}
