import {
  addIndex,
  idToHex,
  type LogIndex,
  type MemberId,
  NO_MEMBER,
  nextIndex,
  nextTerm,
  type Term,
  ZERO_INDEX,
  ZERO_TERM,
} from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { Entry, HardState } from '../wire/raftpb.js'
import type { CheckedConfig } from './config.js'
import { payloadsSize } from './entry-size.js'
import { RaftLog } from './log.js'
import type { LogPosition } from './log-position.js'
import type { RaftLogger } from './logger.js'
import { createMessage, type MessageFields, type RaftMessage } from './message.js'
import { ReadOnlyQueue } from './read-only.js'
import type { RaftRole, ReadState, SoftState } from './ready.js'
import { ProgressTracker } from './tracker/progress-tracker.js'

/**
 * The state of one member and its changes of role. What happens in each role is in leader.ts,
 * candidate.ts and follower.ts; the fields are theirs to change and nobody else's (RawNode is the
 * public face).
 *
 * follower -> pre-candidate -> candidate -> leader; each falls back to follower when it hears of a
 * higher term or of a leader; without preVote a follower becomes a candidate at once.
 */
export class Raft {
  readonly id: MemberId
  readonly config: CheckedConfig
  readonly logger: RaftLogger
  readonly log: RaftLog
  readonly tracker: ProgressTracker
  /** This member's id as log lines show it. */
  readonly name: string

  term: Term = ZERO_TERM
  /** Whom this member voted for in this term; 0 = nobody. */
  vote: MemberId = NO_MEMBER
  role: RaftRole = 'follower'
  /** The leader of this term; 0 = not known. */
  lead: MemberId = NO_MEMBER
  /** To whom a leader is handing over; 0 = to nobody. */
  leadTransferee: MemberId = NO_MEMBER
  /**
   * A leader takes no configuration change while one up to this index may be unapplied (thesis
   * 4.1).
   */
  pendingConfIndex: LogIndex = ZERO_INDEX
  /**
   * Payload bytes that a leader has appended and not seen applied. An estimate, never too low for
   * long.
   */
  uncommittedBytes = 0

  /** May leave at once. */
  messages: RaftMessage[] = []
  /** Votes and append replies: may leave only when what they promise is durable. */
  messagesAfterAppend: RaftMessage[] = []
  readStates: ReadState[] = []
  readOnly = new ReadOnlyQueue()
  /** Reads that arrived before the leader committed anything in its term. */
  postponedReads: RaftMessage[] = []

  /**
   * Ticks since the last election timeout, as a leader or candidate; since word from the leader, as
   * a follower.
   */
  electionElapsed = 0
  /** Ticks since a leader's last heartbeat. */
  heartbeatElapsed = 0
  randomizedElectionTimeoutTicks = 0

  constructor(config: CheckedConfig) {
    this.id = config.id
    this.name = idToHex(config.id)
    this.config = config
    this.logger = config.logger
    this.log = new RaftLog(config.storage, config.logger, config.maxCommittedSizePerReadyBytes)
    this.tracker = new ProgressTracker({
      countMax: config.maxInflightMessages,
      bytesMax: config.maxInflightBytes,
    })
  }

