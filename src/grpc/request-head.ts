import type { RequestFields } from '../http2/request-fields.js'
import type { RpcFailure, RpcMethod } from '../ports/rpc.js'
import { goQuote, STATUS } from './status.js'
import { parseTimeout } from './timeout.js'

/** How the messages of a request are compressed. */
export type MessageEncoding = 'identity' | 'gzip'

/** Why a request is answered without a handler. */
export interface Refusal {
  readonly httpStatus: number
  readonly failure: RpcFailure
}

/**
 * Everything that the fields of a request say about the call. Shared by all calls with the same
 * fields.
 */
export interface RequestHead {
  /** Metadata, flat: name, value... */
  readonly fields: readonly string[]
  readonly path: string
  readonly method: RpcMethod | undefined
  /** Present when the call is refused; `method` is then undefined. */
  readonly refusal: Refusal | undefined
  /** Present when the content type does not even mention gRPC: a request for others to serve. */
  readonly http: RequestFields | undefined
  /** Milliseconds that the client gives; Infinity when it does not say. */
  readonly timeoutMs: number
  readonly encoding: MessageEncoding
}

/** The methods of a server, by path and by service. */
export class MethodTable {
  readonly #byPath = new Map<string, RpcMethod>()
  readonly #services = new Set<string>()

  constructor(methods: readonly RpcMethod[]) {
    for (const method of methods) {
      this.#byPath.set(method.path, method)
      this.#services.add(method.path.slice(1, method.path.lastIndexOf('/')))
    }
  }

  /** Full names of the services. */
  get services(): readonly string[] {
    return [...this.#services]
  }

  /** The method, or why there is none, in grpc-go's words. */
  find(path: string): RpcMethod | string {
    const method = this.#byPath.get(path)
    if (method !== undefined) return method
    const cut = path.lastIndexOf('/')
    if (!path.startsWith('/') || cut <= 0) return `malformed method name: ${goQuote(path)}`
    const service = path.slice(1, cut)
    return this.#services.has(service)
      ? `unknown method ${path.slice(cut + 1)} for service ${service}`
      : `unknown service ${service}`
  }
}

/** Checks the fields of a request as grpc-go does, in its order and with its texts. */
export function readRequestHead(request: RequestFields, methods: MethodTable): RequestHead {
  const { fields, path } = request
  let contentType = ''
  let encoding = 'identity'
  let timeoutMs = Number.POSITIVE_INFINITY
  let badField = ''
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? ''
    const value = fields[at + 1] ?? ''
    if (name === 'content-type') contentType = value
    else if (name === 'grpc-encoding') encoding = value
    else if (name === 'grpc-timeout') {
      const parsed = parseTimeout(value)
      if (typeof parsed === 'number') timeoutMs = parsed
      else badField = `malformed grpc-timeout: ${parsed}`
    } else if (name.endsWith('-bin') && !isBase64(value)) {
      badField = `malformed binary metadata ${goQuote(value)} in header ${goQuote(name)}`
    }
  }
  const refused = (
    httpStatus: number,
    status: RpcFailure['status'],
    message: string,
  ): RequestHead => ({
    fields,
    path,
    method: undefined,
    refusal: { httpStatus, failure: { status, message } },
    http: contentType.includes('application/grpc') ? undefined : request,
    timeoutMs,
    encoding: 'identity',
  })
  if (!isGrpc(contentType)) {
    const text = `invalid gRPC request content-type: ${goQuote(contentType)}`
    return refused(415, STATUS.INVALID_ARGUMENT, text)
  }
  if (request.method !== 'POST') {
    const method = goQuote(request.method)
    const text = `Received a HEADERS frame with :method ${method} which should be POST`
    return refused(405, STATUS.INTERNAL, text)
  }
  if (badField !== '') return refused(400, STATUS.INTERNAL, badField)
  const method = methods.find(path)
  if (typeof method === 'string') return refused(200, STATUS.UNIMPLEMENTED, method)
  if (encoding !== 'identity' && encoding !== '' && encoding !== 'gzip') {
    const text = `grpc: Decompressor is not installed for grpc-encoding ${goQuote(encoding)}`
    return refused(200, STATUS.UNIMPLEMENTED, text)
  }
  return {
    fields,
    path,
    method,
    refusal: undefined,
    http: undefined,
    timeoutMs,
    encoding: encoding === 'gzip' ? 'gzip' : 'identity',
  }
}

/** `application/grpc`, alone or with a message format (`+proto`) or parameters behind it. */
function isGrpc(contentType: string): boolean {
  const lower = contentType.toLowerCase()
  if (!lower.startsWith('application/grpc')) return false
  const next = lower.charAt('application/grpc'.length)
  if (next === '' || next === ';') return true
  return next === '+' && /^\+proto(;|$)/.test(lower.slice('application/grpc'.length))
}

const isBase64 = (text: string): boolean =>
  /^[A-Za-z0-9+/_-]*={0,2}(,\s*[A-Za-z0-9+/_-]*={0,2})*$/.test(text)
