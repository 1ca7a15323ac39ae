// Goal: LevelDB and the simulator's engine keep the same contract.
import { mkdirSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LevelEngines } from '../../src/platform/level-engine.js'
import { SimulatedEngines } from '../simulation/world/engine.js'
import { keyValueEngineContract } from './key-value-engine.contract.js'

keyValueEngineContract('LevelDB', () => {
  mkdirSync('.tmp', { recursive: true })
  const directory = mkdtempSync(join('.tmp', 'engine-'))
  return {
    engines: new LevelEngines(directory),
    cleanUp: () => rm(directory, { recursive: true, force: true }),
  }
})

for (const isEarly of [false, true]) {
  keyValueEngineContract(
    `the simulated engine, whose thread is ${isEarly ? 'early' : 'late'}`,
    () => {
      const engines = new SimulatedEngines(
        (task) => setImmediate(task),
        () => isEarly,
      )
      return {
        engines,
        powerLoss: (keep) => engines.powerLoss((count) => count - keep),
        cleanUp: () => Promise.resolve(),
      }
    },
  )
}
