/**
 * URL paths as Go's server handles them: decoding, cleaning, and the redirect to the clean path.
 */
import { decodeEscapes, findBadEscape } from './go-form.js'

/** What stands before and after the question mark of a request target, the path decoded. */
export interface Target {
  readonly path: string
  /** As sent, without the question mark. */
  readonly query: string
  /** Whether there was a question mark: Go's redirects keep a lone one away. */
  readonly hasQuery: boolean
}

/** Splits a request target; `undefined` when its path has a malformed escape. */
export function parseTarget(url: string): Target | undefined {
  const origin = url.startsWith('/') ? url : stripOrigin(url)
  const mark = origin.indexOf('?')
  const rawPath = mark === -1 ? origin : origin.slice(0, mark)
  const query = mark === -1 ? '' : origin.slice(mark + 1)
  if (!rawPath.includes('%')) return { path: rawPath, query, hasQuery: mark !== -1 }
  if (findBadEscape(rawPath) !== -1) return undefined
  return { path: decodeEscapes(rawPath), query, hasQuery: mark !== -1 }
}

/** The origin form of a target in absolute form (`http://host/path`). */
function stripOrigin(url: string): string {
  const match = /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/?]*(.*)$/.exec(url)
  const rest = match?.[1] ?? url
  return rest === '' || rest.startsWith('?') ? `/${rest}` : rest
}

/** Whether Go's path.Clean would leave `path` as it is, but for a slash at its end. */
export function isCleanPath(path: string): boolean {
  return path.startsWith('/') && !path.includes('//') && !/\/\.{1,2}(?:\/|$)/.test(path)
}

/**
 * The path that Go's mux serves `path` as: absolute, without `//`, `.` and `..`; a last slash
 * stays.
 */
export function cleanMuxPath(path: string): string {
  const absolute = path.startsWith('/') ? path : `/${path}`
  if (isCleanPath(absolute)) return absolute
  const kept: string[] = []
  for (const element of absolute.split('/')) {
    if (element === '' || element === '.') continue
    if (element === '..') kept.pop()
    else kept.push(element)
  }
  const clean = `/${kept.join('/')}`
  return absolute.endsWith('/') && clean !== '/' ? `${clean}/` : clean
}

/** Every character that Go's URL.String escapes in a path. */
const ESCAPED_IN_PATH = /[^A-Za-z0-9\-_.~$&+,/:;=@]/gu

const percent = (text: string): string =>
  [...Buffer.from(text, 'utf8')]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('')

/** A decoded path as Go writes it in a URL. */
export const escapePath = (path: string): string => path.replace(ESCAPED_IN_PATH, percent)

const HTML: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
}

/** The body of Go's redirect to `location`, for GET only. */
export function redirectPage(location: string): string {
  const shown = location.replace(/[&<>"']/g, (found) => HTML[found] ?? found)
  return `<a href="${shown}">Moved Permanently</a>.\n\n`
}
