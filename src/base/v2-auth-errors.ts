/**
 * What the v2 API says when a change of users and roles is refused: texts and HTTP statuses of etcd
 * (facts: http.md 5). `%s` stands for the names that belong there, in their order.
 */

interface V2AuthErrorDefinition {
  readonly message: string
  readonly httpStatus: number
}

const define = (httpStatus: number, message: string): V2AuthErrorDefinition => ({
  httpStatus,
  message,
})

export const v2AuthErrors = {
  INSUFFICIENT_CREDENTIALS: define(401, 'Insufficient credentials'),
  NOT_CAPABLE: define(500, 'Not capable of accessing auth feature during rolling upgrades.'),
  INTERNAL: define(500, 'Internal Server Error'),
  INVALID_PATH: define(400, 'Invalid path'),
  INVALID_JSON: define(400, 'Invalid JSON in request body.'),
  ROLE_NAME_MISMATCH: define(400, 'Role JSON name does not match the name in the URL'),
  ROLE_AMBIGUOUS: define(400, 'Role JSON contains both permissions and grant/revoke'),
  USER_NAME_MISMATCH: define(400, 'User JSON name does not match the name in the URL'),
  USER_AMBIGUOUS: define(400, 'User JSON contains both roles and grant/revoke'),
  EMPTY_PASSWORD: define(400, 'auth: Cannot create user %s with an empty password'),
  USER_EXISTS: define(409, 'auth: User %s already exists.'),
  USER_NOT_FOUND: define(404, 'auth: User %s does not exist.'),
  USER_TO_DELETE_NOT_FOUND: define(404, 'auth: User %s does not exist'),
  USER_NOT_UPDATED: define(
    400,
    'auth: User not updated. Use grant/revoke/password to update the user.',
  ),
  ROOT_USER_IN_USE: define(403, 'auth: Cannot delete root user while auth is enabled.'),
  ROLE_GRANTED: define(409, 'auth: Granting duplicate role %s for user %s'),
  ROLE_NOT_GRANTED: define(409, 'auth: Revoking ungranted role %s for user %s'),
  ROLE_IS_ROOT: define(403, 'auth: Cannot modify role %s: is root role.'),
  ROLE_EXISTS: define(409, 'auth: Role %s already exists.'),
  ROLE_NOT_FOUND: define(404, 'auth: Role %s does not exist.'),
  ROLE_TO_DELETE_NOT_FOUND: define(404, "auth: Role %s doesn't exist."),
  ROLE_NOT_UPDATED: define(400, 'auth: Role not updated. Use grant/revoke to update the role.'),
  READ_GRANTED: define(409, 'auth: Granting duplicate read permission %s'),
  WRITE_GRANTED: define(409, 'auth: Granting duplicate write permission %s'),
  ALREADY_ENABLED: define(409, 'auth: already enabled'),
  ALREADY_DISABLED: define(409, 'auth: already disabled'),
  NO_ROOT_USER: define(409, 'auth: No root user available, please create one'),
} as const satisfies Record<string, V2AuthErrorDefinition>

export type V2AuthErrorCode = keyof typeof v2AuthErrors

/** One refusal, as a value: the code, and the text with its names. */
export interface V2AuthRefusal {
  readonly code: V2AuthErrorCode
  readonly httpStatus: number
  readonly message: string
}

/** Makes a refusal; `names` fill the places of the text. */
export function refuseV2Auth(code: V2AuthErrorCode, ...names: readonly string[]): V2AuthRefusal {
  const { httpStatus, message } = v2AuthErrors[code]
  const rest = [...names]
  return { code, httpStatus, message: message.replaceAll('%s', () => rest.shift() ?? '') }
}
