/**
 * Where a simulated run may make the program do something allowed and unusual, and where it counts
 * that something rare happened. Outside a simulation both cost one look at a variable. The sites
 * stand in folders of levels 4 and 5 only; the simulator decides which of them are on in a run.
 */

/** Places at which a limit becomes tiny, a batch short, or something happens early. */
export const BUGGIFY_SITES = [
  'backend/drop-rows',
  'backend/flush-due',
  'backend/one-row-chunk',
  'backend/overloaded',
  'backend/sync-flush',
  'member/apply-between',
  'member/apply-one',
  'member/ask-again',
  'member/commit-at-once',
  'member/compact-one-row',
  'member/cut-log-at-once',
  'member/propose-one',
  'member/refuse-proposal',
  'member/revoke-one',
  'member/snapshot-early',
  'wal/refuse-inline',
  'wal/small-segment',
  'wal/write-lazy-at-once',
  'watch/block-early',
  'watch/few-bytes',
  'watch/one-revision',
  'watch/one-watcher',
] as const
export type BuggifySite = (typeof BUGGIFY_SITES)[number]

/** Branches that a set of runs has to reach. */
export const COVERAGE_MARKS = [
  'backend/flushes-gathered',
  'member/apply-cut-off',
  'member/behind-snapshot',
  'member/commit-proven',
  'member/lease-awaits-revoke',
  'member/leader-confirmed',
  'member/log-cut',
  'member/proposal-waits',
  'member/read-asked-again',
  'member/snapshot-installed',
  'member/transfer-at-stop',
  'snapshot/set-aside',
  'wal/behind-write',
  'wal/segment-begun',
  'wal/torn-tail-cut',
  'watch/cancelled-compacted',
  'watch/from-memory',
  'watch/from-store',
  'watch/parked',
] as const
export type CoverageMark = (typeof COVERAGE_MARKS)[number]

/** What a simulated run decides and counts. */
export interface SimulationSeam {
  /** Whether this pass is an unusual one. */
  buggify(site: BuggifySite): boolean
  mark(name: CoverageMark): void
}

let seam: SimulationSeam | undefined

/** From now on this run decides; undefined ends it. Only a simulator calls this. */
export function setSimulationSeam(given: SimulationSeam | undefined): void {
  seam = given
}

/** True when a simulated run wants the unusual here. Always false in production. */
export function buggify(site: BuggifySite): boolean {
  return seam?.buggify(site) ?? false
}

/** Tells a simulated run that something rare happened. */
export function mark(name: CoverageMark): void {
  seam?.mark(name)
}
