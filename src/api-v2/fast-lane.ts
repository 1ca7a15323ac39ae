/**
 * HTTP/1.1 for the requests that come most: reads and writes of keys, one after the other on a
 * connection that stays open. It reads the socket itself and answers with one write. The first
 * request that is anything else (a wait, another path, an unusual head, a body that comes in
 * pieces) takes the connection to Node's HTTP server, for good. Measured with bench/v2-http.sh:
 * Node's HTTP server costs several times the work that a read is.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { HttpAccess } from '../base/http-access.js'
import type { HeaderList } from './answer.js'
import { type FormBody, formKind, parseFormBody } from './form-body.js'
import { cleanMuxPath, parseTarget, type Target } from './go-path.js'
import { KEYS_PREFIX } from './key-request.js'
import type { KeysHandler } from './keys-handler.js'
import type { Reply } from './reply.js'
import { type PlainFields, parsePlainFields } from './request-head.js'

/** Heads that are longer go to Node, which has its own limit. */
export const PLAIN_HEAD_BYTES_MAX = 8 * 1024
/** Bodies that are longer go to Node. */
export const PLAIN_BODY_BYTES_MAX = 64 * 1024

const METHODS = ['GET', 'PUT', 'POST', 'DELETE'] as const
const HEAD_END = '\r\n\r\n'
const VERSION = ' HTTP/1.1'

export interface FastLaneOptions {
  readonly keys: KeysHandler
  readonly access: HttpAccess
  /** Gives the connection to Node's HTTP server; what was read is in the socket again. */
  readonly fallback: (socket: Socket) => void
}

/** The Date header's line; made once a second. */
class DateLine {
  #second = -1
  #text = ''

  get text(): string {
    const second = Math.floor(Date.now() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#text = `Date: ${new Date(second * 1000).toUTCString()}\r\n`
    }
    return this.#text
  }
}

const STATUS_LINES = new Map(
  Object.entries(STATUS_CODES).map(([code, text]) => [
    Number(code),
    `HTTP/1.1 ${code} ${text}\r\n`,
  ]),
)

function headerText(headers: HeaderList): string {
  let text = ''
  for (let at = 0; at + 1 < headers.length; at += 2)
    text += `${headers[at]}: ${headers[at + 1]}\r\n`
  return text
}

/** What all connections share. */
class Lane {
  readonly options: FastLaneOptions
  readonly date = new DateLine()
  #before: HeaderList = []
  #beforeText = ''
  #block = ''
  #fields: PlainFields | undefined

  constructor(options: FastLaneOptions) {
    this.options = options
  }

  /** The text of headers that are the same array as last time is not made again. */
  textOf(before: HeaderList): string {
    if (before !== this.#before) {
      this.#before = before
      this.#beforeText = headerText(before)
    }
    return this.#beforeText
  }

  /** Clients send the same fields again and again: those of the last request are kept. */
  fieldsOf(block: string): PlainFields | undefined {
    if (block !== this.#block) {
      this.#block = block
      this.#fields = parsePlainFields(block)
    }
    return this.#fields
  }
}

/** A request that the lane answers itself. */
interface PlainRequest {
  readonly method: string
  readonly target: Target
  readonly before: HeaderList
  readonly form: FormBody | undefined
  readonly authorization: string
  /** Bytes of head and body. */
  readonly length: number
}

/**
 * One connection. States: `reading` → `answering` (paused) → `reading`, and from `reading` → `gone`
 * to Node's server or with the socket. Requests are answered one by one, as Go does: at most one
 * waits for the log.
 */
class LaneConnection implements Reply {
  readonly #lane: Lane
  readonly #socket: Socket
  #state: 'reading' | 'answering' | 'gone' = 'reading'
  /** What was read beyond the request that is being answered. */
  #rest: Buffer | undefined
  #isInTurn = false
  #authorization = ''
  readonly #onData = (chunk: Buffer): void => this.#read(chunk)
  readonly #onDrain = (): void => this.#advance()

