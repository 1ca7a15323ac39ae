import { swarm } from '../options.js'
import { type RunResult, runSimulation } from '../simulation.js'
import { Prng } from '../world/prng.js'
import type { KnownBug } from './known-bug.js'

/** Runs seeds until one shows the bug; undefined when the budget is over. */
export async function findBug(
  bug: KnownBug,
  budget: { readonly firstSeed: number; readonly seedsMax: number },
): Promise<RunResult | undefined> {
  for (let at = 0; at < budget.seedsMax; at++) {
    const seed = budget.firstSeed + at
    const drawn = swarm(seed)
    const result = await runSimulation({
      seed,
      options: bug.shape?.(drawn) ?? drawn,
      adapters: [bug.create(new Prng(seed).fork('known-bug'))],
    })
    if (result.violation !== undefined) return result
  }
  return undefined
}
