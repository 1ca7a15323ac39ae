/** etcdserverpb: the requests and responses of the v3 services (proto3). Facts: v3-api.md 10. */
import type { ClusterId, LeaseId, LogIndex, MemberId, Revision, Term } from '../base/ids.js'
import {
  bool,
  bytes,
  type Codec,
  counter,
  type Decoded,
  define,
  enumeration,
  id,
  message,
  oneof,
  optional,
  repeated,
  signedCounter,
  signedId,
  string,
  uint32,
} from './codec.js'
import { Event, KeyValue, Permission, UserAddOptions } from './mvccpb.js'

export const SORT_ORDERS = ['NONE', 'ASCEND', 'DESCEND'] as const
export const SORT_TARGETS = ['KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE'] as const
export const COMPARE_RESULTS = ['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL'] as const
export const COMPARE_TARGETS = ['VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE'] as const
export const FILTER_TYPES = ['NOPUT', 'NODELETE'] as const
export const ALARM_TYPES = ['NONE', 'NOSPACE', 'CORRUPT'] as const
export const ALARM_ACTIONS = ['GET', 'ACTIVATE', 'DEACTIVATE'] as const
export const DOWNGRADE_ACTIONS = ['VALIDATE', 'ENABLE', 'CANCEL'] as const

export const ResponseHeader = define('etcdserverpb.ResponseHeader', {
  clusterId: id<ClusterId>(1),
  memberId: id<MemberId>(2),
  revision: signedCounter<Revision>(3),
  raftTerm: counter<Term>(4),
})
export type ResponseHeader = Decoded<typeof ResponseHeader>

export const RangeRequest = define('etcdserverpb.RangeRequest', {
  key: bytes(1),
  rangeEnd: bytes(2),
  limit: signedCounter(3),
  revision: signedCounter<Revision>(4),
  sortOrder: enumeration(5, SORT_ORDERS),
  sortTarget: enumeration(6, SORT_TARGETS),
  serializable: bool(7),
  keysOnly: bool(8),
  countOnly: bool(9),
  minModRevision: signedCounter<Revision>(10),
  maxModRevision: signedCounter<Revision>(11),
  minCreateRevision: signedCounter<Revision>(12),
  maxCreateRevision: signedCounter<Revision>(13),
})
export type RangeRequest = Decoded<typeof RangeRequest>

export const RangeResponse = define('etcdserverpb.RangeResponse', {
  header: message(1, () => ResponseHeader),
  kvs: repeated(message(2, () => KeyValue)),
  more: bool(3),
  count: signedCounter(4),
})
export type RangeResponse = Decoded<typeof RangeResponse>

export const PutRequest = define('etcdserverpb.PutRequest', {
  key: bytes(1),
  value: bytes(2),
  lease: signedId<LeaseId>(3),
  prevKv: bool(4),
  ignoreValue: bool(5),
  ignoreLease: bool(6),
})
export type PutRequest = Decoded<typeof PutRequest>

export const PutResponse = define('etcdserverpb.PutResponse', {
  header: message(1, () => ResponseHeader),
  prevKv: message(2, () => KeyValue),
})
export type PutResponse = Decoded<typeof PutResponse>

export const DeleteRangeRequest = define('etcdserverpb.DeleteRangeRequest', {
  key: bytes(1),
  rangeEnd: bytes(2),
  prevKv: bool(3),
})
export type DeleteRangeRequest = Decoded<typeof DeleteRangeRequest>

export const DeleteRangeResponse = define('etcdserverpb.DeleteRangeResponse', {
  header: message(1, () => ResponseHeader),
  deleted: signedCounter(2),
  prevKvs: repeated(message(3, () => KeyValue)),
})
export type DeleteRangeResponse = Decoded<typeof DeleteRangeResponse>

export const RequestOp = define('etcdserverpb.RequestOp', {
  ...oneof('request', {
    requestRange: message(1, () => RangeRequest),
    requestPut: message(2, () => PutRequest),
    requestDeleteRange: message(3, () => DeleteRangeRequest),
    requestTxn: message(4, (): Codec<TxnRequest, TxnRequestInit> => TxnRequest),
  }),
})
export type RequestOp = Decoded<typeof RequestOp>

