import type { Backend } from '../backend/backend.js'
import { buggify, mark } from '../base/buggify.js'
import type { ErrorCode } from '../base/errors.js'
import { failpoint } from '../base/failpoints.js'
import {
  type ClusterId,
  type LeaseId,
  type LogIndex,
  leaseId,
  type MemberId,
  NO_MEMBER,
  type Revision,
  revision,
  type Term,
} from '../base/ids.js'
import type { Membership } from '../membership/membership.js'
import type { MvccStore } from '../mvcc/mvcc-store.js'
import type { Clock, Scheduler } from '../ports/clock.js'
import type { Log } from '../ports/log.js'
import type { PeerEvents, PeerNetwork } from '../ports/peer-network.js'
import type { MemoryStorage } from '../raft/memory-storage.js'
import type { RawNode, SoftState, Status } from '../raft/raw-node.js'
import type { WatchHub } from '../watch/watch-hub.js'
import type { Operation, V3Request } from '../wire/raft-envelope.js'
import type { ConfState, Entry, Message, Snapshot } from '../wire/raftpb.js'
import { WireError } from '../wire/reader.js'
import { AlarmRequest, type ResponseHeader } from '../wire/rpc.js'
import { type V2Operation, V2Request } from '../wire/v2-request.js'
import { ClusterSupervisor } from './cluster-supervisor.js'
import { Compactor } from './compactor.js'
import { EntryApplier } from './entry-applier.js'
import { Intake, type ProposalDone } from './intake.js'
import { Leadership, type LeadershipDone } from './leadership.js'
import { LeaseKeeper } from './lease-keeper.js'
import type { LeaderCalls, LeaseAnswer, MemberLog, TimeToLiveAnswer } from './member-parts.js'
import {
  APPLY_LAG_ENTRIES_MAX,
  type MemberSettings,
  PROPOSALS_MAX,
  requestTimeoutMs,
} from './member-settings.js'
import { MembershipService } from './membership-service.js'
import { type ProposalOutcome, Proposals } from './proposals.js'
import { type DurableWrite, RaftLoop } from './raft-loop.js'
import { Reads } from './reads.js'
import type { ReplicatedState } from './replicated-state.js'
import type { RequestIds } from './request-ids.js'
import { SnapshotExchange } from './snapshot-exchange.js'
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

