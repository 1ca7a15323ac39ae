/**
 * The membership in the v2 tree: `/0/members`, `/0/removed_members`, `/0/version` (facts: disk.md
 * 3.1).
 */
import type { MemberId } from '../base/ids.js'
import { V2_CODES } from '../base/v2-errors.js'
import {
  CLUSTER_VERSION_PATH,
  MEMBERS_PATH,
  memberAttributesPath,
  memberPath,
  parseMemberPath,
  REMOVED_MEMBERS_PATH,
  raftAttributesPath,
  removedMemberPath,
} from '../base/v2-paths.js'
import { formatVersion, parseVersion, type Version } from './cluster-version.js'
import {
  type Attributes,
  encodeAttributes,
  encodeRaftAttributes,
  type Member,
  parseAttributes,
  parseRaftAttributes,
  type RaftAttributes,
} from './member.js'
import type { MembershipTree, TreeNodeView } from './sinks.js'

/** Nodes of the cluster never end, so the clock does not matter to them. */
const nowMs = 0
const isDirectory = false

/** What a store of either kind says about the cluster. */
export interface StoredMembership {
  readonly members: readonly Member[]
  readonly removed: readonly MemberId[]
  readonly version: Version | undefined
}

export type ReadMembership =
  | { readonly kind: 'read'; readonly stored: StoredMembership }
  | { readonly kind: 'unreadable'; readonly reason: string }

export function saveNewMember(tree: MembershipTree, member: Member): void {
  const path = raftAttributesPath(member.id)
  const value = encodeRaftAttributes(member)
  const made = tree.create({ path, nowMs, value, isDirectory, isUnique: false })
  if (made.kind === 'error' && made.error.code === V2_CODES.keyExists) {
    tree.update({ path, nowMs, value })
  }
}

export function saveRaftAttributes(
  tree: MembershipTree,
  id: MemberId,
  attributes: RaftAttributes,
): void {
  tree.update({ path: raftAttributesPath(id), nowMs, value: encodeRaftAttributes(attributes) })
}

export function saveAttributes(tree: MembershipTree, id: MemberId, attributes: Attributes): void {
  const value = encodeAttributes(attributes)
  tree.set({ path: memberAttributesPath(id), nowMs, value, isDirectory })
}

export function saveRemoval(tree: MembershipTree, id: MemberId): void {
  tree.delete({ path: memberPath(id), nowMs, isDirectory: true, isRecursive: true })
  saveRemovedId(tree, id)
}

export function saveRemovedId(tree: MembershipTree, id: MemberId): void {
  const path = removedMemberPath(id)
  tree.create({ path, nowMs, value: '', isDirectory, isUnique: false })
}

export function saveVersion(tree: MembershipTree, version: Version): void {
  const value = formatVersion(version)
  tree.set({ path: CLUSTER_VERSION_PATH, nowMs, value, isDirectory })
}

const childrenOf = (tree: MembershipTree, path: string): readonly TreeNodeView[] => {
  const got = tree.get({ path, nowMs, isRecursive: true, isSorted: true })
  return got.kind === 'event' ? (got.event.node.nodes ?? []) : []
}

function readMember(node: TreeNodeView): Member | undefined {
  const id = parseMemberPath(node.key)
  if (id === undefined) return undefined
  const textAt = (path: string): string | undefined =>
    node.nodes?.find((child) => child.key === path)?.value
  const raft = parseRaftAttributes(textAt(`${node.key}/raftAttributes`) ?? '')
  const attributes = parseAttributes(textAt(`${node.key}/attributes`) ?? '{}')
  if (raft === undefined || attributes === undefined) return undefined
  return { id, ...raft, ...attributes }
}

/** Reads the whole membership. A node that is no member makes it unreadable: etcd panics there. */
export function readMembershipTree(tree: MembershipTree): ReadMembership {
  const members: Member[] = []
  for (const node of childrenOf(tree, MEMBERS_PATH)) {
    const member = readMember(node)
    if (member === undefined) return { kind: 'unreadable', reason: `${node.key} is no member` }
    members.push(member)
  }
  const removed: MemberId[] = []
  for (const node of childrenOf(tree, REMOVED_MEMBERS_PATH)) {
    const id = parseMemberPath(node.key)
    if (id === undefined) return { kind: 'unreadable', reason: `${node.key} is no member id` }
    removed.push(id)
  }
  const got = tree.get({ path: CLUSTER_VERSION_PATH, nowMs, isRecursive: false, isSorted: false })
  const text = got.kind === 'event' ? got.event.node.value : undefined
  const version = text === undefined ? undefined : parseVersion(text)
  if (text !== undefined && version === undefined) {
    return { kind: 'unreadable', reason: `${text} is not in dotted-tri format` }
  }
  return { kind: 'read', stored: { members, removed, version } }
}
