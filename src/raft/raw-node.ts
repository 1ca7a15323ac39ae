/**
 * The consensus core as its caller sees it: put events in (tick, step, propose, ...), take a Ready
 * out. Everything is synchronous; nothing here does I/O, keeps time or draws randomness of its own.
 */
import type { LogIndex, MemberId, Term } from '../base/ids.js'
import { NO_MEMBER, ZERO_TERM } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { ConfChange, ConfChangeV2, ConfState, Entry, HardState } from '../wire/raftpb.js'
import { asConfChangeV2, encodeConfChange } from './confchange/conf-change.js'
import { checkConfig, type RaftConfig } from './config.js'
import { applyConfChange } from './configuration.js'
import { createRaft } from './create-raft.js'
import { entriesSize } from './entry-size.js'
import {
  createMessage,
  isEmptySnapshot,
  isLocalMessage,
  isLocalThread,
  isResponseMessage,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  NO_ENTRIES,
  type RaftMessage,
} from './message.js'
import { LOCAL_MESSAGE, PEER_NOT_FOUND, type ProposeResult, type StepResult } from './outcome.js'
import type { Raft } from './raft.js'
import type { ReadState, Ready, SoftState } from './ready.js'
import { type BasicStatus, basicStatusOf, type Status, statusOf } from './status.js'
import { step } from './step.js'
import { tick } from './tick.js'

export type { RaftConfig, ReadOnlyOption } from './config.js'
export type { RaftLogger } from './logger.js'
export type { RaftMessage } from './message.js'
export type { Dropped, DropReason, ProposeResult, Refused, StepResult } from './outcome.js'
export type { RaftRole, ReadState, Ready, SoftState } from './ready.js'
export type { BasicStatus, ProgressStatus, Status } from './status.js'
export type { RaftStorage } from './storage.js'

const NO_READ_STATES: readonly ReadState[] = Object.freeze([])

/** One member of a Raft group. Configuration errors are programmer errors and throw. */
export class RawNode {
  readonly #raft: Raft
  readonly #isAsync: boolean
  #previousSoftState: SoftState
  #previousHardState: HardState
  /** Plain mode: what this member tells itself once the Ready is persisted and applied. */
  #stepsOnAdvance: RaftMessage[] = []

  constructor(config: RaftConfig) {
    const checked = checkConfig(config)
    this.#raft = createRaft(checked)
    this.#isAsync = checked.asyncStorageWrites
    this.#previousSoftState = this.#raft.softState()
    this.#previousHardState = this.#raft.hardState()
  }

