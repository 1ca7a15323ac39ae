/** npm run sim -- --seed 42 [--trace] [--minutes M] [--count K] [--history FILE], or --known-bugs [--bug 'part of a name'] */
import { appendFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { searchKnownBugs } from './known-bugs/search.js'
import { swarm } from './options.js'
import { type RunResult, runSimulation } from './simulation.js'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    minutes: { type: 'string' },
    count: { type: 'string' },
    'keep-going': { type: 'boolean', default: false },
    ledger: { type: 'string' },
    options: { type: 'boolean', default: false },
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
function report(result: RunResult, tookMs: number): void {
  const { seed, hash, violation, virtualSeconds, events, operations, revisions } = result
  const speed = (virtualSeconds * 1000) / tookMs
  const line = `seed ${seed} hash ${hash} ${virtualSeconds.toFixed(1)} s virtual, ${tookMs.toFixed(0)} ms of processor (x${speed.toFixed(0)}), ${events} events, ${operations} operations, ${revisions} entries`
  if (violation === undefined) {
    if (!isMany || values.trace) console.log(line)
    return
  }
  console.log(
    `${line}\nVIOLATION of ${violation.checker} at ${violation.atUs} us: ${violation.message}`,
  )
  console.log(`replay: npm run sim -- --seed ${seed} --trace`)
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
  if (values.options) console.log(JSON.stringify(swarm(seed), undefined, 1))
  const sink = values.trace ? { sink: (line: string) => console.log(line) } : {}
  const result = await runSimulation({ seed, ...sink })
  const cpu = process.cpuUsage(cpuBefore)
  if (values.history !== undefined)
    writeFileSync(
      values.history,
      `${result
        .history()
        .map((line) => JSON.stringify(line))
        .join('\n')}\n`,
    )
  report(result, (cpu.user + cpu.system) / 1000)
  runs++
  virtualSeconds += result.virtualSeconds
  for (const [name, hits] of result.marks) marks.set(name, (marks.get(name) ?? 0) + hits)
  if (result.violation === undefined) continue
  failures++
  process.exitCode = 1
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
    marks: Object.fromEntries([...marks].sort(([a], [b]) => (a < b ? -1 : 1))),
  }
  console.log(JSON.stringify(summary))
  if (values.ledger !== undefined) appendFileSync(values.ledger, `${JSON.stringify(summary)}\n`)
}
