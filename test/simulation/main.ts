/** `npm run sim`: the simulator from the command line; `arguments.ts` has the usage. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { type Arguments, parseArguments, USAGE, UsageError } from './arguments.js'
import { everything, NIGHTLY_SEEDS, unhit } from './coverage.js'
import { reportFailure } from './failure-report.js'
import { searchKnownBugs } from './known-bugs/search.js'
import { completed, type SimulationOptions, swarm } from './options.js'
import { namesIn, shrink, without } from './shrink.js'
import { type RunResult, runSimulation } from './simulation.js'
import type { Mark } from './world/marks.js'

function argumentsOrExit(): Arguments {
  try {
    return parseArguments(process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\n\n${USAGE}`)
    process.exit(2)
  }
}

const given = argumentsOrExit()
if (given.wantsHelp) {
  console.log(USAGE)
  process.exit(0)
}
const firstSeed = given.isNightly
  ? (NIGHTLY_SEEDS[0] ?? 0)
  : (given.seed ?? Date.now() % 1_000_000_000)
const startedMs = performance.now()
const isLate = (): boolean =>
  given.minutes !== undefined && performance.now() - startedMs > given.minutes * 60_000
const isMany = given.isNightly || given.minutes !== undefined || given.count !== undefined
const count = given.isNightly
  ? NIGHTLY_SEEDS.length
  : (given.count ?? (isMany ? Number.POSITIVE_INFINITY : 1))

/** Speed is measured in the processor's time: the machine may be busy with something else. */
function report(result: RunResult, options: SimulationOptions, tookMs: number): void {
  const { seed, hash, violation, virtualSeconds, events, operations, revisions } = result
  const speed = (virtualSeconds * 1000) / tookMs
  const line = `seed ${seed} hash ${hash} ${virtualSeconds.toFixed(1)} s virtual, ${tookMs.toFixed(0)} ms of processor (x${speed.toFixed(0)}), ${events} events, ${operations} operations, ${revisions} entries`
  if (violation === undefined) {
    if (!isMany || given.isTraced) console.log(line)
    return
  }
  console.log(`${line}\n${reportFailure(result, options, '')}`)
}

/** The run's options: from a file or drawn, less what `--without` names. */
function optionsOf(seed: number): SimulationOptions {
  const swarmed = given.isEverything || given.isNightly ? everything(seed) : swarm(seed)
  const drawn =
    given.options === undefined
      ? swarmed
      : completed(JSON.parse(readFileSync(given.options, 'utf8')) as SimulationOptions)
  for (const name of given.without) {
    if (!namesIn(drawn).includes(name)) console.log(`nothing called ${name} is on in this run`)
  }
  const safetySeconds = given.seconds ?? drawn.safetySeconds
  return given.without.reduce(without, { ...drawn, safetySeconds })
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

if (given.seeksKnownBugs) {
  const searches = await searchKnownBugs(given.bug, (search) => console.log(JSON.stringify(search)))
  process.exit(searches.every(({ seed }) => seed !== undefined) ? 0 : 1)
}

/** What worlds of one size came to. */
interface Spent {
  virtualSeconds: number
  processorMs: number
}
const spent = new Map<number, Spent>()
const marks = new Map<Mark, number>()
let runs = 0
let failures = 0
let virtualSeconds = 0
let operations = 0
for (let at = 0; at < count && !isLate(); at++) {
  const seed = firstSeed + at
  const cpuBefore = process.cpuUsage()
  const options = optionsOf(seed)
  if (given.showsOptions) console.log(JSON.stringify(options, undefined, 1))
  const sink = given.isTraced ? { sink: (line: string) => console.log(line) } : {}
  const result = await runSimulation({ seed, options, ...sink })
  const cpu = process.cpuUsage(cpuBefore)
  if (given.history !== undefined)
    writeFileSync(
      given.history,
      `${result
        .history()
        .map((line) => JSON.stringify(line))
        .join('\n')}\n`,
    )
  const processorMs = (cpu.user + cpu.system) / 1000
  report(result, options, processorMs)
  const ofSize = spent.get(options.memberCount) ?? { virtualSeconds: 0, processorMs: 0 }
  ofSize.virtualSeconds += result.virtualSeconds
  ofSize.processorMs += processorMs
  spent.set(options.memberCount, ofSize)
  runs++
  virtualSeconds += result.virtualSeconds
  operations += result.operations
  for (const [name, hits] of result.marks) marks.set(name, (marks.get(name) ?? 0) + hits)
  if (result.violation === undefined) continue
  failures++
  process.exitCode = 1
  if (given.shrinks) await shrunk(result, options)
  if (!given.keepsGoing) break
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
    operationsPerSecond: Number((operations / virtualSeconds).toFixed(1)),
    speed: Math.round((virtualSeconds * 1_000_000) / (total.user + total.system)),
    speedByMembers: Object.fromEntries(
      [...spent].map(([members, of]) => [
        members,
        Math.round((of.virtualSeconds * 1000) / of.processorMs),
      ]),
    ),
    unhit: unhit(marks),
    marks: Object.fromEntries([...marks].sort(([a], [b]) => (a < b ? -1 : 1))),
  }
  console.log(JSON.stringify(summary))
  if (given.isNightly && unhit(marks).length > 0) {
    console.log(`never reached: ${unhit(marks).join(', ')}`)
    process.exitCode = 1
  }
  if (given.ledger !== undefined) appendFileSync(given.ledger, `${JSON.stringify(summary)}\n`)
}
