import type { Backend } from '../backend/backend.js'
import type { ErrorCode } from '../base/errors.js'
import {
  type ClusterId,
  type LeaseId,
  type LogIndex,
  leaseId,
  type MemberId,
  NO_MEMBER,
  type RequestId,
  type Revision,
  revision,
  type Term,
} from '../base/ids.js'
import { exhaustive, invariant } from '../base/invariant.js'
import { CLUSTER_VERSION_PATH } from '../base/v2-paths.js'
import { detectInvalidDowngrade, parseVersion } from '../membership/cluster-version.js'
import {
  type Member as ClusterMember,
  computeMemberId,
  encodeAddContext,
  encodeMember,
  encodePromoteContext,
  parseAttributes,
} from '../membership/member.js'
import { type Membership, membershipErrors } from '../membership/membership.js'
import {
  type Connections,
  checkAdd,
  checkPromote,
  checkRemove,
} from '../membership/reconfiguration.js'
import type { MvccStore } from '../mvcc/mvcc-store.js'
import type { StoreEvent } from '../mvcc/store-event.js'
import type { Clock, Scheduler } from '../ports/clock.js'
import type { Log } from '../ports/log.js'
import type { PeerEvents, PeerNetwork } from '../ports/peer-network.js'
import type { MemoryStorage } from '../raft/memory-storage.js'
import type { RaftMessage, RawNode, SoftState, Status } from '../raft/raw-node.js'
import { applyV2Request } from '../v2store/apply-request.js'
import type { WatchHub } from '../watch/watch-hub.js'
import { type Operation, openEntry, sealEncoded } from '../wire/raft-envelope.js'
import {
  ConfChange,
  ConfChangeV2,
  type ConfState,
  type Entry,
  type Message,
  type Snapshot,
} from '../wire/raftpb.js'
import { WireError } from '../wire/reader.js'
import { AlarmRequest, type ResponseHeader } from '../wire/rpc.js'
import { V2Request } from '../wire/v2-request.js'
import { Compactor } from './compactor.js'
import { encodeConfState } from './conf-state-row.js'
import { decideVersion } from './decide-version.js'
import { LeaseKeeper } from './lease-keeper.js'
import type { LeaderCalls, LeaseAnswer, MemberLog, TimeToLiveAnswer } from './member-parts.js'
import {
  APPLY_LAG_ENTRIES_MAX,
  type MemberSettings,
  PROPOSALS_MAX,
  requestTimeoutMs,
} from './member-settings.js'
import type { MembershipOutcome } from './membership-changes.js'
import { type Proposal, type ProposalOutcome, Proposals } from './proposals.js'
import { type DurableWrite, RaftLoop } from './raft-loop.js'
import { Reads } from './reads.js'
import type { ReplicatedState } from './replicated-state.js'
import type { RequestIds } from './request-ids.js'
import { SnapshotKeeper } from './snapshot-keeper.js'

export interface MemberOptions {
  readonly id: MemberId
  readonly clusterId: ClusterId
  readonly settings: MemberSettings
  readonly node: RawNode
  readonly storage: MemoryStorage
  /** Index of the snapshot that the state was restored from. */
  readonly snapshotIndex: LogIndex
  readonly state: ReplicatedState
  readonly hub: WatchHub
  readonly log: Log
  readonly wal: MemberLog
  readonly network: PeerNetwork
  readonly leaderCalls: LeaderCalls
  readonly requestIds: RequestIds
  readonly clock: Clock
  readonly scheduler: Scheduler
  /** Takes over a received snapshot: swaps the backend's content and restores the state from it. */
  readonly installState: (
    snapshot: Snapshot,
    done: (failure: Error | undefined, state: ReplicatedState | undefined) => void,
  ) => void
  /** Keeps the body of a snapshot that is being received. */
  readonly stageSnapshot: PeerEvents['receiveSnapshot']
  /**
   * The disk failed or the state cannot be right: the process must end without acknowledging
   * anything more.
   */
  readonly onFatal: (message: string, cause: unknown) => void
  /** This member was removed from the cluster. */
  readonly onRemoved: () => void
}

/** What the leader looks like from here, for whoever waits for it to change. */
interface LeadershipWaiter {
  readonly target: MemberId
  readonly deadlineMs: number
  readonly done: (failure: ErrorCode | undefined) => void
}

/** Bytes of proposals put into one message to the leader. */
const SUBMIT_BYTES_MAX = 1 << 20
/** Between two looks at the cluster's version by the leader, ms (facts: peer-protocol.md 11). */
const VERSION_PASS_MS = 4000
/** Between two looks of the leader at v2 keys whose time is over, ms. */
const V2_SYNC_MS = 500

/**
 * One member of the cluster: proposals and reads go in, committed entries are applied in order, and
 * what they changed goes to watchers and to whoever waits. One thread, synchronous; the world is
 * behind ports.
 */
