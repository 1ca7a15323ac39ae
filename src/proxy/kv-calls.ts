import * as rpc from '../wire/rpc.js'
import type { KeyNamespace } from './key-namespace.js'
import { type Caller, type Upstream, UpstreamError } from './upstream.js'

const service = (name: string): string => `/etcdserverpb.KV/${name}`

/**
 * What a client may ask of the KV service, by its own keys. Answers are encoded, with the client's
 * keys in them. Whoever is called uses the bytes of a request only until it returns its promise, or
 * copies them. Rejections are UpstreamErrors.
 */
export interface KvCalls {
  range(request: rpc.RangeRequest, caller: Caller): Promise<Uint8Array>
  put(request: rpc.PutRequest, caller: Caller): Promise<Uint8Array>
  deleteRange(request: rpc.DeleteRangeRequest, caller: Caller): Promise<Uint8Array>
  txn(request: rpc.TxnRequest, caller: Caller): Promise<Uint8Array>
}

export interface MemberKvOptions {
  readonly upstream: Upstream
  readonly namespace: KeyNamespace
  /** `--experimental-serializable-ordering`: no answer is older than one that was given before. */
  readonly isOrdered: boolean
}

/** The KV service as the members give it, behind the namespace. */
export class MemberKv implements KvCalls {
  readonly #options: MemberKvOptions
  /** The newest revision that was answered with, while an order is kept. */
  #revision = 0

  constructor(options: MemberKvOptions) {
    this.#options = options
  }

  async range(request: rpc.RangeRequest, caller: Caller): Promise<Uint8Array> {
    const { namespace } = this.#options
    const encoded = rpc.RangeRequest.encode(namespace.outerRange(request))
    const answer = await this.#askRange(encoded, caller)
    if (namespace.isEmpty) return answer
    return rpc.RangeResponse.encode(namespace.innerRange(rpc.RangeResponse.decode(answer)))
  }

  /** Resolves when the members let this client read the range, whatever the order of answers. */
  async mayRead(request: rpc.RangeRequest, caller: Caller): Promise<void> {
    const { upstream, namespace } = this.#options
    const outer = rpc.RangeRequest.encode(namespace.outerRange(request))
    await upstream.unary(service('Range'), outer, caller)
  }

  /** Waits for a linearizable answer: from its revision on, answers are in order. */
  async recoverOrder(): Promise<void> {
    const request = rpc.RangeRequest.create({ key: Uint8Array.of(0x5f), keysOnly: true })
    await this.#askRange(rpc.RangeRequest.encode(request), undefined)
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

  async put(request: rpc.PutRequest, caller: Caller): Promise<Uint8Array> {
    const { upstream, namespace } = this.#options
    const outer = rpc.PutRequest.encode({ ...request, key: namespace.outer(request.key) })
    const answer = await upstream.unary(service('Put'), outer, caller)
    if (namespace.isEmpty || !request.prevKv) return answer
    return rpc.PutResponse.encode(namespace.innerPut(rpc.PutResponse.decode(answer)))
  }

  async deleteRange(request: rpc.DeleteRangeRequest, caller: Caller): Promise<Uint8Array> {
    const { upstream, namespace } = this.#options
    const outer = rpc.DeleteRangeRequest.encode(namespace.outerRange(request))
    const answer = await upstream.unary(service('DeleteRange'), outer, caller)
    if (namespace.isEmpty || !request.prevKv) return answer
    return rpc.DeleteRangeResponse.encode(
      namespace.innerDelete(rpc.DeleteRangeResponse.decode(answer)),
    )
  }

  async txn(request: rpc.TxnRequest, caller: Caller): Promise<Uint8Array> {
    const { upstream, namespace, isOrdered } = this.#options
    const outer = rpc.TxnRequest.encode(namespace.outerTxn(request))
    const answer = await upstream.unary(service('Txn'), outer, caller)
    if (namespace.isEmpty && !isOrdered) return answer
    const decoded = rpc.TxnResponse.decode(answer)
    if (isOrdered) this.#revision = Math.max(this.#revision, decoded.header?.revision ?? 0)
    return namespace.isEmpty ? answer : rpc.TxnResponse.encode(namespace.innerTxn(decoded))
  }
}
