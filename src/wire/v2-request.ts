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
