import { exhaustive } from '../base/invariant.js'
import { holds } from '../mvcc/txn-compare.js'
import { KeyValue } from '../wire/mvccpb.js'
import * as rpc from '../wire/rpc.js'
import type { KnownValue } from './leased-keys.js'

const NO_VALUE = new Uint8Array(0)

/** Whether one key at the newest revision is asked for, which what is known can answer. */
export const isOfOneKey = (request: rpc.RangeRequest): boolean =>
  request.rangeEnd.length === 0 &&
  request.revision === 0 &&
  request.key.length > 0 &&
  request.sortOrder !== 'UNKNOWN' &&
  request.sortTarget !== 'UNKNOWN'

/** The answer to a range of one key, as a member gives it. */
export function answerFrom(known: KnownValue, request: rpc.RangeRequest): rpc.RangeResponse {
  const { kv, header } = known
  const count = kv === undefined ? 0 : 1
  const isShown = kv !== undefined && !request.countOnly && isWithin(kv, request)
  const kvs = isShown ? [request.keysOnly ? { ...kv, value: NO_VALUE } : kv] : []
  return rpc.RangeResponse.create({ header, kvs, count })
}

function isWithin(kv: KeyValue, request: rpc.RangeRequest): boolean {
  const isBetween = (value: number, least: number, most: number): boolean =>
    (least === 0 || value >= least) && (most === 0 || value <= most)
  return (
    isBetween(kv.modRevision, request.minModRevision, request.maxModRevision) &&
    isBetween(kv.createRevision, request.minCreateRevision, request.maxCreateRevision)
  )
}

/** What is known of a key, by its name in latin1. */
export type Lookup = (key: string) => KnownValue | undefined

/**
 * The answer to a transaction that reads only what is known; undefined = a member must be asked.
 */
export function answerTxn(request: rpc.TxnRequest, find: Lookup): rpc.TxnResponse | undefined {
  const used: KnownValue[] = []
  const look = (key: Uint8Array): KnownValue | undefined => {
    const known = find(Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1'))
    if (known !== undefined) used.push(known)
    return known
  }
  let isTrue = true
  for (const compare of request.compare) {
    const known = compare.rangeEnd.length === 0 ? look(compare.key) : undefined
    if (known === undefined) return undefined
    isTrue &&= holds(compare, () => outcomeOf(known))
  }
  const responses: rpc.ResponseOp[] = []
  for (const { requestRange } of isTrue ? request.success : request.failure) {
    if (requestRange === undefined || !isOfOneKey(requestRange)) return undefined
    const known = look(requestRange.key)
    if (known === undefined) return undefined
    const { revision } = known.header
    const header = rpc.ResponseHeader.create({ revision })
    const responseRange = { ...answerFrom(known, requestRange), header }
    responses.push(rpc.ResponseOp.create({ responseRange }))
  }
  const [first, ...rest] = used
  if (first === undefined) return undefined
  const newest = rest.reduce(
    (last, known) => (known.header.revision > last.header.revision ? known : last),
    first,
  )
  return { header: newest.header, succeeded: isTrue, responses }
}

function outcomeOf({ kv, header }: KnownValue): ReturnType<Parameters<typeof holds>[1]> {
  const kvs = kv === undefined ? [] : [KeyValue.encode(kv)]
  return { kind: 'range', kvs, count: kvs.length, revision: header.revision }
}

/** One change that a transaction made, in the order in which it made them. */
export type Change =
  | { readonly kind: 'put'; readonly request: rpc.PutRequest }
  | { readonly kind: 'delete'; readonly request: rpc.DeleteRangeRequest }

/** Every operation of both branches, those of transactions within included. */
export function leavesOf(ops: readonly rpc.RequestOp[]): readonly rpc.RequestOp[] {
  return ops.flatMap((op) => {
    const { requestTxn } = op
    return requestTxn === undefined
      ? [op]
      : leavesOf([...requestTxn.success, ...requestTxn.failure])
  })
}

/** What a transaction changed, by the branches that its answer says it took. */
export function changesOf(request: rpc.TxnRequest, answer: rpc.TxnResponse): readonly Change[] {
  const taken = answer.succeeded ? request.success : request.failure
  return taken.flatMap((op, at): readonly Change[] => {
    const { requestPut, requestDeleteRange, requestTxn } = op
    if (requestPut !== undefined) return [{ kind: 'put', request: requestPut }]
    if (requestDeleteRange !== undefined) return [{ kind: 'delete', request: requestDeleteRange }]
    const within = answer.responses[at]?.responseTxn
    return requestTxn === undefined || within === undefined ? [] : changesOf(requestTxn, within)
  })
}

/** What is known of a key after a change at this header's revision. */
export function changed(
  before: KnownValue,
  change: Change,
  header: rpc.ResponseHeader,
): KnownValue {
  switch (change.kind) {
    case 'delete':
      return { header, kv: undefined }
    case 'put': {
      const { key, value, ignoreValue } = change.request
      const { kv } = before
      const { revision } = header
      const after = KeyValue.create({
        key,
        value: ignoreValue && kv !== undefined ? kv.value : value,
        createRevision: kv?.createRevision ?? revision,
        modRevision: revision,
        version: (kv?.version ?? 0) + 1,
      })
      return { header, kv: after }
    }
    default:
      return exhaustive(change)
  }
}
