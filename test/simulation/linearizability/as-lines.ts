import { latin1FromBytes } from '../../../src/base/latin1.js'
import { DeleteRangeRequest, PutRequest, TxnRequest } from '../../../src/wire/rpc.js'
import type { Operation } from '../history.js'
import type { WatchRecord } from '../workload/watch-client.js'
import type { FileKeyValue, HistoryLine } from './history-file.js'
import { withoutNesting } from './nesting.js'

/** What clients of a run did and saw, as the lines of a history file. */
export function asLines(
  operations: readonly Operation[],
  records: readonly WatchRecord[],
): readonly HistoryLine[] {
  const lines: HistoryLine[] = []
  for (const operation of operations) {
    const line = lineOf(operation)
    if (line !== undefined) lines.push(line)
  }
  for (const record of records) lines.push(...linesOfWatch(record))
  return lines
}

/** Undefined for what a history has no line for: leases, compactions, reads of the past. */
function lineOf(operation: Operation): HistoryLine | undefined {
  const { request, outcome, client, calledUs } = operation
  const isAnswered = outcome.kind === 'answered'
  const response = isAnswered ? outcome.response : ''
  const shared = {
    client,
    calledUs,
    returnedUs: isAnswered ? operation.returnedUs : null,
    revision: isAnswered ? outcome.revision : 0,
  }
  if (request.kind === 'renew') return undefined
  if (request.kind === 'read') {
    const { key, rangeEnd, serializable, limit, revision } = request.request
    if (limit > 0 || revision > 0) return undefined
    const kvs = keyValuesIn(response)
    const range = { key: latin1FromBytes(key), end: latin1FromBytes(rangeEnd) }
    return { kind: 'get', ...shared, ...range, serializable, kvs }
  }
  switch (request.operation) {
    case 'put': {
      const { key, value, lease } = PutRequest.decode(request.encoded)
      const pair = { key: latin1FromBytes(key), value: latin1FromBytes(value) }
      return { kind: 'put', ...shared, ...pair, lease: lease !== 0n }
    }
    case 'deleteRange': {
      const { key, rangeEnd } = DeleteRangeRequest.decode(request.encoded)
      const range = { key: latin1FromBytes(key), end: latin1FromBytes(rangeEnd) }
      return { kind: 'delete', ...shared, ...range }
    }
    case 'txn':
      return { kind: 'txn', ...shared, ...txnOf(request.encoded, response) }
    default:
      return undefined
  }
}

function txnOf(encoded: Uint8Array, response: string) {
  const { compare, success } = withoutNesting(TxnRequest.decode(encoded))
  const [first] = compare
  const puts: [string, string][] = []
  const deletes: string[] = []
  for (const { requestPut, requestDeleteRange } of success) {
    if (requestPut !== undefined)
      puts.push([latin1FromBytes(requestPut.key), latin1FromBytes(requestPut.value)])
    if (requestDeleteRange !== undefined) deletes.push(latin1FromBytes(requestDeleteRange.key))
  }
  return {
    puts,
    deletes,
    ...(first === undefined
      ? {}
      : { compare: { key: latin1FromBytes(first.key), mod: first.modRevision ?? 0 } }),
    ...(response === '' ? {} : { succeeded: response.startsWith('txn+') }),
  }
}

/** Key-values in a canonical response: `key=value@create/mod/version/lease`. */
function keyValuesIn(response: string): readonly FileKeyValue[] {
  return [...response.matchAll(/([^\s=[(,]+)=([^@]*)@\d+\/(\d+)/g)].map(
    ([, key = '', value = '', mod = '0']) => [key, value, Number(mod)] as const,
  )
}

function linesOfWatch(record: WatchRecord): readonly HistoryLine[] {
  const { watcher, key, end, startRevision, noPut, noDelete } = record
  // A watch with filters tells of some events only, so that it is no witness of the log.
  if (noPut || noDelete) return []
  const lines: HistoryLine[] = [{ kind: 'watch', watcher, key, end, startRevision }]
  for (const { kind, events, revision } of record.news) {
    if (kind === 'progress') lines.push({ kind, watcher, revision })
    for (const event of events) {
      const value = /=([^@]*)@/.exec(event.kv)?.[1] ?? ''
      const type = event.type === 'DELETE' ? 'DELETE' : 'PUT'
      lines.push({
        kind: 'event',
        watcher,
        revision: event.mod,
        type,
        key: event.key,
        value: type === 'PUT' ? value : '',
      })
    }
  }
  return lines
}
