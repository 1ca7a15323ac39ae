import { type LogIndex, logIndex, type MemberId, memberId, term } from '../../src/base/ids.js'
import { decodeConfChange } from '../../src/raft/confchange/conf-change.js'
import { MemoryStorage } from '../../src/raft/memory-storage.js'
import {
  hardStateOf,
  isEmptySnapshot,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type RaftMessage,
} from '../../src/raft/message.js'
import { RawNode } from '../../src/raft/raw-node.js'
import type { ConfChangeV2, ConfState, Entry, Snapshot } from '../../src/wire/raftpb.js'

const NO_BYTES = new Uint8Array(0)
const FIRST_INDEX = logIndex(2)

/** Whole numbers from a seed: mulberry32. */
export class Dice {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0
  }
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound)
  }
  chance(percent: number): boolean {
    return this.below(100) < percent
  }
}

export interface GroupOptions {
  readonly seed: number
  readonly memberCount: number
  readonly isAsync: boolean
  readonly preVote: boolean
  readonly checkQuorum: boolean
  readonly changesMembership: boolean
}

class Member {
  readonly id: MemberId
  readonly storage = new MemoryStorage()
  core: RawNode | undefined
  appendWork: RaftMessage[] = []
  applyWork: RaftMessage[] = []
  applied: LogIndex = FIRST_INDEX
  confState: ConfState
  constructor(id: MemberId, confState: ConfState) {
    this.id = id
    this.confState = confState
  }
}

const nameOf = (entry: Entry): string => `${entry.term}:${entry.type}:${entry.data.join(',')}`

/**
 * Members over a network that loses, repeats, delays and partitions, and that crash and come back with what
 * they persisted. Checks Raft's safety properties at every step.
 */
export class SimulatedGroup {
  readonly members: Member[] = []
  readonly #dice: Dice
  readonly #options: GroupOptions
  #network: RaftMessage[] = []
  #cut = new Set<string>()
  #proposalCount = 0
  /** Leader of each term: at most one (Election Safety). */
  readonly #leaders = new Map<number, MemberId>()
  /** What was applied at each index, by anybody: never anything else (State Machine Safety). */
  readonly committed = new Map<number, string>()
  readonly #committedTerms = new Map<number, number>()

  constructor(options: GroupOptions) {
    this.#options = options
    this.#dice = new Dice(options.seed)
    const ids = Array.from({ length: options.memberCount }, (_, i) => memberId(BigInt(i + 1)))
    const confState: ConfState = {
      voters: ids,
      learners: [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    }
    const snapshot: Snapshot = {
      data: NO_BYTES,
      metadata: { confState, index: FIRST_INDEX, term: term(1) },
    }
    for (const id of ids) {
      const member = new Member(id, confState)
      member.storage.applySnapshot(snapshot)
      this.members.push(member)
      this.#start(member)
    }
  }

  #start(member: Member): void {
    const snapshot = member.storage.snapshot()
    if (typeof snapshot === 'string') throw new Error(snapshot)
    member.appendWork = []
    member.applyWork = []
    // Configuration changes behind the snapshot are applied again, as they would be from a log.
    member.applied = snapshot.metadata.index
    member.confState = snapshot.metadata.confState
    const { isAsync, preVote, checkQuorum } = this.#options
    member.core = new RawNode({
      id: member.id,
      electionTicks: 10,
      heartbeatTicks: 1,
      storage: member.storage,
      randomBelow: (bound) => this.#dice.below(bound),
      applied: member.applied,
      asyncStorageWrites: isAsync,
      preVote,
      checkQuorum,
      maxSizePerMessageBytes: 64,
      maxInflightMessages: 4,
      maxCommittedSizePerReadyBytes: 100,
    })
  }

