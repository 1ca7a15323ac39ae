import { describe, expect, test } from 'vitest'
import { completed, FAULTS, type SimulationOptions, swarm, WORK } from './options.js'
import { runSimulation } from './simulation.js'

// Goal: what a seed draws is drawn again, and a file with options goes on to mean what it meant. Method: many seeds, and
// options from which names are missing that came later.
const SEEDS = 300

describe('the options of a run', () => {
  test('have every fault, kind of work and size of cluster in some seeds and not in others', () => {
    const drawn = Array.from({ length: SEEDS }, (_, seed) => swarm(seed))
    for (const kind of FAULTS) {
      const count = drawn.filter(({ faults }) => faults[kind] > 0).length
      expect(count, kind).toBeGreaterThan(0)
      expect(count, kind).toBeLessThan(SEEDS)
    }
    for (const kind of WORK) {
      const count = drawn.filter(({ workload }) => workload[kind] > 0).length
      expect(count, kind).toBeGreaterThan(0)
    }
    expect(new Set(drawn.map(({ memberCount }) => memberCount))).toEqual(new Set([1, 3, 5, 7]))
    expect(swarm(7)).toEqual(swarm(7))
  })

  test('of an earlier day are run as they were', async () => {
    const drawn = { ...swarm(7), safetySeconds: 2 }
    const now: SimulationOptions = {
      ...drawn,
      faults: { ...drawn.faults, 'failed-engine-write': 0 },
      world: { ...drawn.world, compactionMeanMs: 0 },
    }
    const { 'failed-engine-write': _fault, ...faults } = now.faults
    const { compactionMeanMs: _mean, ...world } = now.world
    const old = { ...now, faults, world } as unknown as SimulationOptions
    expect(completed(old)).toEqual(now)
    const { hash } = await runSimulation({ seed: 7, options: completed(old) })
    expect((await runSimulation({ seed: 7, options: now })).hash).toBe(hash)
  })
})