export const ResponseOp = define('etcdserverpb.ResponseOp', {
  ...oneof('response', {
    responseRange: message(1, () => RangeResponse),
    responsePut: message(2, () => PutResponse),
    responseDeleteRange: message(3, () => DeleteRangeResponse),
    responseTxn: message(4, (): Codec<TxnResponse, TxnResponseInit> => TxnResponse),
  }),
})
export type ResponseOp = Decoded<typeof ResponseOp>

export const Compare = define('etcdserverpb.Compare', {
  result: enumeration(1, COMPARE_RESULTS),
  target: enumeration(2, COMPARE_TARGETS),
  key: bytes(3),
  ...oneof('targetUnion', {
    version: optional(signedCounter(4)),
    createRevision: optional(signedCounter<Revision>(5)),
    modRevision: optional(signedCounter<Revision>(6)),
    value: optional(bytes(7)),
    lease: optional(signedId<LeaseId>(8)),
  }),
  rangeEnd: bytes(64),
})
export type Compare = Decoded<typeof Compare>

/** Recursive through RequestOp, so its type is written out. */
export interface TxnRequest {
  readonly compare: readonly Compare[]
  readonly success: readonly RequestOp[]
  readonly failure: readonly RequestOp[]
}
export interface TxnRequestInit {
  readonly compare?: readonly Compare[] | undefined
  readonly success?: readonly RequestOp[] | undefined
  readonly failure?: readonly RequestOp[] | undefined
}
export const TxnRequest: Codec<TxnRequest, TxnRequestInit> = define('etcdserverpb.TxnRequest', {
  compare: repeated(message(1, () => Compare)),
  success: repeated(message(2, () => RequestOp)),
  failure: repeated(message(3, () => RequestOp)),
})

/** Recursive through ResponseOp, so its type is written out. */
export interface TxnResponse {
  readonly header: ResponseHeader | undefined
  readonly succeeded: boolean
  readonly responses: readonly ResponseOp[]
}
export interface TxnResponseInit {
  readonly header?: ResponseHeader | undefined
  readonly succeeded?: boolean | undefined
  readonly responses?: readonly ResponseOp[] | undefined
}
export const TxnResponse: Codec<TxnResponse, TxnResponseInit> = define('etcdserverpb.TxnResponse', {
  header: message(1, () => ResponseHeader),
  succeeded: bool(2),
  responses: repeated(message(3, () => ResponseOp)),
})

export const CompactionRequest = define('etcdserverpb.CompactionRequest', {
  revision: signedCounter<Revision>(1),
  physical: bool(2),
})
export type CompactionRequest = Decoded<typeof CompactionRequest>

export const CompactionResponse = define('etcdserverpb.CompactionResponse', {
  header: message(1, () => ResponseHeader),
})
export type CompactionResponse = Decoded<typeof CompactionResponse>

export const HashRequest = define('etcdserverpb.HashRequest', {})
export type HashRequest = Decoded<typeof HashRequest>

export const HashKVRequest = define('etcdserverpb.HashKVRequest', {
  revision: signedCounter<Revision>(1),
})
export type HashKVRequest = Decoded<typeof HashKVRequest>

export const HashKVResponse = define('etcdserverpb.HashKVResponse', {
  header: message(1, () => ResponseHeader),
  hash: uint32(2),
  compactRevision: signedCounter<Revision>(3),
  hashRevision: signedCounter<Revision>(4),
})
export type HashKVResponse = Decoded<typeof HashKVResponse>

export const HashResponse = define('etcdserverpb.HashResponse', {
  header: message(1, () => ResponseHeader),
  hash: uint32(2),
})
export type HashResponse = Decoded<typeof HashResponse>

export const SnapshotRequest = define('etcdserverpb.SnapshotRequest', {})
export type SnapshotRequest = Decoded<typeof SnapshotRequest>

