/**
 * A member of the cluster, its id, and its JSON as Go writes it (facts: peer-protocol.md 8 to 10).
 */
import { compareGo, type ExactJson, parseExactJson, quoteGo, quoteGoList } from '../base/go-json.js'
import { type ClusterId, clusterId, idToHex, type MemberId, memberId } from '../base/ids.js'
import { sha1Id } from '../base/sha1.js'

/** What raft needs of a member. */
export interface RaftAttributes {
  readonly peerUrls: readonly string[]
  readonly isLearner: boolean
}

/** What a member says of itself once it runs. */
export interface Attributes {
  /** Empty = not started yet. */
  readonly name: string
  readonly clientUrls: readonly string[]
}

export interface Member extends RaftAttributes, Attributes {
  readonly id: MemberId
}

/** Whether the member has ever run: it publishes its name then. */
export const isStarted = (member: Member): boolean => member.name !== ''

const ID_MAX = (1n << 64n) - 1n

/** Order of ids as unsigned numbers: how every list of members is sorted. */
export const compareIds = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)

export const sortMembers = (members: Iterable<Member>): readonly Member[] =>
  [...members].sort((a, b) => compareIds(a.id, b.id))

/**
 * The id of a member from its peer URLs. A static start gives the cluster's token and no time; a
 * member added later has an empty token and the time of the request (unix seconds).
 */
export function computeMemberId(options: {
  readonly peerUrls: readonly string[]
  readonly token: string
  readonly unixSeconds?: number | undefined
}): MemberId {
  const urls = [...options.peerUrls].sort(compareGo).join('')
  const time = options.unixSeconds === undefined ? '' : String(options.unixSeconds)
  return memberId(sha1Id(new TextEncoder().encode(urls + options.token + time)))
}

/** The id of a cluster from those of its first members. It never changes later. */
export function computeClusterId(members: readonly MemberId[]): ClusterId {
  const ids = [...members].sort(compareIds)
  const bytes = new Uint8Array(ids.length * 8)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const [at, id] of ids.entries()) view.setBigUint64(at * 8, id)
  return clusterId(sha1Id(bytes))
}

const peerUrlsField = (urls: readonly string[]): string =>
  `"peerURLs":${urls.length === 0 ? 'null' : quoteGoList(urls)}`

function attributeFields({ name, clientUrls }: Attributes): readonly string[] {
  return [
    ...(name === '' ? [] : [`"name":${quoteGo(name)}`]),
    ...(clientUrls.length === 0 ? [] : [`"clientURLs":${quoteGoList(clientUrls)}`]),
  ]
}

const raftFields = ({ peerUrls, isLearner }: RaftAttributes): readonly string[] => [
  peerUrlsField(peerUrls),
  ...(isLearner ? ['"isLearner":true'] : []),
]

const memberFields = (member: Member): readonly string[] => [
  `"id":${member.id}`,
  ...raftFields(member),
  ...attributeFields(member),
]

/**
 * A member: backend rows, ConfChange contexts of a static start and of updates, elements of
 * `/members`.
 */
export const encodeMember = (member: Member): string => `{${memberFields(member).join(',')}}`

/** The value of `/0/members/<id>/raftAttributes`. */
export const encodeRaftAttributes = (attributes: RaftAttributes): string =>
  `{${raftFields(attributes).join(',')}}`

/** The value of `/0/members/<id>/attributes`. */
export const encodeAttributes = (attributes: Attributes): string =>
  `{${attributeFields(attributes).join(',')}}`

/** The body of `/members`, sorted by id, without the newline that follows it on the wire. */
export const encodeMembers = (members: readonly Member[]): string =>
  `[${sortMembers(members).map(encodeMember).join(',')}]`

/** The context of a ConfChange that adds `member` at runtime. */
export const encodeAddContext = (member: Member): string =>
  `{${memberFields(member).join(',')},"isPromote":false}`

/** The context of a ConfChange that makes a voter of a learner: only the id counts. */
export const encodePromoteContext = (id: MemberId): string =>
  `{"id":${id},"peerURLs":null,"isPromote":true}`

/** A ConfChange's context: the member and whether it is an existing learner to promote. */
export interface ConfChangeContext {
  readonly member: Member
  readonly isPromote: boolean
}

type JsonMap = ReadonlyMap<string, ExactJson>

const isMap = (json: ExactJson | undefined): json is JsonMap => json instanceof Map

/** A list of texts; null and absent are empty; `undefined` = something else. */
function textList(json: ExactJson | undefined): readonly string[] | undefined {
  if (json === undefined || json === null) return []
  if (!Array.isArray(json)) return undefined
  const texts = json.filter((item): item is string => typeof item === 'string')
  return texts.length === json.length ? texts : undefined
}

function memberFrom(json: JsonMap): Member | undefined {
  const id = json.get('id')
  const raft = raftAttributesFrom(json)
  const attributes = attributesFrom(json)
  if (typeof id !== 'bigint' || id < 0n || id > ID_MAX) return undefined
  if (raft === undefined || attributes === undefined) return undefined
  return { id: memberId(id), ...raft, ...attributes }
}

function raftAttributesFrom(json: JsonMap): RaftAttributes | undefined {
  const peerUrls = textList(json.get('peerURLs'))
  return peerUrls === undefined
    ? undefined
    : { peerUrls, isLearner: json.get('isLearner') === true }
}

function attributesFrom(json: JsonMap): Attributes | undefined {
  const name = json.get('name') ?? ''
  const clientUrls = textList(json.get('clientURLs'))
  if (typeof name !== 'string' || clientUrls === undefined) return undefined
  return { name, clientUrls }
}

function parseMap(text: string): JsonMap | undefined {
  const json = parseExactJson(text)
  return isMap(json) ? json : undefined
}

/**
 * Reads what `encodeMember` and etcd write, ids to the last bit; `undefined` when it is no member.
 */
export function parseMember(text: string): Member | undefined {
  const json = parseMap(text)
  return json === undefined ? undefined : memberFrom(json)
}

export function parseRaftAttributes(text: string): RaftAttributes | undefined {
  const json = parseMap(text)
  return json === undefined ? undefined : raftAttributesFrom(json)
}

export function parseAttributes(text: string): Attributes | undefined {
  const json = parseMap(text)
  return json === undefined ? undefined : attributesFrom(json)
}

/** Reads the context of an AddNode or AddLearnerNode; `undefined` when it is none. */
export function parseConfChangeContext(text: string): ConfChangeContext | undefined {
  const json = parseMap(text)
  const member = json === undefined ? undefined : memberFrom(json)
  if (json === undefined || member === undefined) return undefined
  return { member, isPromote: json.get('isPromote') === true }
}

/** Reads the body of another member's `/members`; `undefined` when it is not a list of members. */
export function parseMembers(text: string): readonly Member[] | undefined {
  const json = parseExactJson(text)
  if (!Array.isArray(json)) return undefined
  const members: Member[] = []
  for (const item of json) {
    const member = isMap(item) ? memberFrom(item) : undefined
    if (member === undefined) return undefined
    members.push(member)
  }
  return members
}

/** A member as etcd's error texts show it (Go's `%+v`). */
export function describeMember(member: Member): string {
  const raft = `{PeerURLs:[${member.peerUrls.join(' ')}] IsLearner:${member.isLearner}}`
  const attributes = `{Name:${member.name} ClientURLs:[${member.clientUrls.join(' ')}]}`
  return `&{ID:${idToHex(member.id)} RaftAttributes:${raft} Attributes:${attributes}}`
}
