import { errors } from '../base/errors.js'
import { latin1FromBytes } from '../base/latin1.js'
import { unaryMethod } from '../grpc/methods.js'
import type { GrpcStatus, RpcMethod, UnaryCall } from '../ports/rpc.js'
import type { Codec } from '../wire/codec.js'
import * as rpc from '../wire/rpc.js'
import type { KvCalls } from './kv-calls.js'
import type { ProxyFigures } from './proxy-figures.js'
import { type KeyRange, RangeCache } from './range-cache.js'
import { rawMessage } from './raw-message.js'
import { type Caller, type Upstream, UpstreamError } from './upstream.js'

const service = (name: string): string => `/etcdserverpb.KV/${name}`

const rangeOf = (request: {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
}): KeyRange => ({
  key: latin1FromBytes(request.key),
  end: latin1FromBytes(request.rangeEnd),
})

type Call = UnaryCall<Uint8Array>

export interface KvProxyOptions {
  readonly upstream: Upstream
  /** Who answers what the cache does not: the members, or leases in front of them. */
  readonly calls: KvCalls
  readonly figures: ProxyFigures
  /** `--experimental-serializable-ordering`: no answer is older than one that was given before. */
  readonly isOrdered: boolean
}

/**
 * The KV service: writes and linearizable reads go on, serializable ranges are answered from what
 * earlier answers said (facts: flags.md 7).
 */
export class KvProxy {
  readonly #options: KvProxyOptions
  readonly #cache = new RangeCache()

  constructor(options: KvProxyOptions) {
    this.#options = options
  }

  get methods(): RpcMethod[] {
    const method = <Request>(
      name: string,
      request: Codec<Request, never>,
      handle: (request: Request, call: Call) => Promise<Uint8Array>,
    ): RpcMethod =>
      unaryMethod<Request, Uint8Array>({
        path: service(name),
        request,
        response: rawMessage,
        handle: (decoded, call) => {
          handle(decoded, call).then(
            (answer) => call.reply(answer),
            (error) => call.fail(UpstreamError.from(error)),
          )
        },
      })
    return [
      method('Range', rpc.RangeRequest as Codec<rpc.RangeRequest, never>, (request, call) =>
        this.range(request, call),
      ),
      method('Put', rpc.PutRequest as Codec<rpc.PutRequest, never>, (request, call) =>
        this.#put(request, call),
      ),
      method(
        'DeleteRange',
        rpc.DeleteRangeRequest as Codec<rpc.DeleteRangeRequest, never>,
        (request, call) => this.#deleteRange(request, call),
      ),
      method('Txn', rpc.TxnRequest as Codec<rpc.TxnRequest, never>, (request, call) =>
        this.#txn(request, call),
      ),
      method(
        'Compact',
        rpc.CompactionRequest as Codec<rpc.CompactionRequest, never>,
        (request, call) => this.#compact(request, call),
      ),
    ]
  }

  /** The encoded answer to a range of the client's own keys. Rejects with an UpstreamError. */
  async range(request: rpc.RangeRequest, caller: Caller): Promise<Uint8Array> {
    this.#refuseEmpty(request.key)
    const { figures, calls, isOrdered } = this.#options
    const serializable = rpc.RangeRequest.encode({ ...request, serializable: true })
    // Who may read what is the members' affair: what one was told is not told to another.
    const user = caller?.metadata('token') ?? ''
    const name = `${user}\0${latin1FromBytes(serializable)}`
    // What is kept may be older than what was answered last, which an order does not allow.
    if (request.serializable && !(isOrdered && request.revision === 0)) {
      const cached = this.#cache.get(name, request.revision)
      figures.cacheUsed(cached.kind === 'miss' ? 'miss' : 'hit')
      if (cached.kind === 'hit') return cached.answer
      if (cached.kind === 'compacted') throw refusal('COMPACTED')
    }
    const { generation } = this.#cache
    const entry = { ...rangeOf(request), revision: request.revision }
    const answer = await calls.range(request, caller)
    this.#cache.add(name, { ...entry, answer }, generation)
    figures.cacheSize(this.#cache.size)
    return answer
  }

  async #put(request: rpc.PutRequest, call: Call): Promise<Uint8Array> {
    this.#refuseEmpty(request.key)
    const range = { key: latin1FromBytes(request.key), end: '' }
    return this.#write([range], () => this.#options.calls.put(request, call))
  }

  async #deleteRange(request: rpc.DeleteRangeRequest, call: Call): Promise<Uint8Array> {
    this.#refuseEmpty(request.key)
    return this.#write([rangeOf(request)], () => this.#options.calls.deleteRange(request, call))
  }

  async #txn(request: rpc.TxnRequest, call: Call): Promise<Uint8Array> {
    // A key that a comparison was wrong about may be out of date in the cache too.
    const touched = [...request.compare.map(rangeOf), ...writtenRanges(request)]
    return this.#write(touched, () => this.#options.calls.txn(request, call))
  }

  async #compact(request: rpc.CompactionRequest, call: Call): Promise<Uint8Array> {
    const encoded = rpc.CompactionRequest.encode(request)
    const answer = await this.#options.upstream.unary(service('Compact'), encoded, call)
    this.#cache.compact(request.revision)
    return answer
  }

  /** Takes cached answers out before the write, and after it: others may have read in between. */
  async #write(ranges: readonly KeyRange[], write: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const invalidate = (): void => {
      for (const range of ranges) this.#cache.invalidate(range)
      this.#options.figures.cacheSize(this.#cache.size)
    }
    invalidate()
    try {
      return await write()
    } finally {
      invalidate()
    }
  }

  /** Behind a prefix an empty key is one; a client that sends one is mistaken all the same. */
  #refuseEmpty(key: Uint8Array): void {
    if (key.length === 0) throw refusal('EMPTY_KEY')
  }
}

function refusal(code: 'COMPACTED' | 'EMPTY_KEY'): UpstreamError {
  const { grpc, message } = errors[code]
  return new UpstreamError(grpc as GrpcStatus, message)
}

function writtenRanges({ success, failure: otherwise }: rpc.TxnRequest): KeyRange[] {
  return [...success, ...otherwise].flatMap((op) => {
    if (op.requestPut !== undefined) return [{ key: latin1FromBytes(op.requestPut.key), end: '' }]
    if (op.requestDeleteRange !== undefined) return [rangeOf(op.requestDeleteRange)]
    return op.requestTxn === undefined ? [] : writtenRanges(op.requestTxn)
  })
}
