import {
  type ClusterId,
  clusterId,
  idToHex,
  type LogIndex,
  logIndex,
  type MemberId,
  memberId,
  NO_MEMBER,
  term,
  ZERO_INDEX,
  ZERO_TERM,
} from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import {
  checkInitialCluster,
  formatUrlsByName,
  type ResolveHost,
  type UrlsByName,
} from '../config/initial-cluster.js'
import type { ServerConfig } from '../config/server-config.js'
import {
  bootstrapEntries,
  compareUrlTexts,
  validateClusterAndAssignIds,
} from '../membership/bootstrap.js'
import { type Member, parseMembers } from '../membership/member.js'
import { Membership } from '../membership/membership.js'
import { type CallOptions, fetchMembers } from '../peer/cluster-discovery.js'
import type { Disk } from '../ports/disk.js'
import type { Log } from '../ports/log.js'
import { MemoryStorage } from '../raft/memory-storage.js'
import type { SnapshotFiles } from '../snapshot/snapshot-files.js'
import { validSnapshots } from '../wal/valid-snapshots.js'
import { Wal } from '../wal/wal.js'
import { WalError } from '../wal/wal-error.js'
import type { WalOptions } from '../wal/wal-options.js'
import { WalMetadata } from '../wire/disk-messages.js'
import type { HardState, Snapshot } from '../wire/raftpb.js'
import { joinDiscoveredCluster, type LocatedCluster, locateCluster } from './discover-cluster.js'
import { forceNewCluster } from './force-new-cluster.js'
import { mayJoin } from './may-join.js'
import { problemWithoutLog } from './store-fits-log.js'

/** Where a member starts from: who it is, its log, and what its state is restored from. */
export interface StartPoint {
  readonly id: MemberId
  readonly clusterId: ClusterId
  readonly wal: Wal
  readonly storage: MemoryStorage
  /** The snapshot that the log goes on from. */
  readonly snapshot: Snapshot | undefined
  /**
   * Members known from elsewhere before the log tells of them: those of a running cluster that we
   * join.
   */
  readonly remotes: readonly Member[]
  readonly isNew: boolean
  /** Whether this member is the whole cluster, as far as flags or log say. */
  readonly isAlone: boolean
  /** The last entry before those that --force-new-cluster added; absent without it. */
  readonly forcedAfter?: LogIndex
  /** The name in the certificates of peers found by DNS; undefined = the host that is dialled. */
  readonly peerServerName?: string | undefined
}

/** Where a member's log and snapshots are. */
export interface LogPlace {
  readonly disk: Disk
  readonly walOptions: WalOptions
  readonly snapshots: SnapshotFiles
  readonly log: Log
}

export interface BootstrapOptions extends LogPlace {
  readonly config: ServerConfig
  readonly calls: CallOptions
  readonly resolveHost: ResolveHost
}

/** The start is refused; the text is etcd's. */
export class BootstrapError extends Error {
  override readonly name = 'BootstrapError'
}

/** How long another member may take to say who its cluster is, ms (facts: peer-protocol.md 9). */
const REMOTE_CLUSTER_TIMEOUT_MS = 10_000
const ALREADY_BOOTSTRAPPED_TIMEOUT_MS = 1000

const urlTextsOf = (members: UrlsByName): ReadonlyMap<string, readonly string[]> =>
  new Map([...members].map(([name, urls]) => [name, urls.map(({ text }) => text)]))

/**
 * Finds out where to start: from the log if there is one, else as a new cluster or by joining one.
 */
export async function findStart(options: BootstrapOptions): Promise<StartPoint> {
  const { config, disk, walOptions } = options
  const known = hasLog(disk, walOptions.directory) ? restart(options) : undefined
  const isBegun = known !== undefined && !(isBlank(known) && config.initialClusterState === 'new')
  if (isBegun) {
    return config.forceNewCluster ? forceNewCluster(known, { log: options.log }) : known
  }
  if (known === undefined) {
    const place = { dataDir: config.dataDir, walDir: walOptions.directory }
    const problem = problemWithoutLog(disk, place)
    if (problem !== undefined) throw new BootstrapError(problem)
  }
  const located = await locateCluster(config, options.log)
  const start = await firstStart(
    { ...options, ...withServerName(options, located) },
    located,
    known,
  )
  return { ...start, peerServerName: located.peerServerName }
}

/** Dials peers by the name that their certificates carry. */
function withServerName(
  { calls }: BootstrapOptions,
  { peerServerName: servername }: LocatedCluster,
): Pick<BootstrapOptions, 'calls'> {
  if (servername === undefined) return { calls }
  const tlsClientOptions = () => ({ ...calls.tlsClientOptions?.(), servername })
  return { calls: { ...calls, tlsClientOptions } }
}

