import * as grpc from '@grpc/grpc-js'
import * as protoLoader from '@grpc/proto-loader'
import { ROOT } from './member-process.js'

/** 64-bit numbers come as decimal strings and bytes as Buffers: nothing is lost on the way. */
const definition = protoLoader.loadSync('etcd/api/etcdserverpb/rpc.proto', {
  includeDirs: [`${ROOT}proto`],
  keepCase: true,
  longs: String,
  enums: String,
  bytes: Buffer,
  defaults: true,
})

export interface Header {
  readonly cluster_id: string
  readonly member_id: string
  readonly revision: string
  readonly raft_term: string
}
export interface KeyValue {
  readonly key: Buffer
  readonly value: Buffer
  readonly create_revision: string
  readonly mod_revision: string
  readonly version: string
  readonly lease: string
}
export interface Event {
  readonly type: 'PUT' | 'DELETE'
  readonly kv: KeyValue
}
export interface RangeResponse {
  readonly header: Header
  readonly kvs: readonly KeyValue[]
  readonly count: string
}
export interface WatchResponse {
  readonly header: Header
  readonly watch_id: string
  readonly created: boolean
  readonly canceled: boolean
  readonly compact_revision: string
  readonly cancel_reason: string
  readonly events: readonly Event[]
}
export interface RangeRequest {
  readonly key: string
  readonly range_end?: string
  readonly revision?: number
  readonly serializable?: boolean
  readonly count_only?: boolean
}
export interface WatchCreate {
  readonly key: string
  readonly range_end?: string
  readonly start_revision?: number
}

/** The end of the range of all keys that begin with `prefix` (plain ASCII, not ending in the highest character). */
export function prefixEnd(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
}

/** A watch stream that is open; `cancel` ends it from this side. */
export interface WatchStream {
  cancel(): void
}

const OPTIONS = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  /* Two clients of one address have a connection each. */
  'grpc.use_local_subchannel_pool': 1,
}

/** A client of one member, over grpc-js and the schemas in `proto/`. Unary calls reject with grpc's ServiceError. */
export class V3Client {
  readonly #clients = new Map<string, grpc.Client>()
  readonly #address: string
  readonly #credentials: grpc.ChannelCredentials

  constructor(clientUrl: string, credentials = grpc.credentials.createInsecure()) {
    this.#address = new URL(clientUrl).host
    this.#credentials = credentials
  }

  #client(service: string): grpc.Client {
    const known = this.#clients.get(service)
    if (known !== undefined) return known
    const created = new grpc.Client(this.#address, this.#credentials, OPTIONS)
    this.#clients.set(service, created)
    return created
  }

  #method(service: string, name: string): grpc.MethodDefinition<object, object> {
    const found = definition[`etcdserverpb.${service}`]
    if (found === undefined || 'format' in found) throw new Error(`no service ${service}`)
    const method = (found as grpc.ServiceDefinition)[name]
    if (method === undefined) throw new Error(`no method ${service}.${name}`)
    return method
  }

  #unary<T>(service: string, name: string, request: object, timeoutMs: number): Promise<T> {
    const { path, requestSerialize, responseDeserialize } = this.#method(service, name)
    return new Promise((resolve, reject) => {
      this.#client(service).makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize as (bytes: Buffer) => T,
        request,
        { deadline: Date.now() + timeoutMs },
        (error, response) => {
          if (error === null && response !== undefined) resolve(response)
          else reject(error ?? new Error('no response'))
        },
      )
    })
  }

  put(key: string, value: string, timeoutMs = 8000): Promise<{ readonly header: Header }> {
    const request = { key: Buffer.from(key), value: Buffer.from(value) }
    return this.#unary('KV', 'Put', request, timeoutMs)
  }

  range(request: RangeRequest, timeoutMs = 8000): Promise<RangeResponse> {
    const { key, range_end = '', ...rest } = request
    const bytes = { key: Buffer.from(key), range_end: Buffer.from(range_end) }
    return this.#unary('KV', 'Range', { ...rest, ...bytes }, timeoutMs)
  }

  /** Raises an alarm as a member would whose disk is full or whose data differs. */
  activateAlarm(memberID: string, alarm: 'NOSPACE' | 'CORRUPT'): Promise<object> {
    return this.#unary('Maintenance', 'Alarm', { action: 'ACTIVATE', memberID, alarm }, 8000)
  }

  /** Opens a stream with one watch on it. `onResponse` sees every response, `onEnd` is called once. */
  watch(
    create: WatchCreate,
    onResponse: (response: WatchResponse) => void,
    onEnd: (reason: string) => void,
  ): WatchStream {
    const { path, requestSerialize, responseDeserialize } = this.#method('Watch', 'Watch')
    const stream = this.#client('Watch').makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize as (bytes: Buffer) => WatchResponse,
    )
    let hasEnded = false
    const end = (reason: string): void => {
      if (hasEnded) return
      hasEnded = true
      onEnd(reason)
    }
    stream.on('data', onResponse)
    stream.on('error', (error: Error) => end(error.message))
    stream.on('end', () => end('end of stream'))
    const { key, range_end = '', start_revision = 0 } = create
    const bytes = { key: Buffer.from(key), range_end: Buffer.from(range_end) }
    stream.write({ create_request: { ...bytes, start_revision } })
    return { cancel: () => stream.cancel() }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close()
    this.#clients.clear()
  }
}
