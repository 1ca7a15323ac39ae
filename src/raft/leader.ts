/** What a leader does. */
import { idToHex, type MemberId, NO_MEMBER, ZERO_INDEX } from '../base/ids.js'
import { describeProgress } from './describe.js'
import { proposeAsLeader } from './leader-proposals.js'
import { releasePostponedReads, takeRead, takeReadConfirmation } from './leader-reads.js'
import type { RaftMessage } from './message.js'
import type { ProposeResult } from './outcome.js'
import type { Raft } from './raft.js'
import {
  broadcastAppend,
  broadcastHeartbeat,
  maybeCommit,
  maybeSendAppend,
  sendAppend,
  sendTimeoutNow,
} from './replication.js'
import type { Progress } from './tracker/progress.js'

export function stepLeader(raft: Raft, message: RaftMessage): ProposeResult {
  switch (message.type) {
    case 'MsgBeat':
      broadcastHeartbeat(raft, raft.readOnly.lastPendingContext())
      return 'ok'
    case 'MsgCheckQuorum':
      checkQuorum(raft)
      return 'ok'
    case 'MsgProp':
      return proposeAsLeader(raft, message.entries)
    case 'MsgReadIndex':
      takeRead(raft, message)
      return 'ok'
    case 'MsgForgetLeader':
      return 'ok'
    default:
      break
  }
  const progress = raft.tracker.progress.get(message.from)
  if (progress === undefined) {
    raft.logger.debug(() => `${raft.name} no progress available for ${idToHex(message.from)}`)
    return 'ok'
  }
  switch (message.type) {
    case 'MsgAppResp':
      progress.recentActive = true
      if (message.reject) onAppendRejected(raft, progress, message)
      else onAppendAccepted(raft, progress, message)
      return 'ok'
    case 'MsgHeartbeatResp':
      onHeartbeatAnswered(raft, progress, message)
      return 'ok'
    case 'MsgSnapStatus':
      onSnapshotReported(raft, progress, message)
      return 'ok'
    case 'MsgUnreachable':
      // What was sent optimistically is probably lost: find out anew where the follower is.
      if (progress.state === 'replicate') progress.becomeProbe()
      raft.logger.debug(
        () =>
          `${raft.name} failed to send message to ${idToHex(progress.id)} because it is ` +
          `unreachable [${describeProgress(progress)}]`,
      )
      return 'ok'
    case 'MsgTransferLeader':
      transferLeadership(raft, progress)
      return 'ok'
    default:
      return 'ok'
  }
}

function checkQuorum(raft: Raft): void {
  if (!raft.tracker.isQuorumActive()) {
    raft.logger.warning(() => `${raft.name} stepped down to follower since quorum is not active`)
    raft.becomeFollower(raft.term, NO_MEMBER)
  }
  // Everybody has to show up anew until the next check.
  for (const member of raft.tracker.members) {
    if (member.id !== raft.id) member.recentActive = false
  }
}

/**
 * The follower's log does not have what the message referred to. Its hint says where it ends or,
 * when its term is given, that it has nothing of a later term below: the leader then skips all of
 * its own entries of later terms (Raft §5.3, end), so that each round passes at least one whole
 * term.
 */
function onAppendRejected(raft: Raft, progress: Progress, message: RaftMessage): void {
  const { rejectHint, logTerm, index } = message
  raft.logger.debug(
    () =>
      `${raft.name} received MsgAppResp(rejected, hint: (index ${rejectHint}, term ${logTerm})) ` +
      `from ${idToHex(progress.id)} for index ${index}`,
  )
  const hint = logTerm > 0 ? raft.log.findConflictByTerm(rejectHint, logTerm).index : rejectHint
  if (!progress.maybeDecreaseTo(index, hint)) return
  raft.logger.debug(
    () =>
      `${raft.name} decreased progress of ${idToHex(progress.id)} to ` +
      `[${describeProgress(progress)}]`,
  )
  if (progress.state === 'replicate') progress.becomeProbe()
  sendAppend(raft, progress)
}

