/**
 * Who belongs to the cluster, who never may again, and the cluster's version: changed by committed
 * entries only, and written to the v2 tree and the backend in the same step (facts:
 * peer-protocol.md 10.2).
 */
import type { ErrorCode } from '../base/errors.js'
import { compareGo } from '../base/go-json.js'
import { type ClusterId, clusterId, idToHex, type MemberId } from '../base/ids.js'
import { exhaustive, invariant } from '../base/invariant.js'
import type { ConfChange } from '../wire/raftpb.js'
import { type DowngradeInfo, NO_DOWNGRADE, type Version } from './cluster-version.js'
import {
  type Attributes,
  compareIds,
  computeClusterId,
  computeMemberId,
  describeMember,
  type Member,
  parseConfChangeContext,
  parseMember,
  type RaftAttributes,
  sortMembers,
} from './member.js'
import { putDowngrade, putMember, putRemoval, putVersion } from './membership-rows.js'
import {
  type StoredMembership,
  saveAttributes,
  saveNewMember,
  saveRaftAttributes,
  saveRemoval,
  saveRemovedId,
  saveVersion,
} from './membership-tree.js'
import type { MembershipRows, MembershipSinks, MembershipTree } from './sinks.js'

/** How many learners a cluster may have unless it is told otherwise (`--max-learners`). */
export const LEARNERS_MAX = 1

/** Why a change of membership is refused: etcd's text, and the code for gRPC clients. */
export const membershipErrors = {
  ID_REMOVED: { text: 'membership: ID removed', code: 'MEMBER_NOT_FOUND' },
  ID_EXISTS: { text: 'membership: ID exists', code: 'MEMBER_EXISTS' },
  ID_NOT_FOUND: { text: 'membership: ID not found', code: 'MEMBER_NOT_FOUND' },
  PEER_URL_EXISTS: { text: 'membership: peerURL exists', code: 'PEER_URL_EXISTS' },
  NOT_LEARNER: {
    text: 'membership: can only promote a learner member',
    code: 'MEMBER_NOT_LEARNER',
  },
  TOO_MANY_LEARNERS: {
    text: 'membership: too many learner members in cluster',
    code: 'TOO_MANY_LEARNERS',
  },
} as const satisfies Record<string, { readonly text: string; readonly code: ErrorCode }>

export type MembershipError = keyof typeof membershipErrors

/** A change that may be applied. */
export type MembershipChange =
  | { readonly kind: 'add'; readonly member: Member }
  | { readonly kind: 'promote'; readonly id: MemberId }
  | { readonly kind: 'remove'; readonly id: MemberId }
  | { readonly kind: 'update'; readonly id: MemberId; readonly attributes: RaftAttributes }

export type Verdict =
  | { readonly kind: 'valid'; readonly change: MembershipChange }
  | { readonly kind: 'refused'; readonly error: MembershipError }
  /** No Go member survives such an entry, so nobody may propose one. */
  | { readonly kind: 'unreadable'; readonly reason: string }

export type InitialMembership =
  | { readonly kind: 'membership'; readonly membership: Membership }
  | { readonly kind: 'refused'; readonly reason: string }

export interface MembershipOptions {
  readonly clusterId: ClusterId
  readonly stored?: StoredMembership | undefined
  readonly downgrade?: DowngradeInfo | undefined
  /** Default LEARNERS_MAX. */
  readonly learnersMax?: number | undefined
}

const refused = (error: MembershipError): Verdict => ({ kind: 'refused', error })
const valid = (change: MembershipChange): Verdict => ({ kind: 'valid', change })
const unreadable = (reason: string): Verdict => ({ kind: 'unreadable', reason })

export class Membership {
  #clusterId: ClusterId
  readonly #learnersMax: number
  #members = new Map<MemberId, Member>()
  #removed = new Set<MemberId>()
  #version: Version | undefined
  #downgrade: DowngradeInfo

  constructor(options: MembershipOptions) {
    this.#clusterId = options.clusterId
    this.#learnersMax = options.learnersMax ?? LEARNERS_MAX
    this.#downgrade = options.downgrade ?? NO_DOWNGRADE
    if (options.stored !== undefined) this.restore(options.stored)
  }

  /**
   * The members of a new cluster by `--initial-cluster`; ids and the cluster's id follow from it.
   */
  static fromInitialCluster(options: {
    readonly urlsByName: ReadonlyMap<string, readonly string[]>
    readonly token: string
    readonly learnersMax?: number | undefined
  }): InitialMembership {
    const members = new Map<MemberId, Member>()
    for (const [name, peerUrls] of options.urlsByName) {
      const id = computeMemberId({ peerUrls, token: options.token })
      const member = { id, peerUrls, isLearner: false, name, clientUrls: [] }
      if (members.has(id)) {
        const reason = `member exists with identical ID ${describeMember(member)}`
        return { kind: 'refused', reason }
      }
      if (id === 0n) return { kind: 'refused', reason: 'cannot use 0 as member id' }
      members.set(id, member)
    }
    const membership = new Membership({
      clusterId: computeClusterId([...members.keys()]),
      stored: { members: [...members.values()], removed: [], version: undefined },
      learnersMax: options.learnersMax,
    })
    return { kind: 'membership', membership }
  }

