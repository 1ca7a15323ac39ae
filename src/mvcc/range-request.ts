import type { ErrorCode } from '../base/errors.js'
import { exhaustive } from '../base/invariant.js'
import { latin1FromBytes } from '../base/latin1.js'
import { KeyValue } from '../wire/mvccpb.js'
import type { RangeRequest, RangeResponse } from '../wire/rpc.js'
import type { RangeOutcome, RangeQuery, RangeResult, RevisionFailure } from './range-query.js'
import { asKeyValue, withoutValue } from './stored-key-value.js'

/** A response without the fields that only the member knows. */
export interface RangeReply extends RangeResponse {
  readonly header: undefined
}

/** What a RangeRequest comes to. `revision` belongs in the response's header. */
export type RangeEvaluation =
  | Readonly<{ kind: 'done'; revision: number; reply: RangeReply }>
  | RevisionFailure

/** Checks what a client may ask at all; undefined = fine. `key` is required. */
export function checkRangeRequest(request: RangeRequest): ErrorCode | undefined {
  if (request.key.length === 0) return 'EMPTY_KEY'
  if (request.sortOrder === 'UNKNOWN' || request.sortTarget === 'UNKNOWN') {
    return 'INVALID_SORT_OPTION'
  }
  return undefined
}

/** Whether the request drops some of the key-values that it read. */
function isFiltered(request: RangeRequest): boolean {
  return (
    request.minModRevision !== 0 ||
    request.maxModRevision !== 0 ||
    request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0
  )
}

/**
 * What has to be read for a request. Sorting and filters need everything; otherwise one more than
 * the limit tells whether there is more. As in etcd, a sort target without an order sorts only what
 * the limit let through.
 */
export function queryOf(request: RangeRequest): RangeQuery {
  const isWhole = request.sortOrder !== 'NONE' || isFiltered(request)
  return {
    key: latin1FromBytes(request.key),
    end: latin1FromBytes(request.rangeEnd),
    revision: request.revision,
    limit: isWhole || request.limit <= 0 ? 0 : request.limit + 1,
    isCountOnly: request.countOnly,
  }
}

/** Evaluates a request against what `read` gives for its query. */
export function evaluateRange(
  request: RangeRequest,
  read: (query: RangeQuery) => RangeOutcome,
): RangeEvaluation {
  const outcome = read(queryOf(request))
  if (outcome.kind === 'failed') return outcome
  return { kind: 'done', revision: outcome.revision, reply: shapeRange(request, outcome) }
}

/** Filters, sorts, cuts and strips what was read for the request (facts: v3-api.md 3). */
export function shapeRange(request: RangeRequest, result: RangeResult): RangeReply {
  let kvs = result.kvs
  if (isFiltered(request)) kvs = filter(request, kvs)
  if (request.sortOrder !== 'NONE' || request.sortTarget !== 'KEY') kvs = sort(request, kvs)
  const more = request.limit > 0 && kvs.length > request.limit
  if (more) kvs = kvs.slice(0, request.limit)
  return {
    header: undefined,
    kvs: kvs.map((kv) => asKeyValue(request.keysOnly ? withoutValue(kv) : kv)),
    more,
    count: result.count,
  }
}

function filter(request: RangeRequest, kvs: readonly Uint8Array[]): readonly Uint8Array[] {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
  return kvs.filter((encoded) => {
    const { modRevision, createRevision } = KeyValue.decode(encoded)
    if (maxModRevision !== 0 && modRevision > maxModRevision) return false
    if (minModRevision !== 0 && modRevision < minModRevision) return false
    if (maxCreateRevision !== 0 && createRevision > maxCreateRevision) return false
    return minCreateRevision === 0 || createRevision >= minCreateRevision
  })
}

interface Sortable {
  readonly encoded: Uint8Array
  readonly keyValue: KeyValue
}

/** Ties keep the order of keys; etcd leaves them in any order. */
function sort(request: RangeRequest, kvs: readonly Uint8Array[]): readonly Uint8Array[] {
  const isDescending = request.sortOrder === 'DESCEND'
  // They were read in key order.
  if (request.sortTarget === 'KEY') return isDescending ? [...kvs].reverse() : kvs
  const order = comparator(request.sortTarget)
  const decoded = kvs.map((encoded) => ({ encoded, keyValue: KeyValue.decode(encoded) }))
  decoded.sort((a, b) => (isDescending ? order(b, a) : order(a, b)))
  return decoded.map(({ encoded }) => encoded)
}

function comparator(target: RangeRequest['sortTarget']): (a: Sortable, b: Sortable) => number {
  switch (target) {
    case 'KEY':
    case 'UNKNOWN':
      return () => 0
    case 'VERSION':
      return (a, b) => a.keyValue.version - b.keyValue.version
    case 'CREATE':
      return (a, b) => a.keyValue.createRevision - b.keyValue.createRevision
    case 'MOD':
      return (a, b) => a.keyValue.modRevision - b.keyValue.modRevision
    case 'VALUE':
      return (a, b) => compareBytes(a.keyValue.value, b.keyValue.value)
    default:
      return exhaustive(target)
  }
}

/** Unsigned bytewise order. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length)
  for (let at = 0; at < shorter; at++) {
    const difference = (a[at] as number) - (b[at] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