export const SnapshotResponse = define('etcdserverpb.SnapshotResponse', {
  header: message(1, () => ResponseHeader),
  remainingBytes: counter(2),
  blob: bytes(3),
  version: string(4),
})
export type SnapshotResponse = Decoded<typeof SnapshotResponse>

export const WatchRequest = define('etcdserverpb.WatchRequest', {
  ...oneof('requestUnion', {
    createRequest: message(1, () => WatchCreateRequest),
    cancelRequest: message(2, () => WatchCancelRequest),
    progressRequest: message(3, () => WatchProgressRequest),
  }),
})
export type WatchRequest = Decoded<typeof WatchRequest>

export const WatchCreateRequest = define('etcdserverpb.WatchCreateRequest', {
  key: bytes(1),
  rangeEnd: bytes(2),
  startRevision: signedCounter<Revision>(3),
  progressNotify: bool(4),
  filters: repeated(enumeration(5, FILTER_TYPES)),
  prevKv: bool(6),
  watchId: signedCounter(7),
  fragment: bool(8),
})
export type WatchCreateRequest = Decoded<typeof WatchCreateRequest>

export const WatchCancelRequest = define('etcdserverpb.WatchCancelRequest', {
  watchId: signedCounter(1),
})
export type WatchCancelRequest = Decoded<typeof WatchCancelRequest>

export const WatchProgressRequest = define('etcdserverpb.WatchProgressRequest', {})
export type WatchProgressRequest = Decoded<typeof WatchProgressRequest>

export const WatchResponse = define('etcdserverpb.WatchResponse', {
  header: message(1, () => ResponseHeader),
  watchId: signedCounter(2),
  created: bool(3),
  canceled: bool(4),
  compactRevision: signedCounter<Revision>(5),
  cancelReason: string(6),
  fragment: bool(7),
  events: repeated(message(11, () => Event)),
})
export type WatchResponse = Decoded<typeof WatchResponse>

export const LeaseGrantRequest = define('etcdserverpb.LeaseGrantRequest', {
  TTL: signedCounter(1),
  ID: signedId<LeaseId>(2),
})
export type LeaseGrantRequest = Decoded<typeof LeaseGrantRequest>

export const LeaseGrantResponse = define('etcdserverpb.LeaseGrantResponse', {
  header: message(1, () => ResponseHeader),
  ID: signedId<LeaseId>(2),
  TTL: signedCounter(3),
  error: string(4),
})
export type LeaseGrantResponse = Decoded<typeof LeaseGrantResponse>

export const LeaseRevokeRequest = define('etcdserverpb.LeaseRevokeRequest', {
  ID: signedId<LeaseId>(1),
})
export type LeaseRevokeRequest = Decoded<typeof LeaseRevokeRequest>

export const LeaseRevokeResponse = define('etcdserverpb.LeaseRevokeResponse', {
  header: message(1, () => ResponseHeader),
})
export type LeaseRevokeResponse = Decoded<typeof LeaseRevokeResponse>

export const LeaseCheckpoint = define('etcdserverpb.LeaseCheckpoint', {
  ID: signedId<LeaseId>(1),
  remaining_TTL: signedCounter(2),
})
export type LeaseCheckpoint = Decoded<typeof LeaseCheckpoint>

export const LeaseCheckpointRequest = define('etcdserverpb.LeaseCheckpointRequest', {
  checkpoints: repeated(message(1, () => LeaseCheckpoint)),
})
export type LeaseCheckpointRequest = Decoded<typeof LeaseCheckpointRequest>

export const LeaseCheckpointResponse = define('etcdserverpb.LeaseCheckpointResponse', {
  header: message(1, () => ResponseHeader),
})
export type LeaseCheckpointResponse = Decoded<typeof LeaseCheckpointResponse>

export const LeaseKeepAliveRequest = define('etcdserverpb.LeaseKeepAliveRequest', {
  ID: signedId<LeaseId>(1),
})
export type LeaseKeepAliveRequest = Decoded<typeof LeaseKeepAliveRequest>

