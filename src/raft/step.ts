import { idToHex, type LogIndex, NO_MEMBER, ZERO_INDEX, ZERO_TERM } from '../base/ids.js'
import { exhaustive } from '../base/invariant.js'
import type { Entry, Snapshot } from '../wire/raftpb.js'
import { stepCandidate } from './candidate.js'
import { describeConfig } from './describe.js'
import { answerVote, isRefusedByLease, refuseVote, startElection } from './election.js'
import { entriesSize, payloadsSize } from './entry-size.js'
import { stepFollower } from './follower.js'
import { stepLeader } from './leader.js'
import { proposeAsLeader } from './leader-proposals.js'
import { isEmptySnapshot, NO_BYTES, type RaftMessage } from './message.js'
import { outcomeText, type ProposeResult } from './outcome.js'
import type { Raft } from './raft.js'

/** Takes one message in. Same state and same message: same outcome. */
export function step(raft: Raft, message: RaftMessage): ProposeResult {
  if (message.term !== 0 && message.term !== raft.term) {
    const isNewer = message.term > raft.term
    const goesOn = isNewer ? meetHigherTerm(raft, message) : meetLowerTerm(raft, message)
    if (!goesOn) return 'ok'
  }
  switch (message.type) {
    case 'MsgHup':
      startElection(raft, raft.config.preVote ? 'pre-election' : 'election')
      return 'ok'
    case 'MsgStorageAppendResp':
      if (message.index !== 0) {
        raft.log.stableTo({ term: message.logTerm, index: message.index })
      }
      onSnapshotInstalled(raft, message.snapshot)
      return 'ok'
    case 'MsgStorageApplyResp':
      onEntriesApplied(raft, message)
      return 'ok'
    case 'MsgVote':
    case 'MsgPreVote':
      answerVote(raft, message)
      return 'ok'
    default:
      return stepInRole(raft, message)
  }
}

function stepInRole(raft: Raft, message: RaftMessage): ProposeResult {
  switch (raft.role) {
    case 'leader':
      return stepLeader(raft, message)
    case 'follower':
      return stepFollower(raft, message)
    case 'candidate':
    case 'pre-candidate':
      return stepCandidate(raft, message)
    default:
      return exhaustive(raft.role)
  }
}

/**
 * Adopts the term, unless the message only asks about it. Returns whether to go on with the
 * message.
 */
function meetHigherTerm(raft: Raft, message: RaftMessage): boolean {
  const { type, from, term, reject } = message
  const isRequest = type === 'MsgVote' || type === 'MsgPreVote'
  if (isRequest && isRefusedByLease(raft, message)) return false
  // A pre-vote, and the grant of one, are about a term that nobody is in yet.
  if (type === 'MsgPreVote' || (type === 'MsgPreVoteResp' && !reject)) return true
  raft.logger.info(
    () =>
      `${raft.name} [term: ${raft.term}] received a ${type} message with higher term from ` +
      `${idToHex(from)} [term: ${term}]`,
  )
  const isFromLeader = type === 'MsgApp' || type === 'MsgHeartbeat' || type === 'MsgSnap'
  raft.becomeFollower(term, isFromLeader ? from : NO_MEMBER)
  return true
}

/** The message is out of date: what is left to do about it. Never goes on with it. */
function meetLowerTerm(raft: Raft, message: RaftMessage): false {
  const { type, from } = message
  const { checkQuorum, preVote } = raft.config
  if ((checkQuorum || preVote) && (type === 'MsgHeartbeat' || type === 'MsgApp')) {
    // This member may be stuck at a higher term, its votes ignored because of the leader's lease.
    // The answer tells the leader of that term, which makes it step down and sets everybody free.
    raft.send({ type: 'MsgAppResp', to: from })
  } else if (type === 'MsgPreVote') {
    // Without an answer two members with pre-vote on and off could wait for each other for ever.
    refuseVote(raft, message)
  } else if (type === 'MsgStorageAppendResp') {
    if (message.index !== 0) {
      // Those entries may have been replaced since: a later acknowledgement says so or not.
      raft.logger.info(
        () =>
          `${raft.name} [term: ${raft.term}] ignored entry appends from a ${type} message ` +
          `with lower term [term: ${message.term}]`,
      )
    }
    // A snapshot holds committed state, which is the same in every term.
    onSnapshotInstalled(raft, message.snapshot)
  } else {
    raft.logger.info(
      () =>
        `${raft.name} [term: ${raft.term}] ignored a ${type} message with lower term from ` +
        `${idToHex(from)} [term: ${message.term}]`,
    )
  }
  return false
}

function onSnapshotInstalled(raft: Raft, snapshot: Snapshot | undefined): void {
  if (snapshot === undefined || isEmptySnapshot(snapshot)) return
  const { index } = snapshot.metadata
  raft.log.stableSnapshotTo(index)
  appliedTo(raft, index, 0)
}

function onEntriesApplied(raft: Raft, message: RaftMessage): void {
  const { entries } = message
  const last = entries.at(-1)
  if (last === undefined) return
  appliedTo(raft, last.index, entriesSize(entries))
  raft.reduceUncommitted(payloadsSize(entries))
}

/**
 * Notes what is applied, and leaves a joint configuration that was to be left as soon as it is
 * applied.
 */
function appliedTo(raft: Raft, index: LogIndex, bytes: number): void {
  const { log, tracker } = raft
  // A snapshot may have overtaken entries that were being applied when it came.
  const applied = index > log.applied ? index : log.applied
  log.appliedTo(applied, bytes)
  if (!tracker.config.autoLeave || raft.role !== 'leader') return
  if (applied < raft.pendingConfIndex) return
  const config = tracker.config
  const result = proposeAsLeader(raft, [LEAVE_JOINT])
  if (result === 'ok') {
    raft.logger.info(
      () => `initiating automatic transition out of joint configuration ${describeConfig(config)}`,
    )
    return
  }
  // A transfer of leadership is under way: the next applied entry, or the next leader, tries again.
  raft.logger.debug(
    () =>
      `not initiating automatic transition out of joint configuration ` +
      `${describeConfig(config)}: ${outcomeText(result)}`,
  )
}

/** An empty change is the order to leave. */
const LEAVE_JOINT: Entry = {
  type: 'EntryConfChangeV2',
  term: ZERO_TERM,
  index: ZERO_INDEX,
  data: NO_BYTES,
}
