/** How a leader answers reads (thesis 6.4). */
import { type LogIndex, NO_MEMBER } from '../base/ids.js'
import { exhaustive, invariant } from '../base/invariant.js'
import type { RaftMessage } from './message.js'
import { jointVoteResult } from './quorum/joint.js'
import type { Raft } from './raft.js'
import { contextOf, PENDING_READS_MAX } from './read-only.js'
import { broadcastHeartbeat } from './replication.js'

/**
 * Answers a read at once, after a confirmation round, or after the first commit of the term. That
 * holds for a single voter too: what it acknowledged before a restart may be in its log above the
 * commit index that it had written.
 */
export function takeRead(raft: Raft, request: RaftMessage): void {
  if (!raft.hasCommittedInTerm()) {
    // Until then entries of former leaders may be committed that this leader does not know to be.
    if (raft.postponedReads.length < PENDING_READS_MAX) raft.postponedReads.push(request)
    return
  }
  if (raft.tracker.isSingleton()) answerRead(raft, request, raft.log.committed)
  else confirmRead(raft, request)
}

/** The first commit of the term is there: takes up what waited for it. */
export function releasePostponedReads(raft: Raft): void {
  if (raft.postponedReads.length === 0) return
  invariant(raft.hasCommittedInTerm(), 'postponed reads wait for the first commit of the term')
  const requests = raft.postponedReads
  raft.postponedReads = []
  for (const request of requests) takeRead(raft, request)
}

function confirmRead(raft: Raft, request: RaftMessage): void {
  const { readOnlyOption } = raft.config
  switch (readOnlyOption) {
    case 'safe': {
      const context = contextOf(request)
      raft.readOnly.add(request, raft.log.committed)
      raft.readOnly.acknowledge(raft.id, context)
      broadcastHeartbeat(raft, context)
      return
    }
    case 'lease-based':
      answerRead(raft, request, raft.log.committed)
      return
    default:
      exhaustive(readOnlyOption)
  }
}

/** A follower answered the heartbeat of a confirmation round. */
export function takeReadConfirmation(raft: Raft, message: RaftMessage): void {
  if (raft.config.readOnlyOption !== 'safe' || message.context.length === 0) return
  const acks = raft.readOnly.acknowledge(message.from, message.context)
  if (acks === undefined || jointVoteResult(raft.tracker.config, acks) !== 'won') return
  for (const read of raft.readOnly.takeUpTo(message.context)) {
    answerRead(raft, read.request, read.index)
  }
}

function answerRead(raft: Raft, request: RaftMessage, index: LogIndex): void {
  if (request.from === NO_MEMBER || request.from === raft.id) {
    raft.readStates.push({ index, context: contextOf(request) })
    return
  }
  raft.send({ type: 'MsgReadIndexResp', to: request.from, index, entries: request.entries })
}
