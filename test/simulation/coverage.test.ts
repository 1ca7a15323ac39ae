import { describe, expect, test } from 'vitest'
import { COVERAGE, COVERAGE_SEEDS, everything, NIGHTLY_SEEDS, unhit } from './coverage.js'
import { reportFailure } from './failure-report.js'
import { runSimulation } from './simulation.js'
import type { Mark } from './world/marks.js'

// Goal: nothing that the simulator can do, and no rare branch that the program marks, goes unseen without anybody
// noticing. Method: nightly seeds are run until they have come across every fault, site, mark and failpoint; first those
// that sufficed when they were chosen, then others, as every change of the program moves what a seed comes to. What none
// of them meets is named. `npm run sim -- --nightly` runs all of them.
const SEEDS_MAX = 120

describe('the nightly runs', () => {
  test('come across everything, and a few of them do', async () => {
    const marks = new Map<Mark, number>()
    const seeds = new Set([...COVERAGE_SEEDS, ...NIGHTLY_SEEDS])
    for (const seed of [...seeds].slice(0, SEEDS_MAX)) {
      expect(NIGHTLY_SEEDS).toContain(seed)
      const options = everything(seed)
      const result = await runSimulation({ seed, options })
      expect(result.violation === undefined ? '' : reportFailure(result, options, '')).toBe('')
      for (const [mark, hits] of result.marks) marks.set(mark, (marks.get(mark) ?? 0) + hits)
      if (unhit(marks).length === 0) break
    }
    expect(unhit(marks), 'never reached').toEqual([])
  })

  test('know each mark once', () => {
    expect(new Set(COVERAGE).size).toBe(COVERAGE.length)
    expect(unhit(new Map(COVERAGE.map((mark) => [mark, 1])))).toEqual([])
    expect(unhit(new Map())).toEqual(COVERAGE)
  })
})
