/** What a follower does, and what any member does that hears from the leader of its term. */
import { idToHex, NO_MEMBER } from '../base/ids.js'
import type { Snapshot } from '../wire/raftpb.js'
import { restoreConfiguration } from './configuration.js'
import { describeConfState } from './describe.js'
import { startElection } from './election.js'
import { minIndex } from './log-position.js'
import { isEmptySnapshot, type RaftMessage } from './message.js'
import { DROPPED, type ProposeResult } from './outcome.js'
import type { Raft } from './raft.js'

export function stepFollower(raft: Raft, message: RaftMessage): ProposeResult {
  const { logger, name } = raft
  switch (message.type) {
    case 'MsgProp':
      return forwardProposal(raft, message)
    case 'MsgApp':
      hearFromLeader(raft, message)
      acceptAppend(raft, message)
      return 'ok'
    case 'MsgHeartbeat':
      hearFromLeader(raft, message)
      acceptHeartbeat(raft, message)
      return 'ok'
    case 'MsgSnap':
      hearFromLeader(raft, message)
      acceptSnapshot(raft, message)
      return 'ok'
    case 'MsgTransferLeader':
      if (raft.lead === NO_MEMBER) {
        logger.info(() => `${name} no leader at term ${raft.term}; dropping leader transfer msg`)
      } else {
        raft.send({ type: 'MsgTransferLeader', from: message.from, to: raft.lead })
      }
      return 'ok'
    case 'MsgForgetLeader':
      forgetLeader(raft)
      return 'ok'
    case 'MsgTimeoutNow':
      logger.info(
        () =>
          `${name} [term ${raft.term}] received MsgTimeoutNow from ${idToHex(message.from)} ` +
          'and starts an election to get leadership.',
      )
      // Never a pre-vote: the leader itself gave way, nobody is disturbed.
      startElection(raft, 'transfer')
      return 'ok'
    case 'MsgReadIndex':
      forwardRead(raft, message)
      return 'ok'
    case 'MsgReadIndexResp':
      takeReadState(raft, message)
      return 'ok'
    default:
      return 'ok'
  }
}

function hearFromLeader(raft: Raft, message: RaftMessage): void {
  raft.electionElapsed = 0
  raft.lead = message.from
}

function forwardProposal(raft: Raft, message: RaftMessage): ProposeResult {
  const { logger, name } = raft
  if (raft.lead === NO_MEMBER) {
    logger.info(() => `${name} no leader at term ${raft.term}; dropping proposal`)
    return DROPPED['no-leader']
  }
  if (raft.config.disableProposalForwarding) {
    logger.info(
      () =>
        `${name} not forwarding to leader ${idToHex(raft.lead)} at term ${raft.term}; ` +
        'dropping proposal',
    )
    return DROPPED['forwarding-disabled']
  }
  raft.send({ type: 'MsgProp', from: message.from, to: raft.lead, entries: message.entries })
  return 'ok'
}

function forwardRead(raft: Raft, message: RaftMessage): void {
  if (raft.lead === NO_MEMBER) {
    raft.logger.info(
      () => `${raft.name} no leader at term ${raft.term}; dropping index reading msg`,
    )
    return
  }
  const from = message.from === NO_MEMBER ? raft.id : message.from
  raft.send({ type: 'MsgReadIndex', from, to: raft.lead, entries: message.entries })
}

function takeReadState(raft: Raft, message: RaftMessage): void {
  const [entry] = message.entries
  if (entry === undefined || message.entries.length !== 1) {
    raft.logger.error(
      () =>
        `${raft.name} invalid format of MsgReadIndexResp from ${idToHex(message.from)}, ` +
        `entries count: ${message.entries.length}`,
    )
    return
  }
  raft.readStates.push({ index: message.index, context: entry.data })
}

