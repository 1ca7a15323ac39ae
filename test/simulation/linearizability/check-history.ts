import { exhaustive } from '../../../src/base/invariant.js'
import { checkEvents, type EventLog } from './event-check.js'
import { type HistoryLine, isRequest, type RequestLine } from './history-file.js'
import { isLinearizable, type RegisterOperation } from './search-check.js'

/** Operations of one key that one search looks at; longer histories are cut into windows. */
const WINDOW_MAX = 120
const NEVER = Number.POSITIVE_INFINITY

/** What one check came to. */
export interface Verdict {
  readonly check: 'watch' | 'replay' | 'search'
  /** Undefined when nothing is wrong. */
  readonly problem: string | undefined
  /** The few lines that contradict each other. */
  readonly window: readonly HistoryLine[]
}

/** Runs the checks that a history from outside allows; all of them, whatever the first says. */
export function checkHistory(lines: readonly HistoryLine[]): readonly Verdict[] {
  const requests = lines.filter(isRequest).sort((a, b) => a.calledUs - b.calledUs)
  const events = checkEvents(lines)
  return [events.verdict, replayCheck(requests, events.log), searchCheck(requests)]
}

const fine = (check: Verdict['check']): Verdict => ({ check, problem: undefined, window: [] })
const wrong = (
  check: Verdict['check'],
  problem: string,
  window: readonly HistoryLine[],
): Verdict => ({ check, problem, window })

/**
 * Answers against the events, which are the log as watchers saw it: every acknowledged write is
 * there, every read saw the state at its revision, and revisions follow the order of time.
 */
function replayCheck(requests: readonly RequestLine[], log: EventLog): Verdict {
  const answered = requests.filter(
    ({ returnedUs, revision }) => returnedUs !== null && revision > 0,
  )
  const byReturn = [...answered].sort((a, b) => (a.returnedUs ?? 0) - (b.returnedUs ?? 0))
  let newest: RequestLine | undefined
  let next = 0
  for (const request of answered) {
    for (; next < byReturn.length; next++) {
      const earlier = byReturn[next]
      if (earlier === undefined || (earlier.returnedUs ?? NEVER) >= request.calledUs) break
      if (earlier.revision > (newest?.revision ?? 0)) newest = earlier
    }
    const isFree = request.kind === 'get' && request.serializable === true
    if (!isFree && newest !== undefined && request.revision < newest.revision)
      return wrong('replay', 'an answer is older than one that was there before its call', [
        newest,
        request,
      ])
    const problem = log.contradiction(request)
    if (problem !== undefined) return wrong('replay', problem, [request])
  }
  return fine('replay')
}

/** Whether some order explains what clients saw of each key, without a look at revisions. */
function searchCheck(requests: readonly RequestLine[]): Verdict {
  for (const key of searchableKeys(requests)) {
    const all: { readonly line: RequestLine; readonly operation: RegisterOperation }[] = []
    for (const line of requests) {
      const operation = projected(line, key)
      if (operation !== undefined) all.push({ line, operation })
    }
    const window = all.slice(0, WINDOW_MAX)
    const untilUs = all.length > WINDOW_MAX ? (window.at(-1)?.operation.calledUs ?? 0) : NEVER
    const cut = window.map(({ line, operation }) => ({
      line,
      operation: operation.returnedUs > untilUs ? { ...operation, returnedUs: NEVER } : operation,
    }))
    if (isExplained(cut)) continue
    const smallest = shrunk(cut)
    return wrong(
      'search',
      `no order explains what was seen of ${key}`,
      smallest.map(({ line }) => line),
    )
  }
  return fine('search')
}

type Step = { readonly line: RequestLine; readonly operation: RegisterOperation }

const isExplained = (steps: readonly Step[]): boolean =>
  isLinearizable(
    steps.map(({ operation }) => operation),
    undefined,
  ) !== false

/**
 * The shortest beginning that cannot be explained, without the operations that do not matter for
 * it: a read may be left out always, a write only when nobody saw what it wrote.
 */
function shrunk(steps: readonly Step[]): readonly Step[] {
  let length = 1
  while (length < steps.length && isExplained(steps.slice(0, length))) length++
  let kept = steps.slice(0, length)
  for (let at = kept.length - 1; at >= 0; at--) {
    const { operation } = kept[at] as Step
    const without = kept.filter((_, place) => place !== at)
    const isSeen = without.some(
      (other) => other.operation.kind === 'read' && other.operation.value === operation.value,
    )
    const mayGo = operation.kind === 'read' || !isSeen
    if (mayGo && !isExplained(without)) kept = without
  }
  return kept
}

/** Keys that no lease can take away. */
function searchableKeys(requests: readonly RequestLine[]): readonly string[] {
  const keys = new Set<string>()
  const leased = new Set<string>()
  for (const line of requests) {
    if (line.kind === 'put') {
      keys.add(line.key)
      if (line.lease === true) leased.add(line.key)
    } else if (line.kind === 'txn') for (const [key] of line.puts) keys.add(key)
  }
  return [...keys].filter((key) => !leased.has(key)).sort()
}

const isInRange = (key: string, from: string, end: string | undefined): boolean =>
  end === undefined || end === '' ? key === from : key >= from && (end === '\0' || key < end)

/** What a request did to one key as a register sees it; undefined when it says nothing about it. */
function projected(line: RequestLine, key: string): RegisterOperation | undefined {
  const { calledUs } = line
  const returnedUs = line.returnedUs ?? NEVER
  const as = (kind: 'read' | 'write', value: string | undefined): RegisterOperation => ({
    kind,
    value,
    calledUs,
    returnedUs,
  })
  switch (line.kind) {
    case 'put':
      return line.key === key ? as('write', line.value) : undefined
    case 'delete':
      return isInRange(key, line.key, line.end) ? as('write', undefined) : undefined
    case 'get': {
      if (line.serializable === true || line.returnedUs === null) return undefined
      if (!isInRange(key, line.key, line.end)) return undefined
      return as('read', line.kvs.find(([name]) => name === key)?.[1])
    }
    case 'txn': {
      if (line.succeeded === false) return undefined
      const put = line.puts.find(([name]) => name === key)
      if (put !== undefined) return as('write', put[1])
      return line.deletes.includes(key) ? as('write', undefined) : undefined
    }
    default:
      return exhaustive(line)
  }
}
