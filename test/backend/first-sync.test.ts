import { expect, test } from 'vitest'
import { logIndex, term } from '../../src/base/ids.js'
import { SimulatedEngines } from '../simulation/world/engine.js'
import { bytes, defer, openFixture } from './store-fixture.js'

// Goal: what an earlier process wrote without a sync is not durable because a new process reads it. A synced flush with
// nothing to write must say so to the engine all the same: a log is cut on the strength of it. Found by the simulator
// (seed 4).
test('the first synced flush makes durable what an earlier process left unsynced', async () => {
  const engines = new SimulatedEngines(defer)
  const before = await openFixture({ engines })
  before.backend.put('meta', bytes('a'), bytes('b'))
  before.backend.setConsistentIndex(logIndex(5), term(1))
  await new Promise((resolve) => before.backend.flush(false, resolve))
  engines.crash()
  const between = await openFixture({ engines })
  expect(between.backend.consistentIndex).toBe(5)
  await new Promise((resolve) => between.backend.flush(true, resolve))
  engines.powerLoss((count) => count)
  const after = await openFixture({ engines })
  expect(after.backend.consistentIndex).toBe(5)
})
