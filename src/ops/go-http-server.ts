/**
 * Node's HTTP server with the manners of Go's: how large a head may be, what is said to a request
 * that cannot be read, and how header names are written. What goes out before a handler has seen
 * the request are bare lines without a date, as Go writes them, and the connection ends.
 */
import {
  createServer,
  IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  type Server,
  ServerResponse,
} from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * How long an HTTP/1 connection may be idle, ms: etcd's five minutes. Go's clients keep connections
 * for reuse, and a request sent into one that is being closed fails: a follower's lease call to the
 * leader would time out.
 */
export const HTTP_IDLE_MS = 5 * 60 * 1000
/** Bytes of a request's head. Node's own limit is a sixty-fourth of Go's. */
export const HTTP_HEAD_BYTES_MAX = 1024 * 1024

/** Bytes that Go takes in a Host header. */
const HOST = /^[\w!$%&'()*+,\-.:;=[\]~]*$/

/** `x-etcd-index` → `X-Etcd-Index`. */
const canonicalName = (name: string): string =>
  name.toLowerCase().replace(/(^|-)[a-z]/g, (start) => start.toUpperCase())

type Headers = OutgoingHttpHeaders | OutgoingHttpHeader[]

function canonicalHeaders(headers: Headers | undefined): Headers | undefined {
  // Lists come from handlers that write their names as they are to be.
  if (headers === undefined || Array.isArray(headers)) return headers
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [canonicalName(name), value]),
  )
}

/** Header names go out in Go's form, whoever set them. */
class GoResponse extends ServerResponse {
  override writeHead(
    status: number,
    reason?: string | Headers | undefined,
    headers?: Headers | undefined,
  ): this {
    if (typeof reason === 'string')
      return super.writeHead(status, reason, canonicalHeaders(headers))
    return super.writeHead(status, canonicalHeaders(reason ?? headers))
  }
}

/** Says `status` to who sent what is no request, and ends the connection when that is out. */
function answerBare(socket: Duplex, status: string, text = status): void {
  // What is read after the first mistake is told again and again.
  if (!socket.writable) {
    if (socket.writableFinished) socket.destroy()
    return
  }
  const type = 'Content-Type: text/plain; charset=utf-8'
  socket.end(`HTTP/1.1 ${status}\r\n${type}\r\nConnection: close\r\n\r\n${text}`, () =>
    socket.destroy(),
  )
}

const answerUnsupportedEncoding = (socket: Duplex): void =>
  answerBare(socket, '501 Not Implemented', 'Unsupported transfer encoding')

/** For the `clientError` of a server: the request could not be read. */
export function answerUnreadable(error: Error, socket: Duplex): void {
  const { code } = error as NodeJS.ErrnoException
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      answerBare(socket, '431 Request Header Fields Too Large')
      return
    case 'HPE_INVALID_TRANSFER_ENCODING':
      answerUnsupportedEncoding(socket)
      return
    case 'ECONNRESET':
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      socket.destroy()
      return
    default:
      answerBare(socket, '400 Bad Request')
  }
}

/** What is wrong with the host that a request is for, as it is appended to the status. */
function hostProblem(request: IncomingMessage): string | undefined {
  const { host } = request.headers
  if (host === undefined) {
    return request.httpVersionMinor >= 1 ? ': missing required Host header' : undefined
  }
  if ((request.headersDistinct.host?.length ?? 0) > 1) return ''
  return HOST.test(host) ? undefined : ': malformed Host header'
}

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/** A server whose connections are handed to it. */
export function createGoHttpServer(handle: RequestHandler): Server {
  const server = createServer(
    {
      keepAliveTimeout: HTTP_IDLE_MS,
      maxHeaderSize: HTTP_HEAD_BYTES_MAX,
      requireHostHeader: false,
      IncomingMessage,
      ServerResponse: GoResponse,
    },
    (request, response) => {
      const problem = hostProblem(request)
      const encoding = request.headers['transfer-encoding'] ?? 'chunked'
      if (problem !== undefined) answerBare(request.socket, `400 Bad Request${problem}`)
      else if (encoding.toLowerCase() !== 'chunked') answerUnsupportedEncoding(request.socket)
      else handle(request, response)
    },
  )
  server.on('checkExpectation', (_request, response) => {
    response.writeHead(417, ['Connection', 'close', 'Content-Length', '0']).end()
  })
  return server
}
