/**
 * The catalogue of operating errors. Codes are stable and ours; messages are etcd's to the byte,
 * because official clients match on them (facts: v3-api.md 9). Everyone else matches `code`.
 */

/** One kind of failure that an operator or client can meet. */
export interface ErrorDefinition {
  /** Exact text on the wire. */
  readonly message: string
  /** gRPC status code on the wire. */
  readonly grpc: number
  /** Whether the same request may succeed later without a change. */
  readonly retryable: boolean
}

const refused = (message: string, grpc: number): ErrorDefinition => ({
  message,
  grpc,
  retryable: false,
})
const passing = (message: string, grpc: number): ErrorDefinition => ({
  message,
  grpc,
  retryable: true,
})

export const errors = {
  EMPTY_KEY: refused('etcdserver: key is not provided', 3),
  KEY_NOT_FOUND: refused('etcdserver: key not found', 3),
  VALUE_PROVIDED: refused('etcdserver: value is provided', 3),
  LEASE_PROVIDED: refused('etcdserver: lease is provided', 3),
  TOO_MANY_OPS: refused('etcdserver: too many operations in txn request', 3),
  DUPLICATE_KEY: refused('etcdserver: duplicate key given in txn request', 3),
  INVALID_CLIENT_API_VERSION: refused('etcdserver: invalid client api version', 3),
  INVALID_SORT_OPTION: refused('etcdserver: invalid sort option', 3),
  COMPACTED: refused('etcdserver: mvcc: required revision has been compacted', 11),
  FUTURE_REVISION: refused('etcdserver: mvcc: required revision is a future revision', 11),
  NO_SPACE: refused('etcdserver: mvcc: database space exceeded', 8),
  LEASE_NOT_FOUND: refused('etcdserver: requested lease not found', 5),
  LEASE_EXISTS: refused('etcdserver: lease already exists', 9),
  LEASE_TTL_TOO_LARGE: refused('etcdserver: too large lease TTL', 11),
  WATCH_CANCELED: refused('etcdserver: watch canceled', 1),
  MEMBER_EXISTS: refused('etcdserver: member ID already exist', 9),
  PEER_URL_EXISTS: refused('etcdserver: Peer URLs already exists', 9),
  /**
   * Sent as Unknown: etcd's own table maps it to the client-side type (facts: v3-api.md 9, note).
   */
  NOT_ENOUGH_STARTED_MEMBERS: refused(
    'etcdserver: re-configuration failed due to not enough started members',
    2,
  ),
  BAD_MEMBER_URLS: refused('etcdserver: given member URLs are invalid', 3),
  MEMBER_NOT_FOUND: refused('etcdserver: member not found', 5),
  MEMBER_NOT_LEARNER: refused('etcdserver: can only promote a learner member', 9),
  LEARNER_NOT_READY: passing(
    'etcdserver: can only promote a learner member which is in sync with leader',
    9,
  ),
  TOO_MANY_LEARNERS: refused('etcdserver: too many learner members in cluster', 9),
  CLUSTER_ID_MISMATCH: refused('etcdserver: cluster ID mismatch', 9),
  REQUEST_TOO_LARGE: refused('etcdserver: request is too large', 3),
  /** Sent as Unknown, as NOT_ENOUGH_STARTED_MEMBERS is. */
  TOO_MANY_REQUESTS: passing('etcdserver: too many requests', 2),
  ROOT_USER_NOT_EXIST: refused('etcdserver: root user does not exist', 9),
  ROOT_ROLE_NOT_EXIST: refused('etcdserver: root user does not have root role', 9),
  USER_EXISTS: refused('etcdserver: user name already exists', 9),
  USER_EMPTY: refused('etcdserver: user name is empty', 3),
  USER_NOT_FOUND: refused('etcdserver: user name not found', 9),
  ROLE_EXISTS: refused('etcdserver: role name already exists', 9),
  ROLE_NOT_FOUND: refused('etcdserver: role name not found', 9),
  ROLE_EMPTY: refused('etcdserver: role name is empty', 3),
  AUTH_FAILED: refused('etcdserver: authentication failed, invalid user ID or password', 3),
  PERMISSION_NOT_GIVEN: refused('etcdserver: permission not given', 3),
  PERMISSION_DENIED: refused('etcdserver: permission denied', 7),
  ROLE_NOT_GRANTED: refused('etcdserver: role is not granted to the user', 9),
  PERMISSION_NOT_GRANTED: refused('etcdserver: permission is not granted to the role', 9),
  AUTH_NOT_ENABLED: refused('etcdserver: authentication is not enabled', 9),
  INVALID_AUTH_TOKEN: refused('etcdserver: invalid auth token', 16),
  INVALID_AUTH_MANAGEMENT: refused('etcdserver: invalid auth management', 3),
  AUTH_OLD_REVISION: passing('etcdserver: revision of auth store is old', 3),
  NO_LEADER: passing('etcdserver: no leader', 14),
  NOT_LEADER: refused('etcdserver: not leader', 9),
  LEADER_CHANGED: passing('etcdserver: leader changed', 14),
  NOT_CAPABLE: passing('etcdserver: not capable', 14),
  STOPPED: passing('etcdserver: server stopped', 14),
  TIMEOUT: passing('etcdserver: request timed out', 14),
  TIMEOUT_LEADER_FAILURE: passing(
    'etcdserver: request timed out, possibly due to previous leader failure',
    14,
  ),
  TIMEOUT_CONNECTION_LOST: passing(
    'etcdserver: request timed out, possibly due to connection lost',
    14,
  ),
  TIMEOUT_WAIT_APPLIED: passing(
    'etcdserver: request timed out, waiting for the applied index took too long',
    14,
  ),
  TIMEOUT_LEADER_TRANSFER: passing(
    'etcdserver: request timed out, leader transfer took too long',
    2,
  ),
  UNHEALTHY_CLUSTER: passing('etcdserver: unhealthy cluster', 14),
  CORRUPT: refused('etcdserver: corrupt cluster', 15),
  LEARNER_RPC_NOT_SUPPORTED: refused('etcdserver: rpc not supported for learner', 14),
  BAD_LEADER_TRANSFEREE: refused('etcdserver: bad leader transferee', 9),
  WRONG_DOWNGRADE_VERSION_FORMAT: refused('etcdserver: wrong downgrade target version format', 3),
  INVALID_DOWNGRADE_TARGET: refused('etcdserver: invalid downgrade target version', 3),
  CLUSTER_VERSION_UNAVAILABLE: passing(
    'etcdserver: cluster version not found during downgrade',
    14,
  ),
  DOWNGRADE_IN_PROGRESS: refused('etcdserver: cluster has a downgrade job in progress', 9),
  NO_INFLIGHT_DOWNGRADE: refused('etcdserver: no inflight downgrade job', 9),
  CANCELED: passing('etcdserver: request canceled', 1),
  DEADLINE_EXCEEDED: passing('etcdserver: context deadline exceeded', 4),
  /** A lease operation that only the leader can do reached a member that is not (any more). */
  NOT_PRIMARY_LESSOR: passing('not a primary lessor', 2),
  /** The backend, the disk or a peer failed in a way that has no text of etcd's own. */
  INTERNAL: refused('etcdserver: internal error', 13),
} as const satisfies Record<string, ErrorDefinition>

export type ErrorCode = keyof typeof errors

/** An operating error above the pure layers. Match on `code`; `message` is what clients see. */
export class DaemonError extends Error {
  override readonly name = 'DaemonError'
  readonly code: ErrorCode
  readonly grpcStatus: number
  readonly retryable: boolean

  constructor(code: ErrorCode, options?: { readonly cause?: unknown; readonly message?: string }) {
    const definition: ErrorDefinition = errors[code]
    super(
      options?.message ?? definition.message,
      options?.cause === undefined ? {} : { cause: options.cause },
    )
    this.code = code
    this.grpcStatus = definition.grpc
    this.retryable = definition.retryable
  }

  /** The only conversion of what was thrown elsewhere; the cause is kept and never sent. */
  static from(thrown: unknown): DaemonError {
    if (thrown instanceof DaemonError) return thrown
    return new DaemonError('INTERNAL', { cause: thrown })
  }
}
