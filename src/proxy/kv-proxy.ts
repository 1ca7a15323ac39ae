import { errors } from '../base/errors.js'
import { latin1FromBytes } from '../base/latin1.js'
import { unaryMethod } from '../grpc/methods.js'
import type { GrpcStatus, RpcFailure, RpcMethod, UnaryCall } from '../ports/rpc.js'
import type { Codec } from '../wire/codec.js'
import * as rpc from '../wire/rpc.js'
import type { KeyNamespace } from './key-namespace.js'
import type { ProxyFigures } from './proxy-figures.js'
import { type KeyRange, RangeCache } from './range-cache.js'
import { rawMessage } from './raw-message.js'
import { type Caller, type Upstream, UpstreamError } from './upstream.js'

const service = (name: string): string => `/etcdserverpb.KV/${name}`

const failure = (code: 'COMPACTED' | 'EMPTY_KEY'): RpcFailure => {
  const { grpc, message } = errors[code]
  return { status: grpc as GrpcStatus, message }
}

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
  readonly namespace: KeyNamespace
  readonly figures: ProxyFigures
  /** `--experimental-serializable-ordering`: no answer is older than one that was given before. */
  readonly isOrdered: boolean
}

/**
 * The KV service: writes and linearizable reads go to a member, serializable ranges are answered
 * from what earlier answers said (facts: flags.md 7).
 */
export class KvProxy {
  readonly #options: KvProxyOptions
  readonly #cache = new RangeCache()
  /** The newest revision that was answered with. */
  #revision = 0

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

  /** Waits for a linearizable answer: from its revision on, answers are in order. */
  async recoverOrder(): Promise<void> {
    const request = rpc.RangeRequest.create({ key: Uint8Array.of(0x5f), keysOnly: true })
    await this.#askRange(rpc.RangeRequest.encode(request), undefined)
  }

  /** The encoded answer to a range of the client's own keys. Rejects with an UpstreamError. */
  async range(request: rpc.RangeRequest, caller: Caller): Promise<Uint8Array> {
    this.#refuseEmpty(request.key)
    const { figures, namespace, isOrdered } = this.#options
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
    const encoded = rpc.RangeRequest.encode(namespace.outerRange(request))
    const answer = await this.#askRange(encoded, caller)
    const inner = namespace.isEmpty
      ? answer
      : rpc.RangeResponse.encode(namespace.innerRange(rpc.RangeResponse.decode(answer)))
    this.#cache.add(name, { ...entry, answer: inner }, generation)
    figures.cacheSize(this.#cache.size)
    return inner
  }

  /** Resolves when the members let this client read the range; never from the cache. */
  async mayRead(request: rpc.RangeRequest, caller: Caller): Promise<void> {
    const outer = rpc.RangeRequest.encode(this.#options.namespace.outerRange(request))
    await this.#options.upstream.unary(service('Range'), outer, caller)
  }

  /** An answer that is older than one before is asked for again, of the next member. */
  async #askRange(encoded: Uint8Array, caller: Caller): Promise<Uint8Array> {
    const { upstream, isOrdered } = this.#options
    const attemptsMax = isOrdered ? 2 * upstream.endpoints.length + 1 : 1
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const answer = await upstream.unary(service('Range'), encoded, caller)
      if (!isOrdered) return answer
      const revision = rpc.RangeResponse.decode(answer).header?.revision ?? 0
      if (revision >= this.#revision) {
        this.#revision = revision
        return answer
      }
    }
    throw new UpstreamError(
      2,
      'etcdclient: no cluster members have a revision higher than the previously received revision',
    )
  }

  async #put(request: rpc.PutRequest, call: Call): Promise<Uint8Array> {
    this.#refuseEmpty(request.key)
    const { namespace } = this.#options
    const range = { key: latin1FromBytes(request.key), end: '' }
    const outer = { ...request, key: namespace.outer(request.key) }
    const answer = await this.#write('Put', [range], rpc.PutRequest.encode(outer), call)
    if (namespace.isEmpty || !request.prevKv) return answer
    return rpc.PutResponse.encode(namespace.innerPut(rpc.PutResponse.decode(answer)))
  }

  async #deleteRange(request: rpc.DeleteRangeRequest, call: Call): Promise<Uint8Array> {
    this.#refuseEmpty(request.key)
    const { namespace } = this.#options
    const outer = rpc.DeleteRangeRequest.encode(namespace.outerRange(request))
    const answer = await this.#write('DeleteRange', [rangeOf(request)], outer, call)
    if (namespace.isEmpty || !request.prevKv) return answer
    return rpc.DeleteRangeResponse.encode(
      namespace.innerDelete(rpc.DeleteRangeResponse.decode(answer)),
    )
  }

  async #txn(request: rpc.TxnRequest, call: Call): Promise<Uint8Array> {
    const { namespace } = this.#options
    // A key that a comparison was wrong about may be out of date in the cache too.
    const touched = [...request.compare.map(rangeOf), ...writtenRanges(request)]
    const outer = rpc.TxnRequest.encode(namespace.outerTxn(request))
    const answer = await this.#write('Txn', touched, outer, call)
    if (namespace.isEmpty) return answer
    return rpc.TxnResponse.encode(namespace.innerTxn(rpc.TxnResponse.decode(answer)))
  }

  async #compact(request: rpc.CompactionRequest, call: Call): Promise<Uint8Array> {
    const encoded = rpc.CompactionRequest.encode(request)
    const answer = await this.#options.upstream.unary(service('Compact'), encoded, call)
    this.#cache.compact(request.revision)
    return answer
  }

  /** Takes cached answers out before the write, and after it: others may have read in between. */
  async #write(
    name: string,
    ranges: readonly KeyRange[],
    encoded: Uint8Array,
    call: Call,
  ): Promise<Uint8Array> {
    const { upstream, figures } = this.#options
    const invalidate = (): void => {
      for (const range of ranges) this.#cache.invalidate(range)
      figures.cacheSize(this.#cache.size)
    }
    invalidate()
    try {
      return await upstream.unary(service(name), encoded, call)
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
  const { status, message } = failure(code)
  return new UpstreamError(status, message)
}

function writtenRanges({ success, failure: otherwise }: rpc.TxnRequest): KeyRange[] {
  return [...success, ...otherwise].flatMap((op) => {
    if (op.requestPut !== undefined) return [{ key: latin1FromBytes(op.requestPut.key), end: '' }]
    if (op.requestDeleteRange !== undefined) return [rangeOf(op.requestDeleteRange)]
    return op.requestTxn === undefined ? [] : writtenRanges(op.requestTxn)
  })
}
