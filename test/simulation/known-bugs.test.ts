import { describe, expect, test } from 'vitest'
import { KNOWN_BUGS } from './known-bugs/catalogue.js'
import { findBug } from './known-bugs/find-bug.js'
import { SEEDS_MAX } from './known-bugs/search.js'

// Goal: the simulator finds what it is there to find. Method: mistakes that a member could make are brought in from
// outside, and each must be seen within a window of seeds by a checker that can see it. The windows begin with the
// first seed, or a little before the one that `npm run sim -- --known-bugs` names, which goes through all from 1.
const WINDOW_SEEDS = 20
const BEFORE_SEEDS = 2

describe('a known bug is found', () => {
  test('and there are enough of them, each with a name of its own', () => {
    expect(KNOWN_BUGS.length).toBeGreaterThanOrEqual(40)
    expect(new Set(KNOWN_BUGS.map(({ name }) => name)).size).toBe(KNOWN_BUGS.length)
  })

  test.each(KNOWN_BUGS.map((bug) => ({ name: bug.name, bug })))('$name', async ({ bug }) => {
    const firstSeed = Math.max(1, (bug.firstSeed ?? 1) - BEFORE_SEEDS)
    expect(firstSeed).toBeLessThanOrEqual(SEEDS_MAX)
    const found = await findBug(bug, { firstSeed, seedsMax: WINDOW_SEEDS })
    expect(found?.violation?.message).toBeDefined()
    expect(bug.foundBy).toContain(found?.violation?.checker)
  })
})