export const LeaseKeepAliveResponse = define('etcdserverpb.LeaseKeepAliveResponse', {
  header: message(1, () => ResponseHeader),
  ID: signedId<LeaseId>(2),
  TTL: signedCounter(3),
})
export type LeaseKeepAliveResponse = Decoded<typeof LeaseKeepAliveResponse>

export const LeaseTimeToLiveRequest = define('etcdserverpb.LeaseTimeToLiveRequest', {
  ID: signedId<LeaseId>(1),
  keys: bool(2),
})
export type LeaseTimeToLiveRequest = Decoded<typeof LeaseTimeToLiveRequest>

export const LeaseTimeToLiveResponse = define('etcdserverpb.LeaseTimeToLiveResponse', {
  header: message(1, () => ResponseHeader),
  ID: signedId<LeaseId>(2),
  TTL: signedCounter(3),
  grantedTTL: signedCounter(4),
  keys: repeated(bytes(5)),
})
export type LeaseTimeToLiveResponse = Decoded<typeof LeaseTimeToLiveResponse>

export const LeaseLeasesRequest = define('etcdserverpb.LeaseLeasesRequest', {})
export type LeaseLeasesRequest = Decoded<typeof LeaseLeasesRequest>

export const LeaseStatus = define('etcdserverpb.LeaseStatus', {
  ID: signedId<LeaseId>(1),
})
export type LeaseStatus = Decoded<typeof LeaseStatus>

export const LeaseLeasesResponse = define('etcdserverpb.LeaseLeasesResponse', {
  header: message(1, () => ResponseHeader),
  leases: repeated(message(2, () => LeaseStatus)),
})
export type LeaseLeasesResponse = Decoded<typeof LeaseLeasesResponse>

export const Member = define('etcdserverpb.Member', {
  ID: id<MemberId>(1),
  name: string(2),
  peerURLs: repeated(string(3)),
  clientURLs: repeated(string(4)),
  isLearner: bool(5),
})
export type Member = Decoded<typeof Member>

export const MemberAddRequest = define('etcdserverpb.MemberAddRequest', {
  peerURLs: repeated(string(1)),
  isLearner: bool(2),
})
export type MemberAddRequest = Decoded<typeof MemberAddRequest>

export const MemberAddResponse = define('etcdserverpb.MemberAddResponse', {
  header: message(1, () => ResponseHeader),
  member: message(2, () => Member),
  members: repeated(message(3, () => Member)),
})
export type MemberAddResponse = Decoded<typeof MemberAddResponse>

export const MemberRemoveRequest = define('etcdserverpb.MemberRemoveRequest', {
  ID: id<MemberId>(1),
})
export type MemberRemoveRequest = Decoded<typeof MemberRemoveRequest>

export const MemberRemoveResponse = define('etcdserverpb.MemberRemoveResponse', {
  header: message(1, () => ResponseHeader),
  members: repeated(message(2, () => Member)),
})
export type MemberRemoveResponse = Decoded<typeof MemberRemoveResponse>

export const MemberUpdateRequest = define('etcdserverpb.MemberUpdateRequest', {
  ID: id<MemberId>(1),
  peerURLs: repeated(string(2)),
})
export type MemberUpdateRequest = Decoded<typeof MemberUpdateRequest>

export const MemberUpdateResponse = define('etcdserverpb.MemberUpdateResponse', {
  header: message(1, () => ResponseHeader),
  members: repeated(message(2, () => Member)),
})
export type MemberUpdateResponse = Decoded<typeof MemberUpdateResponse>

export const MemberListRequest = define('etcdserverpb.MemberListRequest', {
  linearizable: bool(1),
})
export type MemberListRequest = Decoded<typeof MemberListRequest>

export const MemberListResponse = define('etcdserverpb.MemberListResponse', {
  header: message(1, () => ResponseHeader),
  members: repeated(message(2, () => Member)),
})
export type MemberListResponse = Decoded<typeof MemberListResponse>

export const MemberPromoteRequest = define('etcdserverpb.MemberPromoteRequest', {
  ID: id<MemberId>(1),
})
export type MemberPromoteRequest = Decoded<typeof MemberPromoteRequest>

