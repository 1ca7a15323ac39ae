import type { KeyOperation } from '../../src/api-v2/key-request.js'
import type { V2MembershipOutcome, V2Outcome, V2Source } from '../../src/api-v2/source.js'
import { type FollowerStatistics, NO_TRAFFIC } from '../../src/api-v2/statistics.js'
import { idToHex, type MemberId, requestId } from '../../src/base/ids.js'
import { computeMemberId, type Member } from '../../src/membership/member.js'
import { applyV2Request } from '../../src/v2store/apply-request.js'
import { V2Store } from '../../src/v2store/store.js'

const SELF: Member = {
  id: 0xb5179d13d0285315n as MemberId,
  name: 'n1',
  peerUrls: ['http://127.0.0.1:2380'],
  clientUrls: ['http://127.0.0.1:2379'],
  isLearner: false,
}

/** A member without raft: every request is applied at once to a real store. */
export class LocalSource implements V2Source {
  readonly idText = idToHex(SELF.id)
  readonly clusterIdText = '534a021c215e0774'
  readonly name = SELF.name
  readonly startedMs = Date.UTC(2026, 10, 21, 10, 8, 17, 329)
  readonly proposed: KeyOperation[] = []
  readonly removed = new Set<MemberId>()
  current = createStore()
  list: readonly Member[] = [SELF]
  leader: MemberId = SELF.id
  now: number | undefined
  index = 4
  /** What proposals come to instead of being applied. */
  failure: string | undefined
  isDecided = true
  membershipFailure: string | undefined
  figures = NO_TRAFFIC
  followerFigures = new Map<string, FollowerStatistics>()

  store(): V2Store {
    return this.current
  }

  nowMs(): number {
    return this.now ?? Date.now()
  }

  raftIndex(): number {
    return this.index
  }

  term(): number {
    return 2
  }

  isVersionDecided(): boolean {
    return this.isDecided
  }

  propose(operation: KeyOperation, done: (outcome: V2Outcome) => void): void {
    this.proposed.push(operation)
    if (this.failure !== undefined) {
      done({ kind: 'failed', reason: this.failure })
      return
    }
    this.index++
    const request = { ...operation, ID: requestId(1n) }
    done({ kind: 'applied', result: applyV2Request(this.current, request, this.nowMs()) })
  }

  /** What the leader's SYNC does. */
  expire(): void {
    this.current.deleteExpiredKeys(BigInt(this.nowMs()) * 1_000_000n, this.nowMs())
  }

  members(): readonly Member[] {
    return this.list
  }

  leaderId(): MemberId {
    return this.leader
  }

  leaderSinceMs(): number {
    return this.startedMs + 815
  }

  newMember(peerUrls: readonly string[]): Member {
    const id = computeMemberId({ peerUrls, token: '', unixSeconds: 1_800_000_000 })
    return { id, peerUrls, name: '', clientUrls: [], isLearner: false }
  }

  addMember(member: Member, done: (outcome: V2MembershipOutcome) => void): void {
    const isUsed = this.list.some(({ peerUrls }) =>
      peerUrls.some((url) => member.peerUrls.includes(url)),
    )
    if (this.#fails(done)) return
    if (this.list.some(({ id }) => id === member.id)) done({ kind: 'id-exists' })
    else if (isUsed) done({ kind: 'peer-url-exists' })
    else {
      this.list = [...this.list, member].sort((a, b) => (a.id < b.id ? -1 : 1))
      done({ kind: 'changed' })
    }
  }

  removeMember(id: MemberId, done: (outcome: V2MembershipOutcome) => void): void {
    if (this.#fails(done)) return
    if (this.removed.has(id)) done({ kind: 'removed' })
    else if (this.list.length === 1 && this.list[0]?.id === id) {
      done({ kind: 'failed', reason: 'the only member' })
    } else if (!this.list.some((member) => member.id === id)) done({ kind: 'not-found' })
    else {
      this.removed.add(id)
      this.list = this.list.filter((member) => member.id !== id)
      done({ kind: 'changed' })
    }
  }

  updateMember(
    id: MemberId,
    peerUrls: readonly string[],
    done: (outcome: V2MembershipOutcome) => void,
  ): void {
    if (this.#fails(done)) return
    const found = this.list.find((member) => member.id === id)
    const isUsed = this.list.some(
      (member) => member.id !== id && member.peerUrls.some((url) => peerUrls.includes(url)),
    )
    if (found === undefined) done({ kind: 'not-found' })
    else if (isUsed) done({ kind: 'peer-url-exists' })
    else {
      this.list = this.list.map((member) => (member.id === id ? { ...member, peerUrls } : member))
      done({ kind: 'changed' })
    }
  }

  #fails(done: (outcome: V2MembershipOutcome) => void): boolean {
    if (this.membershipFailure === undefined) return false
    done({ kind: 'failed', reason: this.membershipFailure })
    return true
  }

  traffic(): typeof NO_TRAFFIC {
    return this.figures
  }

  followers(): ReadonlyMap<string, FollowerStatistics> {
    return this.followerFigures
  }
}

/** A tree as a new cluster of one has it: three writes about the cluster. */
export function createStore(): V2Store {
  const store = new V2Store()
  const rest = { nowMs: 0, value: '', isDirectory: false }
  store.create({ ...rest, path: '/0/members/1/raftAttributes', isUnique: false })
  store.set({ ...rest, path: '/0/members/1/attributes' })
  store.set({ ...rest, path: '/0/version' })
  return store
}
