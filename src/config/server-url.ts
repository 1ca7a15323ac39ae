import { isIP } from 'node:net'
import { goQuote, type Parsed, refused, value } from './go-value.js'

/** One URL to listen on, to advertise or to find a peer at. It has no path, except for a socket. */
export interface ServerUrl {
  /** Canonical text: lower-case scheme, the rest as given. Two URLs are equal when this is. */
  readonly text: string
  readonly scheme: 'http' | 'https' | 'unix' | 'unixs'
  /**
   * `host:port` as given, IPv6 in brackets. For a socket: the first part of its path, may be ''.
   */
  readonly host: string
  /** Path of a unix socket after `host`; '' for http and https. */
  readonly path: string
}

/** A URL in the parts that Go's `net/url` finds; nothing is unescaped. */
export interface GoUrl {
  /** Lower case; '' when there is none. */
  readonly scheme: string
  /** `host:port` as given, without user info; '' when there is none. */
  readonly host: string
  readonly path: string
  /** What follows the `?`, without it; '' when there is nothing. */
  readonly query: string
  /** Canonical text: lower-case scheme, the rest as given. */
  readonly text: string
}

const failed = (raw: string, reason: string): Parsed<never> =>
  refused(`parse ${goQuote(raw)}: ${reason}`)

/** Splits a scheme off as `net/url` does; `undefined` = the colon is the first character. */
function splitScheme(raw: string): { scheme: string; rest: string } | undefined {
  if (raw.startsWith(':')) return undefined
  const found = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(raw)
  if (found?.[1] === undefined) return { scheme: '', rest: raw }
  return { scheme: found[1].toLowerCase(), rest: raw.slice(found[0].length) }
}

