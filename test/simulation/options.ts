import { Prng } from './world/prng.js'
import { drawWorld, PLAIN_WORLD, type WorldOptions } from './world-options.js'

/** Chances are per mille, times are what their names say. Drawn from the seed: each run is another world. */
export interface SimulationOptions {
  readonly memberCount: number
  readonly clientCount: number
  readonly watcherCount: number
  readonly v2ClientCount: number
  readonly keyCount: number
  /** Faults may happen for so long, virtual seconds. */
  readonly safetySeconds: number
  readonly thinkMeanMs: number
  /** All clients rest for so long between spells of work; absent or 0 = they never do. */
  readonly restMeanMs?: number
  /** Who waits for changes of v2 keys; absent = 0. */
  readonly v2WatcherCount?: number
  readonly workload: Readonly<Record<WorkKind, number>>
  readonly network: NetworkOptions
  readonly disk: { readonly latencyMeanUs: number; readonly stallPerMille: number }
  readonly clocks: { readonly driftPpmMax: number; readonly creepUs: number }
  readonly member: {
    readonly tickMs: number
    readonly electionTicks: number
    readonly preVote: boolean
    readonly snapshotCount: number
    readonly catchUpEntries: number
    readonly cutSlackEntries: number
    readonly backendBatchIntervalMs: number
    readonly backendBatchChangesMax: number
    readonly compactionBatchLimit: number
    readonly compactionSleepMs: number
    readonly walSegmentBytes: number
    readonly walFilesMax: number
    readonly leaseCheckpoints: boolean
  }
  readonly world: WorldOptions
  /** Between two faults, mean. */
  readonly faultMeanMs: number
  /** How often each fault is drawn; 0 = never in this run. */
  readonly faults: Readonly<Record<FaultKind, number>>
}

export interface NetworkOptions {
  readonly delayMeanUs: number
  readonly lossPerMille: number
  readonly duplicatePerMille: number
  /** Whether messages of one link may overtake each other. */
  readonly reorders: boolean
  /** Chance that a lost message is reported to the sender. */
  readonly reportPerMille: number
  /** Chance that the body of a snapshot breaks off. */
  readonly tornSnapshotPerMille: number
}

const FIRST_FAULTS = [
  'crash',
  'power-loss',
  'power-loss-all',
  'stop',
  'pause',
  'partition',
  'one-way-partition',
  'isolate-leader',
  'replace-member',
  'add-learner',
  'move-leader',
  'defragment',
  'snapshot-now',
  'failed-sync',
  'disk-full',
  'clock-step',
  'check-hashes',
] as const
/** Those that known bugs are looked for without, unless they ask for them: their windows of seeds were found so. */
export const LATER_FAULTS = [
  'clog',
  'swizzle-clog',
  'crash-within',
  'bit-flip',
  'garbage-sector',
  'misdirected-write',
  'bad-snapshot',
  'disarm-alarm',
  'failed-engine-write',
] as const
export const FAULTS = [...FIRST_FAULTS, ...LATER_FAULTS] as const
export type FaultKind = (typeof FAULTS)[number]

/** Chance that one of the later faults happens in a run. */
const LATER_PER_MILLE = 300

const DRAWN_WORK = [
  'put',
  'put-lease',
  'get',
  'get-serializable',
  'get-old',
  'list',
  'compare-and-set',
  'multi-txn',
  'delete',
  'delete-range',
  'grant',
  'renew',
  'revoke',
  'compact',
] as const
export const WORK = [
  ...DRAWN_WORK,
  'put-large',
  'list-stale',
  'list-pages',
  'create',
  'update',
  'remove',
  'txn-old',
  'nested-txn',
] as const
export type WorkKind = (typeof WORK)[number]

function weights<Kind extends string>(
  prng: Prng,
  kinds: readonly Kind[],
  chosenPerMille: number,
): Record<Kind, number> {
  const drawn = {} as Record<Kind, number>
  for (const kind of kinds) drawn[kind] = prng.perMille(chosenPerMille) ? prng.between(1, 10) : 0
  return drawn
}

const NO_FAULTS = Object.fromEntries(FAULTS.map((kind) => [kind, 0])) as Record<FaultKind, number>
const NO_WORK = Object.fromEntries(WORK.map((kind) => [kind, 0])) as Record<WorkKind, number>

/** What somebody does who keeps the history short: looks how far it is, and compacts. */
export const COMPACTION_WORK = { ...NO_WORK, get: 1, compact: 3 }

/** What a key-value user of etcd does, much of everything. */
const ETCD_MIX = {
  ...NO_WORK,
  get: 15,
  'get-serializable': 10,
  list: 10,
  'list-stale': 10,
  'get-old': 5,
  put: 23,
  'put-large': 2,
  'put-lease': 5,
  grant: 3,
  renew: 3,
  revoke: 3,
  delete: 5,
  'delete-range': 2,
  'multi-txn': 10,
  'txn-old': 3,
  'compare-and-set': 5,
  compact: 3,
}
/** What Kubernetes does: everything by comparing mod revisions, lists page by page. */
const KUBERNETES_MIX = {
  ...NO_WORK,
  get: 10,
  'get-serializable': 5,
  list: 5,
  'list-pages': 25,
  'list-stale': 5,
  create: 8,
  update: 60,
  remove: 8,
  grant: 1,
  'put-lease': 2,
  compact: 3,
}

