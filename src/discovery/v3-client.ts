/** The few calls of etcd's gRPC API that discovery makes, failing in the words of Go's client. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ChannelCredentials,
  Client,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { revision } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { V3DiscoveryConfig } from '../config/server-config.js'
import { systemAuthorities } from '../platform/system-authorities.js'
import type { Log } from '../ports/log.js'
import type { Codec } from '../wire/codec.js'
import type { KeyValue } from '../wire/mvccpb.js'
import {
  AuthenticateRequest,
  AuthenticateResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  WatchCreateRequest,
  WatchRequest,
  WatchResponse,
} from '../wire/rpc.js'

/** Go's client pings no more often than this, whatever it is told, ms. */
const KEEP_ALIVE_MS_MIN = 10_000
/** Codes as Go prints them; the index is the code. */
const CODES = [
  ...['OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound'],
  ...['AlreadyExists', 'PermissionDenied', 'ResourceExhausted', 'FailedPrecondition', 'Aborted'],
  ...['OutOfRange', 'Unimplemented', 'Internal', 'Unavailable', 'DataLoss', 'Unauthenticated'],
]
/** Between two rounds of a call over all servers, ms. */
const RETRY_PAUSE_MS = 100
const TOKEN_HEADER = 'token'
/** A service without authentication takes a client with a password as well as one without. */
const AUTH_NOT_ENABLED = 'etcdserver: authentication is not enabled'
/** The token is to be had anew. */
const STALE_TOKEN = ['etcdserver: invalid auth token', 'etcdserver: revision of auth store is old']

const isServiceError = (error: unknown): error is ServiceError =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error

const dialText = (address: string, why: string): string =>
  `connection error: desc = "transport: Error while dialing: dial tcp ${address}: ${why}"`

/** A failed call as Go's client words it: etcd's own texts bare, others with their code. */
export function rpcErrorText(error: unknown): string {
  if (!isServiceError(error)) return error instanceof Error ? error.message : String(error)
  const { code, details } = error
  if (details.startsWith('etcdserver: ')) return details
  if (code === status.DEADLINE_EXCEEDED) return 'context deadline exceeded'
  const refused = /connect ECONNREFUSED (\S+:\d+)/.exec(details)?.[1]
  const text = refused === undefined ? details : dialText(refused, 'connect: connection refused')
  return `rpc error: code = ${CODES[code] ?? `Code(${code})`} desc = ${text}`
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const why = code === 'ENOENT' ? 'no such file or directory' : 'permission denied'
    throw new Error(`open ${file}: ${why}`, { cause: error })
  }
}

function tlsCredentials(config: V3DiscoveryConfig): ChannelCredentials {
  const { certFile, keyFile, caFile, skipTlsVerify } = config
  const ca = caFile === '' ? systemAuthorities() : readPem(caFile)
  const hasPair = certFile !== '' && keyFile !== ''
  return credentials.createSsl(
    ca === undefined ? null : Buffer.from(ca),
    hasPair ? readPem(keyFile) : null,
    hasPair ? readPem(certFile) : null,
    skipTlsVerify ? { rejectUnauthorized: false } : {},
  )
}

/** The scheme decides; without one certificates do, and then the flag. */
function credentialsFor(endpoint: string, config: V3DiscoveryConfig): ChannelCredentials {
  const { certFile, keyFile, caFile, isInsecureTransport } = config
  if (/^(http|unix):/.test(endpoint)) return credentials.createInsecure()
  const hasFiles = certFile !== '' || keyFile !== '' || caFile !== ''
  const isPlain = !/^(https|unixs):/.test(endpoint) && !hasFiles && isInsecureTransport
  return isPlain ? credentials.createInsecure() : tlsCredentials(config)
}

/** The address in gRPC's form: `host:port`, or `unix:path`. */
function addressOf(endpoint: string): string {
  const socket = /^unixs?:(?:\/\/)?(.*)$/.exec(endpoint)?.[1]
  if (socket !== undefined) return `unix:${socket}`
  return endpoint.replace(/^https?:\/\//, '').replace(/\/.*$/, '')
}

interface Server {
  readonly address: string
  readonly client: Client
}

interface Method<Request, Response> {
  readonly path: string
  readonly request: Codec<unknown, Request>
  readonly response: Codec<Response, never>
}

const method = <Request, Response>(
  path: string,
  request: Codec<unknown, Request>,
  response: Codec<Response, never>,
): Method<Request, Response> => ({ path, request, response })

const toBuffer = (encoded: Uint8Array): Buffer =>
  Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)

