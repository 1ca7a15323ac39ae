import { logIndex, type MemberId, NO_MEMBER } from '../base/ids.js'
import { encodeMember, parseConfChangeContext } from '../membership/member.js'
import type { Log } from '../ports/log.js'
import { MemoryStorage } from '../raft/memory-storage.js'
import { ConfChange, type Entry, type HardState } from '../wire/raftpb.js'
import type { StartPoint } from './bootstrap.js'

/** Who is in the configuration after the whole log. */
function membersAfter(start: StartPoint, entries: readonly Entry[]): Set<MemberId> {
  const confState = start.snapshot?.metadata.confState
  const members = new Set<MemberId>([...(confState?.voters ?? []), ...(confState?.learners ?? [])])
  for (const entry of entries) {
    if (entry.type !== 'EntryConfChange') continue
    const { type, nodeId } = ConfChange.decode(entry.data)
    if (type === 'ConfChangeAddNode' || type === 'ConfChangeAddLearnerNode') members.add(nodeId)
    if (type === 'ConfChangeRemoveNode') members.delete(nodeId)
  }
  return members
}

/** The peer URLs that the log gives this member, for a configuration that has lost it. */
function ownUrls(start: StartPoint, entries: readonly Entry[]): readonly string[] {
  let urls: readonly string[] = ['http://localhost:2380']
  for (const entry of entries) {
    if (entry.type !== 'EntryConfChange') continue
    const change = ConfChange.decode(entry.data)
    if (change.nodeId !== start.id || change.context.length === 0) continue
    const context = parseConfChangeContext(new TextDecoder().decode(change.context))
    if (context !== undefined) urls = context.member.peerUrls
  }
  return urls
}

/**
 * Makes this member the only one of its cluster, with its data (facts: disk.md 7.5): changes of
 * membership are appended that add it when it is unknown and remove everybody else, and all of it
 * counts as committed.
 *
 * Unlike in etcd the whole log stays, as it would if this member were elected. A commit index of
 * ours is written with the next entries only (ARCHITECTURE.md, rules of durability 3), so the
 * newest entries may have been acknowledged although the log does not say so.
 */
export function forceNewCluster(start: StartPoint, options: { readonly log: Log }): StartPoint {
  const { storage, wal } = start
  const { hardState } = storage.initialState()
  const first = storage.firstIndex()
  const last = storage.lastIndex()
  const found =
    last >= first ? storage.entries(first, logIndex(last + 1), Number.POSITIVE_INFINITY) : []
  if (!Array.isArray(found)) throw new Error('the log cannot be read')
  const known: readonly Entry[] = found
  if (last > hardState.commit) {
    options.log.info('keeping WAL entries that are not known to be committed', {
      'number-of-kept-WAL-entries': last - hardState.commit,
    })
  }
  const changes: Entry[] = []
  const append = (change: Parameters<typeof ConfChange.encode>[0]): void => {
    changes.push({
      type: 'EntryConfChange',
      term: hardState.term,
      index: logIndex(last + changes.length + 1),
      data: ConfChange.encode(change),
    })
  }
  const members = membersAfter(start, known)
  // Added first: a configuration from which everybody was removed is none (a backup has another
  // id).
  if (!members.has(start.id)) {
    const peerUrls = ownUrls(start, known)
    const member = { id: start.id, peerUrls, isLearner: false, name: '', clientUrls: [] }
    const context = new TextEncoder().encode(encodeMember(member))
    append({ id: 0n, type: 'ConfChangeAddNode', nodeId: start.id, context })
  }
  for (const nodeId of [...members].sort((a, b) => (a < b ? -1 : 1))) {
    if (nodeId !== start.id) append({ id: 0n, type: 'ConfChangeRemoveNode', nodeId })
  }
  const commit = logIndex(last + changes.length)
  const forced: HardState = { ...hardState, vote: NO_MEMBER, commit }
  wal.save({ hardState: forced, entries: changes, mustSync: true }, (failure) => {
    if (failure !== undefined) throw failure
  })
  const kept = new MemoryStorage()
  if (start.snapshot !== undefined) {
    kept.applySnapshot({ ...start.snapshot, data: new Uint8Array(0) })
  }
  kept.append([...known, ...changes])
  kept.setHardState(forced)
  options.log.info('forcing restart member', { 'commit-index': commit })
  return { ...start, storage: kept, isAlone: true, forcedAfter: last }
}