export const MemberPromoteResponse = define('etcdserverpb.MemberPromoteResponse', {
  header: message(1, () => ResponseHeader),
  members: repeated(message(2, () => Member)),
})
export type MemberPromoteResponse = Decoded<typeof MemberPromoteResponse>

export const DefragmentRequest = define('etcdserverpb.DefragmentRequest', {})
export type DefragmentRequest = Decoded<typeof DefragmentRequest>

export const DefragmentResponse = define('etcdserverpb.DefragmentResponse', {
  header: message(1, () => ResponseHeader),
})
export type DefragmentResponse = Decoded<typeof DefragmentResponse>

export const MoveLeaderRequest = define('etcdserverpb.MoveLeaderRequest', {
  targetID: id<MemberId>(1),
})
export type MoveLeaderRequest = Decoded<typeof MoveLeaderRequest>

export const MoveLeaderResponse = define('etcdserverpb.MoveLeaderResponse', {
  header: message(1, () => ResponseHeader),
})
export type MoveLeaderResponse = Decoded<typeof MoveLeaderResponse>

export const AlarmRequest = define('etcdserverpb.AlarmRequest', {
  action: enumeration(1, ALARM_ACTIONS),
  memberID: id<MemberId>(2),
  alarm: enumeration(3, ALARM_TYPES),
})
export type AlarmRequest = Decoded<typeof AlarmRequest>

export const AlarmMember = define('etcdserverpb.AlarmMember', {
  memberID: id<MemberId>(1),
  alarm: enumeration(2, ALARM_TYPES),
})
export type AlarmMember = Decoded<typeof AlarmMember>

export const AlarmResponse = define('etcdserverpb.AlarmResponse', {
  header: message(1, () => ResponseHeader),
  alarms: repeated(message(2, () => AlarmMember)),
})
export type AlarmResponse = Decoded<typeof AlarmResponse>

export const DowngradeRequest = define('etcdserverpb.DowngradeRequest', {
  action: enumeration(1, DOWNGRADE_ACTIONS),
  version: string(2),
})
export type DowngradeRequest = Decoded<typeof DowngradeRequest>

export const DowngradeResponse = define('etcdserverpb.DowngradeResponse', {
  header: message(1, () => ResponseHeader),
  version: string(2),
})
export type DowngradeResponse = Decoded<typeof DowngradeResponse>

export const DowngradeVersionTestRequest = define('etcdserverpb.DowngradeVersionTestRequest', {
  ver: string(1),
})
export type DowngradeVersionTestRequest = Decoded<typeof DowngradeVersionTestRequest>

export const StatusRequest = define('etcdserverpb.StatusRequest', {})
export type StatusRequest = Decoded<typeof StatusRequest>

export const StatusResponse = define('etcdserverpb.StatusResponse', {
  header: message(1, () => ResponseHeader),
  version: string(2),
  dbSize: signedCounter(3),
  leader: id<MemberId>(4),
  raftIndex: counter<LogIndex>(5),
  raftTerm: counter<Term>(6),
  raftAppliedIndex: counter<LogIndex>(7),
  errors: repeated(string(8)),
  dbSizeInUse: signedCounter(9),
  isLearner: bool(10),
  storageVersion: string(11),
  dbSizeQuota: signedCounter(12),
  downgradeInfo: message(13, () => DowngradeInfo),
})
export type StatusResponse = Decoded<typeof StatusResponse>

export const DowngradeInfo = define('etcdserverpb.DowngradeInfo', {
  enabled: bool(1),
  targetVersion: string(2),
})
export type DowngradeInfo = Decoded<typeof DowngradeInfo>

export const AuthEnableRequest = define('etcdserverpb.AuthEnableRequest', {})
export type AuthEnableRequest = Decoded<typeof AuthEnableRequest>

export const AuthDisableRequest = define('etcdserverpb.AuthDisableRequest', {})
export type AuthDisableRequest = Decoded<typeof AuthDisableRequest>

