import type { LeaseId } from '../base/ids.js'
import { latin1FromBytes } from '../base/latin1.js'
import type { Codec } from '../wire/codec.js'
import * as rpc from '../wire/rpc.js'
import type { KvCalls } from './kv-calls.js'
import type { LeaseHolder } from './lease-holder.js'
import {
  answerFrom,
  answerTxn,
  type Change,
  changed,
  changesOf,
  isOfOneKey,
  leavesOf,
} from './leased-answers.js'
import { holdKeys, type KnownValue, type LeasedKey } from './leased-keys.js'
import { copied, deletion, type LeasingProtocol, put } from './leasing-protocol.js'
import type { KeyRange } from './range-cache.js'
import { type Caller, UpstreamError } from './upstream.js'

/** How often a write is tried while others keep taking its keys. */
const WRITE_ATTEMPTS_MAX = 100
/** How often a read looks again because a write of this proxy came in between. */
const LOOKS_MAX = 2
/** Owners that are asked at once to give back the keys of a range. */
const REVOKES_AT_ONCE_MAX = 16
const NO_END = new Uint8Array(0)

/** What a guarded write came to; undefined = keys have changed hands, so it is tried again. */
type Attempt = rpc.TxnResponse | undefined
type Keys = { readonly key: Uint8Array; readonly rangeEnd: Uint8Array }

export interface LeasedKvOptions {
  /** The members, by the keys of the clients. */
  readonly members: KvCalls
  readonly protocol: LeasingProtocol
  readonly holder: LeaseHolder
}

/**
 * Reads of single keys from memory, as fresh as a member's: the proxy makes itself the only writer
 * of the keys that its clients read, by etcd's leasing protocol, and learns of each write because
 * it is its own. Clients that log in are not answered for by others' permissions, so their reads go
 * to the members; their writes keep to the protocol.
 */
export class LeasedKv implements KvCalls {
  readonly #options: LeasedKvOptions
  /** Keys that are being taken: whoever else reads them waits for that. */
  readonly #taking = new Map<string, Promise<unknown>>()

  constructor(options: LeasedKvOptions) {
    this.#options = options
  }

  async range(request: rpc.RangeRequest, caller: Caller): Promise<Uint8Array> {
    const { members, holder } = this.#options
    const own = copied(rpc.RangeRequest as Codec<rpc.RangeRequest, never>, request)
    if (!isOfOneKey(own) || isLoggedIn(caller)) return members.range(own, caller)
    const name = latin1FromBytes(own.key)
    const known = await this.#knownOf(name)
    if (known !== undefined) return rpc.RangeResponse.encode(answerFrom(known, own))
    const { lease } = holder
    const mayTake = !own.serializable && !this.#taking.has(name) && holder.mayTake(name)
    if (lease === undefined || !mayTake) return members.range(own, caller)
    const work = this.#take(own.key, lease, caller)
    // Whoever waits for it looks afterwards whether it worked; its failure is this caller's alone.
    const settled = work.catch(() => undefined)
    this.#taking.set(name, settled)
    try {
      return rpc.RangeResponse.encode(answerFrom(await work, own))
    } finally {
      this.#taking.delete(name)
    }
  }

