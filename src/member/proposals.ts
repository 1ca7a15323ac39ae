import type { ApplyOutcome } from '../apply/outcome.js'
import type { ErrorCode } from '../base/errors.js'
import type { RequestId } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { peekV2RequestId } from '../wire/raft-envelope.js'
import type { V2Operation } from '../wire/v2-request.js'

/** What a proposal came to: what applying it gave, or why it was never (known to be) applied. */
export type ProposalOutcome = ApplyOutcome | { readonly kind: 'failed'; readonly code: ErrorCode }

/** A proposal whose entry has not been applied here yet. */
export interface Proposal {
  readonly id: RequestId
  /** The entry's payload; kept until raft took it. */
  readonly data: Uint8Array
  /** What `data` decodes to, when it is of the v2 API and that is known. */
  readonly v2?: V2Operation | undefined
  /** Decided by a leader: not to be given to raft any more once it leads no more. */
  readonly isOfLeadership?: boolean
  readonly startedMs: number
  readonly deadlineMs: number
  readonly done: (outcome: ProposalOutcome) => void
}

/** Buckets at first; a power of two, doubled whenever there is more than one proposal for each. */
const BUCKETS_MIN = 128

/** One proposal's place: in the bucket of its id, and between those that came before and after. */
class Place {
  readonly proposal: Proposal
  readonly hash: number
  nextInBucket: Place | undefined
  older: Place | undefined
  newer: Place | undefined

  constructor(proposal: Proposal, hash: number) {
    this.proposal = proposal
    this.hash = hash
  }
}

/** Ids of one member count on by one: their lowest bits are as good as any hash. */
const hashOf = (id: RequestId): number => Number(BigInt.asUintN(32, id))

/**
 * Proposals that wait to be applied, oldest first. All wait equally long, so the oldest is always
 * the first to time out and looking for late ones costs nothing while there are none. How many
 * there are, the member bounds (PROPOSALS_MAX).
 *
 * No Map: one whose entries come and go gets a new table every few of them, and the old ones, which
 * the collector has long counted as old, go on to keep what they held, and each other. Under load
 * nearly every proposal then outlived two collections instead of none, with all that hangs on it.
 */
export class Proposals {
  #buckets: (Place | undefined)[] = new Array<Place | undefined>(BUCKETS_MIN).fill(undefined)
  #oldest: Place | undefined
  #newest: Place | undefined
  #count = 0

  get count(): number {
    return this.#count
  }

  add(proposal: Proposal): void {
    const hash = hashOf(proposal.id)
    invariant(this.#find(proposal.id, hash) === undefined, 'request ids must be unique')
    if (this.#count === this.#buckets.length) this.#grow()
    const place = new Place(proposal, hash)
    this.#put(place)
    place.older = this.#newest
    if (this.#newest === undefined) this.#oldest = place
    else this.#newest.newer = place
    this.#newest = place
    this.#count++
  }

  get(id: RequestId): Proposal | undefined {
    return this.#find(id, hashOf(id))?.proposal
  }

  /**
   * The v2 operation in a committed payload, if this very payload was proposed here: then it need
   * not be decoded again.
   */
  v2Proposal(data: Uint8Array): { readonly id: RequestId; readonly v2: V2Operation } | undefined {
    const proposal = this.#ofPayload(data)
    if (proposal?.v2 === undefined || proposal.data !== data) return undefined
    return { id: proposal.id, v2: proposal.v2 }
  }

  /** Hands the outcome to the proposal with this id, if it still waits. */
  settle(id: RequestId, outcome: ProposalOutcome): void {
    const place = this.#find(id, hashOf(id))
    if (place === undefined) return
    this.#remove(place)
    place.proposal.done(outcome)
  }

  /** Fails what is past its deadline; `codeOf` says why. */
  expire(nowMs: number, codeOf: (proposal: Proposal) => ErrorCode): void {
    for (let place = this.#oldest; place !== undefined; place = this.#oldest) {
      const { proposal } = place
      if (proposal.deadlineMs > nowMs) return
      this.settle(proposal.id, { kind: 'failed', code: codeOf(proposal) })
    }
  }

  failAll(code: ErrorCode): void {
    const ids: RequestId[] = []
    for (let at = this.#oldest; at !== undefined; at = at.newer) ids.push(at.proposal.id)
    for (const id of ids) this.settle(id, { kind: 'failed', code })
  }

  /** Entries are applied in the order they were proposed: nearly always it is the oldest. */
  #ofPayload(data: Uint8Array): Proposal | undefined {
    const oldest = this.#oldest?.proposal
    if (oldest === undefined || oldest.data === data) return oldest
    const id = peekV2RequestId(data)
    return id === undefined ? undefined : this.get(id)
  }

  #bucketOf(hash: number): number {
    return hash & (this.#buckets.length - 1)
  }

  #find(id: RequestId, hash: number): Place | undefined {
    let place = this.#buckets[this.#bucketOf(hash)]
    while (place !== undefined && place.proposal.id !== id) place = place.nextInBucket
    return place
  }

  #put(place: Place): void {
    const bucket = this.#bucketOf(place.hash)
    place.nextInBucket = this.#buckets[bucket]
    this.#buckets[bucket] = place
  }

  /** Takes a place out. It points at none of the others afterwards: an old one would keep them. */
  #remove(place: Place): void {
    const bucket = this.#bucketOf(place.hash)
    const first = this.#buckets[bucket]
    if (first === place) this.#buckets[bucket] = place.nextInBucket
    else {
      let before = first
      while (before !== undefined && before.nextInBucket !== place) before = before.nextInBucket
      invariant(before !== undefined, 'a proposal is in its bucket')
      before.nextInBucket = place.nextInBucket
    }
    if (place.older === undefined) this.#oldest = place.newer
    else place.older.newer = place.newer
    if (place.newer === undefined) this.#newest = place.older
    else place.newer.older = place.older
    place.nextInBucket = undefined
    place.older = undefined
    place.newer = undefined
    this.#count--
  }

  #grow(): void {
    this.#buckets = new Array<Place | undefined>(this.#buckets.length * 2).fill(undefined)
    for (let at = this.#oldest; at !== undefined; at = at.newer) this.#put(at)
  }
}
