import { describe, expect, test } from 'vitest'
import { Prng } from '../world/prng.js'
import { Rests } from './rests.js'

// Goal: working hours and rests follow each other as drawn, whoever asks and how often. Method: the same draws asked in
// two rhythms.
const HOUR_US = 3_600_000_000

function restingShare(rests: Rests, stepUs: number): number {
  let resting = 0
  let asked = 0
  for (let nowUs = 0; nowUs < HOUR_US; nowUs += stepUs) {
    asked++
    if (rests.leftUs(nowUs) > 0) resting++
  }
  return resting / asked
}

describe('rests', () => {
  test('begin after some work, end when they said, and make up their share of the time', () => {
    const rests = new Rests(new Prng(1), 6000)
    expect(rests.leftUs(0)).toBe(0)
    let nowUs = 0
    while (rests.leftUs(nowUs) === 0) nowUs += 1000
    const leftUs = rests.leftUs(nowUs)
    expect(rests.leftUs(nowUs + leftUs - 1)).toBe(1)
    expect(rests.leftUs(nowUs + leftUs)).toBe(0)
    expect(restingShare(new Rests(new Prng(1), 6000), 100_000)).toBeGreaterThan(0.5)
  })

  test('are the same however often somebody asks', () => {
    const [often, seldom] = [new Rests(new Prng(7), 3000), new Rests(new Prng(7), 3000)]
    for (let nowUs = 0; nowUs < 100_000_000; nowUs += 1000) {
      const leftUs = often.leftUs(nowUs)
      if (nowUs % 5_000_000 === 0) expect(seldom.leftUs(nowUs)).toBe(leftUs)
    }
  })

  test('do not happen where none are asked for', () => {
    expect(restingShare(new Rests(new Prng(1), 0), 1_000_000)).toBe(0)
  })
})
