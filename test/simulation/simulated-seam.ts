import {
  type BuggifySite,
  type CoverageMark,
  type SimulationSeam,
  setSimulationSeam,
} from '../../src/base/buggify.js'
import {
  armFailpoint,
  disarmFailpoint,
  enableFailpoints,
  FAILPOINT_NAMES,
  type FailpointName,
} from '../../src/base/failpoints.js'
import { InvariantViolation } from '../../src/base/invariant.js'
import type { Prng } from './world/prng.js'
import type { World } from './world/world.js'

/** How often a site that is on fires. */
const FIRES_PER_MILLE = 250

/** A process ends in the middle of what it does. Like a failed invariant, nobody may catch it. */
export class SimulatedPanic extends InvariantViolation {
  readonly at: FailpointName

  constructor(at: FailpointName, message: string) {
    super(message)
    this.at = at
  }
}

/** Where the program asks what this run wants of it: sites, coverage marks, failpoints. */
export class SimulatedSeam implements SimulationSeam {
  readonly #world: World
  readonly #prng: Prng
  readonly #sites: ReadonlySet<BuggifySite>
  #isCalm = false
  /** Whether a process is running that can end now. */
  isRunning = false

  constructor(world: World, sites: readonly BuggifySite[]) {
    this.#world = world
    this.#prng = world.prng.fork('seam')
    this.#sites = new Set(sites)
  }

  buggify(site: BuggifySite): boolean {
    if (this.#isCalm || !this.#sites.has(site) || !this.#prng.perMille(FIRES_PER_MILLE))
      return false
    this.#world.mark(`site ${site}`)
    return true
  }

  mark(name: CoverageMark): void {
    this.#world.mark(`mark ${name}`)
  }

  enter(): void {
    setSimulationSeam(this)
    disarmAll()
    enableFailpoints({
      random: () => this.#prng.below(1000) / 1000,
      sleep: () => undefined,
      panic: (message) => {
        const at = FAILPOINT_NAMES.find((name) => message.endsWith(` ${name}`))
        if (this.isRunning && at !== undefined) throw new SimulatedPanic(at, message)
      },
      print: () => undefined,
    })
  }

  /** Whichever process comes to this place next ends there. */
  arm(name: FailpointName): void {
    armFailpoint(name, `1*panic("${name}")`)
  }

  /** Nothing unusual any more. */
  calm(): void {
    this.#isCalm = true
    disarmAll()
  }

  leave(): void {
    setSimulationSeam(undefined)
    disarmAll()
  }
}

function disarmAll(): void {
  for (const name of FAILPOINT_NAMES) disarmFailpoint(name)
}

/** Failpoints that a simulated process comes past, outside of promises. */
export const REACHED_FAILPOINTS = [
  'afterCommit',
  'afterStartDBTxn',
  'applyBeforeOpenSnapshot',
  'beforeApplyOneConfChange',
  'beforeApplyOneEntryNormal',
  'beforeCommit',
  'beforeSendWatchResponse',
  'beforeStartDBTxn',
  'commitAfterPreCommitHook',
  'commitBeforePreCommitHook',
  'compactAfterCommitBatch',
  'compactAfterCommitScheduledCompact',
  'compactAfterSetFinishedCompact',
  'compactBeforeCommitScheduledCompact',
  'compactBeforeSetFinishedCompact',
  'defragBeforeCopy',
  'defragBeforeRename',
  'raftAfterSave',
  'raftBeforeAdvance',
  'raftBeforeFollowerSend',
  'raftBeforeLeaderSend',
  'raftBeforeSave',
  'raftBeforeSaveSnap',
  'walAfterSync',
  'walBeforeSync',
] as const satisfies readonly FailpointName[]
