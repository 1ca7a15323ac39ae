import type { ErrorCode } from '../base/errors.js'
import { NO_LEASE } from '../base/ids.js'
import { latin1FromBytes } from '../base/latin1.js'
import type { DeleteRangeRequest, PutRequest, RequestOp, TxnRequest } from '../wire/rpc.js'
import { IntervalMap } from './interval-map.js'
import { FROM_KEY } from './range-query.js'
import { checkRangeRequest } from './range-request.js'

/** Checks what a client may ask at all; undefined = fine. */
export function checkPutRequest(request: PutRequest): ErrorCode | undefined {
  if (request.key.length === 0) return 'EMPTY_KEY'
  if (request.ignoreValue && request.value.length !== 0) return 'VALUE_PROVIDED'
  if (request.ignoreLease && request.lease !== NO_LEASE) return 'LEASE_PROVIDED'
  return undefined
}

/** Checks what a client may ask at all; undefined = fine. */
export function checkDeleteRangeRequest(request: DeleteRangeRequest): ErrorCode | undefined {
  return request.key.length === 0 ? 'EMPTY_KEY' : undefined
}

/**
 * Checks a transaction before it is proposed, without looking at the store: its size, each of its
 * operations, and that no key is changed twice. A nested transaction has what its parent leaves of
 * `operationsMax`.
 */
export function checkTxnRequest(request: TxnRequest, operationsMax: number): ErrorCode | undefined {
  const failure = checkOperations(request, operationsMax)
  if (failure !== undefined) return failure
  for (const branch of [request.success, request.failure]) {
    if (collectChanges(branch) === undefined) return 'DUPLICATE_KEY'
  }
  return undefined
}

function checkOperations(request: TxnRequest, operationsMax: number): ErrorCode | undefined {
  const { compare, success, failure } = request
  const count = Math.max(compare.length, success.length, failure.length)
  if (count > operationsMax) return 'TOO_MANY_OPS'
  if (compare.some((one) => one.key.length === 0)) return 'EMPTY_KEY'
  for (const branch of [success, failure]) {
    for (const operation of branch) {
      const code = checkOperation(operation, operationsMax - count)
      if (code !== undefined) return code
    }
  }
  return undefined
}

function checkOperation(operation: RequestOp, operationsMax: number): ErrorCode | undefined {
  const { requestRange, requestPut, requestDeleteRange, requestTxn } = operation
  if (requestRange !== undefined) return checkRangeRequest(requestRange)
  if (requestPut !== undefined) return checkPutRequest(requestPut)
  if (requestDeleteRange !== undefined) return checkDeleteRangeRequest(requestDeleteRange)
  if (requestTxn !== undefined) return checkOperations(requestTxn, operationsMax)
  // An operation of no kind is answered with this text, odd as it is.
  return 'KEY_NOT_FOUND'
}

interface Changes {
  readonly puts: Set<string>
  readonly deletes: DeletedRanges
}

/** Deleted ranges, and which of them a put would fall into. */
class DeletedRanges {
  readonly #map = new IntervalMap<number>()
  readonly #ranges: (readonly [string, string])[] = []

  add(key: string, end: string): void {
    // etcd compares the from-key mark as a plain end here, which makes the range empty: nothing
    // collides with it.
    if (end === FROM_KEY) return
    this.#ranges.push([key, end])
    this.#map.add(key, end, this.#ranges.length)
  }

  addAll(others: DeletedRanges): void {
    for (const [key, end] of others.#ranges) this.add(key, end)
  }

  covers(key: string): boolean {
    return this.#map.matches(key)
  }
}

/** What a branch changes, nested branches included; undefined when it changes a key twice. */
function collectChanges(branch: readonly RequestOp[]): Changes | undefined {
  const puts = new Set<string>()
  const deletes = new DeletedRanges()
  for (const { requestDeleteRange } of branch) {
    if (requestDeleteRange === undefined) continue
    const { key, rangeEnd } = requestDeleteRange
    deletes.add(latin1FromBytes(key), latin1FromBytes(rangeEnd))
  }
  for (const { requestTxn } of branch) {
    if (requestTxn !== undefined && !addNested(requestTxn, puts, deletes)) return undefined
  }
  for (const { requestPut } of branch) {
    if (requestPut === undefined) continue
    const key = latin1FromBytes(requestPut.key)
    if (puts.has(key) || deletes.covers(key)) return undefined
    puts.add(key)
  }
  return { puts, deletes }
}

/** Of a nested transaction only one branch runs, so its branches may put the same keys. */
function addNested(nested: TxnRequest, puts: Set<string>, deletes: DeletedRanges): boolean {
  const success = collectChanges(nested.success)
  const failure = collectChanges(nested.failure)
  if (success === undefined || failure === undefined) return false
  for (const key of success.puts) {
    if (puts.has(key) || deletes.covers(key)) return false
    puts.add(key)
  }
  for (const key of failure.puts) {
    if (puts.has(key) && !success.puts.has(key)) return false
    if (deletes.covers(key)) return false
    puts.add(key)
  }
  deletes.addAll(success.deletes)
  deletes.addAll(failure.deletes)
  return true
}
