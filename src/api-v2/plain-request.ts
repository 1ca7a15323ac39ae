/** Requests about keys that the fast lane answers itself, read from the bytes of a connection. */
import type { HttpAccess } from '../base/http-access.js'
import type { HeaderList } from './answer.js'
import { type FormBody, parseFormBody } from './form-body.js'
import { Form } from './go-form.js'
import { cleanMuxPath, parseTarget, type Target } from './go-path.js'
import { KEYS_PREFIX } from './key-request.js'
import { type PlainFields, parsePlainFields } from './request-head.js'

/** Heads that are longer go to Node, which has its own limit. */
export const PLAIN_HEAD_BYTES_MAX = 8 * 1024
/** Bodies that are longer go to Node. */
export const PLAIN_BODY_BYTES_MAX = 64 * 1024

export const HEAD_END = '\r\n\r\n'
const VERSION = ' HTTP/1.1'
const LINE_STARTS = ['GET', 'PUT', 'POST', 'DELETE'].map((method) => ({
  method,
  start: `${method} ${KEYS_PREFIX}`,
}))

export interface PlainRequest {
  readonly method: string
  readonly target: Target
  /** Headers that the access rules add to the answer. */
  readonly before: HeaderList
  readonly form: FormBody | undefined
  readonly authorization: string
  /** Bytes of head and body. */
  readonly length: number
}

export class PlainRequestParser {
  readonly #access: HttpAccess
  #block = ''
  #fields: PlainFields | undefined

  constructor(access: HttpAccess) {
    this.#access = access
  }

  /** The request at the start of `bytes`; `undefined` = not a plain one, or not all of it. */
  parse(bytes: Buffer): PlainRequest | undefined {
    const text = bytes.toString('latin1', 0, Math.min(bytes.length, PLAIN_HEAD_BYTES_MAX))
    const method = methodOf(text)
    if (method === undefined) return undefined
    const lineEnd = text.indexOf('\r\n')
    const headEnd = text.indexOf(HEAD_END, lineEnd)
    if (headEnd <= lineEnd || !text.startsWith(VERSION, lineEnd - VERSION.length)) return undefined
    const target = plainTarget(text.slice(method.length + 1, lineEnd - VERSION.length))
    const fields = this.#fieldsOf(text.slice(lineEnd + 2, headEnd))
    if (target === undefined || fields === undefined) return undefined
    const before = this.#access(fields.host, fields.origin)
    if (before === undefined) return undefined
    const bodyStart = headEnd + HEAD_END.length
    const length = bodyStart + fields.contentLength
    if (fields.contentLength > PLAIN_BODY_BYTES_MAX || length > bytes.length) return undefined
    const hasForm = method === 'PUT' || method === 'POST'
    const form = hasForm ? plainForm(fields, bytes, bodyStart) : undefined
    return { method, target, before, form, length, authorization: fields.authorization }
  }

  /** Clients send the same fields again and again: those of the last request are kept. */
  #fieldsOf(block: string): PlainFields | undefined {
    if (block !== this.#block) {
      this.#block = block
      this.#fields = parsePlainFields(block)
    }
    return this.#fields
  }
}

function methodOf(text: string): string | undefined {
  for (const { method, start } of LINE_STARTS) if (text.startsWith(start)) return method
  return undefined
}

/** The path of a key as nearly all are: nothing to decode, clean, and no query. */
const PLAIN_PATH = /^\/v2\/keys(?:\/[\w~!$&'()*+,:;=@-][\w~!$&'()*+,:;=@.-]*)*\/?$/

/** The target, if it is that of a key in its clean form. */
function plainTarget(typed: string): Target | undefined {
  if (PLAIN_PATH.test(typed)) return { path: typed, query: '', hasQuery: false }
  const url = escapeBytes(typed)
  if (!/^[\x21-\x7e]+$/.test(url)) return undefined
  const target = parseTarget(url)
  if (target === undefined || cleanMuxPath(target.path) !== target.path) return undefined
  const next = target.path.charAt(KEYS_PREFIX.length)
  return next === '' || next === '/' ? target : undefined
}

function plainForm(fields: PlainFields, bytes: Buffer, start: number): FormBody | undefined {
  const kind = fields.formKind
  if (kind === 'none') return undefined
  if (kind !== 'form') return { form: new Form(), problem: kind.problem }
  return parseFormBody(bytes.toString('utf8', start, start + fields.contentLength))
}

/**
 * Bytes that should have been escaped, as latin1 → escaped. curl sends a path as it was typed and
 * Go takes it; Node's parser does not.
 */
const escapeBytes = (text: string): string =>
  /[\x80-\xff]/.test(text)
    ? text.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`)
    : text

/** The same for the first line of what was read, before Node reads it. */
export function withEscapedTarget(bytes: Buffer): Buffer {
  const lineEnd = bytes.indexOf('\r\n')
  if (lineEnd === -1 || lineEnd > PLAIN_HEAD_BYTES_MAX) return bytes
  const line = bytes.toString('latin1', 0, lineEnd)
  const escaped = escapeBytes(line)
  if (escaped === line) return bytes
  return Buffer.concat([Buffer.from(escaped, 'latin1'), bytes.subarray(lineEnd)])
}
