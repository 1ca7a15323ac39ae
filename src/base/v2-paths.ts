/** Where a cluster's own data lives in the v2 tree (facts: v2-api.md 1, disk.md 3.1). */
import { idToHex, type MemberId, memberId, parseHexId } from './ids.js'

/** The root of cluster data; read-only as a node. */
export const CLUSTER_NAMESPACE = '/0'
/** The root of users' keys; `/v2/keys/X` is `/1/X`. Read-only as a node. */
export const KEYS_NAMESPACE = '/1'
/** The root of users and roles of the v2 API. Made by the first of them; holds no keys. */
export const AUTH_NAMESPACE = '/2'

export const MEMBERS_PATH = '/0/members'
export const REMOVED_MEMBERS_PATH = '/0/removed_members'
export const CLUSTER_VERSION_PATH = '/0/version'

export const memberPath = (id: MemberId): string => `${MEMBERS_PATH}/${idToHex(id)}`
export const raftAttributesPath = (id: MemberId): string => `${memberPath(id)}/raftAttributes`
export const memberAttributesPath = (id: MemberId): string => `${memberPath(id)}/attributes`
export const removedMemberPath = (id: MemberId): string => `${REMOVED_MEMBERS_PATH}/${idToHex(id)}`

const ATTRIBUTES = /^\/0\/members\/([0-9a-fA-F]{1,16})\/attributes$/

/** Whose attributes a path holds; `undefined` when it is not such a path. */
export function parseMemberAttributesPath(path: string): MemberId | undefined {
  if (!path.startsWith(MEMBERS_PATH)) return undefined
  const hex = ATTRIBUTES.exec(path)?.[1]
  const id = hex === undefined ? undefined : parseHexId(hex)
  return id === undefined ? undefined : memberId(id)
}

/** The member that a node under `/0/members` or `/0/removed_members` is about, by its last name. */
export function parseMemberPath(path: string): MemberId | undefined {
  const id = parseHexId(path.slice(path.lastIndexOf('/') + 1))
  return id === undefined ? undefined : memberId(id)
}