export class Member implements PeerEvents {
  readonly id: MemberId
  readonly clusterId: ClusterId
  readonly settings: MemberSettings
  readonly hub: WatchHub
  readonly #node: RawNode
  readonly #storage: MemoryStorage
  readonly #log: Log
  readonly #wal: MemberLog
  readonly #network: PeerNetwork
  readonly #leaderCalls: LeaderCalls
  readonly #ids: RequestIds
  readonly #clock: Clock
  readonly #options: MemberOptions
  readonly #loop: RaftLoop
  readonly #proposals = new Proposals()
  readonly #reads: Reads
  readonly #leases: LeaseKeeper
  readonly #compactor: Compactor
  readonly #snapshots: SnapshotKeeper
  readonly #requestTimeoutMs: number
  #state: ReplicatedState
  #confState: ConfState
  /** Proposals that raft has not taken yet: there is no leader, or its window is full. */
  #unsubmitted: Proposal[] = []
  #soft: SoftState
  #leaderElectedMs = Number.NEGATIVE_INFINITY
  #leaderChangesSeen = 0
  #isStopped = false
  /** A snapshot of another member is being installed: there is no state to read meanwhile. */
  #isReplacingState = false
  #isAskingVersions = false
  #isDefragmenting = false
  #nextVersionPassMs = 0
  #nextV2SyncMs = 0
  #leadershipWaiters: LeadershipWaiter[] = []
  /** Figures for metrics. */
  readonly counts = {
    proposalsFailed: 0,
    slowApplies: 0,
    slowReads: 0,
    readsFailed: 0,
    puts: 0,
    ranges: 0,
    deletes: 0,
    txns: 0,
  }

