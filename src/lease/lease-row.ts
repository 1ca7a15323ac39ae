import type { LeaseId } from '../base/ids.js'
import { StoredLease } from '../wire/mvccpb.js'

/**
 * The key of a lease in bucket `lease`: its id in eight bytes, big-endian (int64 as two's
 * complement).
 */
export function leaseRowKey(id: LeaseId): Uint8Array {
  const key = new Uint8Array(8)
  new DataView(key.buffer, key.byteOffset, key.byteLength).setBigInt64(0, id)
  return key
}

/** The value of a lease in bucket `lease`. */
export function leaseRowValue(lease: {
  readonly id: LeaseId
  readonly ttl: number
  readonly remainingTtl: number
}): Uint8Array {
  return StoredLease.encode({ ID: lease.id, TTL: lease.ttl, RemainingTTL: lease.remainingTtl })
}

/** Reads a value of bucket `lease`. Throws WireError when the bytes are not a lease. */
export function parseLeaseRow(value: Uint8Array): StoredLease {
  return StoredLease.decode(value)
}
