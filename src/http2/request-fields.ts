/**
 * A request's fields after the checks of RFC 9113 8.2 and 8.3. Whoever breaks them sent a malformed
 * request, which ends its stream and nothing else.
 */
export interface RequestFields {
  readonly method: string
  readonly scheme: string
  readonly path: string
  /** '' when the client gave none. */
  readonly authority: string
  /** The other fields, flat: name, value, name, value... Names are lower-case. */
  readonly fields: readonly string[]
  /** Declared bytes of the body; -1 when not declared. */
  readonly contentLength: number
}

/** Fields that belong to one HTTP/1 connection and must not be sent on (RFC 9113 8.2.2). */
const CONNECTION_FIELDS = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])

const PSEUDO_FIELDS = [':method', ':scheme', ':path', ':authority'] as const

/** Checks the fields of a request. undefined when it is malformed. */
export function parseRequestFields(flat: readonly string[]): RequestFields | undefined {
  const pseudo: (string | undefined)[] = [undefined, undefined, undefined, undefined]
  let at = 0
  for (; at < flat.length; at += 2) {
    const name = flat[at] ?? ''
    if (name.charCodeAt(0) !== 0x3a) break
    const which = PSEUDO_FIELDS.indexOf(name as (typeof PSEUDO_FIELDS)[number])
    if (which < 0 || pseudo[which] !== undefined || !isFieldValue(flat[at + 1] ?? '')) {
      return undefined
    }
    pseudo[which] = flat[at + 1] ?? ''
  }
  const fields = flat.slice(at)
  if (!areRegularFields(fields)) return undefined
  const [method, scheme, path, authority = ''] = pseudo
  if (method === undefined || method === '') return undefined
  if (method === 'CONNECT') {
    // A tunnel names an authority and neither scheme nor path (RFC 9113 8.5).
    if (scheme !== undefined || path !== undefined || authority === '') return undefined
  } else if (scheme === undefined || path === undefined || path === '') return undefined
  const contentLength = parseContentLength(fields)
  if (contentLength === undefined) return undefined
  return { method, scheme: scheme ?? '', path: path ?? '', authority, fields, contentLength }
}

/**
 * Whether these may be the trailers of a request, or the fields after a request's pseudo-fields.
 */
export function areRegularFields(fields: readonly string[]): boolean {
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? ''
    const value = fields[at + 1] ?? ''
    if (!isFieldName(name) || !isFieldValue(value)) return false
    if (CONNECTION_FIELDS.has(name)) return false
    if (name === 'te' && value !== 'trailers') return false
  }
  return true
}

function isFieldName(name: string): boolean {
  if (name.length === 0) return false
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    if (code <= 0x20 || code >= 0x7f || code === 0x3a || (code >= 0x41 && code <= 0x5a)) {
      return false
    }
  }
  return true
}

function isFieldValue(value: string): boolean {
  const length = value.length
  if (length === 0) return true
  if (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(length - 1))) return false
  for (let at = 0; at < length; at++) {
    const code = value.charCodeAt(at)
    if (code === 0 || code === 0x0a || code === 0x0d) return false
  }
  return true
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09

/** -1 when there is none, undefined when it is not one number. */
function parseContentLength(fields: readonly string[]): number | undefined {
  let length = -1
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at] !== 'content-length') continue
    const text = fields[at + 1] ?? ''
    if (!/^\d{1,15}$/.test(text)) return undefined
    const value = Number(text)
    if (length >= 0 && length !== value) return undefined
    length = value
  }
  return length
}