export const AuthStatusRequest = define('etcdserverpb.AuthStatusRequest', {})
export type AuthStatusRequest = Decoded<typeof AuthStatusRequest>

export const AuthenticateRequest = define('etcdserverpb.AuthenticateRequest', {
  name: string(1),
  password: string(2),
})
export type AuthenticateRequest = Decoded<typeof AuthenticateRequest>

export const AuthUserAddRequest = define('etcdserverpb.AuthUserAddRequest', {
  name: string(1),
  password: string(2),
  options: message(3, () => UserAddOptions),
  hashedPassword: string(4),
})
export type AuthUserAddRequest = Decoded<typeof AuthUserAddRequest>

export const AuthUserGetRequest = define('etcdserverpb.AuthUserGetRequest', {
  name: string(1),
})
export type AuthUserGetRequest = Decoded<typeof AuthUserGetRequest>

export const AuthUserDeleteRequest = define('etcdserverpb.AuthUserDeleteRequest', {
  name: string(1),
})
export type AuthUserDeleteRequest = Decoded<typeof AuthUserDeleteRequest>

export const AuthUserChangePasswordRequest = define('etcdserverpb.AuthUserChangePasswordRequest', {
  name: string(1),
  password: string(2),
  hashedPassword: string(3),
})
export type AuthUserChangePasswordRequest = Decoded<typeof AuthUserChangePasswordRequest>

export const AuthUserGrantRoleRequest = define('etcdserverpb.AuthUserGrantRoleRequest', {
  user: string(1),
  role: string(2),
})
export type AuthUserGrantRoleRequest = Decoded<typeof AuthUserGrantRoleRequest>

export const AuthUserRevokeRoleRequest = define('etcdserverpb.AuthUserRevokeRoleRequest', {
  name: string(1),
  role: string(2),
})
export type AuthUserRevokeRoleRequest = Decoded<typeof AuthUserRevokeRoleRequest>

export const AuthRoleAddRequest = define('etcdserverpb.AuthRoleAddRequest', {
  name: string(1),
})
export type AuthRoleAddRequest = Decoded<typeof AuthRoleAddRequest>

export const AuthRoleGetRequest = define('etcdserverpb.AuthRoleGetRequest', {
  role: string(1),
})
export type AuthRoleGetRequest = Decoded<typeof AuthRoleGetRequest>

export const AuthUserListRequest = define('etcdserverpb.AuthUserListRequest', {})
export type AuthUserListRequest = Decoded<typeof AuthUserListRequest>

export const AuthRoleListRequest = define('etcdserverpb.AuthRoleListRequest', {})
export type AuthRoleListRequest = Decoded<typeof AuthRoleListRequest>

export const AuthRoleDeleteRequest = define('etcdserverpb.AuthRoleDeleteRequest', {
  role: string(1),
})
export type AuthRoleDeleteRequest = Decoded<typeof AuthRoleDeleteRequest>

export const AuthRoleGrantPermissionRequest = define(
  'etcdserverpb.AuthRoleGrantPermissionRequest',
  {
    name: string(1),
    perm: message(2, () => Permission),
  },
)
export type AuthRoleGrantPermissionRequest = Decoded<typeof AuthRoleGrantPermissionRequest>

export const AuthRoleRevokePermissionRequest = define(
  'etcdserverpb.AuthRoleRevokePermissionRequest',
  {
    role: string(1),
    key: bytes(2),
    rangeEnd: bytes(3),
  },
)
export type AuthRoleRevokePermissionRequest = Decoded<typeof AuthRoleRevokePermissionRequest>

export const AuthEnableResponse = define('etcdserverpb.AuthEnableResponse', {
  header: message(1, () => ResponseHeader),
})
export type AuthEnableResponse = Decoded<typeof AuthEnableResponse>

export const AuthDisableResponse = define('etcdserverpb.AuthDisableResponse', {
  header: message(1, () => ResponseHeader),
})
export type AuthDisableResponse = Decoded<typeof AuthDisableResponse>

