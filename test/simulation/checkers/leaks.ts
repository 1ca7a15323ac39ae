import type { SimulatedNode } from '../node.js'

/**
 * At quiet nothing is held any more: no proposal, no watcher or stream, no snapshot or iterator of
 * an engine, no change that was not written. Returns what is, or undefined.
 */
export function findLeak({ place, member, engines }: SimulatedNode): string | undefined {
  if (member === undefined) return undefined
  const held: readonly (readonly [string, number])[] = [
    ['proposals', member.pendingProposalCount],
    ['watchers', member.hub.watcherCount],
    ['v2 watchers', member.state.v2.watcherCount],
    ['watch streams', member.hub.streamCount],
    ['watch events', member.hub.pendingEventCount],
    ['engine handles', engines.openHandles],
    ['unapplied entries', member.committedIndex - member.appliedIndex],
  ]
  for (const [name, count] of held) {
    if (count !== 0) return `member ${place} holds ${count} ${name} at quiet`
  }
  return undefined
}
