/**
 * InternalRaftRequest: the payload of a normal log entry (facts: peer-protocol.md 10.1, v3-api.md
 * 10). Exactly one operation is set. An entry whose data does not parse as this message is a v2
 * Request.
 */
import type { MemberId, RequestId } from '../base/ids.js'
import {
  bool,
  type Codec,
  counter,
  type Decoded,
  define,
  id,
  message,
  repeated,
  string,
} from './codec.js'
import * as rpc from './rpc.js'
import { V2Request } from './v2-request.js'

export const RequestHeader = define('etcdserverpb.RequestHeader', {
  ID: id<RequestId>(1),
  username: string(2),
  authRevision: counter(3),
})
export type RequestHeader = Decoded<typeof RequestHeader>

export const InternalAuthenticateRequest = define('etcdserverpb.InternalAuthenticateRequest', {
  name: string(1),
  password: string(2),
  simpleToken: string(3),
})
export type InternalAuthenticateRequest = Decoded<typeof InternalAuthenticateRequest>

export const MemberAttributes = define('membershippb.Attributes', {
  name: string(1),
  clientUrls: repeated(string(2)),
})
export type MemberAttributes = Decoded<typeof MemberAttributes>

export const ClusterVersionSetRequest = define('membershippb.ClusterVersionSetRequest', {
  ver: string(1),
})
export const ClusterMemberAttrSetRequest = define('membershippb.ClusterMemberAttrSetRequest', {
  memberID: id<MemberId>(1),
  memberAttributes: message(2, () => MemberAttributes),
})
export const DowngradeInfoSetRequest = define('membershippb.DowngradeInfoSetRequest', {
  enabled: bool(1),
  ver: string(2),
})

const operation = <Value, Init>(number: number, codec: () => Codec<Value, Init>) =>
  message(number, codec)

export const InternalRaftRequest = define('etcdserverpb.InternalRaftRequest', {
  ID: id<RequestId>(1),
  v2: operation(2, () => V2Request),
  range: operation(3, () => rpc.RangeRequest),
  put: operation(4, () => rpc.PutRequest),
  deleteRange: operation(5, () => rpc.DeleteRangeRequest),
  txn: operation(6, () => rpc.TxnRequest),
  compaction: operation(7, () => rpc.CompactionRequest),
  leaseGrant: operation(8, () => rpc.LeaseGrantRequest),
  leaseRevoke: operation(9, () => rpc.LeaseRevokeRequest),
  alarm: operation(10, () => rpc.AlarmRequest),
  leaseCheckpoint: operation(11, () => rpc.LeaseCheckpointRequest),
  header: operation(100, () => RequestHeader),
  authEnable: operation(1000, () => rpc.AuthEnableRequest),
  authDisable: operation(1011, () => rpc.AuthDisableRequest),
  authenticate: operation(1012, () => InternalAuthenticateRequest),
  authStatus: operation(1013, () => rpc.AuthStatusRequest),
  authUserAdd: operation(1100, () => rpc.AuthUserAddRequest),
  authUserDelete: operation(1101, () => rpc.AuthUserDeleteRequest),
  authUserGet: operation(1102, () => rpc.AuthUserGetRequest),
  authUserChangePassword: operation(1103, () => rpc.AuthUserChangePasswordRequest),
  authUserGrantRole: operation(1104, () => rpc.AuthUserGrantRoleRequest),
  authUserRevokeRole: operation(1105, () => rpc.AuthUserRevokeRoleRequest),
  authUserList: operation(1106, () => rpc.AuthUserListRequest),
  authRoleList: operation(1107, () => rpc.AuthRoleListRequest),
  authRoleAdd: operation(1200, () => rpc.AuthRoleAddRequest),
  authRoleDelete: operation(1201, () => rpc.AuthRoleDeleteRequest),
  authRoleGet: operation(1202, () => rpc.AuthRoleGetRequest),
  authRoleGrantPermission: operation(1203, () => rpc.AuthRoleGrantPermissionRequest),
  authRoleRevokePermission: operation(1204, () => rpc.AuthRoleRevokePermissionRequest),
  clusterVersionSet: operation(1300, () => ClusterVersionSetRequest),
  clusterMemberAttrSet: operation(1301, () => ClusterMemberAttrSetRequest),
  downgradeInfoSet: operation(1302, () => DowngradeInfoSetRequest),
})
export type InternalRaftRequest = Decoded<typeof InternalRaftRequest>
