import { revision } from '../base/ids.js'
import type { RangeCursor } from '../mvcc/range-cursor.js'
import { checkRangeRequest, queryOf } from '../mvcc/range-request.js'
import { asKeyValue, withoutValue } from '../mvcc/stored-key-value.js'
import type { RpcMethod, StreamCall } from '../ports/rpc.js'
import type { Encodable } from '../wire/codec.js'
import * as rpc from '../wire/rpc.js'
import { failureOf, type ServiceContext, serverStream } from './method.js'

type Call = StreamCall<Encodable<typeof rpc.RangeStreamResponse>>

/**
 * Key-values of the first part; later ones are sized towards the request limit (facts: v3-api.md
 * 3).
 */
const FIRST_KVS = 10
const KVS_PER_PART_MAX = 1000

/**
 * KV.RangeStream of 3.7: a range in parts, as of the revision at its start; only the last part has
 * the header.
 */
export function rangeStreamMethod(context: ServiceContext): RpcMethod {
  return serverStream(
    context,
    '/etcdserverpb.KV/RangeStream',
    { request: rpc.RangeRequest, response: rpc.RangeStreamResponse },
    (request, call) => {
      const code = checkRangeRequest(request)
      if (code !== undefined) {
        call.fail(failureOf(code))
        return
      }
      const unsupported = unsupportedPart(request)
      if (unsupported !== undefined) {
        call.fail({ status: 12, message: `RangeStream does not support ${unsupported}` })
        return
      }
      const kept = { ...request, key: request.key.slice(), rangeEnd: request.rangeEnd.slice() }
      if (request.serializable) stream(context, kept, call)
      else {
        context.member.linearize((failure) => {
          if (failure === undefined) stream(context, kept, call)
          else call.fail(failureOf(failure))
        })
      }
    },
  )
}

function unsupportedPart(request: rpc.RangeRequest): string | undefined {
  if (request.sortOrder === 'DESCEND' || request.sortTarget !== 'KEY') return 'custom sort orders'
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
  const isFiltered = [minModRevision, maxModRevision, minCreateRevision, maxCreateRevision].some(
    (at) => at !== 0,
  )
  return isFiltered ? 'revision filters' : undefined
}

function stream(context: ServiceContext, request: rpc.RangeRequest, call: Call): void {
  const { store } = context.member
  if (request.rangeEnd.length === 0 || request.countOnly) {
    sendWhole(context, request, call)
    return
  }
  const query = queryOf(request)
  const cursor = store.openRange({ ...query, limit: request.limit })
  if ('kind' in cursor) call.fail(failureOf(cursor.code))
  else sendParts(context, request, call, cursor)
}

/** One key, or only a count: one part. */
function sendWhole(context: ServiceContext, request: rpc.RangeRequest, call: Call): void {
  const outcome = context.member.store.range({ ...queryOf(request), limit: request.limit })
  if (outcome.kind === 'failed') {
    call.fail(failureOf(outcome.code))
    return
  }
  const kvs = outcome.kvs.map((kv) => asKeyValue(request.keysOnly ? withoutValue(kv) : kv))
  const header = context.member.header(revision(outcome.revision))
  call.send({ rangeResponse: { header, kvs, more: false, count: outcome.count } })
  call.end()
}

function sendParts(
  context: ServiceContext,
  request: rpc.RangeRequest,
  call: Call,
  cursor: RangeCursor,
): void {
  const { member } = context
  const { store } = member
  let sent = 0
  let kvsMax = FIRST_KVS
  const next = (): void => {
    if (call.isCancelled) {
      cursor.close()
      return
    }
    // While a client took its time, a received snapshot may have replaced the store that it reads.
    if (!member.isServing || member.store !== store) {
      cursor.close()
      call.fail(failureOf('STOPPED'))
      return
    }
    cursor.next(kvsMax, ({ kvs, isEnd }) => {
      const shown = kvs.map((kv) => asKeyValue(request.keysOnly ? withoutValue(kv) : kv))
      sent += kvs.length
      const bytes = kvs.reduce((sum, kv) => sum + kv.length, 0)
      if (isEnd) {
        cursor.close()
        const header = context.member.header(revision(cursor.revision))
        const more = request.limit > 0 && cursor.count > sent
        call.send({ rangeResponse: { header, kvs: shown, more, count: cursor.count } })
        call.end()
        return
      }
      const hasRoom =
        shown.length === 0 ||
        call.send({ rangeResponse: { header: undefined, kvs: shown, more: false, count: 0 } })
      kvsMax = nextPartSize(context, kvs.length, bytes)
      if (hasRoom) next()
      else call.onDrain(next)
    })
  }
  call.onCancel(() => cursor.close())
  next()
}

/** As many as fit into the request limit, by the average so far. */
function nextPartSize(context: ServiceContext, kvs: number, bytes: number): number {
  if (kvs === 0) return KVS_PER_PART_MAX
  const fitting = Math.floor(context.requestBytesMax / Math.max(1, bytes / kvs))
  return Math.min(KVS_PER_PART_MAX, Math.max(1, fitting))
}
