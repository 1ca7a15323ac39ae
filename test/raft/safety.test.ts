// Goal: Raft's safety properties hold on any schedule, and its liveness once trouble ends. Method: random
// schedules from a seed over real cores; a failing seed is printed and can be run alone.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type GroupOptions, SimulatedGroup } from './simulated-group.js'

const options = (changesMembership: boolean): fc.Arbitrary<GroupOptions> =>
  fc.record({
    seed: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    memberCount: fc.constantFrom(3, 4, 5),
    isAsync: fc.boolean(),
    preVote: fc.boolean(),
    checkQuorum: fc.boolean(),
    changesMembership: fc.constant(changesMembership),
  })

test('fixed membership: safe on any schedule, and live when trouble ends', () => {
  fc.assert(
    fc.property(options(false), (chosen) => {
      const group = new SimulatedGroup(chosen)
      for (let i = 0; i < 2500; i++) group.step()
      group.checkLogs()
      expect(group.settle(1500)).toBe(true)
      group.checkLogs()
    }),
    { numRuns: 40, endOnFailure: true },
  )
})

test('changing membership: safe on any schedule', () => {
  fc.assert(
    fc.property(options(true), (chosen) => {
      const group = new SimulatedGroup(chosen)
      for (let i = 0; i < 3000; i++) group.step()
      group.checkLogs()
    }),
    { numRuns: 40, endOnFailure: true },
  )
})

test('schedules get work done: entries are committed along the way', () => {
  const group = new SimulatedGroup({
    seed: 7,
    memberCount: 3,
    isAsync: true,
    preVote: true,
    checkQuorum: true,
    changesMembership: false,
  })
  for (let i = 0; i < 5000; i++) group.step()
  expect(group.committed.size).toBeGreaterThan(20)
})
