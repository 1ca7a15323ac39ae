import { createMessage } from './message.js'
import type { Raft } from './raft.js'
import { step } from './step.js'

/** One tick of time has passed. */
export function tick(raft: Raft): void {
  if (raft.role === 'leader') tickHeartbeat(raft)
  else tickElection(raft)
}

function tickElection(raft: Raft): void {
  raft.electionElapsed += 1
  const isDue = raft.electionElapsed >= raft.randomizedElectionTimeoutTicks
  if (!isDue || !raft.isPromotable()) return
  raft.electionElapsed = 0
  step(raft, createMessage({ type: 'MsgHup', from: raft.id }))
}

function tickHeartbeat(raft: Raft): void {
  const { electionTicks, heartbeatTicks, checkQuorum } = raft.config
  raft.heartbeatElapsed += 1
  raft.electionElapsed += 1
  if (raft.electionElapsed >= electionTicks) {
    raft.electionElapsed = 0
    if (checkQuorum) step(raft, createMessage({ type: 'MsgCheckQuorum', from: raft.id }))
    // A transfer that has not come about by now will not: lead on.
    raft.abortLeaderTransfer()
  }
  // The check may have ended its leadership.
  if (raft.role !== 'leader' || raft.heartbeatElapsed < heartbeatTicks) return
  raft.heartbeatElapsed = 0
  step(raft, createMessage({ type: 'MsgBeat', from: raft.id }))
}
