import { BUGGIFY_SITES, COVERAGE_MARKS } from '../../src/base/buggify.js'
import { FAULTS, type SimulationOptions, swarm } from './options.js'
import { REACHED_FAILPOINTS } from './simulated-seam.js'
import { type Mark, WORLD_MARKS } from './world/marks.js'

/** Everything that a set of runs has to come across. */
export const COVERAGE: readonly Mark[] = [
  ...new Set<Mark>([
    ...FAULTS,
    ...WORLD_MARKS,
    ...BUGGIFY_SITES.map((site) => `site ${site}` as const),
    ...COVERAGE_MARKS.map((name) => `mark ${name}` as const),
    ...REACHED_FAILPOINTS.map((name) => `ends at ${name}` as const),
  ]),
]

export const unhit = (marks: ReadonlyMap<Mark, number>): readonly Mark[] =>
  COVERAGE.filter((name) => !marks.has(name))

/** The runs of a night: together they come across everything. */
export const NIGHTLY_SEEDS: readonly number[] = Array.from({ length: 200 }, (_, at) => 31_000 + at)

/** A few of them that did so when they were last chosen: where to look first. */
export const COVERAGE_SEEDS: readonly number[] = [
  31_151, 31_170, 31_192, 31_050, 31_174, 31_078, 31_048, 31_178,
]

/** A run in which everything may happen, often; each drawn differently. */
export function everything(seed: number): SimulationOptions {
  const options = swarm(seed)
  // Power that is lost while much is on its way to a disk tears it.
  const hasSlowDisks = seed % 4 >= 2
  const each = Object.fromEntries(FAULTS.map((kind) => [kind, 2])) as SimulationOptions['faults']
  const work = Object.fromEntries(Object.keys(options.workload).map((kind) => [kind, 3]))
  return {
    ...options,
    memberCount: seed % 2 === 0 ? 3 : 5,
    clientCount: 6,
    watcherCount: 4,
    keyCount: 5,
    thinkMeanMs: 30,
    restMeanMs: 0,
    faultMeanMs: 500,
    safetySeconds: 30,
    workload: {
      ...(work as SimulationOptions['workload']),
      put: 12,
      'put-large': hasSlowDisks ? 25 : 8,
    },
    faults: {
      ...each,
      'power-loss-all': 1,
      'crash-within': 8,
      'bad-snapshot': 5,
      'power-loss': hasSlowDisks ? 10 : 5,
      'misdirected-write': 10,
      'replace-member': 6,
      defragment: 6,
      'disarm-alarm': 6,
    },
    network: {
      delayMeanUs: 1000,
      lossPerMille: 5,
      duplicatePerMille: 20,
      reorders: seed % 2 === 0,
      reportPerMille: 500,
      tornSnapshotPerMille: 200,
    },
    disk: hasSlowDisks
      ? { latencyMeanUs: 20_000, stallPerMille: 10 }
      : { latencyMeanUs: 1000, stallPerMille: 2 },
    member: {
      ...options.member,
      snapshotCount: 20,
      catchUpEntries: 5,
      walSegmentBytes: 8192,
      walFilesMax: 2,
      backendBatchChangesMax: 100,
    },
    world: {
      buggify: BUGGIFY_SITES.filter((_, site) => site % 3 === seed % 3),
      partitionMode: 'uniform-partition',
      partitionStabilityMs: 300,
      linkMessagesMax: 20,
      wall: seed % 2 === 0 ? 'periodic' : 'noisy',
      quotaBytes: seed % 2 === 0 ? 60_000 : 0,
      compactionMeanMs: seed % 3 === 0 ? 300 : 0,
      previousPerMille: 0,
    },
  }
}
