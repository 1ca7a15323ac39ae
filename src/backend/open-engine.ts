import type {
  Completion,
  CompletionWith,
  KeyValueEngine,
  KeyValueEngines,
} from '../ports/key-value-engine.js'
import { INSTALLING, LIVE, RECEIVING, REPLACED, stagedIndex, stagedName } from './engine-names.js'
import { runSteps } from './snapshot-receiver.js'

/** The live engine, and the log indexes of whole snapshots beside it, ascending. */
export interface OpenedEngine {
  readonly engine: KeyValueEngine
  readonly staged: readonly number[]
}

/**
 * Opens the live engine. First ends an installation that a crash cut off, and removes what is left
 * of snapshots that were not received whole.
 */
export function openEngine(
  engines: KeyValueEngines,
  done: CompletionWith<OpenedEngine | undefined>,
): void {
  engines.list((failure, names) => {
    if (failure !== undefined) {
      done(failure, undefined)
      return
    }
    const steps: ((next: Completion) => void)[] = [(next) => engines.destroy(RECEIVING, next)]
    if (names.includes(INSTALLING)) steps.push(...takeOver(engines, names.includes(LIVE)))
    else steps.push((next) => engines.destroy(REPLACED, next))
    runSteps(steps, (broken) => {
      if (broken !== undefined) {
        done(broken, undefined)
        return
      }
      engines.open(LIVE, (unopened, engine) => {
        if (engine === undefined) done(unopened, undefined)
        else done(undefined, { engine, staged: stagedIndexes(names) })
      })
    })
  })
}

/**
 * Makes the staged snapshot of a log index the live engine; the live one must be closed, and the
 * raft snapshot of that index must be durable. From the first rename on, a crash ends in the new
 * content (see `openEngine`).
 */
export function installStaged(
  engines: KeyValueEngines,
  index: number,
  done: CompletionWith<KeyValueEngine | undefined>,
): void {
  const steps: ((next: Completion) => void)[] = [
    (next) => engines.destroy(REPLACED, next),
    (next) => engines.rename(stagedName(index), INSTALLING, next),
    ...takeOver(engines, true),
  ]
  runSteps(steps, (failure) => {
    if (failure !== undefined) done(failure, undefined)
    else engines.open(LIVE, done)
  })
}

/**
 * Removes staged snapshots up to and including a log index: they were installed or are out of date.
 */
export function discardStaged(engines: KeyValueEngines, upTo: number, done: Completion): void {
  engines.list((failure, names) => {
    const old = stagedIndexes(names).filter((index) => index <= upTo)
    const steps = old.map((index) => (next: Completion) => engines.destroy(stagedName(index), next))
    if (failure !== undefined) done(failure)
    else runSteps(steps, done)
  })
}

/**
 * `installing` becomes `leveldb`; what was there goes. Each step may be the last before a crash.
 */
function takeOver(engines: KeyValueEngines, hasLive: boolean): ((next: Completion) => void)[] {
  const moveAside: ((next: Completion) => void)[] = [
    (next) => engines.destroy(REPLACED, next),
    (next) => engines.rename(LIVE, REPLACED, next),
  ]
  return [
    ...(hasLive ? moveAside : []),
    (next) => engines.rename(INSTALLING, LIVE, next),
    (next) => engines.destroy(REPLACED, next),
  ]
}

function stagedIndexes(names: readonly string[]): number[] {
  const indexes = names.map(stagedIndex).filter((index) => index !== undefined)
  return indexes.sort((a, b) => a - b)
}
