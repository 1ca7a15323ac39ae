/** Puts configurations in force: at the start, from a snapshot, and as changes are applied. */

import { NO_MEMBER } from '../base/ids.js'
import { exhaustive, invariant } from '../base/invariant.js'
import type { ConfChangeV2, ConfState } from '../wire/raftpb.js'
import { type ChangeResult, ConfChanger, type Membership } from './confchange/changer.js'
import { pathOf } from './confchange/conf-change.js'
import { restoreMembership } from './confchange/restore.js'
import { describeConfig, describeConfState } from './describe.js'
import type { Raft } from './raft.js'
import { broadcastAppend, maybeCommit, maybeSendAppend } from './replication.js'
import { sortedIds } from './tracker/progress-tracker.js'

/**
 * Makes a committed change. One that cannot follow the present configuration is a programmer error.
 */
export function applyConfChange(raft: Raft, change: ConfChangeV2): ConfState {
  const result = changed(raft, change)
  invariant(typeof result !== 'string', 'a committed conf change must apply', () => String(result))
  return switchTo(raft, result)
}

function changed(raft: Raft, change: ConfChangeV2): ChangeResult {
  const changer = new ConfChanger(raft.tracker, raft.log.lastIndex())
  const path = pathOf(change)
  switch (path) {
    case 'simple':
      return changer.simple(change.changes)
    case 'joint-auto-leave':
      return changer.enterJoint(true, change.changes)
    case 'joint-explicit-leave':
      return changer.enterJoint(false, change.changes)
    case 'leave-joint':
      return changer.leaveJoint()
    default:
      return exhaustive(path)
  }
}

/** Puts the configuration that `state` describes in force, with fresh progress. */
export function restoreConfiguration(raft: Raft, state: ConfState): void {
  const result = restoreMembership(raft.tracker, raft.log.lastIndex(), state)
  invariant(typeof result !== 'string', 'unable to restore config', () => {
    return `${describeConfState(state)}: ${String(result)}`
  })
  const restored = describeConfState(switchTo(raft, result))
  const wanted = describeConfState(sorted(state))
  invariant(restored === wanted, 'ConfStates not equivalent after sorting', () => {
    return `${restored} ${wanted}`
  })
}

function sorted(state: ConfState): ConfState {
  return {
    voters: sortedIds(state.voters),
    learners: sortedIds(state.learners),
    votersOutgoing: sortedIds(state.votersOutgoing),
    learnersNext: sortedIds(state.learnersNext),
    autoLeave: state.autoLeave,
  }
}

function switchTo(raft: Raft, membership: Membership): ConfState {
  const { tracker } = raft
  tracker.replace(membership.config, membership.progress)
  raft.logger.info(() => `${raft.name} switched to configuration ${describeConfig(tracker.config)}`)
  const state = tracker.confState()
  if (raft.role !== 'leader') return state
  const own = tracker.progress.get(raft.id)
  if (own === undefined || own.isLearner) {
    // Without stepDownOnRemoval it goes on leading until somebody else campaigns, so that a change
    // which removes it still gets through (Raft §6); it does not count itself any more.
    if (raft.config.stepDownOnRemoval) raft.becomeFollower(raft.term, NO_MEMBER)
    return state
  }
  if (maybeCommit(raft)) {
    // Fewer voters may be needed now: then more is committed, and everybody hears of it.
    broadcastAppend(raft)
  } else {
    // Who was just added need not wait for the next heartbeat.
    for (const member of tracker.members) {
      if (member.id !== raft.id) maybeSendAppend(raft, member, false)
    }
  }
  if (raft.leadTransferee !== NO_MEMBER && !tracker.isVoter(raft.leadTransferee)) {
    raft.abortLeaderTransfer()
  }
  return state
}