  softState(): SoftState {
    return { lead: this.lead, role: this.role }
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed }
  }

  /** Takes over what was persisted; its commit index must lie within the log. */
  loadHardState(state: HardState): void {
    const last = this.log.lastIndex()
    invariant(
      state.commit >= this.log.committed && state.commit <= last,
      'state.commit is out of range',
      () =>
        `${this.name} state.commit ${state.commit} is out of range [${this.log.committed}, ${last}]`,
    )
    this.log.commitTo(state.commit)
    this.term = state.term
    this.vote = state.vote
  }

  /**
   * Queues a message. Votes carry the term they are about, given by the caller; all others get this
   * member's, except proposals and read requests: those are forwarded as if the receiver had made
   * them.
   */
  send(fields: MessageFields): void {
    const { type } = fields
    const term = fields.term ?? ZERO_TERM
    const isVote =
      type === 'MsgVote' ||
      type === 'MsgVoteResp' ||
      type === 'MsgPreVote' ||
      type === 'MsgPreVoteResp'
    if (isVote) invariant(term !== 0, 'term should be set when sending a vote')
    else invariant(term === 0, 'term should not be set when sending', () => `${type} (was ${term})`)
    const isTermless = isVote || type === 'MsgProp' || type === 'MsgReadIndex'
    const message = createMessage(fields, fields.from ?? this.id, isTermless ? term : this.term)
    if (type === 'MsgAppResp' || type === 'MsgVoteResp' || type === 'MsgPreVoteResp') {
      this.messagesAfterAppend.push(message)
      return
    }
    invariant(message.to !== this.id, 'message should not be self-addressed', () => type)
    this.messages.push(message)
  }

  becomeFollower(term: Term, lead: MemberId): void {
    this.#reset(term)
    this.lead = lead
    this.role = 'follower'
    this.logger.info(() => `${this.name} became follower at term ${this.term}`)
  }

  becomePreCandidate(): void {
    invariant(this.role !== 'leader', 'invalid transition [leader -> pre-candidate]')
    // Neither the term nor the vote changes: a pre-vote promises nothing.
    this.tracker.resetVotes()
    this.lead = NO_MEMBER
    this.role = 'pre-candidate'
    this.logger.info(() => `${this.name} became pre-candidate at term ${this.term}`)
  }

  becomeCandidate(): void {
    invariant(this.role !== 'leader', 'invalid transition [leader -> candidate]')
    this.#reset(nextTerm(this.term))
    this.vote = this.id
    this.role = 'candidate'
    this.logger.info(() => `${this.name} became candidate at term ${this.term}`)
  }

  becomeLeader(): void {
    invariant(this.role !== 'follower', 'invalid transition [follower -> leader]')
    this.#reset(this.term)
    this.lead = this.id
    this.role = 'leader'
    const own = this.tracker.progress.get(this.id)
    invariant(own !== undefined, 'a leader is a member')
    own.becomeReplicate()
    own.recentActive = true
    // There may be a change among the entries that are not committed yet; scanning them would tell,
    // but waiting until all of them are applied is as safe.
    this.pendingConfIndex = this.log.lastIndex()
    const isAccepted = this.appendAsLeader([EMPTY_ENTRY])
    invariant(isAccepted, 'empty entry was dropped')
    this.logger.info(() => `${this.name} became leader at term ${this.term}`)
  }

  /**
   * Gives entries their term and index and appends them. Returns false, with nothing done, when
   * that would go over the limit on uncommitted payload. A single proposal may, when nothing else
   * is uncommitted.
   */
  appendAsLeader(proposed: readonly Entry[]): boolean {
    const bytes = payloadsSize(proposed)
    const isOver = this.uncommittedBytes + bytes > this.config.maxUncommittedEntriesBytes
    // Empty entries always pass: those of new leaders and of leaving a joint configuration must not
    // starve.
    if (this.uncommittedBytes > 0 && bytes > 0 && isOver) {
      this.logger.warning(
        () =>
          `${this.name} appending new entries to log would exceed uncommitted entry size limit; ` +
          'dropping proposal',
      )
      return false
    }
    this.uncommittedBytes += bytes
    const { term } = this
    const first = nextIndex(this.log.lastIndex())
    const entries: Entry[] = new Array(proposed.length)
    for (let i = 0; i < proposed.length; i++) {
      const { type, data } = proposed[i] as Entry
      entries[i] = { type, term, index: addIndex(first, i), data }
    }
    const last = this.log.append(entries)
    // The leader's own acknowledgement, once durable like everybody's: it may come after a
    // quorum's.
    this.send({ type: 'MsgAppResp', to: this.id, index: last })
    return true
  }

  /** Entries of `bytes` payload were applied. */
  reduceUncommitted(bytes: number): void {
    // Entries of former leaders were never counted, so this can go below what is left.
    this.uncommittedBytes = Math.max(0, this.uncommittedBytes - bytes)
  }

  lastPosition(): LogPosition {
    return { term: this.log.lastTerm(), index: this.log.lastIndex() }
  }

  /** Whether this member may lead: a voter of a configuration that it knows. */
  isPromotable(): boolean {
    const own = this.tracker.progress.get(this.id)
    return own !== undefined && !own.isLearner && !this.log.hasNextOrInProgressSnapshot()
  }

  /** Whether a leader knows for sure what is committed (Raft §8). */
  hasCommittedInTerm(): boolean {
    return this.log.termOrZero(this.log.committed) === this.term
  }

  abortLeaderTransfer(): void {
    this.leadTransferee = NO_MEMBER
  }

  #reset(term: Term): void {
    if (this.term !== term) {
      invariant(term > this.term, 'the term never decreases', () => `${this.term} -> ${term}`)
      this.term = term
      this.vote = NO_MEMBER
    }
    this.lead = NO_MEMBER
    this.electionElapsed = 0
    this.heartbeatElapsed = 0
    const { electionTicks, randomBelow } = this.config
    this.randomizedElectionTimeoutTicks = electionTicks + randomBelow(electionTicks)
    this.abortLeaderTransfer()
    this.tracker.resetVotes()
    const last = this.log.lastIndex()
    for (const progress of this.tracker.members) {
      progress.restart({
        match: progress.id === this.id ? last : ZERO_INDEX,
        next: nextIndex(last),
      })
    }
    this.pendingConfIndex = ZERO_INDEX
    this.uncommittedBytes = 0
    this.readOnly = new ReadOnlyQueue()
  }
}

const EMPTY_ENTRY: Entry = {
  type: 'EntryNormal',
  term: ZERO_TERM,
  index: ZERO_INDEX,
  data: new Uint8Array(0),
}