  constructor(options: MemberOptions) {
    this.id = options.id
    this.clusterId = options.clusterId
    this.settings = options.settings
    this.hub = options.hub
    this.#options = options
    this.#node = options.node
    this.#storage = options.storage
    this.#log = options.log
    this.#wal = options.wal
    this.#network = options.network
    this.#leaderCalls = options.leaderCalls
    this.#ids = options.requestIds
    this.#clock = options.clock
    this.#state = options.state
    this.#soft = this.#node.basicStatus().softState
    this.#confState = this.#storage.initialState().confState
    this.#requestTimeoutMs = requestTimeoutMs(options.settings)
    this.#loop = new RaftLoop({
      node: options.node,
      storage: options.storage,
      scheduler: options.scheduler,
      self: options.id,
      applied: options.snapshotIndex,
      host: {
        submit: () => this.#submit(),
        write: (write, done) => this.#write(write, done),
        installSnapshot: (snapshot, write, done) => this.#install(snapshot, write, done),
        send: (messages) => this.#network.send(messages),
        sendSnapshot: (message) => this.#sendSnapshot(message),
        apply: (entry) => this.#apply(entry),
        onApplied: (applied) => this.#onApplied(applied),
        onRead: (context, index) => {
          this.#reads.onAnswer(context, index)
          this.#reads.onApplied(this.appliedIndex)
        },
        onSoftState: (soft) => this.#onSoftState(soft),
        nowMs: () => this.#clock.monotonicMs(),
      },
    })
    this.#reads = new Reads({
      nextContext: () => this.#ids.nextBytes(),
      ask: (context) => this.#node.readIndex(context),
      onSlow: () => {
        this.counts.slowReads++
        this.#log.warn('waiting for ReadIndex response took too long, retrying')
      },
      onFailed: () => {
        this.counts.readsFailed++
      },
    })
    this.#leases = new LeaseKeeper({
      lessor: () => this.#state.lessor,
      nowMs: () => this.#clock.monotonicMs(),
      propose: (operation, encoded, done) => this.propose(operation, encoded, done),
      forward: (id, done) => this.#forwardKeepAlive(id, done),
    })
    this.#compactor = new Compactor(options.scheduler, () => this.#state.store, {
      batchLimit: options.settings.compactionBatchLimit,
      sleepMs: options.settings.compactionSleepMs,
    })
    this.#snapshots = new SnapshotKeeper({
      settings: options.settings,
      storage: options.storage,
      backend: () => this.#state.backend,
      wal: options.wal,
      log: options.log,
      snapshotIndex: options.snapshotIndex,
      confState: () => this.#confState,
      writeDeferred: () => this.#loop.writeDeferred(),
      v2State: () => this.#state.v2.saveNoCopy(),
      onFatal: options.onFatal,
    })
  }

  // What it is.

  get backend(): Backend {
    return this.#state.backend
  }

  get store(): MvccStore {
    return this.#state.store
  }

  get state(): ReplicatedState {
    return this.#state
  }

  get membership(): Membership {
    return this.#state.membership
  }

  get currentRevision(): Revision {
    return this.#state.store.currentRevision
  }

  get term(): Term {
    return this.#node.basicStatus().hardState.term
  }

  /** The leader as this member sees it; 0n = none. */
  get leaderId(): MemberId {
    return this.#soft.lead
  }

  get isLeader(): boolean {
    return this.#soft.role === 'leader'
  }

  get isLearner(): boolean {
    return this.#state.membership.member(this.id)?.isLearner ?? false
  }

  /** Whether requests can be served at all: not while a received snapshot is being installed. */
  get isServing(): boolean {
    return !this.#isStopped && !this.#isReplacingState
  }

  get appliedIndex(): LogIndex {
    return this.#loop.appliedIndex
  }

  get committedIndex(): LogIndex {
    return this.#node.basicStatus().hardState.commit
  }

  get lastIndex(): LogIndex {
    return this.#storage.lastIndex()
  }

  get leaderChangesSeen(): number {
    return this.#leaderChangesSeen
  }

  get pendingProposalCount(): number {
    return this.#proposals.count
  }

  get expiredLeaseCount(): number {
    return this.#leases.expiredCount
  }

  raftStatus(): Status {
    return this.#node.status()
  }

  /** The header of a response; without a revision for the services that name none. */
  header(at: Revision | undefined): ResponseHeader {
    return {
      clusterId: this.clusterId,
      memberId: this.id,
      revision: at ?? revision(0),
      raftTerm: this.term,
    }
  }

  // What drives it.

  /** First steps after the parts are in place: peers, and what was committed before the restart. */
  start(): void {
    for (const { id, peerUrls } of this.membership.members()) {
      if (id !== this.id) this.#network.addPeer(id, peerUrls)
    }
    this.#compactor.poke()
    this.#scheduleFlush()
    this.#loop.poke()
  }

  /** Called each `tickMs`. */
  tick(): void {
    if (this.#isStopped) return
    const nowMs = this.#clock.monotonicMs()
    this.#node.tick()
    this.#proposals.expire(nowMs, (proposal) => this.#timeoutCode(proposal.startedMs))
    this.#unsubmitted = this.#unsubmitted.filter(({ id }) => this.#proposals.get(id) !== undefined)
    this.#reads.tick(nowMs, 'TIMEOUT')
    this.#expireLeadershipWaiters(nowMs)
    this.#leases.tick()
    this.#superviseVersion(nowMs)
    this.#superviseV2Expiry()
    this.#loop.poke()
  }

  /** Starts an election at once instead of waiting for the timeout, if nobody else could vote. */
  campaignWhenAlone(): void {
    this.#loop.run()
    const voters = this.#confState.voters
    if (voters.length !== 1 || voters[0] !== this.id) return
    this.#node.campaign()
    this.#loop.poke()
  }

  /** Lets `ticks` of the election timeout pass at once (`--initial-election-tick-advance`). */
  advanceTicks(ticks: number): void {
    for (let tick = 0; tick < ticks; tick++) this.#node.tick()
    this.#loop.poke()
  }

  /**
   * Hands leadership over where it can, then ends everything; `done` when nothing of it runs any
   * more.
   */
  stop(done: () => void): void {
    if (this.#isStopped) {
      done()
      return
    }
    const end = (): void => this.#end(done)
    const target = this.#transferTarget()
    if (!this.isLeader || target === undefined) {
      end()
      return
    }
    this.moveLeader(target, end)
  }

  #end(done: () => void): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#compactor.stop()
    this.#proposals.failAll('STOPPED')
    this.#reads.failAll('STOPPED')
    this.#leases.onDemoted()
    this.#loop.writeDeferred(() => {
      this.#loop.stop()
      this.backend.flush(true, (failure) => {
        if (failure !== undefined)
          this.#log.error('failed to flush the backend', { error: failure.message })
        this.#wal.close(() => this.backend.close(() => done()))
      })
    })
  }

  /** The voter that has been connected longest. */
  #transferTarget(): MemberId | undefined {
    let best: { id: MemberId; sinceMs: number } | undefined
    for (const { id } of this.membership.votingMembers()) {
      const sinceMs = id === this.id ? undefined : this.#network.activeSinceMs(id)
      if (sinceMs === undefined) continue
      if (best === undefined || sinceMs < best.sinceMs) best = { id, sinceMs }
    }
    return best?.id
  }

  // Proposals and reads.

  /** Whether the quota leaves room for so many bytes more. */
  hasRoomFor(bytes: number): boolean {
    return this.backend.sizeBytes + bytes < this.settings.quotaBytes
  }

  /** Tells the whole cluster that this member's quota is used up. */
  raiseNoSpace(): void {
    const encoded = AlarmRequest.encode({ action: 'ACTIVATE', memberID: this.id, alarm: 'NOSPACE' })
    this.propose('alarm', encoded, () => undefined)
  }

  /**
   * Proposes one operation; `done` comes once, with what applying it gave or with why it was not
   * (known to be) applied.
   */
  propose(
    operation: Operation,
    encoded: Uint8Array,
    done: (outcome: ProposalOutcome) => void,
  ): void {
    const refusal = this.#refusal()
    if (refusal !== undefined) {
      done({ kind: 'failed', code: refusal })
      return
    }
    const id = this.#ids.next()
    const data = sealEncoded(operation, encoded, { ID: id, username: '', authRevision: 0 })
    if (data.length > this.settings.requestBytesMax) {
      done({ kind: 'failed', code: 'REQUEST_TOO_LARGE' })
      return
    }
    this.#enqueue(id, data, done)
  }

  /** Proposes a request of the v2 API; its id is set here. */
  proposeV2(request: Omit<V2Request, 'ID'>, done: (outcome: ProposalOutcome) => void): void {
    const refusal = this.#refusal()
    if (refusal !== undefined) {
      done({ kind: 'failed', code: refusal })
      return
    }
    const id = this.#ids.next()
    this.#enqueue(id, V2Request.encode({ ...request, ID: id }), done)
  }

  #refusal(): ErrorCode | undefined {
    if (this.#isStopped) return 'STOPPED'
    const isLagging = this.committedIndex > this.appliedIndex + APPLY_LAG_ENTRIES_MAX
    if (isLagging || this.backend.isOverloaded || this.#proposals.count >= PROPOSALS_MAX)
      return 'TOO_MANY_REQUESTS'
    return undefined
  }

  #enqueue(id: RequestId, data: Uint8Array, done: (outcome: ProposalOutcome) => void): void {
    const startedMs = this.#clock.monotonicMs()
    const deadlineMs = startedMs + this.#requestTimeoutMs
    const proposal: Proposal = { id, data, startedMs, deadlineMs, done }
    this.#proposals.add(proposal)
    this.#unsubmitted.push(proposal)
    this.#loop.poke()
  }

  /** Runs `done` once the state here is at least as new as now anywhere in the cluster. */
  linearize(done: (failure: ErrorCode | undefined) => void): void {
    if (this.#isStopped) {
      done('STOPPED')
      return
    }
    this.#reads.add(done, this.#clock.monotonicMs() + this.#requestTimeoutMs)
    this.#loop.poke()
  }

  #submit(): void {
    if (this.#soft.lead === NO_MEMBER) return
    while (this.#unsubmitted.length > 0) {
      const datas: Uint8Array[] = []
      let bytes = 0
      for (const { data } of this.#unsubmitted) {
        if (datas.length > 0 && bytes + data.length > SUBMIT_BYTES_MAX) break
        datas.push(data)
        bytes += data.length
      }
      // What is dropped stays: a leader that hands over or is full takes it later, or it times out.
      if (this.#node.propose(datas) !== 'ok') break
      if (datas.length === this.#unsubmitted.length) this.#unsubmitted = []
      else this.#unsubmitted = this.#unsubmitted.slice(datas.length)
    }
    if (this.#reads.wantsRound) this.#reads.startRound(this.#clock.monotonicMs())
  }

  /** etcd's guess at why nothing came in time. */
  #timeoutCode(startedMs: number): ErrorCode {
    this.counts.proposalsFailed++
    const lostMs = this.#leaderElectedMs - 2 * this.settings.electionTimeoutMs
    if (startedMs > lostMs && startedMs < this.#leaderElectedMs) return 'TIMEOUT_LEADER_FAILURE'
    if (this.leaderId === NO_MEMBER) return 'TIMEOUT'
    if (this.isLeader) {
      return this.#isConnectedToQuorumSince(startedMs) ? 'TIMEOUT' : 'TIMEOUT_CONNECTION_LOST'
    }
    const since = this.#network.activeSinceMs(this.leaderId)
    return since !== undefined && since <= startedMs ? 'TIMEOUT' : 'TIMEOUT_CONNECTION_LOST'
  }

  #isConnectedToQuorumSince(startedMs: number): boolean {
    const voters = this.membership.votingMembers()
    const connected = voters.filter(({ id }) => {
      const since = id === this.id ? 0 : this.#network.activeSinceMs(id)
      return since !== undefined && since <= startedMs
    })
    return connected.length > voters.length / 2
  }

  // Leases.

  newLeaseId(): LeaseId {
    return leaseId(this.#ids.next() & 0x7fff_ffff_ffff_ffffn)
  }

  renewLease(
    id: LeaseId,
    done: (outcome: LeaseAnswer | { kind: 'failed'; code: ErrorCode }) => void,
  ): void {
    this.#leases.renew(id, done)
  }

  leaseIds(): readonly LeaseId[] {
    return this.#state.lessor.list()
  }

  leaseTimeToLive(
    id: LeaseId,
    withKeys: boolean,
    done: (outcome: TimeToLiveAnswer | { kind: 'failed'; code: ErrorCode }) => void,
  ): void {
    const { lessor } = this.#state
    if (!lessor.isPrimary) {
      const urls = this.#leaderUrls()
      if (urls === undefined) done({ kind: 'failed', code: 'NO_LEADER' })
      else this.#leaderCalls.timeToLive(urls, { id, keys: withKeys }, done)
      return
    }
    const live = lessor.timeToLive(id, this.#clock.monotonicMs())
    if (live === undefined) {
      done({ kind: 'failed', code: 'LEASE_NOT_FOUND' })
      return
    }
    const keys = withKeys ? lessor.keysOf(id) : []
    done({ kind: 'found', ttlSeconds: live.remaining, grantedTtlSeconds: live.grantedTtl, keys })
  }

  #forwardKeepAlive(id: LeaseId, done: (answer: LeaseAnswer) => void): void {
    const urls = this.#leaderUrls()
    if (urls === undefined) done({ kind: 'failed', code: 'NO_LEADER' })
    else this.#leaderCalls.keepAlive(urls, id, done)
  }

  #leaderUrls(): readonly string[] | undefined {
    return this.membership.member(this.leaderId)?.peerUrls
  }

  // Membership.

  /** A member to be added, with the id that it gets if it is added now. */
  newMember(peerUrls: readonly string[], isLearner: boolean): ClusterMember {
    const urls = [...peerUrls].sort()
    const unixSeconds = Math.floor(this.#clock.wallMs() / 1000)
    const id = computeMemberId({ peerUrls: urls, token: '', unixSeconds })
    return { id, peerUrls: urls, isLearner, name: '', clientUrls: [] }
  }

  addMember(member: ClusterMember, done: (outcome: MembershipOutcome) => void): void {
    const refusal = this.settings.strictReconfigCheck
      ? checkAdd(this.membership.members(), member, this.#connections())
      : undefined
    if (refusal !== undefined) {
      this.#log.warn('rejecting member add request', { code: refusal })
      done({ kind: 'failed', code: refusal })
      return
    }
    this.#proposeConfChange(
      {
        type: member.isLearner ? 'ConfChangeAddLearnerNode' : 'ConfChangeAddNode',
        nodeId: member.id,
        context: encodeAddContext(member),
      },
      done,
    )
  }

  removeMember(id: MemberId, done: (outcome: MembershipOutcome) => void): void {
    const isKnown = this.membership.member(id) !== undefined
    const refusal =
      this.settings.strictReconfigCheck && isKnown
        ? checkRemove(this.membership.members(), id, this.#connections())
        : undefined
    if (refusal !== undefined) {
      this.#log.warn('rejecting member remove request', { code: refusal })
      done({ kind: 'failed', code: refusal })
      return
    }
    this.#proposeConfChange({ type: 'ConfChangeRemoveNode', nodeId: id, context: '' }, done)
  }

  updateMember(
    id: MemberId,
    peerUrls: readonly string[],
    done: (outcome: MembershipOutcome) => void,
  ): void {
    const member = { id, peerUrls, isLearner: false, name: '', clientUrls: [] }
    const known = this.membership.member(id)
    const context = encodeMember({ ...member, isLearner: known?.isLearner ?? false })
    this.#proposeConfChange({ type: 'ConfChangeUpdateNode', nodeId: id, context }, done)
  }

  promoteMember(id: MemberId, done: (outcome: MembershipOutcome) => void): void {
    if (!this.isLeader) {
      const urls = this.#leaderUrls()
      if (urls === undefined) done({ kind: 'failed', code: 'NO_LEADER' })
      else this.#leaderCalls.promote(urls, id, done)
      return
    }
    const member = this.membership.member(id)
    const refusal = member === undefined ? 'MEMBER_NOT_FOUND' : this.#promotionRefusal(member)
    if (refusal !== undefined) done({ kind: 'failed', code: refusal })
    else {
      const context = encodePromoteContext(id)
      this.#proposeConfChange({ type: 'ConfChangeAddNode', nodeId: id, context }, done)
    }
  }

  #promotionRefusal(member: ClusterMember): ErrorCode | undefined {
    if (!member.isLearner) return 'MEMBER_NOT_LEARNER'
    const { progress } = this.#node.status()
    const learnerMatch = progress.get(member.id)?.match ?? 0
    const leaderMatch = progress.get(this.id)?.match ?? 0
    const refusal = checkPromote(this.membership.members(), { learnerMatch, leaderMatch })
    const isStrict = this.settings.strictReconfigCheck || refusal === 'LEARNER_NOT_READY'
    return isStrict ? refusal : undefined
  }

  #connections(): Connections {
    return {
      localId: this.id,
      nowMs: this.#clock.monotonicMs(),
      activeSinceMs: (id) => this.#network.activeSinceMs(id),
    }
  }

  #proposeConfChange(
    change: { type: ConfChange['type']; nodeId: MemberId; context: string },
    done: (outcome: MembershipOutcome) => void,
  ): void {
    const refusal = this.#refusal()
    if (refusal !== undefined) {
      done({ kind: 'failed', code: refusal })
      return
    }
    const id = this.#ids.next()
    const context = new TextEncoder().encode(change.context)
    const startedMs = this.#clock.monotonicMs()
    this.#proposals.add({
      id,
      data: context,
      startedMs,
      deadlineMs: startedMs + this.#requestTimeoutMs,
      done: (outcome) => done(outcome.kind === 'failed' ? outcome : { kind: 'changed' }),
    })
    const proposed = this.#node.proposeConfChange({
      id,
      type: change.type,
      nodeId: change.nodeId,
      context,
    })
    if (proposed !== 'ok') this.#proposals.settle(id, { kind: 'failed', code: 'NO_LEADER' })
    this.#loop.poke()
  }

  /** Hands leadership to a voter; `done` once it leads, or with why not. */
  moveLeader(target: MemberId, done: (failure: ErrorCode | undefined) => void): void {
    if (!this.isLeader) {
      done('NOT_LEADER')
      return
    }
    const member = this.membership.member(target)
    if (member === undefined || member.isLearner) {
      done('BAD_LEADER_TRANSFEREE')
      return
    }
    if (target === this.id) {
      done(undefined)
      return
    }
    this.#log.info('leadership transfer starting', {
      'current-leader-member-id': this.id.toString(16),
      'transferee-member-id': target.toString(16),
    })
    const deadlineMs = this.#clock.monotonicMs() + this.#requestTimeoutMs
    this.#leadershipWaiters.push({ target, deadlineMs, done })
    this.#node.transferLeader(target)
    this.#loop.poke()
  }

  #expireLeadershipWaiters(nowMs: number): void {
    const late = this.#leadershipWaiters.filter((waiter) => waiter.deadlineMs <= nowMs)
    if (late.length === 0) return
    this.#leadershipWaiters = this.#leadershipWaiters.filter((waiter) => waiter.deadlineMs > nowMs)
    for (const waiter of late) waiter.done('TIMEOUT_LEADER_TRANSFER')
  }

  // What the network tells.

  deliver(message: Message): void {
    if (this.#isStopped) return
    try {
      this.#node.step({ ...message, responses: undefined })
    } catch (error) {
      // A peer's proposal that cannot be decoded is its mistake; everything else that throws is
      // ours.
      if (!(error instanceof WireError)) throw error
      this.#log.warn('dropped an unreadable message', {
        'remote-peer-id': message.from.toString(16),
        error: error.message,
      })
    }
    this.#loop.poke()
  }

  unreachable(id: MemberId): void {
    if (this.#isStopped) return
    this.#node.reportUnreachable(id)
    this.#loop.poke()
  }

  snapshotSent(id: MemberId, outcome: 'finish' | 'failure'): void {
    if (this.#isStopped) return
    this.#node.reportSnapshot(id, outcome)
    this.#loop.poke()
  }

  removedFromCluster(): void {
    if (this.#isStopped) return
    this.#log.warn('the member has been permanently removed from the cluster')
    this.#options.onRemoved()
  }

  isRemoved(id: MemberId): boolean {
    return this.membership.isRemoved(id)
  }

  isMember(id: MemberId): boolean {
    return this.membership.member(id) !== undefined
  }

  receiveSnapshot(message: Message, body: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#options.stageSnapshot(message, body)
  }

  // Maintenance.

  /** Runs `done` when everything below the revision is freed on disk. */
  whenCompacted(at: Revision, done: () => void): void {
    this.#compactor.whenFinished(at, () => this.backend.flush(false, () => done()))
  }

  get isDefragmenting(): boolean {
    return this.#isDefragmenting
  }

  /** Rewrites the store's files without what is dead, while everybody goes on. */
  defragment(done: (failure: Error | undefined) => void): void {
    this.#log.info('starting defragmentation')
    this.#isDefragmenting = true
    this.backend.defragment((failure) => {
      this.#isDefragmenting = false
      this.#log.info('finished defragmentation')
      done(failure)
    })
  }

  /** Writes a snapshot of the log's state now instead of after `snapshotCount` entries. */
  snapshotNow(): void {
    this.#snapshots.maybeSave(this.appliedIndex, true)
  }

  /**
   * The cluster-wide name and client URLs of this member, written through the log (facts:
   * peer-protocol.md 10.1).
   */
  publish(attributes: string, path: string, done: (outcome: ProposalOutcome) => void): void {
    this.proposeV2(V2Request.create({ Method: 'PUT', Path: path, Val: attributes }), done)
  }

  // How entries are applied.

  #write(write: DurableWrite, done: () => void): void {
    this.#wal.save(write, (failure) => {
      if (failure === undefined) done()
      else this.#fatal('failed to save Raft hard state and entries', failure)
    })
  }

  #fatal(message: string, cause: unknown): void {
    this.#isStopped = true
    this.#loop.stop()
    this.#options.onFatal(message, cause)
  }

  #apply(entry: Entry): void {
    const isNew = entry.index > this.backend.consistentIndex
    if (isNew) this.backend.setConsistentIndex(entry.index, entry.term)
    switch (entry.type) {
      case 'EntryNormal':
        this.#applyNormal(entry, isNew)
        return
      case 'EntryConfChange':
        this.#applyConfChange(ConfChange.decode(entry.data), isNew)
        return
      case 'EntryConfChangeV2':
        this.#setConfState(this.#node.applyConfChange(ConfChangeV2.decode(entry.data)), isNew)
        return
      case 'UNKNOWN':
        this.#fatal('an entry of an unknown type was committed', undefined)
        return
      default:
        exhaustive(entry.type)
    }
  }

  #applyNormal(entry: Entry, isNew: boolean): void {
    const opened = openEntry(entry.data)
    switch (opened.kind) {
      case 'noop':
        if (this.isLeader && entry.term === this.term) this.#onLeading()
        return
      case 'unknown':
        this.#fatal('an entry holds a request that this version does not know', undefined)
        return
      case 'v2':
        this.#applyV2(opened.request, isNew)
        return
      case 'v3': {
        if (!isNew) return
        const startedMs = this.#clock.monotonicMs()
        const applied = this.#state.machine.apply(opened, startedMs)
        if (applied.events.length > 0) this.#notify(applied.events)
        if (opened.operation === 'leaseRevoke') this.#leases.onRevoked(leaseId(opened.request.ID))
        if (opened.operation === 'compaction') this.#compactor.poke()
        if (applied.isOverQuota && this.isLeader) this.raiseNoSpace()
        this.#proposals.settle(opened.id, applied.outcome)
        const tookMs = this.#clock.monotonicMs() - startedMs
        if (tookMs > this.settings.warningApplyMs) this.#warnSlowApply(opened.operation, tookMs)
        return
      }
      default:
        exhaustive(opened)
    }
  }

  #notify(events: readonly StoreEvent[]): void {
    this.hub.notify(this.#state.store.currentRevision, events)
  }

  #warnSlowApply(operation: string, tookMs: number): void {
    this.counts.slowApplies++
    this.#log.warn('apply request took too long', {
      took: `${tookMs.toFixed(3)}ms`,
      'expected-duration': `${this.settings.warningApplyMs}ms`,
      request: operation,
    })
  }

  #applyV2(request: V2Request, isNew: boolean): void {
    const sinks = { tree: this.#state.v2, rows: isNew ? this.#state.membershipRows : undefined }
    const result = applyV2Request(this.#state.v2, request, this.#clock.wallMs())
    if (result.kind === 'member-attributes') {
      const attributes = parseAttributes(result.attributes)
      if (attributes !== undefined) {
        const outcome = this.membership.setAttributes(result.memberId, attributes, sinks)
        if (outcome === 'updated')
          this.#log.info('updated member attributes', {
            'member-id': result.memberId.toString(16),
            name: attributes.name,
          })
      }
    } else if (result.kind === 'cluster-version') {
      const version = parseVersion(result.version)
      if (version !== undefined) {
        const isFirst = this.membership.version === undefined
        this.membership.setVersion(version, sinks)
        this.#onClusterVersion(isFirst)
      }
    }
    const outcome = { kind: 'applied', response: result, revision: this.currentRevision } as const
    this.#proposals.settle(request.ID, outcome)
  }

  #onClusterVersion(isFirst: boolean): void {
    const { version: cluster, downgrade } = this.membership
    invariant(cluster !== undefined, 'the cluster version was just set')
    const text = `${cluster.major}.${cluster.minor}`
    const fields = {
      'cluster-id': this.clusterId.toString(16),
      'local-member-id': this.id.toString(16),
      'cluster-version': text,
    }
    this.#log.info(isFirst ? 'set initial cluster version' : 'updated cluster version', fields)
    this.#log.info('enabled capabilities for version', { 'cluster-version': text })
    const problem = detectInvalidDowngrade({ cluster, downgrade })
    if (problem !== undefined) this.#fatal(problem, undefined)
  }

  #applyConfChange(change: ConfChange, isNew: boolean): void {
    const verdict = this.membership.validate(change)
    if (verdict.kind !== 'valid') {
      // A change that makes no sense any more must still be acknowledged to raft, as one of nobody.
      this.#setConfState(this.#node.applyConfChange({ ...change, nodeId: NO_MEMBER }), isNew)
      const code = verdict.kind === 'refused' ? membershipErrors[verdict.error].code : 'INTERNAL'
      this.#proposals.settle(change.id as never, { kind: 'failed', code })
      return
    }
    this.#setConfState(this.#node.applyConfChange(change), isNew)
    const applied = verdict.change
    this.membership.apply(applied, {
      tree: this.#state.v2,
      rows: isNew ? this.#state.membershipRows : undefined,
    })
    this.#followMembership(applied.kind === 'add' ? applied.member.id : applied.id, applied.kind)
    const outcome = { kind: 'applied', response: {}, revision: this.currentRevision } as const
    this.#proposals.settle(change.id as never, outcome)
  }

  /** Lets the network follow a change of membership. */
  #followMembership(id: MemberId, kind: 'add' | 'promote' | 'remove' | 'update'): void {
    const fields = {
      'cluster-id': this.clusterId.toString(16),
      'local-member-id': this.id.toString(16),
    }
    const member = this.membership.member(id)
    switch (kind) {
      case 'add':
        this.#log.info('added member', {
          ...fields,
          'added-peer-id': id.toString(16),
          'added-peer-peer-urls': member?.peerUrls,
        })
        if (id !== this.id) this.#network.addPeer(id, member?.peerUrls ?? [])
        return
      case 'update':
        this.#log.info('updated member', {
          ...fields,
          'updated-remote-peer-id': id.toString(16),
          'updated-remote-peer-urls': member?.peerUrls,
        })
        if (id !== this.id) this.#network.updatePeer(id, member?.peerUrls ?? [])
        return
      case 'promote':
        this.#log.info('promote member', { ...fields, 'promoted-member-id': id.toString(16) })
        return
      case 'remove':
        this.#log.info('removed member', { ...fields, 'removed-remote-peer-id': id.toString(16) })
        if (id === this.id) this.removedFromCluster()
        else this.#network.removePeer(id)
        return
      default:
        exhaustive(kind)
    }
  }

  #setConfState(confState: ConfState, isNew: boolean): void {
    this.#confState = confState
    if (isNew) this.backend.putMeta('confState', encodeConfState(confState))
  }

  #onApplied(applied: LogIndex): void {
    this.#reads.onApplied(applied)
    this.#snapshots.maybeSave(applied, false)
    if (this.backend.isFlushDue) this.#flushBackend()
  }

  /**
   * What the log says of commits goes first: a restart then never finds the backend ahead of it.
   */
  #flushBackend(): void {
    this.#loop.writeDeferred()
    this.backend.flush(false)
  }

  #scheduleFlush(): void {
    this.#options.scheduler.later(this.settings.backendBatchIntervalMs, () => {
      if (this.#isStopped) return
      if (!this.#isReplacingState && this.backend.isDirty) this.#flushBackend()
      this.#scheduleFlush()
    })
  }

  #onSoftState(soft: SoftState): void {
    const before = this.#soft
    this.#soft = soft
    if (before.lead !== soft.lead) {
      if (soft.lead !== NO_MEMBER) {
        this.#leaderChangesSeen++
        this.#leaderElectedMs = this.#clock.monotonicMs()
      }
      this.#reads.onLeaderChange()
      const reached = this.#leadershipWaiters.filter(({ target }) => target === soft.lead)
      this.#leadershipWaiters = this.#leadershipWaiters.filter(({ target }) => target !== soft.lead)
      for (const waiter of reached) waiter.done(undefined)
    }
    if (before.role === 'leader' && soft.role !== 'leader') {
      this.#state.lessor.demote()
      this.#leases.onDemoted()
    }
    this.#loop.poke()
  }

  /** The first entry of this member's term is applied: from now on it answers for leases. */
  #onLeading(): void {
    const nowMs = this.#clock.monotonicMs()
    this.#state.lessor.promote(this.settings.electionTimeoutMs, nowMs)
    this.#nextVersionPassMs = 0
    this.#superviseVersion(nowMs)
  }

  // What the leader looks after.

  #superviseVersion(nowMs: number): void {
    if (!this.isLeader || this.#isAskingVersions || nowMs < this.#nextVersionPassMs) return
    this.#nextVersionPassMs = nowMs + VERSION_PASS_MS
    this.#isAskingVersions = true
    const others = this.membership.members().filter(({ id }) => id !== this.id)
    this.#leaderCalls.versions(others, (texts) => {
      this.#isAskingVersions = false
      if (!this.isLeader || this.#isStopped) return
      const version = decideVersion(this.membership, texts)
      if (version === undefined) return
      const isFirst = this.membership.version === undefined
      this.#log.info(
        isFirst
          ? 'setting up initial cluster version using v2 API'
          : 'updating cluster version using v2 API',
        { 'cluster-version': version },
      )
      this.proposeV2(
        V2Request.create({ Method: 'PUT', Path: CLUSTER_VERSION_PATH, Val: version }),
        () => undefined,
      )
    })
  }

  /**
   * Keys of the v2 tree whose time is over are removed on all members by an entry that names the
   * time.
   */
  #superviseV2Expiry(): void {
    if (!this.isLeader || !this.#state.v2.hasTtlKeys) return
    const nowMs = this.#clock.monotonicMs()
    if (nowMs < this.#nextV2SyncMs) return
    this.#nextV2SyncMs = nowMs + V2_SYNC_MS
    const Time = BigInt(Math.floor(this.#clock.wallMs())) * 1_000_000n
    this.proposeV2(V2Request.create({ Method: 'SYNC', Time }), () => undefined)
  }

  // Snapshots between members.

  /**
   * The snapshot's metadata and membership are taken at the very entry at which the content is
   * frozen.
   */
  #sendSnapshot(message: RaftMessage): void {
    const remote = message.to.toString(16)
    let taken: Snapshot | undefined
    this.backend.openSnapshot(
      (failure, content) => {
        if (content === undefined || taken === undefined) {
          this.#log.warn('failed to open a database snapshot', { error: failure?.message })
          this.snapshotSent(message.to, 'failure')
          return
        }
        invariant(
          content.index === taken.metadata.index,
          'a snapshot and its content are of one entry',
        )
        this.#log.info('sending database snapshot', {
          'snapshot-index': content.index,
          'remote-peer-id': remote,
        })
        this.#network.sendSnapshot({ ...message, snapshot: taken }, content.body)
      },
      () => {
        taken = this.#snapshots.current(this.appliedIndex)
      },
    )
  }

  #install(snapshot: Snapshot, write: DurableWrite, done: () => void): void {
    const { index } = snapshot.metadata
    this.#isReplacingState = true
    this.#log.info('applying snapshot', {
      'incoming-leader-snapshot-index': index,
      'current-applied-index': this.appliedIndex,
    })
    this.#wal.saveSnapshot(snapshot, (failure) => {
      if (failure !== undefined) this.#fatal('failed to save Raft snapshot', failure)
      else this.#write(write, () => this.#replaceState(snapshot, done))
    })
  }

  #replaceState(snapshot: Snapshot, done: () => void): void {
    const { index, confState } = snapshot.metadata
    this.#options.installState(snapshot, (problem, state) => {
      if (problem !== undefined || state === undefined) {
        this.#fatal('failed to apply the snapshot', problem)
        return
      }
      this.#isReplacingState = false
      this.#takeOver(state, confState, index)
      done()
    })
  }

  #takeOver(state: ReplicatedState, confState: ConfState, index: LogIndex): void {
    const before = this.membership.memberIds()
    this.#state = state
    this.#confState = confState
    for (const id of before) if (id !== this.id && !this.isMember(id)) this.#network.removePeer(id)
    for (const { id, peerUrls } of this.membership.members()) {
      if (id !== this.id) this.#network.addPeer(id, peerUrls)
    }
    this.#snapshots.onInstalled(index)
    this.hub.resync()
    this.#compactor.poke()
    this.#log.info('applied snapshot', { 'incoming-leader-snapshot-index': index })
  }
}
