/** The membership in the backend: buckets members, members_removed, cluster (facts: disk.md 5). */
import { parseExactJson, quoteGo } from '../base/go-json.js'
import { idToHex, type MemberId, memberId, parseHexId } from '../base/ids.js'
import { type DowngradeInfo, formatVersion, parseVersion, type Version } from './cluster-version.js'
import { encodeMember, type Member, parseMember } from './member.js'
import type { StoredMembership } from './membership-tree.js'
import type { MembershipRowSource, MembershipRows } from './sinks.js'

const VERSION_KEY = 'clusterVersion'
const DOWNGRADE_KEY = 'downgrade'

const toBytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const toText = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

export function putMember(rows: MembershipRows, member: Member): void {
  rows.put('members', idToHex(member.id), toBytes(encodeMember(member)))
}

export function putRemoval(rows: MembershipRows, id: MemberId): void {
  rows.delete('members', idToHex(id))
  rows.put('members_removed', idToHex(id), toBytes('removed'))
}

export function putVersion(rows: MembershipRows, version: Version): void {
  rows.put('cluster', VERSION_KEY, toBytes(formatVersion(version)))
}

/** `{"target-version":"3.5.0","enabled":true}`, the JSON of bucket cluster. */
export function putDowngrade(rows: MembershipRows, info: DowngradeInfo): void {
  const target = `"target-version":${quoteGo(info.targetVersion)}`
  rows.put('cluster', DOWNGRADE_KEY, toBytes(`{${target},"enabled":${info.isEnabled}}`))
}

function readDowngrade(text: string): DowngradeInfo | undefined {
  const json = parseExactJson(text)
  if (!(json instanceof Map)) return undefined
  const target: unknown = json.get('target-version') ?? ''
  if (typeof target !== 'string') return undefined
  return { targetVersion: target, isEnabled: json.get('enabled') === true }
}

export type ReadRows =
  | {
      readonly kind: 'read'
      readonly stored: StoredMembership
      readonly downgrade: DowngradeInfo | undefined
    }
  | { readonly kind: 'unreadable'; readonly reason: string }

/** Reads the membership from its buckets. */
export function readMembershipRows(source: MembershipRowSource): ReadRows {
  const members: Member[] = []
  for (const [key, value] of source.rows('members')) {
    const member = parseMember(toText(value))
    if (member === undefined || idToHex(member.id) !== key) {
      return { kind: 'unreadable', reason: `the row ${key} of bucket members is no member` }
    }
    members.push(member)
  }
  const removed: MemberId[] = []
  for (const [key] of source.rows('members_removed')) {
    const id = parseHexId(key)
    if (id === undefined) {
      return { kind: 'unreadable', reason: `the row ${key} of bucket members_removed is no id` }
    }
    removed.push(memberId(id))
  }
  const cluster = new Map(source.rows('cluster'))
  const versionRow = cluster.get(VERSION_KEY)
  const version = versionRow === undefined ? undefined : parseVersion(toText(versionRow))
  const downgradeRow = cluster.get(DOWNGRADE_KEY)
  const downgrade = downgradeRow === undefined ? undefined : readDowngrade(toText(downgradeRow))
  return { kind: 'read', stored: { members, removed, version }, downgrade }
}
