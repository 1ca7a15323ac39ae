/**
 * Messages of etcd's WAL and snapshot files: walpb, snappb, the WAL's metadata. Facts: disk.md 2
 * and 3.
 */
import type { ClusterId, LogIndex, MemberId, Term } from '../base/ids.js'
import {
  always,
  bytes,
  counter,
  type Decoded,
  define,
  id,
  message,
  optional,
  signedCounter,
  uint32,
} from './codec.js'
import { ConfState } from './raftpb.js'

/** `data` is present (possibly empty) or absent; both occur. */
export const WalRecord = define('walpb.Record', {
  type: always(signedCounter(1)),
  crc: always(uint32(2)),
  data: optional(bytes(3)),
})
export type WalRecord = Decoded<typeof WalRecord>

export const WalSnapshot = define('walpb.Snapshot', {
  index: always(counter<LogIndex>(1)),
  term: always(counter<Term>(2)),
  confState: message(3, () => ConfState),
})
export type WalSnapshot = Decoded<typeof WalSnapshot>

export const WalMetadata = define('etcdserverpb.Metadata', {
  NodeID: always(id<MemberId>(1)),
  ClusterID: always(id<ClusterId>(2)),
})
export type WalMetadata = Decoded<typeof WalMetadata>

export const SnapshotFile = define('snappb.snapshot', {
  crc: always(uint32(1)),
  data: optional(bytes(2)),
})
export type SnapshotFile = Decoded<typeof SnapshotFile>
