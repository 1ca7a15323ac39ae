import type { Event, KeyValue } from '../wire/mvccpb.js'
import type * as rpc from '../wire/rpc.js'

type Keyed = { readonly key: Uint8Array; readonly rangeEnd: Uint8Array }

const joined = (one: Uint8Array, other: Uint8Array): Uint8Array => {
  const whole = new Uint8Array(one.length + other.length)
  whole.set(one)
  whole.set(other, one.length)
  return whole
}

/** The first key behind all keys with this prefix; `\0` when there is none. */
function prefixEndOf(prefix: Uint8Array): Uint8Array {
  for (let at = prefix.length - 1; at >= 0; at--) {
    const byte = prefix[at] ?? 0
    if (byte === 0xff) continue
    const end = prefix.slice(0, at + 1)
    end[at] = byte + 1
    return end
  }
  return Uint8Array.of(0)
}

const isOpenEnd = (end: Uint8Array): boolean => end.length === 1 && end[0] === 0

/**
 * `--namespace`: every key of a client lies behind a prefix, which it never sees. Empty = the keys
 * are what they are.
 */
export class KeyNamespace {
  readonly prefix: Uint8Array
  readonly #end: Uint8Array

  constructor(prefix: Uint8Array) {
    this.prefix = Uint8Array.from(prefix)
    this.#end = prefixEndOf(this.prefix)
  }

  get isEmpty(): boolean {
    return this.prefix.length === 0
  }

  outer(key: Uint8Array): Uint8Array {
    return joined(this.prefix, key)
  }

  /** The same range of keys behind the prefix. "All keys from here on" ends with the prefix. */
  outerRange<Request extends Keyed>(request: Request): Request {
    const { key, rangeEnd } = request
    const end =
      rangeEnd.length === 0
        ? rangeEnd
        : isOpenEnd(rangeEnd) && !this.isEmpty
          ? this.#end
          : this.outer(rangeEnd)
    return { ...request, key: this.outer(key), rangeEnd: end }
  }

  outerOp(op: rpc.RequestOp): rpc.RequestOp {
    const { requestRange, requestPut, requestDeleteRange, requestTxn } = op
    if (requestRange !== undefined) return { ...op, requestRange: this.outerRange(requestRange) }
    if (requestPut !== undefined)
      return { ...op, requestPut: { ...requestPut, key: this.outer(requestPut.key) } }
    if (requestDeleteRange !== undefined)
      return { ...op, requestDeleteRange: this.outerRange(requestDeleteRange) }
    if (requestTxn !== undefined) return { ...op, requestTxn: this.outerTxn(requestTxn) }
    return op
  }

  outerTxn(request: rpc.TxnRequest): rpc.TxnRequest {
    return {
      compare: request.compare.map((compare) => this.outerRange(compare)),
      success: request.success.map((op) => this.outerOp(op)),
      failure: request.failure.map((op) => this.outerOp(op)),
    }
  }

  isInside(key: Uint8Array): boolean {
    return this.prefix.every((byte, at) => key[at] === byte)
  }

  inner(key: Uint8Array): Uint8Array {
    return key.subarray(this.prefix.length)
  }

  innerPair<Pair extends KeyValue | undefined>(pair: Pair): Pair {
    return pair === undefined ? pair : { ...pair, key: this.inner(pair.key) }
  }

  innerEvent(event: Event): Event {
    return { ...event, kv: this.innerPair(event.kv), prevKv: this.innerPair(event.prevKv) }
  }

  innerRange<Response extends { readonly kvs: readonly KeyValue[] }>(response: Response): Response {
    return { ...response, kvs: response.kvs.map((pair) => this.innerPair(pair)) }
  }

  innerDelete(response: rpc.DeleteRangeResponse): rpc.DeleteRangeResponse {
    return { ...response, prevKvs: response.prevKvs.map((pair) => this.innerPair(pair)) }
  }

  innerPut(response: rpc.PutResponse): rpc.PutResponse {
    return { ...response, prevKv: this.innerPair(response.prevKv) }
  }

  innerOp(op: rpc.ResponseOp): rpc.ResponseOp {
    const { responseRange, responsePut, responseDeleteRange, responseTxn } = op
    if (responseRange !== undefined) return { ...op, responseRange: this.innerRange(responseRange) }
    if (responsePut !== undefined) return { ...op, responsePut: this.innerPut(responsePut) }
    if (responseDeleteRange !== undefined)
      return { ...op, responseDeleteRange: this.innerDelete(responseDeleteRange) }
    if (responseTxn !== undefined) return { ...op, responseTxn: this.innerTxn(responseTxn) }
    return op
  }

  innerTxn(response: rpc.TxnResponse): rpc.TxnResponse {
    return { ...response, responses: response.responses.map((op) => this.innerOp(op)) }
  }
}
