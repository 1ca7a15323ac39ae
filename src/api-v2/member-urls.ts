/**
 * The peer URLs in the body of a change of membership, checked with etcd's texts (facts: http.md
 * 3).
 */
import { compareGo, quoteGo } from '../base/go-json.js'

export type PeerUrls =
  | { readonly kind: 'urls'; readonly urls: readonly string[] }
  | { readonly kind: 'bad'; readonly reason: string }

const bad = (reason: string): PeerUrls => ({ kind: 'bad', reason })

/** The body's type as Go prints it. */
const GO_TYPE = 'struct { PeerURLs []string "json:\\"peerURLs\\"" }'

/** What Go calls the kind of a JSON value in its errors. */
function jsonKind(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  return typeof value
}

/** Reads `{"peerURLs":["http://host:port"]}`; names match in any case, as Go's do. */
export function parsePeerUrls(text: string): PeerUrls {
  if (text.trim() === '') return bad('unexpected end of JSON input')
  const parsed = parseJson(text)
  if (parsed.kind === 'bad') return parsed
  const { value } = parsed
  if (value === null) return bad('no valid URLs given')
  if (typeof value !== 'object' || Array.isArray(value)) {
    return bad(`json: cannot unmarshal ${jsonKind(value)} into Go value of type ${GO_TYPE}`)
  }
  const found = Object.entries(value).findLast(([name]) => name.toLowerCase() === 'peerurls')?.[1]
  if (found === undefined || found === null) return bad('no valid URLs given')
  if (!Array.isArray(found)) {
    return bad(
      `json: cannot unmarshal ${jsonKind(found)} into Go struct field .peerURLs of type []string`,
    )
  }
  const texts: string[] = []
  for (const item of found) {
    if (item !== null && typeof item !== 'string') {
      return bad(
        `json: cannot unmarshal ${jsonKind(item)} into Go struct field .peerURLs of type string`,
      )
    }
    texts.push(item ?? '')
  }
  return checkUrls(texts)
}

type Json =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'bad'; readonly reason: string }

function parseJson(text: string): Json {
  try {
    return { kind: 'json', value: JSON.parse(text) }
  } catch {
    return { kind: 'bad', reason: jsonProblem(text) }
  }
}

const VALUE_START = /[{["\-0-9tfn]/

/**
 * Go's text for the commonest ways not to be JSON: a wrong start, or an end that comes too early.
 */
function jsonProblem(text: string): string {
  const [first = ''] = text.trimStart()
  if (VALUE_START.test(first)) return 'unexpected end of JSON input'
  const shown = first === "'" ? "'\\''" : `'${first}'`
  return `invalid character ${shown} looking for beginning of value`
}

const PARTS = /^([a-zA-Z][a-zA-Z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)/
const SCHEMES = new Set(['http', 'https', 'unix', 'unixs'])

/** Sorted, without spaces around, as etcd keeps them. */
function checkUrls(texts: readonly string[]): PeerUrls {
  if (texts.length === 0) return bad('no valid URLs given')
  const urls: string[] = []
  for (const raw of texts) {
    const text = raw.trim()
    const problem = urlProblem(text)
    if (problem !== undefined) return bad(problem)
    urls.push(text)
  }
  return { kind: 'urls', urls: urls.sort(compareGo) }
}

function urlProblem(text: string): string | undefined {
  if (text.startsWith(':')) return `parse ${quoteGo(text)}: missing protocol scheme`
  const [, scheme = '', host, path = ''] = PARTS.exec(text) ?? []
  if (!SCHEMES.has(scheme.toLowerCase())) {
    return `URL scheme must be http, https, unix, or unixs: ${text}`
  }
  if (scheme.toLowerCase().startsWith('unix')) return undefined
  const [, port] = /^(?:.*@)?(?:\[[^\]]*\]|[^:[\]]*):([^:]*)$/.exec(host ?? '') ?? []
  if (port === undefined) return `URL address does not have the form "host:port": ${text}`
  if (!/^\d*$/.test(port)) {
    return `parse ${quoteGo(text)}: invalid port ${quoteGo(`:${port}`)} after host`
  }
  return path === '' ? undefined : `URL must not contain a path: ${text}`
}
