/**
 * Roles of the v2 API: which keys may be read and written (facts: http.md 5). What a role looks
 * like in the tree and in answers is the same JSON.
 */
import { compareGo, quoteGo, quoteGoList } from '../base/go-json.js'
import { refuseV2Auth, type V2AuthRefusal } from '../base/v2-auth-errors.js'

/** The role that may do everything; it is not in the tree. */
export const ROOT_ROLE_NAME = 'root'
/** The role of whoever does not say who they are. */
export const GUEST_ROLE_NAME = 'guest'

/** A Go slice: `null` prints differently from an empty one, and the two are not equal. */
export type GoStrings = readonly string[] | null

/** Patterns of keys: exact, or ending in `*` for everything that begins so. */
export interface V2Permissions {
  readonly read: GoStrings
  readonly write: GoStrings
}

export interface V2Role {
  readonly role: string
  readonly permissions: V2Permissions
  /** What a request adds; stored only when it was given and empty. */
  readonly grant?: V2Permissions | undefined
  /** What a request takes away; as `grant`. */
  readonly revoke?: V2Permissions | undefined
}

export const NO_PERMISSIONS: V2Permissions = { read: null, write: null }
const ALL_KEYS: V2Permissions = { read: ['/*'], write: ['/*'] }

export const ROOT_ROLE: V2Role = { role: ROOT_ROLE_NAME, permissions: ALL_KEYS }
/** What guests may do unless somebody decided before authentication was turned on: everything. */
export const DEFAULT_GUEST_ROLE: V2Role = { role: GUEST_ROLE_NAME, permissions: ALL_KEYS }

/** Whether nothing is named at all. */
export function isEmptyPermissions(permissions: V2Permissions | undefined): boolean {
  return (permissions?.read?.length ?? 0) === 0 && (permissions?.write?.length ?? 0) === 0
}

export const sameStrings = (a: GoStrings, b: GoStrings): boolean =>
  a === null || b === null
    ? a === b
    : a.length === b.length && a.every((text, at) => text === b[at])

const samePermissions = (a: V2Permissions | undefined, b: V2Permissions | undefined): boolean =>
  a === undefined || b === undefined
    ? a === b
    : sameStrings(a.read, b.read) && sameStrings(a.write, b.write)

/** Whether two roles are equal as Go's reflect.DeepEqual has it. */
export const sameRole = (a: V2Role, b: V2Role): boolean =>
  a.role === b.role &&
  samePermissions(a.permissions, b.permissions) &&
  samePermissions(a.grant, b.grant) &&
  samePermissions(a.revoke, b.revoke)

export const encodeStrings = (strings: GoStrings): string =>
  strings === null ? 'null' : quoteGoList(strings)

const encodePermissions = ({ read, write }: V2Permissions): string =>
  `{"kv":{"read":${encodeStrings(read)},"write":${encodeStrings(write)}}}`

export function encodeRole({ role, permissions, grant, revoke }: V2Role): string {
  const fields = [`"role":${quoteGo(role)}`, `"permissions":${encodePermissions(permissions)}`]
  if (grant !== undefined) fields.push(`"grant":${encodePermissions(grant)}`)
  if (revoke !== undefined) fields.push(`"revoke":${encodePermissions(revoke)}`)
  return `{${fields.join(',')}}`
}

export type RoleOutcome =
  | { readonly kind: 'role'; readonly role: V2Role }
  | { readonly kind: 'refused'; readonly refusal: V2AuthRefusal }

const sorted = (set: ReadonlySet<string>): readonly string[] => [...set].sort(compareGo)

/** Adds patterns; the first that is there already is given back instead. */
function granted(to: GoStrings, more: GoStrings): Set<string> | string {
  const set = new Set(to)
  for (const pattern of more ?? []) {
    if (set.has(pattern)) return pattern
    set.add(pattern)
  }
  return set
}

/** Takes patterns away; those that are not there do not matter. */
function revoked(from: GoStrings, less: GoStrings): readonly string[] {
  const gone = new Set(less)
  return sorted(new Set((from ?? []).filter((pattern) => !gone.has(pattern))))
}

/**
 * `role` with what `change` grants and then revokes, sorted. Refused: a pattern that it has
 * already.
 */
export function updateRole(role: V2Role, change: V2Role): RoleOutcome {
  let { permissions } = role
  if (change.grant !== undefined) {
    const read = granted(permissions.read, change.grant.read)
    if (typeof read === 'string') {
      return { kind: 'refused', refusal: refuseV2Auth('READ_GRANTED', read) }
    }
    const write = granted(permissions.write, change.grant.write)
    if (typeof write === 'string') {
      return { kind: 'refused', refusal: refuseV2Auth('WRITE_GRANTED', write) }
    }
    permissions = { read: sorted(read), write: sorted(write) }
  }
  if (change.revoke !== undefined) {
    permissions = {
      read: revoked(permissions.read, change.revoke.read),
      write: revoked(permissions.write, change.revoke.write),
    }
  }
  const updated: V2Role = { role: role.role, permissions }
  if (sameRole(role, updated)) {
    return { kind: 'refused', refusal: refuseV2Auth('ROLE_NOT_UPDATED') }
  }
  return { kind: 'role', role: updated }
}

/** What somebody wants to do with a key. */
export interface KeyAccess {
  /** As in the URL: behind `/v2/keys`, with its slash at the end if there was one. */
  readonly key: string
  readonly isWrite: boolean
  /** The key with everything below it. */
  readonly isRecursive: boolean
}

/** An empty pattern, which ends etcd's connection, matches nothing. */
const matches = (pattern: string, { key, isRecursive }: KeyAccess): boolean =>
  pattern.endsWith('*') ? key.startsWith(pattern.slice(0, -1)) : !isRecursive && key === pattern

/** Whether a role allows it. What is recursive needs a pattern that ends in `*`. */
export function allows({ role, permissions }: V2Role, access: KeyAccess): boolean {
  if (role === ROOT_ROLE_NAME) return true
  const patterns = (access.isWrite ? permissions.write : permissions.read) ?? []
  return patterns.some((pattern) => pattern !== '' && matches(pattern, access))
}