/** The follower has everything up to the message's index. */
function onAppendAccepted(raft: Raft, progress: Progress, message: RaftMessage): void {
  const { index } = message
  const isNews = progress.maybeUpdate(index)
  // Not news, yet worth something: it shows a probed follower to be where it was thought to be.
  const endsProbe = progress.match === index && progress.state === 'probe'
  if (!isNews && !endsProbe) return
  const isOther = progress.id !== raft.id
  advanceState(raft, progress, message)
  if (maybeCommit(raft)) {
    releasePostponedReads(raft)
    broadcastAppend(raft)
  } else if (isOther && progress.canBumpCommit(raft.log.committed)) {
    // It may not know yet what is committed; the next heartbeat would tell, but later.
    sendAppend(raft, progress)
  }
  // Room may have become free in the window for several messages of limited size.
  if (isOther) while (maybeSendAppend(raft, progress, false));
  if (progress.id === raft.leadTransferee && progress.match === raft.log.lastIndex()) {
    raft.logger.info(
      () => `${raft.name} sent MsgTimeoutNow to ${idToHex(progress.id)} after received MsgAppResp`,
    )
    sendTimeoutNow(raft, progress.id)
  }
}

function advanceState(raft: Raft, progress: Progress, message: RaftMessage): void {
  switch (progress.state) {
    case 'probe':
      progress.becomeReplicate()
      return
    case 'snapshot':
      // Whichever snapshot brought it here: what counts is that the log connects to it again.
      if (progress.match + 1 < raft.log.firstIndex()) return
      raft.logger.debug(
        () =>
          `${raft.name} recovered from needing snapshot, resumed sending replication messages ` +
          `to ${idToHex(progress.id)} [${describeProgress(progress)}]`,
      )
      progress.becomeProbe()
      progress.becomeReplicate()
      return
    case 'replicate':
      progress.inflights.freeUpTo(message.index)
      return
  }
}

function onHeartbeatAnswered(raft: Raft, progress: Progress, message: RaftMessage): void {
  progress.recentActive = true
  progress.isAppendPaused = false
  // With a full window this is an empty append: it gets replication going again when all was lost.
  if (progress.match < raft.log.lastIndex() || progress.state === 'probe') {
    sendAppend(raft, progress)
  }
  takeReadConfirmation(raft, message)
}

function onSnapshotReported(raft: Raft, progress: Progress, message: RaftMessage): void {
  if (progress.state !== 'snapshot') return
  if (message.reject) progress.pendingSnapshot = ZERO_INDEX
  progress.becomeProbe()
  const verdict = message.reject ? 'failed' : 'succeeded'
  raft.logger.debug(
    () =>
      `${raft.name} snapshot ${verdict}, resumed sending replication messages to ` +
      `${idToHex(progress.id)} [${describeProgress(progress)}]`,
  )
  // After success its append reply comes next; after failure a heartbeat interval should pass.
  progress.isAppendPaused = true
}

function transferLeadership(raft: Raft, progress: Progress): void {
  const { logger, name } = raft
  const to: MemberId = progress.id
  const toName = idToHex(to)
  if (progress.isLearner) {
    logger.debug(() => `${name} is learner. Ignored transferring leadership`)
    return
  }
  const previous = raft.leadTransferee
  if (previous !== NO_MEMBER) {
    if (previous === to) {
      logger.info(
        () =>
          `${name} [term ${raft.term}] transfer leadership to ${toName} is in progress, ` +
          `ignores request to same node ${toName}`,
      )
      return
    }
    raft.abortLeaderTransfer()
    logger.info(
      () =>
        `${name} [term ${raft.term}] abort previous transferring leadership to ` +
        idToHex(previous),
    )
  }
  if (to === raft.id) {
    logger.debug(() => `${name} is already leader. Ignored transferring leadership to self`)
    return
  }
  logger.info(() => `${name} [term ${raft.term}] starts to transfer leadership to ${toName}`)
  // It has one election timeout for this.
  raft.electionElapsed = 0
  raft.leadTransferee = to
  if (progress.match !== raft.log.lastIndex()) {
    sendAppend(raft, progress)
    return
  }
  sendTimeoutNow(raft, to)
  logger.info(
    () =>
      `${name} sends MsgTimeoutNow to ${toName} immediately as ${toName} already has ` +
      'up-to-date log',
  )
}
