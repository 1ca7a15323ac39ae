import { DaemonError } from '../base/errors.js'

export type AlarmKind = 'NOSPACE' | 'CORRUPT'

/** What the health pages need to know of the member. */
export interface HealthSource {
  /** Kinds of the alarms that are active anywhere in the cluster. */
  activeAlarms(): readonly AlarmKind[]
  hasLeader(): boolean
  isLearner(): boolean
  /** One key read through the store; rejects with what made it fail. */
  probeRead(kind: 'linearizable' | 'serializable'): Promise<void>
}

/** Answer of `/health` (facts: http.md 7). */
export interface HealthAnswer {
  readonly isHealthy: boolean
  /** '' when healthy. */
  readonly reason: string
}

/**
 * `/health` of 3.5: alarms first, then a leader, then a read that works.
 * @param excluded alarm kinds that do not count
 * @param serializable asks this member only, whether or not there is a leader
 */
export async function checkHealth(
  source: HealthSource,
  excluded: ReadonlySet<string>,
  serializable: boolean,
): Promise<HealthAnswer> {
  const alarm = source.activeAlarms().find((kind) => !excluded.has(kind))
  if (alarm !== undefined) return { isHealthy: false, reason: `ALARM ${alarm}` }
  if (!serializable && !source.hasLeader()) return { isHealthy: false, reason: 'RAFT NO LEADER' }
  try {
    await source.probeRead(serializable ? 'serializable' : 'linearizable')
    return { isHealthy: true, reason: '' }
  } catch (error) {
    return { isHealthy: false, reason: `RANGE ERROR:${DaemonError.from(error).message}` }
  }
}

/** One named check of `/livez` or `/readyz`; resolves to what is wrong, or undefined. */
interface Check {
  readonly name: string
  readonly run: (source: HealthSource) => Promise<string | undefined>
}

const readCheck = (kind: 'linearizable' | 'serializable'): Check => ({
  name: `${kind}_read`,
  run: async (source) => {
    try {
      await source.probeRead(kind)
      return undefined
    } catch (error) {
      return DaemonError.from(error).message
    }
  },
})
const dataCorruption: Check = {
  name: 'data_corruption',
  run: async (source) =>
    source.activeAlarms().includes('CORRUPT') ? 'alarm activated: CORRUPT' : undefined,
}
const nonLearner: Check = {
  name: 'non_learner',
  run: async (source) => (source.isLearner() ? 'not supported for learner' : undefined),
}

export const LIVEZ_CHECKS: readonly Check[] = [readCheck('serializable')]
export const READYZ_CHECKS: readonly Check[] = [
  dataCorruption,
  readCheck('serializable'),
  readCheck('linearizable'),
  nonLearner,
]

/** The text page of `/livez` and `/readyz`: `ok`, or a line per check (facts: http.md 7). */
export async function checkzPage(
  source: HealthSource,
  checks: readonly Check[],
  options: { readonly excluded: ReadonlySet<string>; readonly isVerbose: boolean },
): Promise<{ readonly isHealthy: boolean; readonly text: string }> {
  const lines: string[] = []
  let isHealthy = true
  for (const check of checks) {
    if (options.excluded.has(check.name)) continue
    const failure = await check.run(source)
    if (failure === undefined) lines.push(`[+]${check.name} ok\n`)
    else {
      isHealthy = false
      lines.push(`[-]${check.name} failed: ${failure}\n`)
    }
  }
  if (!isHealthy) return { isHealthy, text: lines.join('') }
  return { isHealthy, text: options.isVerbose ? `${lines.join('')}ok\n` : 'ok\n' }
}
