import { drawFirst } from '../options.js'
import { type RunResult, runSimulation } from '../simulation.js'
import { Prng } from '../world/prng.js'
import type { KnownBug } from './known-bug.js'

/** Runs one seed with the bug in it. */
export async function runWithBug(bug: KnownBug, seed: number): Promise<RunResult> {
  const drawn = drawFirst(seed)
  const prng = new Prng(seed).fork('known-bug')
  const adapter = bug.create?.(prng)
  const uninstall = bug.install?.(prng)
  try {
    return await runSimulation({
      seed,
      options: bug.shape?.(drawn) ?? drawn,
      adapters: adapter === undefined ? [] : [adapter],
    })
  } finally {
    uninstall?.()
  }
}

/** Runs seeds until one shows the bug; undefined when the budget is over. */
export async function findBug(
  bug: KnownBug,
  budget: { readonly firstSeed: number; readonly seedsMax: number },
): Promise<RunResult | undefined> {
  for (let at = 0; at < budget.seedsMax; at++) {
    const result = await runWithBug(bug, budget.firstSeed + at)
    if (result.violation !== undefined) return result
  }
  return undefined
}
