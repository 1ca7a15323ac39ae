/**
 * etcdserverpb.Request: a v2 operation as log entry (proto2, gogo non-nullable). Facts: v3-api.md
 * 10.
 */
import type { RequestId } from '../base/ids.js'
import {
  always,
  bool,
  counter,
  type Decoded,
  define,
  id,
  optional,
  signedId,
  string,
} from './codec.js'
import { Writer } from './writer.js'

export const V2Request = define('etcdserverpb.Request', {
  ID: always(id<RequestId>(1)),
  /** GET, QGET, PUT, POST, DELETE or SYNC. */
  Method: always(string(2)),
  Path: always(string(3)),
  Val: always(string(4)),
  Dir: always(bool(5)),
  PrevValue: always(string(6)),
  PrevIndex: always(counter(7)),
  PrevExist: optional(bool(8)),
  /** Unix nanoseconds, 0n = none. A bigint, because today's exceed 2^53. */
  Expiration: always(signedId(9)),
  Wait: always(bool(10)),
  Since: always(counter(11)),
  Recursive: always(bool(12)),
  Sorted: always(bool(13)),
  Quorum: always(bool(14)),
  /** Unix nanoseconds of a SYNC. */
  Time: always(signedId(15)),
  Stream: always(bool(16)),
  Refresh: optional(bool(17)),
})
export type V2Request = Decoded<typeof V2Request>

/** What is asked for, without the id that it gets when it is proposed. */
export type V2Operation = Omit<V2Request, 'ID'>

const writer = new Writer(4096)

/** Fields 5 to 16 of an operation that has none of them: each is there, as zero. */
const ZERO_FIELDS = Uint8Array.of(
  ...[0x28, 0, 0x32, 0, 0x38, 0, 0x48, 0, 0x50, 0, 0x58, 0],
  ...[0x60, 0, 0x68, 0, 0x70, 0, 0x78, 0, 0x80, 1, 0],
)

/** Whether there is nothing but method, path and value, as with nearly all writes. */
function isPlain(operation: V2Operation): boolean {
  return (
    !operation.Dir &&
    operation.PrevValue === '' &&
    operation.PrevIndex === 0 &&
    operation.PrevExist === undefined &&
    operation.Expiration === 0n &&
    !operation.Wait &&
    operation.Since === 0 &&
    !operation.Recursive &&
    !operation.Sorted &&
    !operation.Quorum &&
    operation.Time === 0n &&
    !operation.Stream &&
    operation.Refresh === undefined
  )
}

/**
 * The log entry of an operation, byte for byte as `V2Request.encode` makes it. Written out for the
 * hot path: one request copied to add its id, and encoded by the table, costs four times as much.
 */
export function encodeV2Operation(operation: V2Operation, requestId: RequestId): Uint8Array {
  writer.reset()
  writer.byte(0x08)
  writer.id(requestId)
  writer.byte(0x12)
  writer.string(operation.Method)
  writer.byte(0x1a)
  writer.string(operation.Path)
  writer.byte(0x22)
  writer.string(operation.Val)
  if (isPlain(operation)) writer.raw(ZERO_FIELDS)
  else writeConditions(operation)
  return writer.take()
}

/** Fields 5 to 17. */
function writeConditions(operation: V2Operation): void {
  writer.byte(0x28)
  writer.bool(operation.Dir)
  writer.byte(0x32)
  writer.string(operation.PrevValue)
  writer.byte(0x38)
  writer.counter(operation.PrevIndex)
  if (operation.PrevExist !== undefined) {
    writer.byte(0x40)
    writer.bool(operation.PrevExist)
  }
  writer.byte(0x48)
  writer.id(operation.Expiration)
  writer.byte(0x50)
  writer.bool(operation.Wait)
  writer.byte(0x58)
  writer.counter(operation.Since)
  writer.byte(0x60)
  writer.bool(operation.Recursive)
  writer.byte(0x68)
  writer.bool(operation.Sorted)
  writer.byte(0x70)
  writer.bool(operation.Quorum)
  writer.byte(0x78)
  writer.id(operation.Time)
  writer.uint32(0x80)
  writer.bool(operation.Stream)
  if (operation.Refresh !== undefined) {
    writer.uint32(0x88)
    writer.bool(operation.Refresh)
  }
}