function forgetLeader(raft: Raft): void {
  if (raft.config.readOnlyOption === 'lease-based') {
    // The lease promises the leader that nobody here votes for another before the timeout.
    raft.logger.error(() => 'ignoring MsgForgetLeader due to ReadOnlyLeaseBased')
    return
  }
  if (raft.lead === NO_MEMBER) return
  const lead = idToHex(raft.lead)
  raft.logger.info(() => `${raft.name} forgetting leader ${lead} at term ${raft.term}`)
  raft.lead = NO_MEMBER
}

/** MsgApp of the leader of this term: append, and say how far the logs agree. */
export function acceptAppend(raft: Raft, message: RaftMessage): void {
  const { log } = raft
  const { from, index, logTerm, entries, commit } = message
  if (index < log.committed) {
    // What is committed here is in the leader's log too: skip the comparison.
    raft.send({ type: 'MsgAppResp', to: from, index: log.committed })
    return
  }
  const last = log.maybeAppend({ previous: { term: logTerm, index }, entries }, commit)
  if (last !== undefined) {
    raft.send({ type: 'MsgAppResp', to: from, index: last })
    return
  }
  raft.logger.debug(
    () =>
      `${raft.name} [logterm: ${log.termOrZero(index)}, index: ${index}] rejected MsgApp ` +
      `[logterm: ${logTerm}, index: ${index}] from ${idToHex(from)}`,
  )
  // The hint skips all of our entries whose term is above `logTerm`: the leader has none of those
  // at or below `index`. So a long stretch of foreign entries costs one round, not one per entry.
  const hint = log.findConflictByTerm(minIndex(index, log.lastIndex()), logTerm)
  raft.send({
    type: 'MsgAppResp',
    to: from,
    index,
    reject: true,
    rejectHint: hint.index,
    logTerm: hint.term,
  })
}

export function acceptHeartbeat(raft: Raft, message: RaftMessage): void {
  raft.log.commitTo(message.commit)
  raft.send({ type: 'MsgHeartbeatResp', to: message.from, context: message.context })
}

/** MsgSnap of the leader of this term: start anew from it, unless this log has it all. */
export function acceptSnapshot(raft: Raft, message: RaftMessage): void {
  const { snapshot } = message
  const isRestored = snapshot !== undefined && !isEmptySnapshot(snapshot) && restore(raft, snapshot)
  const { index, term } = snapshot?.metadata ?? { index: 0, term: 0 }
  const verdict = isRestored ? 'restored' : 'ignored'
  raft.logger.info(
    () =>
      `${raft.name} [commit: ${raft.log.committed}] ${verdict} snapshot ` +
      `[index: ${index}, term: ${term}]`,
  )
  const acknowledged = isRestored ? raft.log.lastIndex() : raft.log.committed
  raft.send({ type: 'MsgAppResp', to: message.from, index: acknowledged })
}

function restore(raft: Raft, snapshot: Snapshot): boolean {
  const { log, logger, name } = raft
  const { index, term, confState } = snapshot.metadata
  if (index <= log.committed) return false
  const { voters, learners, votersOutgoing } = confState
  // A leader sends snapshots only to members of its configuration, which is the snapshot's or an
  // older one's.
  const isMember = [voters, learners, votersOutgoing].some((ids) => ids.includes(raft.id))
  if (!isMember) {
    logger.warning(
      () =>
        `${name} attempted to restore snapshot but it is not in the ConfState ` +
        `{${describeConfState(confState)}}; should never happen`,
    )
    return false
  }
  const describeLast = (): string => {
    const last = raft.lastPosition()
    return `${name} [commit: ${log.committed}, lastindex: ${last.index}, lastterm: ${last.term}]`
  }
  if (log.matches({ term, index })) {
    logger.info(
      () => `${describeLast()} fast-forwarded commit to snapshot [index: ${index}, term: ${term}]`,
    )
    log.commitTo(index)
    return false
  }
  log.restore(snapshot)
  restoreConfiguration(raft, confState)
  logger.info(() => `${describeLast()} restored snapshot [index: ${index}, term: ${term}]`)
  return true
}
