import { type LeaseId, revision } from '../base/ids.js'
import type { Codec } from '../wire/codec.js'
import * as rpc from '../wire/rpc.js'
import { KeyNamespace } from './key-namespace.js'

/** What a writer puts into a lease key to ask its owner to give the key back. */
const REVOKE = Buffer.from('REVOKE')
const EMPTY = new Uint8Array(0)

type Keyed = { readonly key: Uint8Array; readonly rangeEnd: Uint8Array }

/** A message on its own bytes: what the server hands over lives only until its handler returns. */
export function copied<Message>(codec: Codec<Message, never>, message: Message): Message {
  return codec.decode(Uint8Array.from(codec.encode(message as never)))
}

export const put = (request: Parameters<typeof rpc.PutRequest.create>[0]): rpc.RequestOp =>
  rpc.RequestOp.create({ requestPut: rpc.PutRequest.create(request) })
export const range = (request: Parameters<typeof rpc.RangeRequest.create>[0]): rpc.RequestOp =>
  rpc.RequestOp.create({ requestRange: rpc.RangeRequest.create(request) })
export const deletion = (
  request: Parameters<typeof rpc.DeleteRangeRequest.create>[0],
): rpc.RequestOp =>
  rpc.RequestOp.create({ requestDeleteRange: rpc.DeleteRangeRequest.create(request) })

/**
 * etcd's leasing protocol, as requests. For each key that a proxy keeps to itself there is a lease
 * key: the same key behind a prefix, with the proxy's lease. A write goes together with a look at
 * the lease key; where another's is found, the writer puts `REVOKE` there and waits until it is
 * deleted. Every proxy and client of the same prefix must keep to this.
 */
export class LeasingProtocol {
  readonly #names: KeyNamespace

  constructor(prefix: Uint8Array) {
    this.#names = new KeyNamespace(prefix)
  }

  leaseKey(key: Uint8Array): Uint8Array {
    return this.#names.outer(key)
  }

  /** The client's key that this lease key stands for. */
  keyOf(leaseKey: Uint8Array): Uint8Array {
    return this.#names.inner(leaseKey)
  }

  leaseRange({ key, rangeEnd }: Keyed): Keyed {
    const { key: from, rangeEnd: to } = this.#names.outerRange({ key, rangeEnd })
    return { key: from, rangeEnd: to }
  }

  /** Nobody took the keys of this range after the revision; 0 = nobody holds any. */
  nobodySince(keys: Keyed, last: number): rpc.Compare {
    return rpc.Compare.create({
      ...this.leaseRange(keys),
      result: 'LESS',
      target: 'CREATE',
      createRevision: revision(last + 1),
    })
  }

  /** Makes a key ours, unless it is another's or has a lease of its own; reads it in any case. */
  take(key: Uint8Array, lease: LeaseId): rpc.TxnRequest {
    const leaseKey = this.leaseKey(key)
    const isFree = rpc.Compare.create({
      ...{ key: leaseKey, result: 'EQUAL', target: 'CREATE', createRevision: revision(0) },
    })
    const isLasting = rpc.Compare.create({
      ...{ key, result: 'EQUAL', target: 'LEASE', lease: 0n as LeaseId },
    })
    return rpc.TxnRequest.create({
      compare: [isFree, isLasting],
      success: [range({ key }), put({ key: leaseKey, value: EMPTY, lease })],
      failure: [range({ key }), range({ key: leaseKey })],
    })
  }

  /** Gives a key back, if it is under this lease. */
  giveBack(key: Uint8Array, lease: LeaseId): rpc.TxnRequest {
    const leaseKey = this.leaseKey(key)
    const isOurs = rpc.Compare.create({
      ...{ key: leaseKey, result: 'EQUAL', target: 'LEASE', lease },
    })
    return rpc.TxnRequest.create({ compare: [isOurs], success: [deletion({ key: leaseKey })] })
  }

  /** One write of one key, or a request to its owner. `last` as in `nobodySince`. */
  write(key: Uint8Array, last: number, op: rpc.RequestOp | undefined): rpc.TxnRequest {
    const revoke = put({ key: this.leaseKey(key), value: REVOKE, ignoreLease: true })
    return rpc.TxnRequest.create({
      compare: [this.nobodySince({ key, rangeEnd: EMPTY }, last)],
      success: op === undefined ? [] : [op],
      failure: [revoke],
    })
  }
}

/** Whether a lease key's event leaves the key with the owner of this lease. */
export function staysOurs(
  event: { readonly type: string; readonly kv?: rpc.RangeResponse['kvs'][number] | undefined },
  lease: LeaseId,
): boolean {
  if (event.type !== 'PUT' || event.kv === undefined || event.kv.lease !== lease) return false
  return !REVOKE.equals(event.kv.value)
}
