import { latin1FromBytes } from '../../src/base/latin1.js'
import type { Operation } from '../../src/wire/raft-envelope.js'
import * as rpc from '../../src/wire/rpc.js'

/** One key-value in words. */
export interface PlainKeyValue {
  readonly key: string
  readonly value: string
  readonly create: number
  readonly mod: number
  readonly version: number
  readonly lease: bigint
}

export const describeKeyValue = (kv: PlainKeyValue): string =>
  `${kv.key}=${kv.value}@${kv.create}/${kv.mod}/${kv.version}/${kv.lease}`

export const describeRange = (
  kvs: readonly PlainKeyValue[],
  count: number,
  more: boolean,
): string => `range[${kvs.map(describeKeyValue).join(' ')}]${count}${more ? '+' : ''}`

/** What a change took the place of, where it was asked for. */
export const describePrevious = (kvs: readonly PlainKeyValue[]): string =>
  kvs.length === 0 ? '' : `[${kvs.map(describeKeyValue).join(' ')}]`

export function plainKeyValue(kv: {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  readonly lease: bigint
}): PlainKeyValue {
  return {
    key: latin1FromBytes(kv.key),
    value: latin1FromBytes(kv.value),
    create: kv.createRevision,
    mod: kv.modRevision,
    version: kv.version,
    lease: kv.lease,
  }
}

const range = ({ kvs, count, more }: rpc.RangeResponse): string =>
  describeRange(kvs.map(plainKeyValue), count, more)

const put = ({ prevKv }: rpc.PutResponse): string =>
  `put${describePrevious(prevKv === undefined ? [] : [plainKeyValue(prevKv)])}`

const deletion = ({ deleted, prevKvs }: rpc.DeleteRangeResponse): string =>
  `deleted${deleted}${describePrevious(prevKvs.map(plainKeyValue))}`

function responseOp(op: rpc.ResponseOp): string {
  if (op.responseRange !== undefined) return range(op.responseRange)
  if (op.responsePut !== undefined) return put(op.responsePut)
  if (op.responseDeleteRange !== undefined) return deletion(op.responseDeleteRange)
  if (op.responseTxn !== undefined) return describeTxn(op.responseTxn)
  return 'unknown'
}

const describeTxn = ({ succeeded, responses }: rpc.TxnResponse): string =>
  `txn${succeeded ? '+' : '-'}(${responses.map(responseOp).join(',')})`

/** A response in the words that the model uses too; it goes through the codec as it would to a client. */
export function describeResponse(operation: Operation | 'read', response: object): string {
  switch (operation) {
    case 'read':
    case 'range':
      return range(rpc.RangeResponse.decode(rpc.RangeResponse.encode(response as never)))
    case 'put':
      return put(rpc.PutResponse.decode(rpc.PutResponse.encode(response as never)))
    case 'deleteRange':
      return deletion(
        rpc.DeleteRangeResponse.decode(rpc.DeleteRangeResponse.encode(response as never)),
      )
    case 'txn':
      return describeTxn(rpc.TxnResponse.decode(rpc.TxnResponse.encode(response as never)))
    default:
      return operation
  }
}
