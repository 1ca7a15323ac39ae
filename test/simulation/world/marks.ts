import type { BuggifySite, CoverageMark } from '../../../src/base/buggify.js'
import type { FailpointName } from '../../../src/base/failpoints.js'
import type { FaultKind } from '../options.js'

/** What a run comes across beside the faults that are struck: in the world, and in what checkers look at. */
export const WORLD_MARKS = [
  'leader',
  'lost',
  'doubled',
  'overtaken',
  'overflow',
  'clogged',
  'snapshot-sent',
  'snapshot-failed',
  'snapshot-stalled',
  'snapshot-body-read',
  'torn-write',
  'torn-page',
  'torn-sector',
  'length-extended',
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
  'compaction-finished',
  'v2-told',
  'v2-store-followed',
  'core',
  'core-without-down',
  'core-without-paused',
  'core-without-cut-off',
  'core-without-deaf',
  'core-without-mute',
  'core-without-slow',
] as const

/** Whatever is counted in a run: the list of coverage.ts has all of them, so none can be added that nobody reaches. */
export type Mark =
  | (typeof WORLD_MARKS)[number]
  | FaultKind
  | `site ${BuggifySite}`
  | `mark ${CoverageMark}`
  | `ends at ${FailpointName}`
