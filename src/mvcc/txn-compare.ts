import { exhaustive } from '../base/invariant.js'
import { latin1FromBytes } from '../base/latin1.js'
import { KeyValue } from '../wire/mvccpb.js'
import type { Compare } from '../wire/rpc.js'
import type { RangeOutcome, RangeQuery } from './range-query.js'
import { compareBytes } from './range-request.js'

const ABSENT = KeyValue.create()

/**
 * Whether a comparison holds: for the key, or for every key of its range. A key that is absent
 * compares as zero; its value equals nothing, so any comparison of it fails.
 */
export function holds(compare: Compare, read: (query: RangeQuery) => RangeOutcome): boolean {
  const outcome = read({
    key: latin1FromBytes(compare.key),
    end: latin1FromBytes(compare.rangeEnd),
  })
  if (outcome.kind === 'failed') return false
  if (outcome.kvs.length === 0) return compare.target !== 'VALUE' && holdsFor(compare, ABSENT)
  return outcome.kvs.every((encoded) => holdsFor(compare, KeyValue.decode(encoded)))
}

function holdsFor(compare: Compare, keyValue: KeyValue): boolean {
  const order = orderOf(compare, keyValue)
  switch (compare.result) {
    case 'EQUAL':
      return order === 0
    case 'NOT_EQUAL':
      return order !== 0
    case 'GREATER':
      return order > 0
    case 'LESS':
      return order < 0
    case 'UNKNOWN':
      return true
    default:
      return exhaustive(compare.result)
  }
}

/**
 * Negative, zero or positive: what is stored against what the client gave (zero when it gave
 * nothing).
 */
function orderOf(compare: Compare, keyValue: KeyValue): number {
  switch (compare.target) {
    case 'VERSION':
      return keyValue.version - (compare.version ?? 0)
    case 'CREATE':
      return keyValue.createRevision - (compare.createRevision ?? 0)
    case 'MOD':
      return keyValue.modRevision - (compare.modRevision ?? 0)
    case 'VALUE':
      return compareBytes(keyValue.value, compare.value ?? new Uint8Array(0))
    case 'LEASE': {
      const wanted: bigint = compare.lease ?? 0n
      return keyValue.lease === wanted ? 0 : keyValue.lease > wanted ? 1 : -1
    }
    case 'UNKNOWN':
      return 0
    default:
      return exhaustive(compare.target)
  }
}
