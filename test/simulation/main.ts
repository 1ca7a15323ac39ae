/**
 * npm run sim -- --seed 42 [--trace] [--shrink] [--options FILE] [--without NAME]... [--count K] [--minutes M]
 * [--keep-going] [--ledger FILE] [--show-options] [--everything | --wild] [--history FILE], or --known-bugs [--bug 'part of a name']
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { everything, unhit } from './coverage.js'
import { reportFailure } from './failure-report.js'
import { searchKnownBugs } from './known-bugs/search.js'
import { type SimulationOptions, swarm, wild } from './options.js'
import { namesIn, shrink, without } from './shrink.js'
import { type RunResult, runSimulation } from './simulation.js'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    minutes: { type: 'string' },
    count: { type: 'string' },
    'keep-going': { type: 'boolean', default: false },
    ledger: { type: 'string' },
    options: { type: 'string' },
    without: { type: 'string', multiple: true, default: [] },
    shrink: { type: 'boolean', default: false },
    'show-options': { type: 'boolean', default: false },
    everything: { type: 'boolean', default: false },
    wild: { type: 'boolean', default: false },
    'known-bugs': { type: 'boolean', default: false },
    bug: { type: 'string', default: '' },
    history: { type: 'string' },
  },
})

const firstSeed = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed)
const startedMs = performance.now()
const isLate = (): boolean =>
  values.minutes !== undefined && performance.now() - startedMs > Number(values.minutes) * 60_000
const isMany = values.minutes !== undefined || values.count !== undefined
const count = values.count === undefined ? Number.POSITIVE_INFINITY : Number(values.count)

/** Speed is measured in the processor's time: the machine may be busy with something else. */
function report(result: RunResult, options: SimulationOptions, tookMs: number): void {
  const { seed, hash, violation, virtualSeconds, events, operations, revisions } = result
  const speed = (virtualSeconds * 1000) / tookMs
  const line = `seed ${seed} hash ${hash} ${virtualSeconds.toFixed(1)} s virtual, ${tookMs.toFixed(0)} ms of processor (x${speed.toFixed(0)}), ${events} events, ${operations} operations, ${revisions} entries`
  if (violation === undefined) {
    if (!isMany || values.trace) console.log(line)
    return
  }
  console.log(`${line}\n${reportFailure(result, options, '')}`)
}

/** The run's options: from a file or drawn, less what `--without` names. */
function optionsOf(seed: number): SimulationOptions {
  const calm = values.wild ? wild(seed) : swarm(seed)
  const swarmed = values.everything ? everything(swarm(seed), seed) : calm
  const drawn: SimulationOptions =
    values.options === undefined
      ? swarmed
      : (JSON.parse(readFileSync(values.options, 'utf8')) as SimulationOptions)
  for (const name of values.without) {
    if (!namesIn(drawn).includes(name)) console.log(`nothing called ${name} is on in this run`)
  }
  return values.without.reduce(without, drawn)
}

async function shrunk(result: RunResult, options: SimulationOptions): Promise<void> {
  const { seed, violation } = result
  if (violation === undefined) return
  const smallest = await shrink({
    options,
    checker: violation.checker,
    run: (candidate) => runSimulation({ seed, options: candidate }),
    onStep: (what) => console.log(`still fails: ${what}`),
  })
  const again = await runSimulation({ seed, options: smallest })
  console.log(`smallest:\n${reportFailure(again, smallest, '-smallest')}`)
}

if (values['known-bugs']) {
  const searches = await searchKnownBugs(values.bug, (search) =>
    console.log(JSON.stringify(search)),
  )
  process.exit(searches.every(({ seed }) => seed !== undefined) ? 0 : 1)
}

const marks = new Map<string, number>()
let runs = 0
let failures = 0
let virtualSeconds = 0
for (let at = 0; at < (isMany ? count : 1) && !isLate(); at++) {
  const seed = firstSeed + at
  const cpuBefore = process.cpuUsage()
  const options = optionsOf(seed)
  if (values['show-options']) console.log(JSON.stringify(options, undefined, 1))
  const sink = values.trace ? { sink: (line: string) => console.log(line) } : {}
  const result = await runSimulation({ seed, options, ...sink })
  const cpu = process.cpuUsage(cpuBefore)
  if (values.history !== undefined)
    writeFileSync(
      values.history,
      `${result
        .history()
        .map((line) => JSON.stringify(line))
        .join('\n')}\n`,
    )
  report(result, options, (cpu.user + cpu.system) / 1000)
  runs++
  virtualSeconds += result.virtualSeconds
  for (const [name, hits] of result.marks) marks.set(name, (marks.get(name) ?? 0) + hits)
  if (result.violation === undefined) continue
  failures++
  process.exitCode = 1
  if (values.shrink) await shrunk(result, options)
  if (!values['keep-going']) break
}
if (isMany) {
  const total = process.cpuUsage()
  const realSeconds = (performance.now() - startedMs) / 1000
  const summary = {
    seeds: `${firstSeed}..${firstSeed + runs - 1}`,
    runs,
    failures,
    virtualHours: Number((virtualSeconds / 3600).toFixed(2)),
    realSeconds: Number(realSeconds.toFixed(1)),
    speed: Math.round((virtualSeconds * 1_000_000) / (total.user + total.system)),
    unhit: unhit(marks),
    marks: Object.fromEntries([...marks].sort(([a], [b]) => (a < b ? -1 : 1))),
  }
  console.log(JSON.stringify(summary))
  if (values.everything && unhit(marks).length > 0) process.exitCode = 1
  if (values.ledger !== undefined) appendFileSync(values.ledger, `${JSON.stringify(summary)}\n`)
}