async function firstStart(
  options: BootstrapOptions,
  located: LocatedCluster,
  known: StartPoint | undefined,
): Promise<StartPoint> {
  const { config } = options
  const { initialCluster, token } = located
  const checked = await checkInitialCluster({ ...config, initialCluster }, options.resolveHost)
  if (checked.kind === 'refused') throw new BootstrapError(checked.error)
  const initial = membershipOf(config, checked.members, token)
  const isNew = config.initialClusterState === 'new'
  if (!isNew && (config.discovery.kind === 'v2' || config.discovery.kind === 'v3')) {
    throw new BootstrapError(
      'discovery URL should not be set when joining existing initial cluster',
    )
  }
  return isNew ? found(options, initial, token, known?.wal) : join(options, initial)
}

function membershipOf(config: ServerConfig, members: UrlsByName, token: string): Membership {
  const initial = Membership.fromInitialCluster({
    urlsByName: urlTextsOf(members),
    token,
    learnersMax: config.learnersMax,
  })
  if (initial.kind === 'refused') throw new BootstrapError(initial.reason)
  return initial.membership
}

/**
 * A power loss may come between the creation of the log and its first entries. Such a member voted
 * for nobody and acknowledged nothing: it may begin its cluster as if for the first time, and would
 * wait for ever otherwise.
 */
export const isBlank = ({ snapshot, storage }: StartPoint): boolean =>
  snapshot === undefined && storage.lastIndex() === 0 && storage.initialState().hardState.term === 0

export function hasLog(disk: Disk, directory: string): boolean {
  return (
    disk.stat(directory)?.kind === 'directory' &&
    disk.list(directory).some((name) => name.endsWith('.wal'))
  )
}

function ownMember(membership: Membership, name: string): Member {
  const own = membership.memberByName(name)
  if (own === undefined) {
    throw new BootstrapError(
      `couldn't find local name "${name}" in the initial cluster configuration`,
    )
  }
  return own
}

const createWal = (options: LogPlace, id: MemberId, cluster: ClusterId): Wal =>
  Wal.create({
    ...options.walOptions,
    metadata: WalMetadata.encode({ NodeID: id, ClusterID: cluster }),
  })

/** A new cluster, if no other member says that it has begun already. */
async function found(
  options: BootstrapOptions,
  membership: Membership,
  token: string,
  wal: Wal | undefined,
): Promise<StartPoint> {
  const { config, log } = options
  const own = ownMember(membership, config.name)
  await refuseIfBootstrapped(options, membership, own)
  const text = formatUrlsByName(new Map([[config.name, config.initialAdvertisePeerUrls]]))
  const discovered = await joinDiscoveredCluster(config, { id: own.id, text }, log)
  if (discovered === undefined) return beginCluster(options, membership, own.id, wal)
  const whole = membershipOf(config, discovered, token)
  return beginCluster(options, whole, ownMember(whole, config.name).id, wal)
}

/** The log of a new cluster begins with one change of membership per member, committed already. */
export async function beginCluster(
  place: LogPlace,
  membership: Membership,
  own: MemberId,
  blank?: Wal,
): Promise<StartPoint> {
  const entries = bootstrapEntries(membership.members())
  const hardState: HardState = {
    term: term(1),
    vote: NO_MEMBER,
    commit: logIndex(entries.length),
  }
  const wal = blank ?? createWal(place, own, membership.clusterId)
  await new Promise<void>((resolve, reject) => {
    wal.save({ hardState, entries, mustSync: true }, (failure) =>
      failure === undefined ? resolve() : reject(failure),
    )
  })
  const storage = new MemoryStorage()
  storage.append(entries)
  storage.setHardState(hardState)
  return {
    id: own,
    clusterId: membership.clusterId,
    wal,
    storage,
    snapshot: undefined,
    remotes: [],
    isNew: true,
    isAlone: entries.length === 1,
  }
}

/**
 * Another member that already knows us as started means that our data was lost: starting anew would
 * be wrong.
 */
async function refuseIfBootstrapped(
  options: BootstrapOptions,
  membership: Membership,
  own: Member,
): Promise<void> {
  const urls = membership
    .members()
    .filter(({ id }) => id !== own.id)
    .flatMap(({ peerUrls }) => peerUrls)
  if (urls.length === 0) return
  const timeoutMs = Math.max(1, Math.floor(ALREADY_BOOTSTRAPPED_TIMEOUT_MS / urls.length))
  const remote = await fetchMembers(urls, { ...options.calls, timeoutMs })
  const known = parseMembers(remote?.membersJson ?? '[]')?.find(({ id }) => id === own.id)
  if (known !== undefined && known.clientUrls.length > 0) {
    throw new BootstrapError(`member ${idToHex(own.id)} has already been bootstrapped`)
  }
}