/** Half of all runs have one of the mixes that users have; undefined = what was drawn. */
function trafficMix(prng: Prng): Record<WorkKind, number> | undefined {
  return prng.pick([undefined, undefined, ETCD_MIX, KUBERNETES_MIX])
}

/** What the clients of a run want together while they work: few runs are dense, many are sparse. */
const OPERATIONS_PER_SECOND = [2, 5, 10, 20, 50, 100]
/** With the peace behind it, no run is shorter than 60 virtual seconds. */
const SAFETY_SECONDS_MIN = 55

/** Options of an earlier day: what they do not name was not there, and does not happen. */
export function completed(options: SimulationOptions): SimulationOptions {
  return {
    ...options,
    workload: { ...NO_WORK, ...options.workload },
    world: { ...PLAIN_WORLD, ...options.world },
    faults: { ...NO_FAULTS, ...options.faults },
  }
}

/** Swarm: which faults happen at all, and how often, differs from run to run, as does the world around them. */
export function swarm(seed: number): SimulationOptions {
  const options = drawFirst(seed)
  if (FIRST_FAULTS.every((kind) => options.faults[kind] === 0)) return options
  const later = weights(new Prng(seed).fork('later'), LATER_FAULTS, LATER_PER_MILLE)
  return {
    ...options,
    restMeanMs: new Prng(seed).fork('rests').pick([0, 0, 3000, 10_000]),
    workload: {
      ...options.workload,
      'nested-txn': new Prng(seed).fork('nested-txn').pick([0, 0, 5]),
    },
    v2WatcherCount: options.v2ClientCount * new Prng(seed).fork('v2-watchers').pick([0, 1, 2]),
    world: drawWorld(new Prng(seed).fork('world')),
    faults: { ...options.faults, ...later },
  }
}

/** Without the later faults, in a plain world. */
export function drawFirst(seed: number): SimulationOptions {
  const prng = new Prng(seed).fork('options')
  const isQuiet = prng.perMille(100)
  const drawn = weights(prng, DRAWN_WORK, 700)
  const mix = trafficMix(new Prng(seed).fork('traffic'))
  const electionTicks = prng.pick([5, 10, 10])
  const memberCount = prng.pick([1, 3, 3, 3, 3, 3, 5, 5, 7])
  const clientCount = prng.between(2, 8)
  return {
    memberCount,
    clientCount,
    watcherCount: prng.between(0, 6),
    v2ClientCount: new Prng(seed).fork('v2').pick([0, 0, 1, 2]),
    keyCount: prng.between(1, 12),
    safetySeconds: prng.between(SAFETY_SECONDS_MIN, SAFETY_SECONDS_MIN + 20),
    thinkMeanMs: Math.ceil((clientCount * 1000) / prng.pick(OPERATIONS_PER_SECOND)),
    workload: mix ?? {
      ...NO_WORK,
      ...drawn,
      put: Math.max(3, drawn.put),
      get: Math.max(1, drawn.get),
    },
    network: {
      delayMeanUs: prng.pick([200, 500, 1000, 5000, 20_000]),
      lossPerMille: isQuiet ? 0 : prng.pick([0, 0, 1, 10, 50, 200]),
      duplicatePerMille: isQuiet ? 0 : prng.pick([0, 0, 10, 100, 400]),
      reorders: prng.perMille(500),
      reportPerMille: prng.pick([0, 500, 1000]),
      tornSnapshotPerMille: prng.pick([0, 0, 100, 500]),
    },
    disk: {
      latencyMeanUs: prng.pick([50, 200, 1000, 10_000]),
      stallPerMille: prng.pick([0, 0, 1, 10]),
    },
    clocks: {
      driftPpmMax: prng.pick([0, 100, 500]),
      creepUs: prng.pick([0, 0, 1, 100, 2000]),
    },
    member: {
      tickMs: 100,
      electionTicks,
      preVote: prng.perMille(700),
      snapshotCount: prng.pick([3, 10, 50, 200, 10_000]),
      catchUpEntries: prng.pick([1, 5, 20, 100, 5000]),
      cutSlackEntries: new Prng(seed).fork('log-cut').pick([1, 10, 100, 1000]),
      backendBatchIntervalMs: prng.pick([10, 100, 100, 1000]),
      backendBatchChangesMax: prng.pick([1, 10, 100, 10_000]),
      compactionBatchLimit: prng.pick([1, 10, 1000]),
      compactionSleepMs: prng.pick([1, 10, 100]),
      walSegmentBytes: prng.pick([4096, 16_384, 131_072]),
      walFilesMax: prng.pick([1, 2, 5]),
      leaseCheckpoints: prng.perMille(300),
    },
    world: PLAIN_WORLD,
    faultMeanMs: prng.pick([300, 1000, 3000, 10_000]),
    faults: {
      ...NO_FAULTS,
      ...weights(prng, FIRST_FAULTS, isQuiet ? 0 : 400),
    },
  }
}