/** Between two looks whether what was committed before a restart is applied, ms. */
const APPLY_WAIT_MS = 5

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
  readonly #leadership: Leadership
  readonly #supervisor: ClusterSupervisor
  readonly #applier: EntryApplier
  readonly #intake: Intake
  readonly #exchange: SnapshotExchange
  /** Changes of membership; what they come to is told once they are applied. */
  readonly members: MembershipService
  #state: ReplicatedState
  #confState: ConfState
  #isStopped = false
  #isLogClosed = false
  #isDefragmenting = false
  #isRaisingNoSpace = false
  /** Figures for metrics. */
  readonly counts = {
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
    this.#leadership = new Leadership(this.#node.basicStatus().softState)
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
        installSnapshot: (snapshot, write, done) => this.#exchange.install(snapshot, write, done),
        send: (messages) => this.#network.send(messages),
        flush: () => this.#network.flush(),
        sendSnapshot: (message) => this.#exchange.send(message),
        apply: (entry) => this.#applier.apply(entry),
        onApplied: (applied) => this.#onApplied(applied),
        onRead: (context, index) => {
          this.#reads.onAnswer(context, index)
          // There is no state to read while it is being replaced.
          if (!this.#exchange.isReplacing) this.#reads.onApplied(this.appliedIndex)
        },
        onSoftState: (soft) => this.#onSoftState(soft),
        nowMs: () => this.#clock.monotonicMs(),
      },
    })
    this.#intake = this.#createIntake()
    this.#applier = this.#createApplier()
    this.members = this.#createMembershipService()
    this.#supervisor = new ClusterSupervisor({
      clock: this.#clock,
      log: this.#log,
      leaderCalls: this.#leaderCalls,
      isLeader: () => this.isLeader && !this.#isStopped,
      membership: () => this.membership,
      hasV2TtlKeys: () => this.#state.v2.hasTtlKeys,
      proposeV2: (request) => this.proposeV2(request, () => undefined),
      isSelf: (id) => id === this.id,
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
      propose: (operation, encoded, done) => this.#intake.proposeAsLeader(operation, encoded, done),
      confirmLeadership: (done) =>
        this.linearize((failure) => done(failure === undefined && this.isLeader)),
      tickMs: options.settings.tickMs,
      forward: (id, done) => this.#forwardKeepAlive(id, done),
    })
    this.#compactor = new Compactor(
      options.scheduler,
      { current: () => this.#state.store, mayChange: () => !this.#exchange.isReplacing },
      {
        batchLimit: options.settings.compactionBatchLimit,
        sleepMs: options.settings.compactionSleepMs,
      },
    )
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
      // A snapshot that a stop overtakes is not saved, and nothing is wrong with that.
      onFatal: (message, cause) => {
        if (!this.#isStopped) this.#fatal(message, cause)
      },
    })
    this.#exchange = this.#createExchange()
  }

  #createApplier(): EntryApplier {
    return new EntryApplier({
      id: this.id,
      clusterId: this.clusterId,
      node: this.#node,
      clock: this.#clock,
      log: this.#log,
      network: this.#network,
      proposals: this.#proposals,
      warningApplyMs: this.settings.warningApplyMs,
      state: () => this.#state,
      onEvents: (events) => this.hub.notify(this.#state.store.currentRevision, events),
      onNewTerm: (entry) => this.#onNewTerm(entry),
      onV3Applied: (entry, isOverQuota) => this.#onV3Applied(entry, isOverQuota),
      onConfState: (confState) => {
        this.#confState = confState
      },
      onSlow: (operation, tookMs) => this.#onSlowApply(operation, tookMs),
      onSelfRemoved: () => this.removedFromCluster(),
      onFatal: (message) => this.#fatal(message, undefined),
    })
  }

  #createIntake(): Intake {
    return new Intake({
      id: this.id,
      settings: this.settings,
      node: this.#node,
      clock: this.#clock,
      network: this.#network,
      ids: this.#ids,
      leadership: this.#leadership,
      proposals: this.#proposals,
      membership: () => this.membership,
      refusal: () => this.#refusal(),
      onQueued: () => this.#loop.poke(),
    })
  }

  #createExchange(): SnapshotExchange {
    return new SnapshotExchange({
      log: this.#log,
      wal: this.#wal,
      network: this.#network,
      snapshots: this.#snapshots,
      backend: () => this.#state.backend,
      appliedIndex: () => this.appliedIndex,
      write: (write, done) => this.#write(write, done),
      installState: this.#options.installState,
      onReplaced: (state, snapshot) => this.#takeOver(state, snapshot),
      onSendFailed: (message) => this.snapshotSent(message.to, 'failure'),
      onFatal: (message, cause) => {
        if (!this.#isLogClosed) this.#fatal(message, cause)
      },
    })
  }

  #createMembershipService(): MembershipService {
    return new MembershipService({
      id: this.id,
      isStrict: this.settings.strictReconfigCheck,
      clock: this.#clock,
      log: this.#log,
      network: this.#network,
      leaderCalls: this.#leaderCalls,
      membership: () => this.membership,
      isLeader: () => this.isLeader,
      leaderUrls: () => this.#leaderUrls(),
      raftStatus: () => this.#node.status(),
      propose: (change, done) => this.#intake.proposeChange(change, done),
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
    return this.#node.term
  }

  /** The leader as this member sees it; 0n = none. */
  get leaderId(): MemberId {
    return this.#leadership.leaderId
  }

  /** When the leader was first seen; monotonic milliseconds, -Infinity before the first one. */
  get leaderElectedMs(): number {
    return this.#leadership.electedMs
  }

  get isLeader(): boolean {
    return this.#leadership.isLeader
  }

  get isLearner(): boolean {
    return this.#state.membership.member(this.id)?.isLearner ?? false
  }

  /** Whether requests can be served at all: not while a received snapshot is being installed. */
  get isServing(): boolean {
    return !this.#isStopped && !this.#exchange.isReplacing
  }

  get appliedIndex(): LogIndex {
    return this.#loop.appliedIndex
  }

  get committedIndex(): LogIndex {
    return this.#node.committed
  }

  get lastIndex(): LogIndex {
    return this.#storage.lastIndex()
  }

  get leaderChangesSeen(): number {
    return this.#leadership.changesSeen
  }

  get failedProposalCount(): number {
    return this.#intake.failedCount
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
    this.#intake.expire(nowMs)
    this.#reads.tick(nowMs, 'TIMEOUT')
    this.#leadership.expire(nowMs)
    this.#leases.tick()
    this.#supervisor.tick()
    this.#loop.poke()
  }

  /** Starts an election at once instead of waiting for the timeout, if nobody else could vote. */
  campaignWhenAlone(): void {
    this.#loop.run()
    if (this.#isStopped || this.leaderId !== NO_MEMBER) return
    if (this.appliedIndex < this.committedIndex) {
      // Who may vote is known once the changes of membership in the log are applied.
      this.#options.scheduler.later(APPLY_WAIT_MS, () => this.campaignWhenAlone())
      return
    }
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
    mark('member/transfer-at-stop')
    // A transferee that does not answer within two elections will not.
    this.moveLeader(target, end, 2 * this.settings.electionTimeoutMs)
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
        this.#isLogClosed = true
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

  /**
   * Tells the whole cluster that this member's quota is used up; one such proposal is under way at
   * most.
   */
  raiseNoSpace(): void {
    if (this.#isRaisingNoSpace) return
    this.#isRaisingNoSpace = true
    const encoded = AlarmRequest.encode({ action: 'ACTIVATE', memberID: this.id, alarm: 'NOSPACE' })
    this.propose('alarm', encoded, () => {
      this.#isRaisingNoSpace = false
    })
  }

  /**
   * Proposes one operation; `done` comes once, with what applying it gave or with why it was not
   * (known to be) applied.
   */
  propose(operation: Operation, encoded: Uint8Array, done: ProposalDone): void {
    this.#intake.propose(operation, encoded, done)
  }

  /** Proposes a request of the v2 API; its id is set here. */
  proposeV2(operation: V2Operation, done: ProposalDone): void {
    this.#intake.proposeV2(operation, done)
  }

  #refusal(): ErrorCode | undefined {
    if (this.#isStopped) return 'STOPPED'
    const isLagging = this.committedIndex > this.appliedIndex + APPLY_LAG_ENTRIES_MAX
    const isFull = this.backend.isOverloaded || this.#proposals.count >= PROPOSALS_MAX
    return isLagging || isFull || buggify('member/refuse-proposal')
      ? 'TOO_MANY_REQUESTS'
      : undefined
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
    this.#intake.submit()
    const canAsk = this.leaderId !== NO_MEMBER && this.#reads.wantsRound
    if (canAsk) this.#reads.startRound(this.#clock.monotonicMs())
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

  /** Hands leadership to a voter; `done` once it leads, or with why not. */
  moveLeader(target: MemberId, done: LeadershipDone, withinMs = this.#requestTimeoutMs): void {
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
    this.#leadership.waitFor(target, this.#clock.monotonicMs() + withinMs, done)
    this.#node.transferLeader(target)
    this.#loop.poke()
  }

  // What the network tells.

  deliver(message: Message): void {
    if (this.#isStopped) return
    try {
      this.#node.step(message)
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
    // What was to follow a snapshot may come only after the log was closed: nobody will hear of it.
    if (this.#isLogClosed) return
    failpoint('raftBeforeSave')
    this.#wal.save(write, (failure) => {
      if (failure === undefined) {
        failpoint('raftAfterSave')
        done()
      } else this.#fatal('failed to save Raft hard state and entries', failure)
    })
  }

  #fatal(message: string, cause: unknown): void {
    this.#isStopped = true
    this.#loop.stop()
    this.#options.onFatal(message, cause)
  }

  #onSlowApply(operation: string, tookMs: number): void {
    this.counts.slowApplies++
    this.#log.warn('apply request took too long', {
      took: `${tookMs.toFixed(3)}ms`,
      'expected-duration': `${this.settings.warningApplyMs}ms`,
      request: operation,
    })
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
      if (!this.#exchange.isReplacing && this.backend.isDirty) this.#flushBackend()
      this.#scheduleFlush()
    })
  }

  #onSoftState(soft: SoftState): void {
    const change = this.#leadership.onSoftState(soft, this.#clock.monotonicMs())
    if (change.isOtherLeader) this.#reads.onLeaderChange()
    if (change.isDemoted) {
      this.#state.lessor.demote()
      this.#leases.onDemoted()
      this.#intake.onDemoted()
    }
    this.#loop.poke()
  }

  /** Once the first entry of its own term is applied, a leader answers for leases. */
  #onNewTerm(entry: Entry): void {
    if (!this.isLeader || entry.term !== this.term) return
    const nowMs = this.#clock.monotonicMs()
    this.#state.lessor.promote(this.settings.electionTimeoutMs, nowMs)
    this.#supervisor.onLeading()
  }

  #onV3Applied(entry: V3Request, isOverQuota: boolean): void {
    if (entry.operation === 'leaseRevoke') this.#leases.onRevoked(leaseId(entry.request.ID))
    if (entry.operation === 'compaction') this.#compactor.poke()
    // Whoever runs out tells so, leader or not: the others may have room still (as etcd does).
    if (isOverQuota && !this.#state.alarms.isActive('NOSPACE')) this.raiseNoSpace()
  }

  /** The state of another member has taken the place of ours. */
  #takeOver(state: ReplicatedState, snapshot: Snapshot): void {
    mark('member/snapshot-installed')
    const before = this.membership.memberIds()
    this.#state = state
    this.#confState = snapshot.metadata.confState
    for (const id of before) if (id !== this.id && !this.isMember(id)) this.#network.removePeer(id)
    for (const { id, peerUrls } of this.membership.members()) {
      if (id !== this.id) this.#network.addPeer(id, peerUrls)
    }
    this.hub.resync()
    this.#reads.onApplied(snapshot.metadata.index)
    this.#compactor.poke()
  }
}