/**
 * Joins a running cluster that was told of us by MemberAdd: ids come from it, the log from its
 * leader.
 */
async function join(options: BootstrapOptions, local: Membership): Promise<StartPoint> {
  const { config, log } = options
  const own = ownMember(local, config.name)
  const urls = local
    .members()
    .filter(({ id }) => id !== own.id)
    .flatMap(({ peerUrls }) => peerUrls)
    .sort()
  const calls = { ...options.calls, timeoutMs: REMOTE_CLUSTER_TIMEOUT_MS }
  const remote = await fetchMembers(urls, calls, (failure) =>
    log.warn('failed to get cluster response', { ...failure }),
  )
  const existing = remote === undefined ? undefined : parseMembers(remote.membersJson)
  if (remote === undefined || existing === undefined) {
    throw new BootstrapError(
      'cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs',
    )
  }
  const assigned = validateClusterAndAssignIds(local.members(), existing, compareUrlTexts)
  if (assigned.kind === 'refused') {
    const shown = new Membership({
      clusterId: remote.clusterId,
      stored: { members: existing, removed: [], version: undefined },
    })
    throw new BootstrapError(`error validating peerURLs ${shown.describe()}: ${assigned.reason}`)
  }
  const others = existing.filter(
    ({ peerUrls }) => !peerUrls.some((url) => own.peerUrls.includes(url)),
  )
  if (!(await mayJoin(others, calls, log))) {
    throw new BootstrapError('incompatible with current running cluster')
  }
  const me = assigned.members.find(({ name }) => name === config.name)
  invariant(me !== undefined, 'the local member was assigned an id')
  return joinCluster(options, {
    id: me.id,
    clusterId: remote.clusterId,
    remotes: existing.filter(({ id }) => id !== me.id),
  })
}

/** A member that the cluster knows already begins with an empty log, which the leader fills. */
export function joinCluster(
  place: LogPlace,
  joined: Pick<StartPoint, 'id' | 'clusterId' | 'remotes'>,
): StartPoint {
  return {
    ...joined,
    wal: createWal(place, joined.id, joined.clusterId),
    storage: new MemoryStorage(),
    snapshot: undefined,
    isNew: true,
    isAlone: false,
  }
}

/**
 * Goes on from the newest snapshot that the log backs; flags of the first start are not looked at.
 */
export function restart(place: LogPlace): StartPoint {
  const { disk, walOptions, snapshots, log } = place
  const candidates = validSnapshots({ disk, directory: walOptions.directory })
  const snapshot = snapshots.loadNewest(candidates)
  const from = snapshot?.metadata ?? { index: ZERO_INDEX, term: ZERO_TERM }
  const { wal, metadata, hardState, entries } = Wal.open({ ...walOptions, from })
  invariant(metadata !== undefined, 'a log has metadata')
  const ids = WalMetadata.decode(metadata)
  const storage = new MemoryStorage()
  if (snapshot !== undefined) storage.applySnapshot({ ...snapshot, data: new Uint8Array(0) })
  storage.append(entries)
  const committed = hardState ?? { term: ZERO_TERM, vote: NO_MEMBER, commit: ZERO_INDEX }
  // A snapshot received just before a crash may be ahead of the last hard state that was written.
  const commit = logIndex(Math.max(committed.commit, from.index))
  storage.setHardState({ ...committed, term: term(Math.max(committed.term, from.term)), commit })
  const id = memberId(ids.NodeID)
  const last = storage.lastIndex()
  if (commit > last) {
    // A damaged snapshot makes way for the one before it, but the entries between them are gone.
    throw new WalError('COMMIT_OUT_OF_RANGE', {
      message:
        `${idToHex(id)} state.commit ${commit} is out of range [${from.index}, ${last}]: ` +
        'the end of the log or a snapshot is missing or damaged; replace this member ' +
        '(member remove, then member add with an empty data directory)',
    })
  }
  log.info('restarting local member', {
    'cluster-id': idToHex(ids.ClusterID),
    'local-member-id': idToHex(id),
    'commit-index': commit,
  })
  return {
    id,
    clusterId: clusterId(ids.ClusterID),
    wal,
    storage,
    snapshot,
    remotes: [],
    isNew: false,
    isAlone: (snapshot?.metadata.confState.voters.length ?? 0) === 1,
  }
}
