/** What a leader sends to keep its followers up to date. */
import type { LogIndex } from '../base/ids.js'
import { idToHex, type MemberId, previousIndex } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { describeProgress } from './describe.js'
import { payloadsSize } from './entry-size.js'
import { minIndex } from './log-position.js'
import { NO_BYTES, NO_ENTRIES } from './message.js'
import type { Raft } from './raft.js'
import type { Progress } from './tracker/progress.js'

/**
 * Sends entries and the commit index; without entries too, so that the follower hears of the
 * latter.
 */
export function sendAppend(raft: Raft, to: Progress): void {
  maybeSendAppend(raft, to, true)
}

/**
 * Sends the next entries that `to` lacks, or a snapshot when those are gone. Returns whether a
 * message was sent: not when the follower is paused, and without entries only if `evenIfEmpty`.
 */
export function maybeSendAppend(raft: Raft, to: Progress, evenIfEmpty: boolean): boolean {
  if (to.isPaused()) return false
  const { log } = raft
  const previous = previousIndex(to.next)
  const logTerm = log.term(previous)
  if (typeof logTerm !== 'number') return maybeSendSnapshot(raft, to)
  // Over a full window only an empty message goes: its answer shows which of the others arrived.
  const isThrottled = to.state === 'replicate' && to.inflights.isFull()
  const entries = isThrottled
    ? NO_ENTRIES
    : log.entriesFrom(to.next, raft.config.maxSizePerMessageBytes)
  if (entries === 'compacted') return maybeSendSnapshot(raft, to)
  if (entries.length === 0 && !evenIfEmpty) return false
  const commit = log.committed
  raft.send({ type: 'MsgApp', to: to.id, index: previous, logTerm, entries, commit })
  to.onEntriesSent({ count: entries.length, bytes: payloadsSize(entries) })
  to.sentCommit = commit
  return true
}

function maybeSendSnapshot(raft: Raft, to: Progress): boolean {
  const { log, logger, name } = raft
  const toName = idToHex(to.id)
  if (!to.recentActive) {
    logger.debug(() => `ignore sending snapshot to ${toName} since it is not recently active`)
    return false
  }
  const snapshot = log.snapshot()
  if (snapshot === 'snapshot-temporarily-unavailable') {
    logger.debug(
      () =>
        `${name} failed to send snapshot to ${toName} because snapshot is temporarily unavailable`,
    )
    return false
  }
  const { index, term } = snapshot.metadata
  invariant(index !== 0, 'need non-empty snapshot')
  logger.debug(
    () =>
      `${name} [firstindex: ${log.firstIndex()}, commit: ${log.committed}] sent snapshot` +
      `[index: ${index}, term: ${term}] to ${toName} [${describeProgress(to)}]`,
  )
  to.becomeSnapshot(index)
  logger.debug(
    () => `${name} paused sending replication messages to ${toName} [${describeProgress(to)}]`,
  )
  raft.send({ type: 'MsgSnap', to: to.id, snapshot })
  return true
}

/** Sends entries and commit index to everybody else. */
export function broadcastAppend(raft: Raft): void {
  const { members } = raft.tracker
  for (let i = 0; i < members.length; i++) {
    const member = members[i] as Progress
    if (member.id !== raft.id) sendAppend(raft, member)
  }
}

/** Sends a heartbeat to everybody else; `context` asks to confirm the read of that name. */
export function broadcastHeartbeat(raft: Raft, context: Uint8Array = NO_BYTES): void {
  for (const to of raft.tracker.members) {
    if (to.id === raft.id) continue
    // Not above what the follower has: it may not have the entries yet, or others in their place.
    const commit = minIndex(to.match, raft.log.committed)
    raft.send({ type: 'MsgHeartbeat', to: to.id, commit, context })
    to.sentCommit = commit
  }
}

/** Commits what a quorum has, if that includes an entry of this term (Raft §5.4.2, figure 8). */
export function maybeCommit(raft: Raft): boolean {
  const index: LogIndex = raft.tracker.committedIndex()
  return raft.log.maybeCommit({ term: raft.term, index })
}

/** Tells `to` to campaign at once: it has all that its leader has. */
export function sendTimeoutNow(raft: Raft, to: MemberId): void {
  raft.send({ type: 'MsgTimeoutNow', to })
}
