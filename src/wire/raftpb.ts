/**
 * raftpb (proto2; gogo's non-nullable fields are always written). Facts: v3-api.md 10,
 * peer-protocol.md 5.
 */
import type { LogIndex, MemberId, Term } from '../base/ids.js'
import {
  always,
  bool,
  bytes,
  counter,
  type Decoded,
  define,
  enumeration,
  id,
  message,
  optional,
  repeated,
} from './codec.js'

export const ENTRY_TYPES = ['EntryNormal', 'EntryConfChange', 'EntryConfChangeV2'] as const
export const MESSAGE_TYPES = [
  'MsgHup',
  'MsgBeat',
  'MsgProp',
  'MsgApp',
  'MsgAppResp',
  'MsgVote',
  'MsgVoteResp',
  'MsgSnap',
  'MsgHeartbeat',
  'MsgHeartbeatResp',
  'MsgUnreachable',
  'MsgSnapStatus',
  'MsgCheckQuorum',
  'MsgTransferLeader',
  'MsgTimeoutNow',
  'MsgReadIndex',
  'MsgReadIndexResp',
  'MsgPreVote',
  'MsgPreVoteResp',
  'MsgStorageAppend',
  'MsgStorageAppendResp',
  'MsgStorageApply',
  'MsgStorageApplyResp',
  'MsgForgetLeader',
] as const
export const CONF_CHANGE_TYPES = [
  'ConfChangeAddNode',
  'ConfChangeRemoveNode',
  'ConfChangeUpdateNode',
  'ConfChangeAddLearnerNode',
] as const
export const CONF_CHANGE_TRANSITIONS = [
  'ConfChangeTransitionAuto',
  'ConfChangeTransitionJointImplicit',
  'ConfChangeTransitionJointExplicit',
] as const

export const Entry = define('raftpb.Entry', {
  type: always(enumeration(1, ENTRY_TYPES)),
  term: always(counter<Term>(2)),
  index: always(counter<LogIndex>(3)),
  /** Empty for the no-op entry of a new leader. */
  data: bytes(4),
})
export type Entry = Decoded<typeof Entry>

export const ConfState = define('raftpb.ConfState', {
  voters: repeated(id<MemberId>(1)),
  learners: repeated(id<MemberId>(2)),
  votersOutgoing: repeated(id<MemberId>(3)),
  learnersNext: repeated(id<MemberId>(4)),
  autoLeave: always(bool(5)),
})
export type ConfState = Decoded<typeof ConfState>

export const SnapshotMetadata = define('raftpb.SnapshotMetadata', {
  confState: always(message(1, () => ConfState)),
  index: always(counter<LogIndex>(2)),
  term: always(counter<Term>(3)),
})
export type SnapshotMetadata = Decoded<typeof SnapshotMetadata>

export const Snapshot = define('raftpb.Snapshot', {
  data: bytes(1),
  metadata: always(message(2, () => SnapshotMetadata)),
})
export type Snapshot = Decoded<typeof Snapshot>

export const HardState = define('raftpb.HardState', {
  term: always(counter<Term>(1)),
  vote: always(id<MemberId>(2)),
  commit: always(counter<LogIndex>(3)),
})
export type HardState = Decoded<typeof HardState>

/**
 * A snapshot is present on MsgSnap only; the empty one that etcd <= 3.5 writes elsewhere decodes as
 * index 0.
 */
export const Message = define('raftpb.Message', {
  type: always(enumeration(1, MESSAGE_TYPES)),
  to: always(id<MemberId>(2)),
  from: always(id<MemberId>(3)),
  term: always(counter<Term>(4)),
  logTerm: always(counter<Term>(5)),
  index: always(counter<LogIndex>(6)),
  entries: repeated(message(7, () => Entry)),
  commit: always(counter<LogIndex>(8)),
  snapshot: message(9, () => Snapshot),
  reject: always(bool(10)),
  rejectHint: always(counter<LogIndex>(11)),
  context: bytes(12),
  vote: optional(id<MemberId>(13)),
})
/**
 * A message between members as it crosses the wire. The core's own type adds local fields (raft/).
 */
export type Message = Decoded<typeof Message>

export const ConfChange = define('raftpb.ConfChange', {
  id: always(id(1)),
  type: always(enumeration(2, CONF_CHANGE_TYPES)),
  nodeId: always(id<MemberId>(3)),
  context: bytes(4),
})
export type ConfChange = Decoded<typeof ConfChange>

export const ConfChangeSingle = define('raftpb.ConfChangeSingle', {
  type: always(enumeration(1, CONF_CHANGE_TYPES)),
  nodeId: always(id<MemberId>(2)),
})
export type ConfChangeSingle = Decoded<typeof ConfChangeSingle>

export const ConfChangeV2 = define('raftpb.ConfChangeV2', {
  transition: always(enumeration(1, CONF_CHANGE_TRANSITIONS)),
  changes: repeated(message(2, () => ConfChangeSingle)),
  context: bytes(3),
})
export type ConfChangeV2 = Decoded<typeof ConfChangeV2>