/** Why `net/url` would refuse this authority (without user info), or `undefined`. */
function hostProblem(host: string): string | undefined {
  const isBracketed = host.startsWith('[')
  const close = host.lastIndexOf(']')
  if (isBracketed && close < 0) return "missing ']' in host"
  const colon = host.lastIndexOf(':')
  const port = isBracketed ? host.slice(close + 1) : colon < 0 ? '' : host.slice(colon)
  if (port !== '' && !/^:\d*$/.test(port)) return `invalid port ${goQuote(port)} after host`
  const badEscape = /%(?![0-9a-fA-F]{2}).{0,2}/.exec(host)
  if (badEscape !== null) return `invalid URL escape ${goQuote(badEscape[0])}`
  const character = /[^a-zA-Z0-9\-_.~!$&'()*+,;=:[\]<>"%\u0080-\uffff]/u.exec(host)
  if (character === null) return undefined
  return `invalid character ${goQuote(character[0])} in host name`
}

/** The part of `net/url.Parse` that the URLs of a configuration can meet, with its texts. */
export function parseGoUrl(raw: string): Parsed<GoUrl> {
  if ([...raw].some((character) => character < ' ' || character === '\u007f')) {
    return failed(raw, 'net/url: invalid control character in URL')
  }
  const [beforeFragment = ''] = raw.split('#', 1)
  const split = splitScheme(beforeFragment)
  if (split === undefined) return failed(raw, 'missing protocol scheme')
  const { scheme } = split
  const [rest = ''] = split.rest.split('?', 1)
  const query = split.rest.slice(rest.length + 1)
  const text = scheme + raw.slice(scheme.length)
  if (!rest.startsWith('//')) {
    const [segment = ''] = rest.split('/', 1)
    if (scheme === '' && segment.includes(':')) {
      return failed(raw, 'first path segment in URL cannot contain colon')
    }
    return value({ scheme, host: '', path: rest.startsWith('/') ? rest : '', query, text })
  }
  const authority = rest.slice(2).split('/', 1)[0] ?? ''
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  const problem = hostProblem(host)
  if (problem !== undefined) return failed(raw, problem)
  return value({ scheme, host, path: rest.slice(2 + authority.length), query, text })
}

/** `net.SplitHostPort`: host without brackets and port text, or Go's reason. */
export function splitHostPort(address: string): Parsed<{ host: string; port: string }> {
  const bad = (reason: string): Parsed<never> => refused(`address ${address}: ${reason}`)
  const colon = address.lastIndexOf(':')
  if (colon < 0) return bad('missing port in address')
  if (address.startsWith('[')) {
    const close = address.indexOf(']')
    if (close < 0) return bad("missing ']' in address")
    if (close + 1 === address.length) return bad('missing port in address')
    if (close + 1 !== colon) {
      return bad(
        address[close + 1] === ':' ? 'too many colons in address' : 'missing port in address',
      )
    }
    return value({ host: address.slice(1, close), port: address.slice(colon + 1) })
  }
  const host = address.slice(0, colon)
  if (host.includes(':')) return bad('too many colons in address')
  return value({ host, port: address.slice(colon + 1) })
}

/** Reads one server URL; blanks around it are dropped. Texts are etcd's. */
export function parseServerUrl(given: string): Parsed<ServerUrl> {
  const raw = given.trim()
  const parsed = parseGoUrl(raw)
  if (parsed.kind === 'refused') return parsed
  const { scheme, host, path, text } = parsed.value
  switch (scheme) {
    case 'http':
    case 'https':
      if (splitHostPort(host).kind === 'refused') {
        return refused(`URL address does not have the form "host:port": ${raw}`)
      }
      if (path !== '') return refused(`URL must not contain a path: ${raw}`)
      return value({ text, scheme, host, path })
    case 'unix':
    case 'unixs':
      return value({ text, scheme, host, path })
    default:
      return refused(`URL scheme must be http, https, unix, or unixs: ${raw}`)
  }
}

const byText = (left: ServerUrl, right: ServerUrl): number =>
  left.text < right.text ? -1 : left.text > right.text ? 1 : 0

/** Sorts by text, as etcd keeps every list of URLs. */
export function sortUrls(urls: readonly ServerUrl[]): readonly ServerUrl[] {
  return [...urls].sort(byText)
}

/** Reads a list of URL texts: sorted, duplicates kept. An empty list is refused. */
export function parseServerUrls(texts: readonly string[]): Parsed<readonly ServerUrl[]> {
  if (texts.length === 0) return refused('no valid URLs given')
  const urls: ServerUrl[] = []
  for (const text of texts) {
    const parsed = parseServerUrl(text)
    if (parsed.kind === 'refused') return parsed
    urls.push(parsed.value)
  }
  return value(sortUrls(urls))
}

/** Drops repeated URLs from a sorted list. */
export function uniqueUrls(urls: readonly ServerUrl[]): readonly ServerUrl[] {
  return urls.filter((url, index) => urls[index - 1]?.text !== url.text)
}

/** The texts of a list of URLs. */
export function urlTexts(urls: readonly ServerUrl[]): readonly string[] {
  return urls.map((url) => url.text)
}

/** Whether the URL is served over TLS. */
export function isSecure(url: ServerUrl): boolean {
  return url.scheme === 'https' || url.scheme === 'unixs'
}

/** Whether the URL names a unix socket. */
export function isSocket(url: ServerUrl): boolean {
  return url.scheme === 'unix' || url.scheme === 'unixs'
}

/**
 * Why these URLs cannot be listened on, or `undefined`: a name other than localhost is no address.
 */
export function bindProblem(urls: readonly ServerUrl[]): string | undefined {
  for (const url of urls) {
    if (isSocket(url)) continue
    const split = splitHostPort(url.host)
    if (split.kind === 'refused') return split.reason
    const { host } = split.value
    if (host === 'localhost') continue
    if (isIP(host) === 0 || host.includes('%'))
      return `expected IP in URL for binding (${url.text})`
  }
  return undefined
}

/** Why these URLs cannot be advertised, or `undefined`: nobody can connect to an empty host. */
export function advertiseProblem(urls: readonly ServerUrl[]): string | undefined {
  for (const url of urls) {
    const split = splitHostPort(url.host)
    if (split.kind === 'refused') return split.reason
    if (split.value.host === '') return `unexpected empty host (${url.text})`
  }
  return undefined
}
