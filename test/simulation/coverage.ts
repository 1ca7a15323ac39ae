import { BUGGIFY_SITES, COVERAGE_MARKS } from '../../src/base/buggify.js'
import { FAULTS, type SimulationOptions } from './options.js'

/** What the world does by itself, beside the faults that are struck. */
const WORLD_MARKS = [
  'lost',
  'doubled',
  'overtaken',
  'overflow',
  'clogged',
  'snapshot-sent',
  'snapshot-failed',
  'torn-write',
  'torn-page',
  'torn-sector',
  'lost-name',
  'no-space',
  'disk-stall',
  'stopped-by-disk',
  'clock-periodic',
  'clock-noisy',
  'refused-damaged',
  'ruined-replaced',
  'member-added',
  'alarm-disarmed',
  'hash-compared',
] as const

/** Everything that a set of runs can come across, as the marks of its results call it. */
export const COVERAGE: readonly string[] = [
  ...FAULTS,
  ...WORLD_MARKS,
  ...BUGGIFY_SITES.map((site) => `site ${site}`),
  ...COVERAGE_MARKS.map((name) => `mark ${name}`),
]

export const unhit = (marks: ReadonlyMap<string, number>): readonly string[] =>
  COVERAGE.filter((name) => !marks.has(name))

/** A run in which everything may happen, often; each drawn differently. */
export function everything(options: SimulationOptions, at: number): SimulationOptions {
  const each = Object.fromEntries(FAULTS.map((kind) => [kind, 2])) as SimulationOptions['faults']
  const work = Object.fromEntries(Object.keys(options.workload).map((kind) => [kind, 3]))
  return {
    ...options,
    memberCount: at % 2 === 0 ? 3 : 5,
    watcherCount: 4,
    keyCount: 5,
    thinkMeanMs: 30,
    faultMeanMs: 500,
    safetySeconds: 30,
    workload: { ...(work as SimulationOptions['workload']), put: 12 },
    faults: {
      ...each,
      'power-loss-all': 1,
      'crash-within': 5,
      'bad-snapshot': 5,
      'power-loss': 5,
      'disarm-alarm': 6,
    },
    network: {
      delayMeanUs: 1000,
      lossPerMille: 5,
      duplicatePerMille: 20,
      reorders: at % 2 === 0,
      reportPerMille: 500,
      tornSnapshotPerMille: 200,
    },
    disk: { latencyMeanUs: at % 4 < 2 ? 1000 : 20_000, stallPerMille: 2 },
    member: {
      ...options.member,
      snapshotCount: 20,
      catchUpEntries: 5,
      walSegmentBytes: 8192,
      walFilesMax: 2,
      backendBatchChangesMax: 100,
    },
    world: {
      buggify: BUGGIFY_SITES.filter((_, site) => site % 3 === at % 3),
      partitionMode: 'uniform-partition',
      partitionStabilityMs: 300,
      linkMessagesMax: 20,
      wall: at % 2 === 0 ? 'periodic' : 'noisy',
      quotaBytes: at % 2 === 0 ? 30_000 : 0,
    },
  }
}
