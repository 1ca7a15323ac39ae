/** Users of the v2 API: a password's hash and the names of roles (facts: http.md 5). */
import { compareGo, quoteGo } from '../base/go-json.js'
import { refuseV2Auth, type V2AuthRefusal } from '../base/v2-auth-errors.js'
import { encodeStrings, type GoStrings, ROOT_ROLE_NAME, sameStrings } from './v2-role.js'

/** The user without whom authentication cannot be turned on; it always has the root role. */
export const ROOT_USER_NAME = 'root'

export interface V2User {
  readonly user: string
  /** In a request the password itself, in the tree its bcrypt hash; empty = not given. */
  readonly password: string
  readonly roles: GoStrings
}

/** What a request says: a user, and what is to be changed of one that is there. */
export interface V2UserRequest extends V2User {
  /** Roles to add. */
  readonly grant: GoStrings
  /** Roles to take away. */
  readonly revoke: GoStrings
}

/** The JSON of the tree and of answers; without the password where that is empty. */
export function encodeUser({ user, password, roles }: V2User): string {
  const fields = [`"user":${quoteGo(user)}`]
  if (password !== '') fields.push(`"password":${quoteGo(password)}`)
  fields.push(`"roles":${encodeStrings(roles)}`)
  return `{${fields.join(',')}}`
}

/** The root user with the root role, whatever it was created with; other users as they are. */
export function withRootRole<User extends V2User>(user: User): User {
  if (user.user !== ROOT_USER_NAME || user.roles?.includes(ROOT_ROLE_NAME) === true) return user
  return { ...user, roles: [...(user.roles ?? []), ROOT_ROLE_NAME] }
}

export type UserOutcome =
  | { readonly kind: 'user'; readonly user: V2User }
  | { readonly kind: 'refused'; readonly refusal: V2AuthRefusal }

const refused = (refusal: V2AuthRefusal): UserOutcome => ({ kind: 'refused', refusal })

/**
 * `user` with the roles that `change` grants and then revokes, sorted, and with `passwordHash` if
 * there is a new one. Refused: a role that it has already, or has not; a change of nothing.
 */
export function updateUser(
  user: V2User,
  change: V2UserRequest,
  passwordHash: string | undefined,
): UserOutcome {
  const roles = new Set(user.roles)
  for (const role of change.grant ?? []) {
    if (roles.has(role)) return refused(refuseV2Auth('ROLE_GRANTED', role, change.user))
    roles.add(role)
  }
  for (const role of change.revoke ?? []) {
    if (!roles.has(role)) return refused(refuseV2Auth('ROLE_NOT_GRANTED', role, change.user))
    roles.delete(role)
  }
  const password = passwordHash ?? user.password
  const updated = { user: user.user, password, roles: [...roles].sort(compareGo) }
  const isSame = password === user.password && sameStrings(user.roles, updated.roles)
  return isSame ? refused(refuseV2Auth('USER_NOT_UPDATED')) : { kind: 'user', user: updated }
}