const textBytes = (text: string): Uint8Array => Buffer.from(text, 'utf8')

/** The end of the range of all keys that begin with this text, which ends in plain ASCII. */
export function prefixEnd(prefix: string): Uint8Array {
  const end = Buffer.from(prefix, 'utf8')
  const last = end.at(-1)
  invariant(last !== undefined && last < 0x80, 'a prefix of discovery ends in plain ASCII')
  end[end.length - 1] = last + 1
  return end
}

/** Keys as a range had them, and the revision they were of. */
export interface Range {
  readonly keyValues: readonly KeyValue[]
  readonly revision: number
}

/**
 * A client of the servers of a discovery service: the first that can be reached serves until it
 * cannot. A call goes from server to server while there is time.
 */
export class V3Client {
  readonly #config: V3DiscoveryConfig
  readonly #log: Log
  readonly #servers: readonly Server[]
  #at = 0
  #token: string | undefined

  /** Throws when certificates cannot be read. */
  constructor(config: V3DiscoveryConfig, log: Log) {
    const { certFile, keyFile, keepAliveTimeMs, keepAliveTimeoutMs } = config
    if ((certFile === '') !== (keyFile === '')) {
      const shown = `[key: ${keyFile}, cert: ${certFile}]`
      throw new Error(`KeyFile and CertFile must both be present${shown}`)
    }
    const pings =
      keepAliveTimeMs <= 0
        ? {}
        : {
            'grpc.keepalive_time_ms': Math.max(keepAliveTimeMs, KEEP_ALIVE_MS_MIN),
            'grpc.keepalive_timeout_ms': keepAliveTimeoutMs,
          }
    this.#config = config
    this.#log = log
    this.#servers = config.endpoints.map((endpoint) => {
      const address = addressOf(endpoint.trim())
      return { address, client: new Client(address, credentialsFor(endpoint, config), pings) }
    })
  }

  async get(key: string, rangeEnd?: Uint8Array): Promise<Range> {
    const { kvs, header } = await this.#call(
      method('/etcdserverpb.KV/Range', RangeRequest, RangeResponse),
      { key: textBytes(key), ...(rangeEnd === undefined ? {} : { rangeEnd }) },
    )
    return { keyValues: kvs, revision: header?.revision ?? 0 }
  }

  async put(key: string, value: string): Promise<void> {
    await this.#call(method('/etcdserverpb.KV/Put', PutRequest, PutResponse), {
      key: textBytes(key),
      value: textBytes(value),
    })
  }

  /**
   * The keys that are put into the range, from a revision on, in the batches that they come in.
   * Ends by rejecting, also when the server ends the watch.
   */
  async *puts(
    range: Readonly<{ key: string; rangeEnd: Uint8Array; fromRevision: number }>,
  ): AsyncGenerator<readonly KeyValue[]> {
    const { client } = await this.#connected()
    const call = client.makeBidiStreamRequest<Uint8Array, WatchResponse>(
      '/etcdserverpb.Watch/Watch',
      toBuffer,
      (bytes) => WatchResponse.decode(bytes),
      await this.#metadata(client),
    )
    try {
      const createRequest = WatchCreateRequest.create({
        key: textBytes(range.key),
        rangeEnd: range.rangeEnd,
        startRevision: revision(range.fromRevision),
      })
      call.write(WatchRequest.encode({ createRequest }))
      const responses: AsyncIterable<WatchResponse> = call
      for await (const { canceled, cancelReason, events } of responses) {
        if (canceled) throw new Error(cancelReason || 'the watch was canceled')
        yield events.flatMap(({ type, kv }) => (type === 'PUT' && kv !== undefined ? [kv] : []))
      }
      throw new Error('the watch ended')
    } finally {
      call.cancel()
    }
  }

  close(): void {
    for (const { client } of this.#servers) client.close()
  }

  get #server(): Server {
    const server = this.#servers[this.#at % this.#servers.length]
    invariant(server !== undefined, 'there is an endpoint')
    return server
  }

  /** The current server once its connection stands or has failed; rejects when it does neither. */
  async #connected(): Promise<Server> {
    const server = this.#server
    const channel = server.client.getChannel()
    const deadline = Date.now() + this.#config.dialTimeoutMs
    for (;;) {
      const state = channel.getConnectivityState(true)
      // A call on a connection that failed is told why.
      if (state === connectivityState.READY) return server
      if (state === connectivityState.TRANSIENT_FAILURE) return server
      const changed = new Promise<Error | undefined>((resolve) => {
        channel.watchConnectivityState(state, deadline, resolve)
      })
      if ((await changed) === undefined) continue
      throw Object.assign(new Error('no connection in time'), {
        code: status.UNAVAILABLE,
        details: dialText(server.address, 'i/o timeout'),
        metadata: new Metadata(),
      })
    }
  }

  /** Tries server after server until one answers or the time for a request is over. */
  async #call<Request, Response>(
    called: Method<Request, Response>,
    request: Request,
  ): Promise<Response> {
    const endMs = performance.now() + this.#config.requestTimeoutMs
    let isRenewed = false
    for (let tried = 1; ; tried += 1) {
      try {
        const { client } = await this.#connected()
        return await this.#unary(client, called, request, await this.#metadata(client))
      } catch (error) {
        if (!isServiceError(error)) throw error
        if (STALE_TOKEN.includes(error.details) && !isRenewed) {
          this.#token = undefined
          isRenewed = true
          continue
        }
        if (error.code !== status.UNAVAILABLE && error.code !== status.DEADLINE_EXCEEDED)
          throw error
        await this.#next(error, { tried, endMs, path: called.path })
      }
    }
  }

  /** Turns to the next server, after a pause once each was tried; rejects when time is over. */
  async #next(
    error: ServiceError,
    { tried, endMs, path }: Readonly<{ tried: number; endMs: number; path: string }>,
  ): Promise<void> {
    const { address } = this.#server
    this.#at += 1
    if (tried % this.#servers.length !== 0) return
    if (performance.now() + RETRY_PAUSE_MS < endMs) {
      await sleep(RETRY_PAUSE_MS)
      return
    }
    // The call only tells that its time is over; why is told here, as Go's client does.
    this.#log.warn('retrying of unary invoker failed', {
      target: address,
      method: path,
      attempt: tried - 1,
      error: rpcErrorText(error),
    })
    throw Object.assign(new Error('no server in time', { cause: error }), {
      code: status.DEADLINE_EXCEEDED,
      details: 'context deadline exceeded',
      metadata: new Metadata(),
    })
  }

  #unary<Request, Response>(
    client: Client,
    called: Method<Request, Response>,
    request: Request,
    metadata: Metadata,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        called.path,
        (message: Request) => toBuffer(called.request.encode(message)),
        (bytes) => called.response.decode(bytes),
        request,
        metadata,
        { deadline: Date.now() + this.#config.requestTimeoutMs },
        (error, response) => {
          if (response === undefined) reject(error ?? new Error('an answer without a message'))
          else resolve(response)
        },
      )
    })
  }

  /** What a call carries: the token of the user, if there is one. */
  async #metadata(client: Client): Promise<Metadata> {
    const { user: name, password } = this.#config
    const metadata = new Metadata()
    if (name === '' || password === '') return metadata
    this.#token ??= await this.#authenticate(client, { name, password })
    if (this.#token !== '') metadata.set(TOKEN_HEADER, this.#token)
    return metadata
  }

  async #authenticate(
    client: Client,
    user: Readonly<{ name: string; password: string }>,
  ): Promise<string> {
    const authenticate = method(
      '/etcdserverpb.Auth/Authenticate',
      AuthenticateRequest,
      AuthenticateResponse,
    )
    try {
      return (await this.#unary(client, authenticate, user, new Metadata())).token
    } catch (error) {
      if (isServiceError(error) && error.details === AUTH_NOT_ENABLED) return ''
      throw error
    }
  }
}
