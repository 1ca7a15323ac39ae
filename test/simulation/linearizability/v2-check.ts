import type { CommitHistory } from '../checkers/commit-history.js'
import type { V2Operation } from '../history.js'
import type { SimulatedNode } from '../node.js'
import { isLinearizable, type RegisterOperation } from './search-check.js'
import { V2_WORK } from './v2-model.js'

/** Operations of one key that one search looks at. */
const PER_KEY_MAX = 120
const NEVER = Number.POSITIVE_INFINITY

/**
 * The v2 keys against their model: each answer is what the log makes of the request, which came to
 * be between call and answer; what a member read by itself was there once; and some order explains
 * everything without a look at the log. Returns what is wrong, or undefined.
 */
export function checkV2(
  { v2, committed }: CommitHistory,
  operations: readonly V2Operation[],
): string | undefined {
  if (v2.duplicate !== undefined) return `applied twice: ${v2.duplicate}`
  for (const operation of operations) {
    const { outcome, path, mark, isLocal } = operation
    if (outcome.kind !== 'answered') continue
    const where = `client ${operation.client} at member ${operation.place}, ${operation.method} ${path}, called ${operation.calledUs}`
    if (isLocal) {
      const value = outcome.response.startsWith('get ') ? outcome.response.slice(4) : undefined
      if (!v2.everHad(path, value)) return `${where}: read ${value}, which was never there`
      continue
    }
    const step = v2.steps.get(mark)
    if (step === undefined)
      return `${where}: answered ${outcome.response}, the log has no such entry`
    if (step.response !== outcome.response)
      return `${where}: answered ${outcome.response}, expected ${step.response}`
    const atUs = committed[step.index]?.atUs ?? NEVER
    if (atUs < operation.calledUs || atUs > operation.returnedUs)
      return `${where}: committed at ${atUs}, outside of its call`
  }
  return searchV2(operations)
}

/** What a member has of the workload's keys when all is quiet against the model. */
export function compareV2(
  { place, member }: SimulatedNode,
  { v2 }: CommitHistory,
  paths: readonly string[],
): string | undefined {
  if (member === undefined) return undefined
  for (const path of paths) {
    const found = member.state.v2.get({ path, nowMs: 0, isRecursive: false, isSorted: false })
    const value = found.kind === 'event' ? found.event.node.value : undefined
    if (value !== v2.value(path))
      return `member ${place} has ${value} at ${path}, the model ${v2.value(path)}`
  }
  return undefined
}

/** Keys that end by time change without an operation, so runs with such are not searched. */
function searchV2(operations: readonly V2Operation[]): string | undefined {
  if (operations.some(({ expires }) => expires)) return undefined
  const paths = new Set(operations.map(({ path }) => path))
  for (const path of paths) {
    const all = operations.filter((operation) => operation.path === path).map(projected)
    const known = all.filter((operation) => operation !== undefined)
    const window = known.slice(0, PER_KEY_MAX)
    const untilUs = known.length > PER_KEY_MAX ? (window.at(-1)?.calledUs ?? 0) : NEVER
    const cut = window.map((operation) =>
      operation.returnedUs > untilUs ? { ...operation, returnedUs: NEVER } : operation,
    )
    if (isLinearizable(cut, undefined) === false)
      return `no order explains what was seen of ${path.slice(V2_WORK.length)}`
  }
  return undefined
}

function projected(operation: V2Operation): RegisterOperation | undefined {
  const { outcome, method, calledUs, isLocal, value } = operation
  if (isLocal) return undefined
  const response = outcome.kind === 'answered' ? outcome.response : undefined
  const returnedUs = response === undefined ? NEVER : operation.returnedUs
  if (method === 'QGET') {
    if (response === undefined) return undefined
    const read = response.startsWith('get ') ? response.slice(4) : undefined
    return { kind: 'read', value: read, calledUs, returnedUs }
  }
  const written = method === 'DELETE' ? undefined : value
  // What was refused changed nothing, and why is what the other check looks at.
  if (response?.startsWith('error') === true) return undefined
  return { kind: 'write', value: written, calledUs, returnedUs }
}