  /** One random event. */
  step(): void {
    const dice = this.#dice
    const member = this.members[dice.below(this.members.length)] as Member
    if (member.core === undefined && dice.chance(8)) this.#start(member)
    const kind = dice.below(100)
    if (kind < 45) this.#deliverOne()
    else if (kind < 70) this.#work(member)
    else if (kind < 82) this.#tick(member)
    else if (kind < 90) this.#propose(member)
    else if (kind < 91) this.#crashOrStart(member)
    else if (kind < 92) this.#partition()
    else if (kind < 96) this.#compact(member)
    else if (kind < 97 && this.#options.changesMembership) this.#changeMembership(member)
    else if (kind < 98)
      member.core?.transferLeader(memberId(BigInt(1 + dice.below(this.members.length))))
    this.#checkLeader(member)
  }

  #tick(member: Member): void {
    const { core } = member
    if (core === undefined) return
    core.tick()
    // As a transport would: a snapshot that got lost is reported some time later.
    if (!this.#dice.chance(5)) return
    for (const [id, { state }] of core.status().progress) {
      if (state === 'snapshot') core.reportSnapshot(id, 'failure')
    }
  }

  #propose(member: Member): void {
    this.#proposalCount += 1
    const text = Uint8Array.from([this.#proposalCount >> 8, this.#proposalCount & 0xff])
    member.core?.propose([text])
  }

  #crashOrStart(member: Member): void {
    if (member.core === undefined) {
      this.#start(member)
      return
    }
    member.core = undefined
    this.#network = this.#network.filter(({ from, to }) => to !== member.id || from !== member.id)
  }

  #partition(): void {
    this.#cut = new Set()
    if (this.#dice.chance(70)) return
    for (const a of this.members) {
      for (const b of this.members) if (this.#dice.chance(30)) this.#cut.add(`${a.id}-${b.id}`)
    }
  }

  #compact(member: Member): void {
    if (member.applied <= FIRST_INDEX || member.core === undefined) return
    const { applied: index, confState, storage } = member
    // A snapshot may be kept only when a hard state that commits it is: a restart checks that.
    if (index > storage.initialState().hardState.commit) return
    storage.createSnapshot({ index, data: NO_BYTES, confState })
    const first = storage.firstIndex()
    const to = first + this.#dice.below(Math.max(1, index - first))
    if (to <= index) storage.compact(logIndex(to))
  }

  #changeMembership(member: Member): void {
    const types = ['ConfChangeAddNode', 'ConfChangeAddLearnerNode', 'ConfChangeRemoveNode'] as const
    const count = 1 + this.#dice.below(2)
    const changes = Array.from({ length: count }, () => ({
      type: types[this.#dice.below(3)] ?? 'ConfChangeAddNode',
      nodeId: memberId(BigInt(1 + this.#dice.below(this.members.length))),
    }))
    member.core?.proposeConfChange({
      transition: 'ConfChangeTransitionAuto',
      changes,
      context: NO_BYTES,
    })
  }

  /** Any message may come next, come twice, or never. */
  #deliverOne(): void {
    if (this.#network.length === 0) return
    const dice = this.#dice
    const at = dice.below(this.#network.length)
    const message = this.#network[at] as RaftMessage
    const isLocal = message.from === message.to
    if (isLocal || !dice.chance(10)) this.#network.splice(at, 1)
    if (!isLocal && dice.chance(10)) return
    if (this.#cut.has(`${message.from}-${message.to}`)) return
    this.members[Number(message.to) - 1]?.core?.step(message)
    if (this.#network.length > 300) this.#network.splice(0, 100)
  }

  #work(member: Member): void {
    const { core } = member
    if (core === undefined) return
    const choice = this.#dice.below(4)
    if (choice === 0) this.#persistOne(member)
    else if (choice === 1) this.#applyOne(member)
    if (!core.hasReady()) {
      this.#persistOne(member)
      this.#applyOne(member)
      return
    }
    const ready = core.ready()
    if (this.#options.isAsync) {
      for (const message of ready.messages) {
        if (message.to === LOCAL_APPEND_THREAD) member.appendWork.push(message)
        else if (message.to === LOCAL_APPLY_THREAD) member.applyWork.push(message)
        else this.#network.push(message)
      }
      return
    }
    if (ready.hardState !== undefined) member.storage.setHardState(ready.hardState)
    this.#install(member, ready.snapshot)
    member.storage.append(ready.entries)
    this.#network.push(...ready.messages)
    this.#apply(member, ready.committedEntries)
    core.advance()
  }

  #persistOne(member: Member): void {
    const work = member.appendWork.shift()
    if (work === undefined) return
    const hardState = hardStateOf(work)
    if (hardState !== undefined) member.storage.setHardState(hardState)
    this.#install(member, work.snapshot)
    member.storage.append(work.entries)
    for (const response of work.responses ?? []) this.#route(member, response)
  }

  #applyOne(member: Member): void {
    const work = member.applyWork.shift()
    if (work === undefined) return
    this.#apply(member, work.entries)
    for (const response of work.responses ?? []) this.#route(member, response)
  }

  #route(member: Member, response: RaftMessage): void {
    if (response.to === member.id) member.core?.step(response)
    else this.#network.push(response)
  }

  #install(member: Member, snapshot: Snapshot | undefined): void {
    if (snapshot === undefined || isEmptySnapshot(snapshot)) return
    member.storage.applySnapshot(snapshot)
    member.applied = snapshot.metadata.index
    member.confState = snapshot.metadata.confState
  }

  #apply(member: Member, entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.index <= member.applied) continue
      if (entry.index !== member.applied + 1) throw new Error('applied out of order')
      member.applied = entry.index
      const known = this.committed.get(entry.index)
      const name = nameOf(entry)
      if (known !== undefined && known !== name) {
        throw new Error(`two entries committed at ${entry.index}: ${known} and ${name}`)
      }
      this.committed.set(entry.index, name)
      this.#committedTerms.set(entry.index, entry.term)
      const change = decodeConfChange(entry)
      if (change !== undefined && member.core !== undefined) {
        member.confState = member.core.applyConfChange(
          'changes' in change ? this.#applicable(member, change) : change,
        )
      }
    }
  }

  /** A change that would remove every voter is refused when it is applied, by every member alike. */
  #applicable(member: Member, change: ConfChangeV2): ConfChangeV2 {
    const voters = new Set(member.confState.voters)
    for (const { type, nodeId } of change.changes) {
      if (type === 'ConfChangeAddNode') voters.add(nodeId)
      else voters.delete(nodeId)
    }
    if (voters.size > 0) return change
    const nobody = memberId(0n)
    return { ...change, changes: change.changes.map(({ type }) => ({ type, nodeId: nobody })) }
  }

  #checkLeader(member: Member): void {
    const status = member.core?.basicStatus()
    if (status === undefined || status.softState.role !== 'leader') return
    const known = this.#leaders.get(status.hardState.term)
    if (known !== undefined && known !== status.id) {
      throw new Error(`two leaders in term ${status.hardState.term}: ${known} and ${status.id}`)
    }
    if (known !== undefined) return
    this.#leaders.set(status.hardState.term, status.id)
    this.#checkCompleteness(member, status.hardState.term)
  }

  /** Leader Completeness: a new leader has every entry committed in earlier terms. */
  #checkCompleteness(member: Member, leaderTerm: number): void {
    if (this.#options.isAsync) return
    for (const [index, entryTerm] of this.#committedTerms) {
      const found = member.storage.term(logIndex(index))
      if (entryTerm >= leaderTerm || found === 'compacted') continue
      if (found !== entryTerm) throw new Error(`leader of ${leaderTerm} lacks entry ${index}`)
    }
  }

  /** Log Matching: logs that agree on the term at an index agree on everything below. */
  checkLogs(): void {
    const logs = this.members.map(({ storage }) => {
      const entries = storage.entries(
        storage.firstIndex(),
        logIndex(storage.lastIndex() + 1),
        Number.POSITIVE_INFINITY,
      )
      return new Map((typeof entries === 'string' ? [] : entries).map((e) => [e.index, e]))
    })
    for (const a of logs) {
      for (const b of logs) {
        let mustMatch = false
        for (const index of [...a.keys()].reverse()) {
          const ours = a.get(index)
          const theirs = b.get(index)
          if (ours === undefined || theirs === undefined) continue
          if (ours.term === theirs.term) mustMatch = true
          if (mustMatch && nameOf(ours) !== nameOf(theirs)) {
            throw new Error(`logs differ at ${index}: ${nameOf(ours)} and ${nameOf(theirs)}`)
          }
        }
      }
    }
  }

  /** Ends all trouble and runs until everybody has applied the same; false when that takes too long. */
  settle(rounds: number): boolean {
    this.#cut = new Set()
    for (const member of this.members) if (member.core === undefined) this.#start(member)
    const goal = this.committed.size
    for (let round = 0; round < rounds; round++) {
      for (const member of this.members) {
        if (round % 3 === 0) this.#tick(member)
        for (let i = 0; i < 20; i++) this.#work(member)
        this.#checkLeader(member)
      }
      const messages = this.#network
      this.#network = []
      for (const message of messages) {
        this.members[Number(message.to) - 1]?.core?.step(message)
        if (message.type === 'MsgSnap') {
          this.members[Number(message.from) - 1]?.core?.reportSnapshot(message.to, 'finish')
        }
      }
      if (round % 50 === 0) this.#propose(this.members[0] as Member)
      const applied = new Set(this.members.map((member) => member.applied))
      if (applied.size === 1 && this.committed.size > goal && messages.length > 0) return true
    }
    return false
  }
}
