/**
 * Users and roles read from JSON as Go reads them into its structs: names of fields in any case,
 * unknown ones skipped, `null` for "as it was". Requests and the tree have the same form.
 */
import { type ExactJson, parseExactJson, parseFirstExactJson } from '../base/go-json.js'
import { type GoStrings, NO_PERMISSIONS, type V2Permissions, type V2Role } from './v2-role.js'
import type { V2UserRequest } from './v2-user.js'

/** A value that does not fit its field. */
class Misfit extends Error {}

type Fields = Readonly<Record<string, (value: ExactJson) => void>>

/** Hands the members of an object to `fields`, whose names are in lower case. */
function readObject(json: ExactJson, fields: Fields): void {
  if (json === null) return
  if (!(json instanceof Map)) throw new Misfit('not an object')
  for (const [name, value] of json as ReadonlyMap<string, ExactJson>) {
    if (value !== null) fields[name.toLowerCase()]?.(value)
  }
}

function readText(json: ExactJson): string {
  if (typeof json !== 'string') throw new Misfit('not a string')
  return json.replace(/\p{Surrogate}/gu, '\ufffd')
}

function readStrings(json: ExactJson): readonly string[] {
  if (!Array.isArray(json)) throw new Misfit('not an array')
  return json.map((item: ExactJson) => (item === null ? '' : readText(item)))
}

function readPermissions(json: ExactJson): V2Permissions {
  let { read, write } = NO_PERMISSIONS
  readObject(json, {
    kv: (pair) =>
      readObject(pair, {
        read: (list) => {
          read = readStrings(list)
        },
        write: (list) => {
          write = readStrings(list)
        },
      }),
  })
  return { read, write }
}

function readUser(json: ExactJson): V2UserRequest {
  let user = ''
  let password = ''
  let roles: GoStrings = null
  let grant: GoStrings = null
  let revoke: GoStrings = null
  readObject(json, {
    user: (value) => {
      user = readText(value)
    },
    password: (value) => {
      password = readText(value)
    },
    roles: (value) => {
      roles = readStrings(value)
    },
    grant: (value) => {
      grant = readStrings(value)
    },
    revoke: (value) => {
      revoke = readStrings(value)
    },
  })
  return { user, password, roles, grant, revoke }
}

function readRole(json: ExactJson): V2Role {
  let role = ''
  let permissions = NO_PERMISSIONS
  let grant: V2Permissions | undefined
  let revoke: V2Permissions | undefined
  readObject(json, {
    role: (value) => {
      role = readText(value)
    },
    permissions: (value) => {
      permissions = readPermissions(value)
    },
    grant: (value) => {
      grant = readPermissions(value)
    },
    revoke: (value) => {
      revoke = readPermissions(value)
    },
  })
  return {
    role,
    permissions,
    ...(grant === undefined ? {} : { grant }),
    ...(revoke === undefined ? {} : { revoke }),
  }
}

function readAs<T>(json: ExactJson | undefined, read: (json: ExactJson) => T): T | undefined {
  if (json === undefined) return undefined
  try {
    return read(json)
  } catch (thrown) {
    if (thrown instanceof Misfit) return undefined
    throw thrown
  }
}

/** The first JSON value of a request's body as a user; what follows it is ignored, as with etcd. */
export const parseUserRequest = (body: string): V2UserRequest | undefined =>
  readAs(parseFirstExactJson(body), readUser)

/** The first JSON value of a request's body as a role. */
export const parseRoleRequest = (body: string): V2Role | undefined =>
  readAs(parseFirstExactJson(body), readRole)

/** A user as the tree has it. */
export const parseStoredUser = (text: string): V2UserRequest | undefined =>
  readAs(parseExactJson(text), readUser)

/** A role as the tree has it. */
export const parseStoredRole = (text: string): V2Role | undefined =>
  readAs(parseExactJson(text), readRole)
