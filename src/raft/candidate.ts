/** What a candidate or pre-candidate does. */
import { idToHex, NO_MEMBER } from '../base/ids.js'
import { exhaustive } from '../base/invariant.js'
import { describeRole } from './describe.js'
import { campaign, countVote } from './election.js'
import { acceptAppend, acceptHeartbeat, acceptSnapshot } from './follower.js'
import type { RaftMessage } from './message.js'
import { DROPPED, type ProposeResult } from './outcome.js'
import type { Raft } from './raft.js'
import { broadcastAppend } from './replication.js'

export function stepCandidate(raft: Raft, message: RaftMessage): ProposeResult {
  const { logger, name } = raft
  const voteType = raft.role === 'pre-candidate' ? 'MsgPreVoteResp' : 'MsgVoteResp'
  switch (message.type) {
    case 'MsgProp':
      logger.info(() => `${name} no leader at term ${raft.term}; dropping proposal`)
      return DROPPED['no-leader']
    case 'MsgApp':
      raft.becomeFollower(message.term, message.from)
      acceptAppend(raft, message)
      return 'ok'
    case 'MsgHeartbeat':
      raft.becomeFollower(message.term, message.from)
      acceptHeartbeat(raft, message)
      return 'ok'
    case 'MsgSnap':
      raft.becomeFollower(message.term, message.from)
      acceptSnapshot(raft, message)
      return 'ok'
    case voteType:
      takeVote(raft, message)
      return 'ok'
    case 'MsgTimeoutNow':
      logger.debug(
        () =>
          `${name} [term ${raft.term} state ${describeRole(raft.role)}] ignored MsgTimeoutNow ` +
          `from ${idToHex(message.from)}`,
      )
      return 'ok'
    default:
      return 'ok'
  }
}

function takeVote(raft: Raft, message: RaftMessage): void {
  const result = countVote(raft, message)
  switch (result) {
    case 'won':
      if (raft.role === 'pre-candidate') {
        campaign(raft, 'election')
        return
      }
      raft.becomeLeader()
      broadcastAppend(raft)
      return
    case 'lost':
      // A granted pre-vote carries a later term than ours: ours stays.
      raft.becomeFollower(raft.term, NO_MEMBER)
      return
    case 'pending':
      return
    default:
      exhaustive(result)
  }
}
