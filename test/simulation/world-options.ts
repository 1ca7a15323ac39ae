import { BUGGIFY_SITES, type BuggifySite } from '../../src/base/buggify.js'
import type { Prng } from './world/prng.js'

/** How two sides of a partition are chosen. */
export const PARTITION_MODES = ['uniform-size', 'uniform-partition', 'isolate-one'] as const
export type PartitionMode = (typeof PARTITION_MODES)[number]

/** How the wall clocks of the run's machines go wrong, beside being stepped. */
export const WALL_KINDS = ['steady', 'periodic', 'noisy'] as const
export type WallKind = (typeof WALL_KINDS)[number]

/** What else is drawn of a run's world. */
export interface WorldOptions {
  /** Sites of `src/base/buggify.ts` that are on; each then fires in a quarter of its passes. */
  readonly buggify: readonly BuggifySite[]
  readonly partitionMode: PartitionMode
  /** A partition lasts so long at least. */
  readonly partitionStabilityMs: number
  /** Messages under way on one link; what comes on top is lost. */
  readonly linkMessagesMax: number
  readonly wall: WallKind
  /** Bytes of rows from which on the alarm is raised; 0 = never. */
  readonly quotaBytes: number
  /** A client of its own compacts so often, mean; 0 = none does. */
  readonly compactionMeanMs: number
  /** Chance that a put or a deletion asks for what was there before. */
  readonly previousPerMille: number
}

const SITE_PER_MILLE = 250

export function drawWorld(prng: Prng): WorldOptions {
  return {
    buggify: BUGGIFY_SITES.filter(() => prng.perMille(SITE_PER_MILLE)),
    partitionMode: prng.pick(PARTITION_MODES),
    partitionStabilityMs: prng.pick([0, 500, 2000]),
    linkMessagesMax: prng.pick([5, 20, 200, 200]),
    wall: prng.pick(WALL_KINDS),
    quotaBytes: prng.pick([0, 0, 0, 80_000, 160_000]),
    compactionMeanMs: prng.pick([0, 0, 200, 500]),
    previousPerMille: prng.pick([0, 300]),
  }
}

/** A world in which only what other options say goes wrong. */
export const PLAIN_WORLD: WorldOptions = {
  buggify: [],
  partitionMode: 'uniform-size',
  partitionStabilityMs: 0,
  linkMessagesMax: 200,
  wall: 'steady',
  quotaBytes: 0,
  compactionMeanMs: 0,
  previousPerMille: 0,
}
