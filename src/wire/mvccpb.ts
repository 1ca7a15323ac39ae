/**
 * mvccpb, authpb, leasepb (proto3). Facts: v3-api.md 10. The bytes of KeyValue are hashed: never
 * change them.
 */
import type { LeaseId, Revision } from '../base/ids.js'
import {
  bool,
  bytes,
  type Decoded,
  define,
  enumeration,
  message,
  repeated,
  signedCounter,
  signedId,
  string,
} from './codec.js'

export const KeyValue = define('mvccpb.KeyValue', {
  key: bytes(1),
  createRevision: signedCounter<Revision>(2),
  modRevision: signedCounter<Revision>(3),
  version: signedCounter(4),
  value: bytes(5),
  lease: signedId<LeaseId>(6),
})
export type KeyValue = Decoded<typeof KeyValue>

export const EVENT_TYPES = ['PUT', 'DELETE'] as const
export const Event = define('mvccpb.Event', {
  type: enumeration(1, EVENT_TYPES),
  kv: message(2, () => KeyValue),
  prevKv: message(3, () => KeyValue),
})
export type Event = Decoded<typeof Event>

export const UserAddOptions = define('authpb.UserAddOptions', { noPassword: bool(1) })
export const User = define('authpb.User', {
  name: bytes(1),
  password: bytes(2),
  roles: repeated(string(3)),
  options: message(4, () => UserAddOptions),
})
export type User = Decoded<typeof User>

export const PERMISSION_TYPES = ['READ', 'WRITE', 'READWRITE'] as const
export const Permission = define('authpb.Permission', {
  permType: enumeration(1, PERMISSION_TYPES),
  key: bytes(2),
  rangeEnd: bytes(3),
})
export type Permission = Decoded<typeof Permission>

export const Role = define('authpb.Role', {
  name: bytes(1),
  keyPermission: repeated(message(2, () => Permission)),
})
export type Role = Decoded<typeof Role>

/** What bucket `lease` holds (leasepb.Lease); TTLs in seconds. */
export const StoredLease = define('leasepb.Lease', {
  ID: signedId<LeaseId>(1),
  TTL: signedCounter(2),
  RemainingTTL: signedCounter(3),
})
export type StoredLease = Decoded<typeof StoredLease>
