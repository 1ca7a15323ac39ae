import { latin1FromBytes } from '../../../src/base/latin1.js'
import { DeleteRangeRequest, PutRequest, TxnRequest } from '../../../src/wire/rpc.js'
import type { Operation } from '../history.js'
import { withoutNesting } from './nesting.js'
import { isLinearizable, type RegisterOperation } from './search-check.js'

/** Operations of one key that one search looks at: from the beginning of the run, where the state is known. */
const PER_KEY_MAX = 120
const NEVER = Number.POSITIVE_INFINITY

/** The value that a range's answer, in words, gives for a key. */
function valueIn(response: string, key: string): string | undefined {
  const at = response.indexOf(`${key}=`)
  if (at < 0) return undefined
  return response.slice(at + key.length + 1, response.indexOf('@', at))
}

/**
 * What an operation did to one key, as a register sees it; undefined when it did nothing to it or nothing that can be
 * told without revisions.
 */
function projected(operation: Operation, key: string): RegisterOperation | undefined {
  const { request, outcome, calledUs } = operation
  const isAnswered = outcome.kind === 'answered'
  const returnedUs = isAnswered ? operation.returnedUs : NEVER
  const as = (kind: 'write' | 'read', value: string | undefined): RegisterOperation => ({
    kind,
    value,
    calledUs,
    returnedUs,
  })
  if (request.kind === 'read') {
    const isPlain = !request.request.serializable && request.request.rangeEnd.length === 0
    if (!isPlain || !isAnswered || latin1FromBytes(request.request.key) !== key) return undefined
    return as('read', valueIn(outcome.response, key))
  }
  if (request.kind !== 'write') return undefined
  switch (request.operation) {
    case 'put': {
      const put = PutRequest.decode(request.encoded)
      if (latin1FromBytes(put.key) !== key) return undefined
      const value = latin1FromBytes(put.value)
      return as('write', value)
    }
    case 'deleteRange': {
      const { key: from, rangeEnd } = DeleteRangeRequest.decode(request.encoded)
      const [first, end] = [latin1FromBytes(from), latin1FromBytes(rangeEnd)]
      const isHit = end === '' ? first === key : key >= first && key < end
      return isHit ? as('write', undefined) : undefined
    }
    case 'txn': {
      const { success } = withoutNesting(TxnRequest.decode(request.encoded))
      const didSucceed = !isAnswered || outcome.response.startsWith('txn+')
      if (!didSucceed) {
        const [compared] = TxnRequest.decode(request.encoded).compare
        const isRead = compared !== undefined && latin1FromBytes(compared.key) === key
        return isRead ? as('read', valueIn(isAnswered ? outcome.response : '', key)) : undefined
      }
      for (const { requestPut, requestDeleteRange } of success) {
        if (requestPut !== undefined && latin1FromBytes(requestPut.key) === key)
          return as('write', latin1FromBytes(requestPut.value))
        if (requestDeleteRange !== undefined && latin1FromBytes(requestDeleteRange.key) === key)
          return as('write', undefined)
      }
      return undefined
    }
    default:
      return undefined
  }
}

/**
 * Looks at the beginning of each key's history with the search that knows no log. Keys that hang on leases change
 * without an operation, so runs with such are not looked at. Returns what is wrong, or undefined.
 */
export function searchCheck(
  operations: readonly Operation[],
  keys: readonly string[],
): string | undefined {
  const hasLeases = operations.some(
    ({ request }) =>
      request.kind === 'write' &&
      request.operation === 'put' &&
      PutRequest.decode(request.encoded).lease !== 0n,
  )
  if (hasLeases) return undefined
  for (const key of keys) {
    const all = operations
      .map((operation) => projected(operation, key))
      .filter((operation) => operation !== undefined)
    const window = all.slice(0, PER_KEY_MAX)
    const untilUs = all.length > PER_KEY_MAX ? (window.at(-1)?.calledUs ?? 0) : NEVER
    // What ended behind the window may have met operations that are not in it: its answer says nothing here.
    const cut = window.map((operation) =>
      operation.returnedUs > untilUs ? { ...operation, returnedUs: NEVER } : operation,
    )
    if (isLinearizable(cut, undefined) === false) return `no order explains what was seen of ${key}`
  }
  return undefined
}
