import { FAULTS, type SimulationOptions, WORK } from './options.js'
import type { RunResult } from './simulation.js'

/** Runs that one shrinking may take. */
const SHRINK_RUNS_MAX = 150
/** Passes over everything that can be left out: what one leaves out may free another. */
const PASSES_MAX = 2

export interface Shrinking {
  readonly options: SimulationOptions
  /** The checker that must go on failing. */
  readonly checker: string
  readonly run: (options: SimulationOptions) => Promise<RunResult>
  readonly onStep: (what: string) => void
}

/** A smaller world in words, and how it is made. */
interface Reduction {
  readonly what: string
  readonly make: (options: SimulationOptions) => SimulationOptions
}

/** The smallest world found in which the same checker fails; by bisection of the time, then by leaving things out. */
export async function shrink(shrinking: Shrinking): Promise<SimulationOptions> {
  let { options } = shrinking
  let runs = 0
  const fails = async (candidate: SimulationOptions): Promise<boolean> => {
    if (runs >= SHRINK_RUNS_MAX) return false
    runs++
    return (await shrinking.run(candidate)).violation?.checker === shrinking.checker
  }
  options = await bisect(options, fails, shrinking.onStep)
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    let isSmaller = false
    for (const { what, make } of reductions(options)) {
      const candidate = make(options)
      if (JSON.stringify(candidate) === JSON.stringify(options)) continue
      if (!(await fails(candidate))) continue
      shrinking.onStep(what)
      options = candidate
      isSmaller = true
    }
    if (!isSmaller) break
  }
  return bisect(options, fails, shrinking.onStep)
}

/** The shortest time of faults, in whole seconds, with which it still fails. */
async function bisect(
  options: SimulationOptions,
  fails: (candidate: SimulationOptions) => Promise<boolean>,
  onStep: (what: string) => void,
): Promise<SimulationOptions> {
  let most = options.safetySeconds
  let least = 0
  while (most - least > 1) {
    const middle = Math.floor((least + most) / 2)
    if (await fails({ ...options, safetySeconds: middle })) {
      most = middle
      onStep(`${middle} s of faults`)
    } else least = middle
  }
  return { ...options, safetySeconds: most }
}

function reductions(options: SimulationOptions): Reduction[] {
  const found: Reduction[] = []
  const add = (what: string, make: Reduction['make']): void => {
    found.push({ what, make })
  }
  for (const name of namesIn(options)) add(`without ${name}`, (now) => without(now, name))
  for (const memberCount of [1, 3, 5]) {
    if (memberCount < options.memberCount)
      add(`${memberCount} members`, (now) =>
        memberCount < now.memberCount ? { ...now, memberCount } : now,
      )
  }
  add('no watchers', (now) => ({ ...now, watcherCount: 0 }))
  for (let clients = 1; clients < options.clientCount; clients *= 2)
    add(`${clients} clients`, (now) =>
      clients < now.clientCount ? { ...now, clientCount: clients } : now,
    )
  return found
}

/** Everything of a run that `without` can leave out. */
export function namesIn({ faults, workload, world }: SimulationOptions): string[] {
  return [
    ...FAULTS.filter((kind) => faults[kind] > 0),
    ...(world.buggify.length > 0 ? ['buggify'] : []),
    ...world.buggify,
    ...Object.keys(WORLD_PARTS),
    ...WORK.filter((kind) => workload[kind] > 0 && kind !== 'put'),
  ]
}

const WORLD_PARTS: Readonly<Record<string, (options: SimulationOptions) => SimulationOptions>> = {
  loss: (now) => ({ ...now, network: { ...now.network, lossPerMille: 0 } }),
  duplicates: (now) => ({ ...now, network: { ...now.network, duplicatePerMille: 0 } }),
  reordering: (now) => ({ ...now, network: { ...now.network, reorders: false } }),
  'torn-snapshots': (now) => ({ ...now, network: { ...now.network, tornSnapshotPerMille: 0 } }),
  'disk-stalls': (now) => ({ ...now, disk: { ...now.disk, stallPerMille: 0 } }),
  drift: (now) => ({ ...now, clocks: { driftPpmMax: 0, creepUs: 0 } }),
  'stray-wall-clocks': (now) => ({ ...now, world: { ...now.world, wall: 'steady' } }),
  'compaction-often': (now) => ({ ...now, world: { ...now.world, compactionMeanMs: 0 } }),
  quota: (now) => ({ ...now, world: { ...now.world, quotaBytes: 0 } }),
}

/** The same run without a fault, a kind of work, a site, or a part of the world; unchanged when there is no such name. */
export function without(options: SimulationOptions, name: string): SimulationOptions {
  const part = WORLD_PARTS[name]
  if (part !== undefined) return part(options)
  const { faults, workload, world } = options
  if (name === 'buggify') return { ...options, world: { ...world, buggify: [] } }
  if (name in faults) return { ...options, faults: { ...faults, [name]: 0 } }
  if (name in workload) return { ...options, workload: { ...workload, [name]: 0 } }
  return {
    ...options,
    world: { ...world, buggify: world.buggify.filter((site) => site !== name) },
  }
}
