import { DaemonError } from '../base/errors.js'
import { ZERO_INDEX } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { Member } from '../member/member.js'
import type { LeaderCalls, MemberLog } from '../member/member-parts.js'
import type { MemberSettings } from '../member/member-settings.js'
import { raiseCommitToProven } from '../member/proven-commit.js'
import type { ReplicatedState } from '../member/replicated-state.js'
import { RequestIds } from '../member/request-ids.js'
import type { Clock, Entropy, Scheduler } from '../ports/clock.js'
import type { KeyValueEngine, KeyValueEngines } from '../ports/key-value-engine.js'
import type { Log } from '../ports/log.js'
import type { PeerEvents, PeerNetwork } from '../ports/peer-network.js'
import { RawNode } from '../raft/raw-node.js'
import type { SnapshotFiles } from '../snapshot/snapshot-files.js'
import { WatchHub } from '../watch/watch-hub.js'
import type { Snapshot } from '../wire/raftpb.js'
import type { StartPoint } from './bootstrap.js'
import { DurableLog } from './durable-log.js'
import { openLive, replaceEngine, stageSnapshot } from './engine-life.js'
import { restoreState } from './restore-state.js'
import { assertStoreFitsLog, raiseStoreToSnapshot } from './store-fits-log.js'

/**
 * Between two removals of log and snapshot files that are kept beyond their number, ms (facts:
 * disk.md 1).
 */
const PURGE_INTERVAL_MS = 30_000
/** Between two looks at watchers that are behind or full, ms. */
const WATCH_PASS_MS = 100
/** Appends under way to one follower (facts: peer-protocol.md 13). */
const INFLIGHT_MESSAGES_MAX = 512

export interface MemberCompositionOptions<Network extends PeerNetwork> {
  readonly start: StartPoint
  readonly settings: MemberSettings
  readonly learnersMax: number
  readonly preVote: boolean
  /** Changes after which the backend is flushed without waiting for its interval. */
  readonly backendBatchChangesMax: number
  /** Log and snapshot files that are kept; 0 = all. */
  readonly walFilesMax: number
  readonly snapshotFilesMax: number
  /** Between two progress notifications of a watcher, ms. */
  readonly progressIntervalMs: number
  /** Watch responses from this size on are cut for those who asked for it. */
  readonly fragmentBytes: number
  readonly engines: KeyValueEngines
  readonly snapshotFiles: SnapshotFiles
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly entropy: Entropy
  readonly log: Log
  readonly leaderCalls: LeaderCalls
  /** The network is made around what it tells the member. */
  readonly createNetwork: (events: PeerEvents) => Network
  /** Runs `work` again and again until the process ends. */
  readonly every: (intervalMs: number, work: () => void) => void
  /** The member cannot go on, or was removed from its cluster. */
  readonly onEnd: (reason: 'failed' | 'removed', message: string, cause: unknown) => void
  /** Lets whoever composes stand between the member and two of its parts. */
  readonly adapt?: {
    readonly node?: (node: RawNode) => RawNode
    readonly log?: (log: MemberLog) => MemberLog
  }
}

