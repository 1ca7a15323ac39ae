import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  connectivityState,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { InvariantViolation } from '../base/invariant.js'
import type { CallContext, GrpcStatus, RpcFailure } from '../ports/rpc.js'

/** Attempts of one call, over all endpoints, while no connection stands. */
const ATTEMPTS_PER_ENDPOINT_MAX = 2
/** Metadata of a client that a member must see: who it is, and that it wants a leader. */
const PASSED_METADATA = ['token', 'hasleader', 'client-api-version'] as const

export interface UpstreamEndpoint {
  /** `host:port` or `unix:path`, as grpc-js dials it. */
  readonly target: string
  readonly credentials: ChannelCredentials
  /** As the operator named it. */
  readonly text: string
}

/** A call that a member refused, or that did not reach one. */
export class UpstreamError extends Error implements RpcFailure {
  override readonly name = 'UpstreamError'
  readonly status: GrpcStatus

  constructor(code: GrpcStatus, message: string) {
    super(message)
    this.status = code
  }

  /** What went wrong on the way; a contradiction of the program is thrown on. */
  static from(error: unknown): UpstreamError {
    if (error instanceof InvariantViolation) throw error
    if (error instanceof UpstreamError) return error
    const { code, details } = error as Partial<ServiceError>
    const text = details ?? (error instanceof Error ? error.message : String(error))
    return new UpstreamError((code ?? status.UNKNOWN) as GrpcStatus, text)
  }
}

/**
 * On whose behalf something is asked; `undefined` stands for the proxy itself. Without `onCancel`
 * the question outlives its client: a stream's call has one listener, which is the stream's own.
 */
export type Caller =
  | (Pick<CallContext, 'metadata' | 'deadlineMs' | 'isCancelled'> &
      Partial<Pick<CallContext, 'onCancel'>>)
  | undefined

/** A stream's client as the caller of single questions. */
export const callerOfStream = (call: CallContext): NonNullable<Caller> => ({
  metadata: (key) => call.metadata(key),
  deadlineMs: call.deadlineMs,
  get isCancelled() {
    return call.isCancelled
  },
})

/** The proxy itself, for a question that is not worth waiting for any longer. */
export const proxyWithin = (timeoutMs: number): NonNullable<Caller> => ({
  metadata: () => undefined,
  deadlineMs: performance.now() + timeoutMs,
  isCancelled: false,
})

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const same = (bytes: Buffer): Buffer => bytes

export function metadataOf(caller: Caller): Metadata {
  const metadata = new Metadata()
  for (const key of PASSED_METADATA) {
    const value = caller?.metadata(key)
    if (value !== undefined) metadata.set(key, value)
  }
  return metadata
}

/** grpc-js counts deadlines on the wall clock, the server on the monotonic one. */
function deadlineOf(caller: Caller): { deadline?: number } {
  if (caller === undefined || caller.deadlineMs === Number.POSITIVE_INFINITY) return {}
  return { deadline: Date.now() + (caller.deadlineMs - performance.now()) }
}

export type UpstreamStream = ClientDuplexStream<Uint8Array, Buffer>

/**
 * The cluster as the proxy calls it: methods by path, messages as bytes. Calls go to the endpoints
 * in turn, to those first that a connection stands to.
 */
export class Upstream {
  readonly #options: ChannelOptions
  #clients: readonly { readonly endpoint: UpstreamEndpoint; readonly client: Client }[] = []
  #turn = 0

  constructor(endpoints: readonly UpstreamEndpoint[], options: ChannelOptions) {
    this.#options = options
    this.setEndpoints(endpoints)
  }

  /** Connections to endpoints that stay are kept; at least one endpoint. */
  setEndpoints(endpoints: readonly UpstreamEndpoint[]): void {
    const before = this.#clients
    const kept = new Set<Client>()
    this.#clients = endpoints.map((endpoint) => {
      const known = before.find((one) => one.endpoint.text === endpoint.text)
      const { target, credentials } = endpoint
      const client = known?.client ?? new Client(target, credentials, this.#options)
      kept.add(client)
      return { endpoint, client }
    })
    for (const { client } of before) if (!kept.has(client)) client.close()
  }

  get endpoints(): readonly string[] {
    return this.#clients.map(({ endpoint }) => endpoint.text)
  }

  close(): void {
    for (const { client } of this.#clients) client.close()
  }

  #next(): Client {
    const ready = this.#clients.filter(
      ({ client }) => client.getChannel().getConnectivityState(true) === connectivityState.READY,
    )
    const among = ready.length > 0 ? ready : this.#clients
    this.#turn += 1
    const picked = among[this.#turn % among.length]
    if (picked === undefined) throw new UpstreamError(14, 'no endpoint is known')
    return picked.client
  }

  /** The bytes of the answer. Rejects with an UpstreamError; ends with its caller. */
  async unary(path: string, request: Uint8Array, caller: Caller): Promise<Uint8Array> {
    const attemptsMax = this.#clients.length * ATTEMPTS_PER_ENDPOINT_MAX
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(path, request, caller)
      } catch (error) {
        const failure = UpstreamError.from(error)
        // Only what surely never left is sent again: a write must not happen twice.
        if (!isUnsent(failure) || attempt >= attemptsMax || caller?.isCancelled === true)
          throw failure
      }
    }
  }

  #attempt(path: string, request: Uint8Array, caller: Caller): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const call = this.#next().makeUnaryRequest(
        path,
        asBuffer,
        same,
        request,
        metadataOf(caller),
        deadlineOf(caller),
        (error: ServiceError | null, answer?: Buffer) => {
          if (error === null && answer !== undefined) resolve(answer)
          else reject(error ?? new UpstreamError(13, 'no answer'))
        },
      )
      caller?.onCancel?.(() => call.cancel())
    })
  }

  /** One request, answers as they come. */
  serverStream(path: string, request: Uint8Array, caller: Caller): ClientReadableStream<Buffer> {
    const metadata = metadataOf(caller)
    const options = deadlineOf(caller)
    return this.#next().makeServerStreamRequest(path, asBuffer, same, request, metadata, options)
  }

  bidiStream(path: string, metadata: Metadata): UpstreamStream {
    return this.#next().makeBidiStreamRequest(path, asBuffer, same, metadata)
  }
}

/** Whether grpc-js found no connection to send this call on. */
function isUnsent({ status: code, message }: UpstreamError): boolean {
  return (
    code === 14 && /No connection established|Name resolution failed|ECONNREFUSED/.test(message)
  )
}
