import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import type { SimulationOptions } from './options.js'
import type { RunResult } from './simulation.js'

const FOLDER = '.tmp/simulation-failures'

function commitOf(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}

/** Everything that is needed to see a failure again; its options go to a file, too. */
export function reportFailure(result: RunResult, options: SimulationOptions, name: string): string {
  const { seed, violation } = result
  mkdirSync(FOLDER, { recursive: true })
  const file = `${FOLDER}/${seed}${name}.json`
  writeFileSync(file, `${JSON.stringify(options, undefined, 1)}\n`)
  return [
    `VIOLATION of ${violation?.checker} at ${violation?.atUs} us: ${violation?.message}`,
    `seed ${seed}, commit ${commitOf()}, options ${JSON.stringify(options)}`,
    `replay: npm run sim -- --seed ${seed} --options ${file} --trace`,
  ].join('\n')
}