  /** One tick of time has passed: may start an election, send heartbeats or check the quorum. */
  tick(): void {
    tick(this.#raft)
  }

  /** Starts an election now, unless this member leads already or may not campaign. */
  campaign(): void {
    this.#stepLocal(createMessage({ type: 'MsgHup' }))
  }

  /** Proposes one entry per item, in order, all or none. The bytes must not change afterwards. */
  propose(datas: readonly Uint8Array[]): ProposeResult {
    invariant(datas.length > 0, 'a proposal has at least one entry')
    const entries: Entry[] = new Array(datas.length)
    for (let i = 0; i < datas.length; i++) {
      const data = datas[i]
      invariant(data !== undefined, 'a proposed entry has data')
      entries[i] = { type: 'EntryNormal', term: ZERO_TERM, index: 0 as LogIndex, data }
    }
    return this.#proposeEntries(entries)
  }

  /**
   * Proposes a change of the configuration. The leader turns a change that cannot follow the
   * present one into an empty entry, so 'ok' does not mean that it will apply. Call
   * `applyConfChange` when it commits.
   */
  proposeConfChange(change: ConfChange | ConfChangeV2): ProposeResult {
    return this.#proposeEntries([encodeConfChange(change)])
  }

  /**
   * Applies a committed change and returns the configuration from then on. Must be called for every
   * committed one; to refuse it, give a change whose nodeId is 0 (or a V2 with such changes).
   */
  applyConfChange(change: ConfChange | ConfChangeV2): ConfState {
    return applyConfChange(this.#raft, asConfChangeV2(change))
  }

  /** Takes a message from the network or from a local storage thread. */
  step(message: RaftMessage): StepResult {
    const isLocalSender = isLocalThread(message.from)
    if (!isLocalSender) {
      if (isLocalMessage(message.type)) return LOCAL_MESSAGE
      if (isResponseMessage(message.type) && !this.#raft.tracker.progress.has(message.from)) {
        return PEER_NOT_FOUND
      }
    }
    return step(this.#raft, message)
  }

  /** Whether `ready` has something to say. */
  hasReady(): boolean {
    const raft = this.#raft
    return (
      raft.messages.length > 0 ||
      raft.messagesAfterAppend.length > 0 ||
      raft.log.hasNextUnstableEntries() ||
      raft.log.hasNextCommittedEntries(!this.#isAsync) ||
      raft.readStates.length > 0 ||
      raft.log.hasNextUnstableSnapshot() ||
      !this.#isSameSoftState() ||
      !this.#isSameHardState()
    )
  }

  /**
   * Takes out what is to be done. Plain mode: call `advance` before the next one. Asynchronous
   * mode: may be called again at once; storage work arrives in the order it must be done.
   */
  ready(): Ready {
    const raft = this.#raft
    invariant(
      this.#stepsOnAdvance.length === 0,
      'two accepted Ready structs without call to Advance',
    )
    const hardState = raft.hardState()
    const mustPersist = !this.#isSameHardState()
    const entries = raft.log.nextUnstableEntries()
    const committedEntries = raft.log.nextCommittedEntries(!this.#isAsync)
    const snapshot = raft.log.nextUnstableSnapshot()
    const softState = this.#isSameSoftState() ? undefined : raft.softState()
    const isVoteOrTermNew =
      hardState.term !== this.#previousHardState.term ||
      hardState.vote !== this.#previousHardState.vote
    const ready: Ready = {
      softState,
      hardState: mustPersist ? hardState : undefined,
      readStates: raft.readStates.length === 0 ? NO_READ_STATES : raft.readStates,
      entries,
      snapshot,
      committedEntries,
      messages: this.#takeMessages(
        mustPersist ? hardState : undefined,
        entries,
        snapshot,
        committedEntries,
      ),
      mustSync: entries.length > 0 || isVoteOrTermNew,
    }
    this.#accept(ready)
    return ready
  }

  /** Plain mode only: everything in the last Ready is persisted, sent and applied. */
  advance(): void {
    invariant(!this.#isAsync, 'Advance must not be called when using AsyncStorageWrites')
    const steps = this.#stepsOnAdvance
    this.#stepsOnAdvance = []
    for (const message of steps) step(this.#raft, message)
  }

  /**
   * Asks at which index a read that starts now is linearizable. The answer comes as a ReadState
   * with the same context, or never (no leader, message lost): ask again after a while. Contexts
   * must be unique.
   */
  readIndex(context: Uint8Array): void {
    const entry: Entry = {
      type: 'EntryNormal',
      term: ZERO_TERM,
      index: 0 as LogIndex,
      data: context,
    }
    this.#stepLocal(createMessage({ type: 'MsgReadIndex', entries: [entry] }))
  }

  /** The current term, without the cost of a status. */
  get term(): Term {
    return this.#raft.term
  }

  /** Index of the last committed entry, without the cost of a status. */
  get committed(): LogIndex {
    return this.#raft.log.committed
  }

  basicStatus(): BasicStatus {
    return basicStatusOf(this.#raft)
  }

  status(): Status {
    return statusOf(this.#raft)
  }

  /** The last message to `id` could not be sent. */
  reportUnreachable(id: MemberId): void {
    this.#stepLocal(createMessage({ type: 'MsgUnreachable', from: id }))
  }

  /**
   * How sending the snapshot to `id` ended. Without a report a leader never probes that member
   * again.
   */
  reportSnapshot(id: MemberId, outcome: 'finish' | 'failure'): void {
    const reject = outcome === 'failure'
    this.#stepLocal(createMessage({ type: 'MsgSnapStatus', from: id, reject }))
  }

  /** Tries to hand leadership to `to`; given up after electionTicks. Followers pass the wish on. */
  transferLeader(to: MemberId): void {
    this.#stepLocal(createMessage({ type: 'MsgTransferLeader', from: to }))
  }

  /**
   * A follower forgets its leader, so that it may vote for another at once. Not with lease-based
   * reads.
   */
  forgetLeader(): void {
    this.#stepLocal(createMessage({ type: 'MsgForgetLeader' }))
  }

  /** Fixes the election timeout in force until the next change of role or term draws another. */
  setRandomizedElectionTimeoutTicks(ticks: number): void {
    this.#raft.randomizedElectionTimeoutTicks = ticks
  }

  #proposeEntries(entries: readonly Entry[]): ProposeResult {
    const result = step(
      this.#raft,
      createMessage({ type: 'MsgProp', from: this.#raft.id, entries }),
    )
    return result
  }

  #stepLocal(message: RaftMessage): void {
    const result = step(this.#raft, message)
    invariant(result === 'ok', 'only proposals may be dropped')
  }

  #isSameSoftState(): boolean {
    const previous = this.#previousSoftState
    return previous.lead === this.#raft.lead && previous.role === this.#raft.role
  }

  #isSameHardState(): boolean {
    const raft = this.#raft
    const previous = this.#previousHardState
    return (
      previous.commit === raft.log.committed &&
      previous.term === raft.term &&
      previous.vote === raft.vote
    )
  }

  #takeMessages(
    hardState: HardState | undefined,
    entries: readonly Entry[],
    snapshot: Ready['snapshot'],
    committedEntries: readonly Entry[],
  ): readonly RaftMessage[] {
    const raft = this.#raft
    const messages = raft.messages
    const afterAppend = raft.messagesAfterAppend
    raft.messages = []
    raft.messagesAfterAppend = []
    const acknowledgement = this.#appendAcknowledgement(snapshot)
    if (!this.#isAsync) {
      for (const message of afterAppend) {
        if (message.to === raft.id) this.#stepsOnAdvance.push(message)
        else messages.push(message)
      }
      if (acknowledgement !== undefined) this.#stepsOnAdvance.push(acknowledgement)
      if (committedEntries.length > 0) {
        this.#stepsOnAdvance.push(applyAcknowledgement(raft, committedEntries))
      }
      return messages
    }
    const hasWork = entries.length > 0 || hardState !== undefined || snapshot !== undefined
    if (hasWork || afterAppend.length > 0) {
      // The leader's own MsgAppResp goes before the acknowledgement: while the entries are still in
      // the unstable part of the log their terms are found without asking the storage.
      if (acknowledgement !== undefined) afterAppend.push(acknowledgement)
      messages.push(appendRequest(raft, hardState, entries, snapshot, afterAppend))
    }
    if (committedEntries.length > 0) messages.push(applyRequest(raft, committedEntries))
    return messages
  }

  /**
   * What tells the core that its writes are durable. It names the last entry of the whole log
   * rather than of this Ready, and goes out as long as any entry is unstable: an append of an older
   * term may still be under way and would otherwise be acknowledged after a newer one replaced its
   * entries (the ABA problem). With the present term in it, an acknowledgement from an earlier term
   * is ignored, and the next one covers its entries.
   */
  #appendAcknowledgement(snapshot: Ready['snapshot']): RaftMessage | undefined {
    const raft = this.#raft
    const isLogUnstable = raft.log.hasNextOrInProgressUnstableEntries()
    if (!isLogUnstable && snapshot === undefined) return undefined
    const { id, term } = raft
    if (!isLogUnstable) {
      return createMessage({
        type: 'MsgStorageAppendResp',
        to: id,
        from: LOCAL_APPEND_THREAD,
        term,
        snapshot,
      })
    }
    return createMessage({
      type: 'MsgStorageAppendResp',
      to: id,
      from: LOCAL_APPEND_THREAD,
      term,
      index: raft.log.lastIndex(),
      logTerm: raft.log.lastTerm(),
      snapshot,
    })
  }

  #accept(ready: Ready): void {
    const raft = this.#raft
    if (ready.softState !== undefined) this.#previousSoftState = ready.softState
    if (ready.hardState !== undefined) this.#previousHardState = ready.hardState
    if (ready.readStates.length > 0) raft.readStates = []
    raft.log.acceptUnstable()
    const last = ready.committedEntries.at(-1)
    if (last === undefined) return
    raft.log.acceptApplying(last.index, entriesSize(ready.committedEntries), !this.#isAsync)
  }
}

function appendRequest(
  raft: Raft,
  hardState: HardState | undefined,
  entries: readonly Entry[],
  snapshot: Ready['snapshot'],
  responses: readonly RaftMessage[],
): RaftMessage {
  return createMessage({
    type: 'MsgStorageAppend',
    to: LOCAL_APPEND_THREAD,
    from: raft.id,
    term: hardState?.term ?? ZERO_TERM,
    vote: hardState?.vote ?? NO_MEMBER,
    commit: hardState?.commit ?? (0 as LogIndex),
    entries,
    snapshot: isEmptySnapshot(snapshot) ? undefined : snapshot,
    responses,
  })
}

function applyRequest(raft: Raft, committedEntries: readonly Entry[]): RaftMessage {
  return createMessage({
    type: 'MsgStorageApply',
    to: LOCAL_APPLY_THREAD,
    from: raft.id,
    entries: committedEntries,
    responses: [applyAcknowledgement(raft, committedEntries)],
  })
}

function applyAcknowledgement(raft: Raft, entries: readonly Entry[] = NO_ENTRIES): RaftMessage {
  return createMessage({
    type: 'MsgStorageApplyResp',
    to: raft.id,
    from: LOCAL_APPLY_THREAD,
    entries,
  })
}
