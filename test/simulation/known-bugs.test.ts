import { describe, expect, test } from 'vitest'
import { KNOWN_BUGS } from './known-bugs/catalogue.js'
import { findBug } from './known-bugs/find-bug.js'

// Goal: the simulator finds what it is there to find. Method: mistakes that a member could make are brought in from
// outside, and each must be seen within the first seeds by a checker that can see it. `npm run sim -- --known-bugs` goes
// on to 500; known-bugs.jsonl has what it found last.
const SEEDS = 20

describe('a known bug is found', () => {
  test('and there are enough of them, each with a name of its own', () => {
    expect(KNOWN_BUGS.length).toBeGreaterThanOrEqual(40)
    expect(new Set(KNOWN_BUGS.map(({ name }) => name)).size).toBe(KNOWN_BUGS.length)
  })

  test.each(KNOWN_BUGS.map((bug) => ({ name: bug.name, bug })))('$name', async ({ bug }) => {
    const found = await findBug(bug, { firstSeed: 1, seedsMax: SEEDS })
    expect(found?.violation?.message).toBeDefined()
    expect(bug.foundBy).toContain(found?.violation?.checker)
  })
})
