// The house rules hold for every source file: layers point down only, pure folders stay pure, no import cycles.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { importCycles, tidySource } from '../tools/tidy.js'

const src = resolve(import.meta.dirname, '../src')
const scratch = resolve(import.meta.dirname, '../.tmp/tidy/src')

afterAll(() => rmSync(resolve(scratch, '..'), { recursive: true, force: true }))

function write(path: string, text: string): void {
  const file = join(scratch, path)
  mkdirSync(resolve(file, '..'), { recursive: true })
  writeFileSync(file, text)
}

describe('the source tree', () => {
  test('keeps the layers and the house rules', () => {
    expect(tidySource(src)).toEqual([])
  })

  test('has no import cycles', () => {
    expect(importCycles(src)).toEqual([])
  })
})

describe('the checker', () => {
  test('finds an upward import, a clock in a pure folder and a cycle', () => {
    write('base/low.ts', "import { high } from '../daemon/high.js'\nexport const low = high\n")
    write('daemon/high.ts', "import { low } from '../base/low.js'\nexport const high = low\n")
    write('raft/timer.ts', 'export const now = () => Date.now()\n')
    const findings = tidySource(scratch).join('\n')
    expect(findings).toContain('base (0) imports daemon')
    expect(findings).toContain('use the Clock port')
    expect(importCycles(scratch)).toHaveLength(1)
  })
})
