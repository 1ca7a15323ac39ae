import { describe, expect, test } from 'vitest'
import { KNOWN_BUGS } from './known-bugs/catalogue.js'
import { findBug } from './known-bugs/find-bug.js'

// Goal: the simulator finds what it is there to find. Method: mistakes that a member could make are brought in from
// outside, and each must be seen within its budget of seeds by a checker that can see it.
const SEEDS_MAX = 60

describe('a known bug is found', () => {
  test('and there are enough of them', () => {
    expect(KNOWN_BUGS.length).toBeGreaterThanOrEqual(16)
  })

  test.each(KNOWN_BUGS.map((bug) => ({ name: bug.name, bug })))('$name', async ({ bug }) => {
    const found = await findBug(bug, { firstSeed: 1, seedsMax: SEEDS_MAX })
    expect(found?.violation?.message).toBeDefined()
    expect(bug.foundBy).toContain(found?.violation?.checker)
  })
})