  get clusterId(): ClusterId {
    return this.#clusterId
  }

  /** The cluster's version; `undefined` until the first leader has set it. */
  get version(): Version | undefined {
    return this.#version
  }

  get downgrade(): DowngradeInfo {
    return this.#downgrade
  }

  get learnersMax(): number {
    return this.#learnersMax
  }

  /** All members, by id. */
  members(): readonly Member[] {
    return sortMembers(this.#members.values())
  }

  votingMembers(): readonly Member[] {
    return this.members().filter((member) => !member.isLearner)
  }

  learners(): readonly Member[] {
    return this.members().filter((member) => member.isLearner)
  }

  member(id: MemberId): Member | undefined {
    return this.#members.get(id)
  }

  /** The member that calls itself `name`; of several, the one with the lowest id. */
  memberByName(name: string): Member | undefined {
    return this.members().find((member) => member.name === name)
  }

  memberIds(): readonly MemberId[] {
    return this.members().map((member) => member.id)
  }

  votingMemberIds(): readonly MemberId[] {
    return this.votingMembers().map((member) => member.id)
  }

  /** Ids that left for good, ascending. They never come back. */
  removedIds(): readonly MemberId[] {
    return [...this.#removed].sort(compareIds)
  }

  isRemoved(id: MemberId): boolean {
    return this.#removed.has(id)
  }

  /** Every peer URL, sorted. */
  peerUrls(): readonly string[] {
    return this.members()
      .flatMap((member) => member.peerUrls)
      .sort(compareGo)
  }

  /** Every client URL, sorted: `/v2/machines`. */
  clientUrls(): readonly string[] {
    return this.members()
      .flatMap((member) => member.clientUrls)
      .sort(compareGo)
  }

  /** Voters and learners as raft's ConfState lists them, ascending. */
  confState(): { readonly voters: readonly MemberId[]; readonly learners: readonly MemberId[] } {
    return {
      voters: this.votingMemberIds(),
      learners: this.learners().map((member) => member.id),
    }
  }

  /** The cluster as etcd's error texts show it. */
  describe(): string {
    const members = this.members().map(describeMember).join(' ')
    const removed = this.removedIds().map(idToHex).join(' ')
    return `{ClusterID:${idToHex(this.#clusterId)} Members:[${members}] RemovedMemberIDs:[${removed}]}`
  }

  /** Takes over what a snapshot or a backend says, in place of all that was known. */
  restore(stored: StoredMembership): void {
    this.#members = new Map(stored.members.map((member) => [member.id, member]))
    this.#removed = new Set(stored.removed)
    this.#version = stored.version
    for (const id of this.#removed) {
      invariant(!this.#members.has(id), 'a removed member is not a member', () => idToHex(id))
    }
  }

  /** The cluster's id as the log's metadata has it, when the flags could not tell it. */
  setClusterId(id: bigint): void {
    this.#clusterId = clusterId(id)
  }

  /**
   * Whether a committed ConfChange still makes sense, and what it then changes. Changes nothing.
   */
  validate(change: ConfChange): Verdict {
    const id = change.nodeId
    if (this.#removed.has(id)) return refused('ID_REMOVED')
    switch (change.type) {
      case 'ConfChangeAddNode':
      case 'ConfChangeAddLearnerNode':
        return this.#validateAdd(change)
      case 'ConfChangeRemoveNode':
        return this.#members.has(id) ? valid({ kind: 'remove', id }) : refused('ID_NOT_FOUND')
      case 'ConfChangeUpdateNode':
        return this.#validateUpdate(change)
      case 'UNKNOWN':
        return unreadable('unknown ConfChange type')
      default:
        return exhaustive(change.type)
    }
  }

  #validateAdd(change: ConfChange): Verdict {
    const id = change.nodeId
    const context = parseConfChangeContext(new TextDecoder().decode(change.context))
    if (context === undefined) return unreadable('failed to unmarshal confChangeContext')
    const { member } = context
    if (member.id !== id) return unreadable('got different member ID')
    const known = this.#members.get(id)
    if (context.isPromote) {
      if (known === undefined) return refused('ID_NOT_FOUND')
      return known.isLearner ? valid({ kind: 'promote', id }) : refused('NOT_LEARNER')
    }
    if (known !== undefined) return refused('ID_EXISTS')
    if (this.#isUsedByOther(id, member.peerUrls)) return refused('PEER_URL_EXISTS')
    const addsLearner = member.isLearner && change.type === 'ConfChangeAddLearnerNode'
    if (addsLearner && this.learners().length + 1 > this.#learnersMax) {
      return refused('TOO_MANY_LEARNERS')
    }
    return valid({ kind: 'add', member })
  }

  #validateUpdate(change: ConfChange): Verdict {
    const id = change.nodeId
    if (!this.#members.has(id)) return refused('ID_NOT_FOUND')
    const member = parseMember(new TextDecoder().decode(change.context))
    if (member === undefined) return unreadable('failed to unmarshal member')
    if (member.id !== id) return unreadable('got different member ID')
    if (this.#isUsedByOther(id, member.peerUrls)) return refused('PEER_URL_EXISTS')
    const { peerUrls, isLearner } = member
    return valid({ kind: 'update', id, attributes: { peerUrls, isLearner } })
  }

  #isUsedByOther(id: MemberId, urls: readonly string[]): boolean {
    for (const member of this.#members.values()) {
      if (member.id !== id && member.peerUrls.some((url) => urls.includes(url))) return true
    }
    return false
  }

  /** Applies a change that `validate` gave for the state as it is now. */
  apply(change: MembershipChange, sinks: MembershipSinks): void {
    switch (change.kind) {
      case 'add':
        invariant(!this.#removed.has(change.member.id), 'a removed member does not come back')
        this.#members.set(change.member.id, change.member)
        if (sinks.tree !== undefined) saveNewMember(sinks.tree, change.member)
        if (sinks.rows !== undefined) putMember(sinks.rows, change.member)
        return
      case 'promote':
        this.#setRaftAttributes(change.id, { isLearner: false }, sinks)
        return
      case 'update':
        this.#setRaftAttributes(change.id, change.attributes, sinks)
        return
      case 'remove':
        this.#members.delete(change.id)
        this.#removed.add(change.id)
        if (sinks.tree !== undefined) saveRemoval(sinks.tree, change.id)
        if (sinks.rows !== undefined) putRemoval(sinks.rows, change.id)
        return
      default:
        exhaustive(change)
    }
  }

  #setRaftAttributes(
    id: MemberId,
    attributes: Partial<RaftAttributes>,
    sinks: MembershipSinks,
  ): void {
    const known = this.#members.get(id)
    invariant(known !== undefined, 'only a known member is changed')
    const member = { ...known, ...attributes }
    this.#members.set(id, member)
    if (sinks.tree !== undefined) saveRaftAttributes(sinks.tree, id, member)
    if (sinks.rows !== undefined) putMember(sinks.rows, member)
  }

  /**
   * Notes what a member published. A removed member may still be late with it: nothing changes
   * then.
   */
  setAttributes(
    id: MemberId,
    attributes: Attributes,
    sinks: MembershipSinks,
  ): 'updated' | 'removed' | 'unknown' {
    const known = this.#members.get(id)
    if (known === undefined) return this.#removed.has(id) ? 'removed' : 'unknown'
    const { name, clientUrls } = attributes
    const member = { ...known, name, clientUrls }
    this.#members.set(id, member)
    if (sinks.tree !== undefined) saveAttributes(sinks.tree, id, member)
    if (sinks.rows !== undefined) putMember(sinks.rows, member)
    return 'updated'
  }

  /** Sets the cluster's version. Whether this server may run under it: detectInvalidDowngrade. */
  setVersion(version: Version, sinks: MembershipSinks): void {
    this.#version = version
    if (sinks.tree !== undefined) saveVersion(sinks.tree, version)
    if (sinks.rows !== undefined) putVersion(sinks.rows, version)
  }

  setDowngrade(info: DowngradeInfo, sinks: Pick<MembershipSinks, 'rows'>): void {
    this.#downgrade = info
    if (sinks.rows !== undefined) putDowngrade(sinks.rows, info)
  }

  /** Writes everything into a tree that has nothing of it yet, by ascending id. */
  writeTree(tree: MembershipTree): void {
    for (const member of this.members()) {
      saveNewMember(tree, member)
      if (member.clientUrls.length > 0) saveAttributes(tree, member.id, member)
    }
    for (const id of this.removedIds()) saveRemovedId(tree, id)
    if (this.#version !== undefined) saveVersion(tree, this.#version)
  }

  /** Writes everything into buckets that have nothing of it yet. */
  writeRows(rows: MembershipRows): void {
    for (const member of this.members()) putMember(rows, member)
    for (const id of this.removedIds()) putRemoval(rows, id)
    if (this.#version !== undefined) putVersion(rows, this.#version)
    if (this.#downgrade.isEnabled) putDowngrade(rows, this.#downgrade)
  }
}