  constructor(lane: Lane, socket: Socket) {
    this.#lane = lane
    this.#socket = socket
    socket.on('data', this.#onData)
    socket.on('drain', this.#onDrain)
    socket.once('close', () => {
      this.#state = 'gone'
    })
  }

  get authorization(): string {
    return this.#authorization
  }

  get socket(): Socket {
    return this.#socket
  }

  #read(chunk: Buffer): void {
    this.#rest = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.#advance()
  }

  /** Takes requests from what was read until one has to wait, or there is none. */
  #advance(): void {
    if (this.#isInTurn) return
    this.#isInTurn = true
    while (this.#state === 'reading' && this.#rest !== undefined) {
      if (this.#socket.writableNeedDrain) break
      const request = this.#parse(this.#rest)
      if (request === undefined) {
        this.#leave()
        break
      }
      this.#rest =
        request.length < this.#rest.length ? this.#rest.subarray(request.length) : undefined
      this.#state = 'answering'
      this.#authorization = request.authorization
      const { method, target, before, form } = request
      this.#lane.options.keys.answer({ method, target, reply: this, before, form })
    }
    this.#isInTurn = false
    if (this.#state === 'gone') return
    const isBusy = this.#state === 'answering' || this.#socket.writableNeedDrain
    if (isBusy) this.#socket.pause()
    else if (this.#socket.isPaused()) this.#socket.resume()
  }

  /** The request at the start of `bytes`; `undefined` = not one for this lane, or not all of it. */
  #parse(bytes: Buffer): PlainRequest | undefined {
    const text = bytes.toString('latin1', 0, Math.min(bytes.length, PLAIN_HEAD_BYTES_MAX))
    const method = METHODS.find((name) => text.startsWith(name))
    if (method === undefined || !text.startsWith(KEYS_PREFIX, method.length + 1)) return undefined
    if (text.charAt(method.length) !== ' ') return undefined
    const lineEnd = text.indexOf('\r\n')
    const headEnd = text.indexOf(HEAD_END, lineEnd)
    if (headEnd <= lineEnd || !text.startsWith(VERSION, lineEnd - VERSION.length)) return undefined
    const url = escapeBytes(text.slice(method.length + 1, lineEnd - VERSION.length))
    if (!/^[\x21-\x7e]+$/.test(url)) return undefined
    const fields = this.#lane.fieldsOf(text.slice(lineEnd + 2, headEnd))
    if (fields === undefined) return undefined
    const target = plainTarget(url, method)
    const before = this.#lane.options.access(fields.host, fields.origin)
    if (target === undefined || before === undefined) return undefined
    const bodyStart = headEnd + HEAD_END.length
    const length = bodyStart + fields.contentLength
    if (fields.contentLength > PLAIN_BODY_BYTES_MAX || length > bytes.length) return undefined
    const hasForm = method === 'PUT' || method === 'POST'
    const form = hasForm ? plainForm(fields, bytes, bodyStart) : undefined
    return { method, target, before, form, length, authorization: fields.authorization }
  }

  send(status: number, before: HeaderList, more: HeaderList, body: string): void {
    if (this.#state === 'gone' || !this.#socket.writable) return
    const head = STATUS_LINES.get(status) ?? `HTTP/1.1 ${status} \r\n`
    const lines = this.#lane.textOf(before) + headerText(more) + this.#lane.date.text
    const length = `Content-Length: ${Buffer.byteLength(body)}`
    this.#socket.write(`${head}${lines}${length}${HEAD_END}${body}`)
    this.#state = 'reading'
    this.#advance()
  }

  #leave(): void {
    const socket = this.#socket
    this.#state = 'gone'
    socket.off('data', this.#onData)
    socket.off('drain', this.#onDrain)
    socket.pause()
    if (this.#rest !== undefined) socket.unshift(withEscapedTarget(this.#rest))
    this.#rest = undefined
    this.#lane.options.fallback(socket)
    socket.resume()
  }
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
function withEscapedTarget(bytes: Buffer): Buffer {
  const lineEnd = bytes.indexOf('\r\n')
  if (lineEnd === -1 || lineEnd > PLAIN_HEAD_BYTES_MAX) return bytes
  const line = bytes.toString('latin1', 0, lineEnd)
  const escaped = escapeBytes(line)
  if (escaped === line) return bytes
  return Buffer.concat([Buffer.from(escaped, 'latin1'), bytes.subarray(lineEnd)])
}

/** The target, if it is a key's in its clean form and nobody wants to wait. */
function plainTarget(url: string, method: string): Target | undefined {
  const target = parseTarget(url)
  if (target === undefined || cleanMuxPath(target.path) !== target.path) return undefined
  const next = target.path.charAt(KEYS_PREFIX.length)
  if (next !== '' && next !== '/') return undefined
  // Also `%77ait` would be the parameter: escapes in a query of GET are left to Node.
  const mayWait = method === 'GET' && /wait|%/.test(target.query)
  return mayWait ? undefined : target
}

function plainForm(fields: PlainFields, bytes: Buffer, start: number): FormBody | undefined {
  const kind = formKind(fields.contentType)
  if (kind === 'none') return undefined
  if (kind !== 'form') return { form: new Map(), problem: kind.problem }
  return parseFormBody(bytes.toString('utf8', start, start + fields.contentLength))
}

/** Makes the function that takes connections. They must have been read from by nobody else. */
export function createFastLane(options: FastLaneOptions): (socket: Socket) => void {
  const lane = new Lane(options)
  return (socket) => {
    new LaneConnection(lane, socket)
  }
}
