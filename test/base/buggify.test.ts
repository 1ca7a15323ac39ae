// Goal: what stands in the program for simulations does nothing outside them. Method: one site and one mark without a seam,
// with one, and without again; names are looked for in the sources.
import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import {
  BUGGIFY_SITES,
  buggify,
  COVERAGE_MARKS,
  mark,
  setSimulationSeam,
} from '../../src/base/buggify.js'
import { sourceFiles } from '../../tools/tidy.js'

afterEach(() => setSimulationSeam(undefined))

describe('the seam for simulations', () => {
  test('is closed in production', () => {
    expect(buggify('wal/small-segment')).toBe(false)
    expect(() => mark('wal/torn-tail-cut')).not.toThrow()
  })

  test('lets a simulation decide and count, until it leaves', () => {
    const marks: string[] = []
    setSimulationSeam({
      buggify: (site) => site === 'wal/small-segment',
      mark: (name) => marks.push(name),
    })
    expect(buggify('wal/small-segment')).toBe(true)
    expect(buggify('wal/refuse-inline')).toBe(false)
    mark('wal/torn-tail-cut')
    expect(marks).toEqual(['wal/torn-tail-cut'])
    setSimulationSeam(undefined)
    expect(buggify('wal/small-segment')).toBe(false)
  })

  test.each([...BUGGIFY_SITES, ...COVERAGE_MARKS])('%s stands in its folder', (name) => {
    const [folder = ''] = name.split('/')
    const text = sourceFiles(`src/${folder}`).map((file) => readFileSync(file, 'utf8'))
    expect(text.some((source) => source.includes(`'${name}'`))).toBe(true)
  })
})
