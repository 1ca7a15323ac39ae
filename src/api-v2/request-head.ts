/**
 * Reads the head of the plainest HTTP/1.1 requests. What is in any way unusual is left to Node's
 * own parser, which has the last word on what is HTTP.
 */

import { type FormKind, formKind } from './form-body.js'

/** Header fields that matter to the fast lane. */
export interface PlainFields {
  readonly host: string
  readonly origin: string | undefined
  /** What the type of the body says of a form in it. */
  readonly formKind: FormKind
  /** Empty = there is none. */
  readonly authorization: string
  /** Bytes of the body; 0 when there is none. */
  readonly contentLength: number
}

/** Fields whose presence needs Node: other framing, protocols, or an interim answer. */
const UNUSUAL = new Set(['transfer-encoding', 'upgrade', 'expect', 'connection', 'trailer', 'te'])
/** A field that may come once only, and matters here. */
const KNOWN = new Set(['host', 'origin', 'content-type', 'content-length', 'authorization'])

const NAME = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/.source
const VALUE = /[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff\t]*[\x21-\x7e\x80-\xff])?/.source
/** Hosts beyond this Node has to look at. */
const HOST = /^[\w.:[\]-]+$/
const FIELD = new RegExp(`^(${NAME}):[ \\t]*(${VALUE})?[ \\t]*$`)

/**
 * Parses the lines after the request line (latin1, without the empty line); `undefined` = unusual.
 */
export function parsePlainFields(block: string): PlainFields | undefined {
  const found = new Map<string, string>()
  for (const line of block.split('\r\n')) {
    const match = FIELD.exec(line)
    const name = match?.[1]?.toLowerCase()
    if (name === undefined) return undefined
    const value = match?.[2] ?? ''
    if (UNUSUAL.has(name) && !(name === 'connection' && /^keep-alive$/i.test(value))) {
      return undefined
    }
    if (!KNOWN.has(name)) continue
    if (found.has(name)) return undefined
    found.set(name, value)
  }
  const host = found.get('host')
  const length = found.get('content-length') ?? '0'
  if (host === undefined || !HOST.test(host)) return undefined
  if (!/^[0-9]{1,9}$/.test(length)) return undefined
  return {
    host,
    origin: found.get('origin'),
    formKind: formKind(found.get('content-type')),
    authorization: found.get('authorization') ?? '',
    contentLength: Number(length),
  }
}
