import type { Member } from '../../../src/member/member.js'
import type { Message } from '../../../src/wire/raftpb.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker, Commit } from './checker.js'
import { DurableLog } from './durable-log.js'
import type { MembershipChanges } from './membership-changes.js'

/** Of the changes of membership that a new cluster's log begins with. */
const FIRST_TERM = 1

interface Known {
  readonly log: DurableLog
  incarnation: number
  memberId: bigint | undefined
  /** What the disk was last seen to have under the process before. */
  before:
    | {
        readonly memberId: bigint | undefined
        readonly terms: readonly (number | undefined)[]
        readonly lastIndex: number
      }
    | undefined
}

/**
 * Nothing is said before it is durable, as the disk knows it: a vote, an acknowledgement of
 * entries, a commitment. And a restart goes on from all of that.
 */
export class Durability implements Checker {
  readonly #world: World
  readonly #nodes: () => readonly SimulatedNode[]
  readonly #membership: MembershipChanges
  readonly #logs = new Map<SimulatedNode, Known>()

  constructor(world: World, nodes: () => readonly SimulatedNode[], membership: MembershipChanges) {
    this.#world = world
    this.#nodes = nodes
    this.#membership = membership
  }

  onMember(place: SimulatedNode, _member: Member): void {
    const { storage } = place
    const log = this.#logOf(place)
    // What a damaged disk has is judged by the start itself.
    if (place.isDamaged) return
    this.#expectKept(place, log)
    if (storage === undefined) return
    const { hardState } = storage.initialState()
    const kept = log.hardState
    if (kept !== undefined) {
      const isVoteKept =
        hardState.term > kept.term || kept.vote === 0n || kept.vote === hardState.vote
      if (hardState.term < kept.term || !isVoteKept)
        this.#fail(place, `began in term ${hardState.term}, the disk says ${kept.term}`)
    }
    const last: number = storage.lastIndex()
    if (last !== log.lastIndex)
      this.#fail(place, `began with ${last} entries, the disk has ${log.lastIndex}`)
    for (let index = last; index >= storage.firstIndex(); index--) {
      const term = storage.term(index as ReturnType<typeof storage.lastIndex>)
      if (term === log.termAt(index)) continue
      this.#fail(place, `began with entry ${index} of term ${term}, the disk: ${log.termAt(index)}`)
      return
    }
  }

  onSent(from: SimulatedNode, message: Message): void {
    if (message.reject) return
    if (message.type === 'MsgVoteResp') this.#onVote(from, message.term, message.to)
    else if (message.type === 'MsgVote') this.#onVote(from, message.term, message.from)
    else if (message.type === 'MsgAppResp') this.#onAcknowledged(from, message)
  }

  onCommitted({ entry }: Commit, by: SimulatedNode): void {
    // What a cluster begins with is committed by agreement, not by counting.
    if (entry.term === FIRST_TERM) return
    const configurations = this.#membership.configurationsAt(entry.index)
    const holders = new Set<bigint>()
    const present = new Set<bigint>()
    for (const node of this.#nodes()) {
      const { memberId } = node
      if (memberId === undefined) continue
      present.add(memberId)
      if (node.isDamaged || this.#logOf(node).holds(entry.index, entry.term)) holders.add(memberId)
    }
    for (const voters of configurations) {
      let count = 0
      // Who was removed and is gone may have acknowledged it, and a leader that has not applied the
      // removal counts that: an election, by either configuration, needs one of the others.
      for (const voter of voters) if (holders.has(voter) || !present.has(voter)) count++
      if (count > voters.size / 2) return
    }
    if (configurations.length > 0)
      this.#fail(
        by,
        `committed entry ${entry.index} of term ${entry.term}, which only ${holders.size} disks have`,
      )
  }

  /** What was durable before the process began is durable still: only what is torn may be cut off. */
  #expectKept(place: SimulatedNode, log: DurableLog): void {
    const known = this.#logs.get(place)
    const before = known?.before
    if (known === undefined || before === undefined) return
    known.before = undefined
    if (before.memberId !== place.memberId) return
    const { terms, lastIndex } = before
    for (let index = lastIndex; index > 0; index--) {
      const term = terms[index]
      if (term === undefined || log.holds(index, term)) continue
      // Written behind the last look, and read by the next process as the machine stood still.
      if (log.isOverwritten(index, term)) continue
      this.#fail(place, `began without entry ${index} of term ${term}, which its disk had`)
      return
    }
  }

  /** A candidate votes for itself before it asks others. */
  #onVote(from: SimulatedNode, term: number, to: bigint): void {
    const { hardState } = this.#logOf(from)
    const isKept =
      hardState !== undefined &&
      (hardState.term > term || (hardState.term === term && hardState.vote === to))
    if (!isKept)
      this.#fail(
        from,
        `voted for ${to.toString(16)} in term ${term}; its disk has ${hardState?.term}/${hardState?.vote.toString(16)}`,
      )
  }

  #onAcknowledged(from: SimulatedNode, { term, index }: Message): void {
    const log = this.#logOf(from)
    const durableTerm = log.hardState?.term ?? 0
    if (durableTerm < term)
      this.#fail(from, `answered in term ${term}; its disk is in ${durableTerm}`)
    // A later leader may have had the end of the log overwritten since.
    if (durableTerm === term && log.lastIndex < index)
      this.#fail(from, `acknowledged entry ${index}; its disk has ${log.lastIndex}`)
  }

  #fail(place: SimulatedNode, message: string): void {
    if (place.isDamaged) return
    this.#world.fail('durable-first', `member ${place.place} ${message}`)
  }

  #logOf(place: SimulatedNode): DurableLog {
    const { incarnation, memberId } = place
    let known = this.#logs.get(place)
    if (known === undefined) {
      known = { log: new DurableLog(place.disk), incarnation, memberId, before: undefined }
      this.#logs.set(place, known)
    }
    // Another process may have mended the end of the log, or the machine is another one.
    if (known.incarnation !== incarnation) {
      const { log } = known
      known.before ??= { memberId: known.memberId, terms: log.terms, lastIndex: log.lastIndex }
      log.reset()
      known.incarnation = incarnation
    }
    known.memberId = memberId
    known.log.look()
    return known.log
  }
}
