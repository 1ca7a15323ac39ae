/**
 * Places at which a test can make this process panic, sleep, or leave something out, under the
 * names and in the language of etcd's failpoints. Nothing can be armed before `enableFailpoints`,
 * which only the environment variables GOFAIL_HTTP and GOFAIL_FAILPOINTS lead to; until then a
 * failpoint costs one look at a boolean. docs/operations.md says where each stands.
 */
import { durationMs, type Modifier, parseTerms, type Term } from './failpoint-terms.js'
import { exhaustive } from './invariant.js'

export const FAILPOINT_NAMES = [
  'afterCommit',
  'afterStartDBTxn',
  'afterWritebackBuf',
  'applyAfterOpenSnapshot',
  'applyBeforeOpenSnapshot',
  'beforeApplyOneConfChange',
  'beforeApplyOneEntryNormal',
  'beforeCommit',
  'beforeLookupWhenForwardLeaseTimeToLive',
  'beforeLookupWhenLeaseTimeToLive',
  'beforeSendWatchResponse',
  'beforeStartDBTxn',
  'beforeWritebackBuf',
  'commitAfterPreCommitHook',
  'commitBeforePreCommitHook',
  'compactAfterAcquiredBatchTxLock',
  'compactAfterCommitBatch',
  'compactAfterCommitScheduledCompact',
  'compactAfterSetFinishedCompact',
  'compactBeforeCommitBatch',
  'compactBeforeCommitScheduledCompact',
  'compactBeforeSetFinishedCompact',
  'defragBeforeCopy',
  'defragBeforeRename',
  'diskNoSpace',
  'raftAfterApplySnap',
  'raftAfterSave',
  'raftAfterSaveSnap',
  'raftAfterWALRelease',
  'raftBeforeAdvance',
  'raftBeforeApplySnap',
  'raftBeforeFollowerSend',
  'raftBeforeLeaderSend',
  'raftBeforeSave',
  'raftBeforeSaveSnap',
  'raftDropHeartbeat',
  'walAfterSync',
  'walBeforeSync',
] as const

export type FailpointName = (typeof FAILPOINT_NAMES)[number]

/** What a failpoint needs of the world; the process gives it the real thing. */
export interface FailpointEffects {
  /** From 0 (inclusive) to 1 (exclusive). */
  random(): number
  /** Blocks the thread, ms. */
  sleep(ms: number): void
  /** Ends the process as a crash does. */
  panic(message: string): void
  print(line: string): void
}

/** Why a failpoint cannot be set or asked; the texts are gofail's. */
export const failpointErrors = {
  NO_EXIST: 'failpoint: failpoint does not exist',
  DISABLED: 'failpoint: failpoint is disabled',
  BAD_PARSE: 'failpoint: could not parse terms',
} as const

export type FailpointProblem = keyof typeof failpointErrors

interface Armed {
  readonly text: string
  readonly terms: readonly Term[]
  /** How often a term was carried out. */
  count: number
}

const names: ReadonlySet<string> = new Set(FAILPOINT_NAMES)
const armed = new Map<string, Armed>()
let isAnyArmed = false
let effects: FailpointEffects | undefined

/** From now on failpoints can be armed. */
export function enableFailpoints(given: FailpointEffects): void {
  effects = given
}

/** Sets what a failpoint does from now on. */
export function armFailpoint(name: string, text: string): FailpointProblem | undefined {
  if (!names.has(name)) return 'NO_EXIST'
  const terms = parseTerms(text)
  if (terms === undefined) return 'BAD_PARSE'
  armed.set(name, { text, terms, count: 0 })
  isAnyArmed = effects !== undefined
  return undefined
}

/** Lets a failpoint do nothing again. */
export function disarmFailpoint(name: string): FailpointProblem | undefined {
  if (!names.has(name)) return 'NO_EXIST'
  if (!armed.delete(name)) return 'DISABLED'
  isAnyArmed = effects !== undefined && armed.size > 0
  return undefined
}

export type FailpointStatus =
  | { readonly kind: 'armed'; readonly text: string; readonly count: number }
  | { readonly kind: 'none'; readonly problem: FailpointProblem }

export function failpointStatus(name: string): FailpointStatus {
  if (!names.has(name)) return { kind: 'none', problem: 'NO_EXIST' }
  const found = armed.get(name)
  if (found === undefined) return { kind: 'none', problem: 'DISABLED' }
  return { kind: 'armed', text: found.text, count: found.count }
}

/**
 * Stands where something may go wrong. True when the failpoint is armed to return: the caller then
 * leaves out what it is about to do, if it says so.
 */
export function failpoint(name: FailpointName): boolean {
  return isAnyArmed && evaluate(name)
}

function evaluate(name: FailpointName): boolean {
  const point = armed.get(name)
  const world = effects
  if (point === undefined || world === undefined) return false
  const term = point.terms.find(({ modifiers }) => modifiers.every((one) => allows(one, world)))
  if (term === undefined) return false
  point.count++
  return carryOut(name, term, world)
}

function allows(modifier: Modifier, world: FailpointEffects): boolean {
  if (modifier.kind === 'percent') return world.random() * 100 < modifier.percent
  if (modifier.left === 0) return false
  modifier.left--
  return true
}

function carryOut(name: FailpointName, { action, value }: Term, world: FailpointEffects): boolean {
  switch (action) {
    case 'off':
      return false
    case 'return':
      if (value === undefined) return true
      world.print(`failpoint: "${name}" got value ${value} but takes none`)
      return false
    case 'sleep':
      sleep(name, value, world)
      return false
    case 'panic':
      world.panic(`failpoint panic: ${value ?? '{}'}`)
      return false
    case 'break':
      world.print(`failpoint: ignoring break on ${name}`)
      return false
    case 'print':
      world.print(`failpoint print: ${name}`)
      return false
    default:
      return exhaustive(action)
  }
}

function sleep(name: FailpointName, value: Term['value'], world: FailpointEffects): void {
  const ms = typeof value === 'string' ? durationMs(value) : value
  if (typeof ms === 'number') world.sleep(ms)
  else if (typeof value === 'string') {
    world.print(`failpoint: could not parse sleep(${value}) on ${name}`)
  } else world.print(`failpoint: ignoring sleep(${value ?? '{}'}) on ${name}`)
}