export const AuthStatusResponse = define('etcdserverpb.AuthStatusResponse', {
  header: message(1, () => ResponseHeader),
  enabled: bool(2),
  authRevision: counter(3),
})
export type AuthStatusResponse = Decoded<typeof AuthStatusResponse>

export const AuthenticateResponse = define('etcdserverpb.AuthenticateResponse', {
  header: message(1, () => ResponseHeader),
  token: string(2),
})
export type AuthenticateResponse = Decoded<typeof AuthenticateResponse>

export const AuthUserAddResponse = define('etcdserverpb.AuthUserAddResponse', {
  header: message(1, () => ResponseHeader),
})
export type AuthUserAddResponse = Decoded<typeof AuthUserAddResponse>

export const AuthUserGetResponse = define('etcdserverpb.AuthUserGetResponse', {
  header: message(1, () => ResponseHeader),
  roles: repeated(string(2)),
})
export type AuthUserGetResponse = Decoded<typeof AuthUserGetResponse>

export const AuthUserDeleteResponse = define('etcdserverpb.AuthUserDeleteResponse', {
  header: message(1, () => ResponseHeader),
})
export type AuthUserDeleteResponse = Decoded<typeof AuthUserDeleteResponse>

export const AuthUserChangePasswordResponse = define(
  'etcdserverpb.AuthUserChangePasswordResponse',
  {
    header: message(1, () => ResponseHeader),
  },
)
export type AuthUserChangePasswordResponse = Decoded<typeof AuthUserChangePasswordResponse>

export const AuthUserGrantRoleResponse = define('etcdserverpb.AuthUserGrantRoleResponse', {
  header: message(1, () => ResponseHeader),
})
export type AuthUserGrantRoleResponse = Decoded<typeof AuthUserGrantRoleResponse>

export const AuthUserRevokeRoleResponse = define('etcdserverpb.AuthUserRevokeRoleResponse', {
  header: message(1, () => ResponseHeader),
})
export type AuthUserRevokeRoleResponse = Decoded<typeof AuthUserRevokeRoleResponse>

export const AuthRoleAddResponse = define('etcdserverpb.AuthRoleAddResponse', {
  header: message(1, () => ResponseHeader),
})
export type AuthRoleAddResponse = Decoded<typeof AuthRoleAddResponse>

export const AuthRoleGetResponse = define('etcdserverpb.AuthRoleGetResponse', {
  header: message(1, () => ResponseHeader),
  perm: repeated(message(2, () => Permission)),
})
export type AuthRoleGetResponse = Decoded<typeof AuthRoleGetResponse>

export const AuthRoleListResponse = define('etcdserverpb.AuthRoleListResponse', {
  header: message(1, () => ResponseHeader),
  roles: repeated(string(2)),
})
export type AuthRoleListResponse = Decoded<typeof AuthRoleListResponse>

export const AuthUserListResponse = define('etcdserverpb.AuthUserListResponse', {
  header: message(1, () => ResponseHeader),
  users: repeated(string(2)),
})
export type AuthUserListResponse = Decoded<typeof AuthUserListResponse>

export const AuthRoleDeleteResponse = define('etcdserverpb.AuthRoleDeleteResponse', {
  header: message(1, () => ResponseHeader),
})
export type AuthRoleDeleteResponse = Decoded<typeof AuthRoleDeleteResponse>

export const AuthRoleGrantPermissionResponse = define(
  'etcdserverpb.AuthRoleGrantPermissionResponse',
  {
    header: message(1, () => ResponseHeader),
  },
)
export type AuthRoleGrantPermissionResponse = Decoded<typeof AuthRoleGrantPermissionResponse>

export const AuthRoleRevokePermissionResponse = define(
  'etcdserverpb.AuthRoleRevokePermissionResponse',
  {
    header: message(1, () => ResponseHeader),
  },
)
export type AuthRoleRevokePermissionResponse = Decoded<typeof AuthRoleRevokePermissionResponse>

export const RangeStreamResponse = define('etcdserverpb.RangeStreamResponse', {
  rangeResponse: message(1, () => RangeResponse),
})
export type RangeStreamResponse = Decoded<typeof RangeStreamResponse>