/** A member over given ports, restored to where it was, and not yet running. */
export async function composeMember<Network extends PeerNetwork>(
  options: MemberCompositionOptions<Network>,
): Promise<{ readonly member: Member; readonly network: Network }> {
  const { start, settings, engines, clock, scheduler, log, adapt } = options
  const snapshotIndex = start.snapshot?.metadata.index ?? ZERO_INDEX
  const restore = (
    engine: KeyValueEngine,
    snapshot: Snapshot | undefined,
  ): Promise<ReplicatedState> =>
    restoreState({
      engine,
      clusterId: start.clusterId,
      v2State: snapshot?.data,
      electionTimeoutMs: settings.electionTimeoutMs,
      learnersMax: options.learnersMax,
      leaseCheckpoint: settings.leaseCheckpoints,
      leaseCheckpointPersist: settings.leaseCheckpointsPersist,
      quotaBytes: settings.quotaBytes,
      batchChangesMax: options.backendBatchChangesMax,
      defer: (task) => scheduler.soon(task),
      onBackendFailure: (failure) =>
        options.onEnd('failed', 'failed to write the backend', failure),
    })
  const engine = await openLive(engines, snapshotIndex)
  const state = await restore(engine, start.snapshot)
  assertStoreFitsLog(start, state)
  raiseStoreToSnapshot(start, state.backend)
  let member: Member | undefined
  const current = (): Member => {
    invariant(member !== undefined, 'the member exists before anything runs')
    return member
  }
  const network = options.createNetwork(peerEventsOf(current))
  const hub = composeHub(options, { current, state })
  const wal = new DurableLog({
    wal: start.wal,
    snapshots: options.snapshotFiles,
    snapshotIndex,
    clock,
    walFilesMax: options.walFilesMax,
    snapshotFilesMax: options.snapshotFilesMax,
    // Followers write at the same time as the leader, not after it.
    beforeBlocking: () => network.flush(),
  })
  options.every(PURGE_INTERVAL_MS, () => wal.purge())
  raiseCommitToProven(start.storage, state.backend.consistentIndex)
  const node = createNode(options)
  member = new Member({
    id: start.id,
    clusterId: start.clusterId,
    settings,
    node: adapt?.node?.(node) ?? node,
    storage: start.storage,
    snapshotIndex,
    state,
    hub,
    log,
    wal: adapt?.log?.(wal) ?? wal,
    network,
    leaderCalls: options.leaderCalls,
    requestIds: new RequestIds(start.id, options.entropy),
    clock,
    scheduler,
    stageSnapshot: (message, body) =>
      stageSnapshot(engines, message.snapshot?.metadata.index ?? ZERO_INDEX, body),
    installState: (snapshot, done) => {
      replaceEngine(engines, current().backend, snapshot.metadata.index)
        .then((fresh) => restore(fresh, snapshot))
        .then(
          (restored) => done(undefined, restored),
          (error: unknown) => done(DaemonError.from(error), undefined),
        )
    },
    onFatal: (message, cause) => options.onEnd('failed', message, cause),
    onRemoved: () =>
      options.onEnd(
        'removed',
        'the member has been permanently removed from the cluster',
        undefined,
      ),
  })
  for (const { id, peerUrls } of start.remotes) network.addPeer(id, peerUrls)
  return { member, network }
}

function peerEventsOf(current: () => Member): PeerEvents {
  return {
    deliver: (message) => current().deliver(message),
    unreachable: (id) => current().unreachable(id),
    snapshotSent: (id, outcome) => current().snapshotSent(id, outcome),
    removedFromCluster: () => current().removedFromCluster(),
    isRemoved: (id) => current().isRemoved(id),
    isMember: (id) => current().isMember(id),
    receiveSnapshot: (message, body) => current().receiveSnapshot(message, body),
  }
}

/** The hub of watchers, looked after whenever it has work. */
function composeHub(
  options: MemberCompositionOptions<PeerNetwork>,
  member: { readonly current: () => Member; readonly state: ReplicatedState },
): WatchHub {
  const { start, scheduler, clock } = options
  const { current, state } = member
  let isComposed = false
  const store = () => (isComposed ? current().store : state.store)
  const hub = new WatchHub({
    history: {
      get currentRevision() {
        return store().currentRevision
      },
      get compactedRevision() {
        return store().compactedRevision
      },
      eventsSince: (wanted, done) => current().store.eventsSince(wanted, done),
      prevKv: (event) => current().store.prevKv(event),
    },
    clusterId: start.clusterId,
    memberId: start.id,
    term: () => current().term,
    entropy: options.entropy,
    progressIntervalMs: options.progressIntervalMs,
    fragmentBytes: options.fragmentBytes,
    onWork: () => scheduler.soon(syncWatchers),
  })
  isComposed = true
  const syncWatchers = (): void => {
    if (current().isServing && hub.syncSome(clock.monotonicMs())) scheduler.soon(syncWatchers)
  }
  options.every(WATCH_PASS_MS, syncWatchers)
  return hub
}

function createNode(options: MemberCompositionOptions<PeerNetwork>): RawNode {
  const { start, settings, log } = options
  return new RawNode({
    id: start.id,
    electionTicks: settings.electionTicks,
    heartbeatTicks: 1,
    storage: start.storage,
    applied: start.snapshot?.metadata.index ?? ZERO_INDEX,
    asyncStorageWrites: true,
    checkQuorum: true,
    preVote: options.preVote,
    maxInflightMessages: INFLIGHT_MESSAGES_MAX,
    randomBelow: (bound) => options.entropy.below(bound),
    logger: {
      debug: (text) => {
        if (log.isDebugEnabled) log.debug(text())
      },
      info: (text) => log.info(text()),
      warning: (text) => log.warn(text()),
      error: (text) => log.error(text()),
    },
  })
}