  /** What is known of a key that is ours, behind the writes that are under way. */
  async #knownOf(name: string): Promise<KnownValue | undefined> {
    const { holder } = this.#options
    await this.#taking.get(name)
    for (let look = 0; look < LOOKS_MAX; look++) {
      const key = holder.use(name)
      if (key === undefined) return undefined
      if (key.settled === undefined) return key.known
      await key.settled
      if (holder.get(name) === key && key.settled === undefined) return key.known
    }
    return undefined
  }

  async #take(key: Uint8Array, lease: LeaseId, caller: Caller): Promise<KnownValue> {
    const { members, protocol, holder } = this.#options
    const name = latin1FromBytes(key)
    let answer: rpc.TxnResponse
    try {
      answer = decodeTxn(await members.txn(protocol.take(key, lease), caller))
    } catch (error) {
      // It may have become ours all the same.
      holder.giveBack(name, lease)
      throw error
    }
    const [read, taken] = answer.responses
    const header = answer.header ?? rpc.ResponseHeader.create({})
    const known = { header, kv: read?.responseRange?.kvs[0] }
    if (answer.succeeded) holder.hold(name, lease, known)
    else if (taken?.responseRange?.kvs[0]?.lease === lease) holder.giveBack(name, lease)
    return known
  }

  async put(request: rpc.PutRequest, caller: Caller): Promise<Uint8Array> {
    const own = copied(rpc.PutRequest as Codec<rpc.PutRequest, never>, request)
    const answer = await this.#writeOne(own.key, put(own), { kind: 'put', request: own }, caller)
    const response = answer.responses[0]?.responsePut ?? rpc.PutResponse.create({})
    return rpc.PutResponse.encode({ ...response, header: answer.header })
  }

  async deleteRange(request: rpc.DeleteRangeRequest, caller: Caller): Promise<Uint8Array> {
    const own = copied(rpc.DeleteRangeRequest as Codec<rpc.DeleteRangeRequest, never>, request)
    const change: Change = { kind: 'delete', request: own }
    const answer =
      own.rangeEnd.length === 0
        ? await this.#writeOne(own.key, deletion(own), change, caller)
        : await this.#writeGuarded(rpc.TxnRequest.create({ success: [deletion(own)] }), caller)
    const response = answer.responses[0]?.responseDeleteRange ?? rpc.DeleteRangeResponse.create({})
    return rpc.DeleteRangeResponse.encode({ ...response, header: answer.header })
  }

  async txn(request: rpc.TxnRequest, caller: Caller): Promise<Uint8Array> {
    const own = copied(rpc.TxnRequest as Codec<rpc.TxnRequest, never>, request)
    const known = isLoggedIn(caller) ? undefined : await this.#knownTxn(own)
    return rpc.TxnResponse.encode(known ?? (await this.#writeGuarded(own, caller)))
  }

  /** Comparisons and reads of keys that are all ours, at one moment at which none is written. */
  async #knownTxn(request: rpc.TxnRequest): Promise<rpc.TxnResponse | undefined> {
    const { holder } = this.#options
    const ops = [...request.success, ...request.failure]
    const read = [...request.compare, ...ops.flatMap(({ requestRange }) => requestRange ?? [])]
    for (const { key } of read) await holder.get(latin1FromBytes(key))?.settled
    return answerTxn(request, (name) => {
      const key = holder.use(name)
      return key?.settled === undefined ? key?.known : undefined
    })
  }

  /** A put or delete of one key: with an own lease key or none in one question. */
  #writeOne(
    key: Uint8Array,
    op: rpc.RequestOp,
    change: Change,
    caller: Caller,
  ): Promise<rpc.TxnResponse> {
    const { members, protocol, holder } = this.#options
    const name = latin1FromBytes(key)
    return this.#attempts(caller, async () => {
      const held = holder.within({ key: name, end: '' })
      const release = await holdKeys(held)
      try {
        if (held.some((one) => holder.get(one.name) !== one)) return undefined
        const request = protocol.write(key, held[0]?.revision ?? 0, op)
        const answer = await this.#sendWrite(held, () => members.txn(request, caller))
        if (answer.succeeded) {
          this.#learn(held, [change], answer.header)
          return answer
        }
        // What we took for ours is another's.
        for (const one of held) holder.lose(one)
        return await this.#givenBack(key, answer.header, caller)
      } finally {
        release()
      }
    })
  }

  /** A transaction of a client, together with a look at all keys that it might write. */
  #writeGuarded(request: rpc.TxnRequest, caller: Caller): Promise<rpc.TxnResponse> {
    const { members, protocol, holder } = this.#options
    const ops = leavesOf([...request.success, ...request.failure])
    const ranges = ops.flatMap(({ requestPut, requestDeleteRange }): readonly Keys[] => {
      if (requestPut !== undefined) return [{ key: requestPut.key, rangeEnd: NO_END }]
      return requestDeleteRange === undefined ? [] : [requestDeleteRange]
    })
    const guarded = unique(ranges)
    if (guarded.length === 0) return members.txn(request, caller).then(decodeTxn)
    const userOp = rpc.RequestOp.create({ requestTxn: request })
    return this.#attempts(caller, async (tried) => {
      // Single keys are first taken for nobody else's, which a member checks anyway.
      const last = new Map<Keys, number>()
      for (const keys of guarded)
        if (tried > 0 || keys.rangeEnd.length > 0) last.set(keys, await this.#revoke(keys, caller))
      const held = [...new Set(guarded.flatMap((keys) => holder.within(rangeOf(keys))))]
      const release = await holdKeys(held)
      try {
        if (held.some((one) => holder.get(one.name) !== one)) return undefined
        const compare = guarded.map((keys) => {
          const own = holder.get(latin1FromBytes(keys.key))?.revision ?? 0
          return protocol.nobodySince(keys, last.get(keys) ?? own)
        })
        const whole = rpc.TxnRequest.create({ compare, success: [userOp] })
        const outer = await this.#sendWrite(held, () => members.txn(whole, caller))
        const answer = outer.responses[0]?.responseTxn
        if (!outer.succeeded || answer === undefined) return undefined
        this.#learn(held, changesOf(request, answer), outer.header)
        return { ...answer, header: outer.header }
      } finally {
        release()
      }
    })
  }

  async #attempts(
    caller: Caller,
    attempt: (tried: number) => Promise<Attempt>,
  ): Promise<rpc.TxnResponse> {
    for (let tried = 0; tried < WRITE_ATTEMPTS_MAX; tried++) {
      const answer = await attempt(tried)
      if (answer !== undefined) return answer
      if (caller?.isCancelled === true) throw new UpstreamError(1, 'context canceled')
    }
    throw new UpstreamError(14, 'the keys are taken by others again and again')
  }

  /** When nobody knows whether a write took place, nobody knows its keys any more. */
  async #sendWrite(
    held: readonly LeasedKey[],
    send: () => Promise<Uint8Array>,
  ): Promise<rpc.TxnResponse> {
    try {
      return decodeTxn(await send())
    } catch (error) {
      for (const key of held) this.#options.holder.release(key)
      throw error
    }
  }

  /** Asks the owners of all keys in the range for them; the newest revision of a lease key. */
  async #revoke(keys: Keys, caller: Caller): Promise<number> {
    const { members, protocol, holder } = this.#options
    const request = rpc.RangeRequest.create(protocol.leaseRange(keys))
    const { kvs } = rpc.RangeResponse.decode(await members.range(request, caller))
    let last = 0
    const others: Uint8Array[] = []
    for (const { key, createRevision, lease } of kvs) {
      last = Math.max(last, createRevision)
      if (lease === 0n || lease !== holder.lease) others.push(protocol.keyOf(key))
    }
    for (let from = 0; from < others.length; from += REVOKES_AT_ONCE_MAX) {
      const some = others.slice(from, from + REVOKES_AT_ONCE_MAX)
      await Promise.all(some.map((key) => this.#revokeOne(key, caller)))
    }
    return last
  }

  async #revokeOne(key: Uint8Array, caller: Caller): Promise<void> {
    const { members, protocol } = this.#options
    const answer = decodeTxn(await members.txn(protocol.write(key, 0, undefined), caller))
    if (!answer.succeeded) await this.#givenBack(key, answer.header, caller)
  }

  async #givenBack(
    key: Uint8Array,
    header: rpc.ResponseHeader | undefined,
    caller: Caller,
  ): Promise<undefined> {
    await this.#options.holder.deletionOf(key, (header?.revision ?? 0) + 1, caller)
    return undefined
  }

  /** A key with a lease of its own goes when that ends, of which nobody tells us: it is let go. */
  #learn(
    held: readonly LeasedKey[],
    changes: readonly Change[],
    header: rpc.ResponseHeader | undefined,
  ): void {
    const { holder } = this.#options
    if (header === undefined) return
    for (const change of changes) {
      const range = rangeOf({ rangeEnd: NO_END, ...change.request })
      const touched = new Set(holder.within(range))
      for (const key of held) {
        if (!touched.has(key)) continue
        if (change.kind === 'put' && change.request.lease !== 0n) holder.release(key)
        else holder.learn(key, changed(key.known, change, header))
      }
    }
  }
}

const decodeTxn = (bytes: Uint8Array): rpc.TxnResponse => rpc.TxnResponse.decode(bytes)

const isLoggedIn = (caller: Caller): boolean => caller?.metadata('token') !== undefined

function rangeOf(keys: Keys): KeyRange {
  return { key: latin1FromBytes(keys.key), end: latin1FromBytes(keys.rangeEnd) }
}

function unique(ranges: readonly Keys[]): readonly Keys[] {
  const seen = new Map<string, Keys>()
  for (const { key, rangeEnd } of ranges) {
    const { key: from, end } = rangeOf({ key, rangeEnd })
    seen.set(`${from.length}\0${from}${end}`, { key, rangeEnd })
  }
  return [...seen.values()]
}
