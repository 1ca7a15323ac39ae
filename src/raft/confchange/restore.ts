import type { LogIndex } from '../../base/ids.js'
import type { ConfChangeSingle, ConfState } from '../../wire/raftpb.js'
import { EMPTY_CONFIG, type ProgressTracker } from '../tracker/progress-tracker.js'
import { type ChangeResult, ConfChanger, type Membership } from './changer.js'

/**
 * The membership that `confState` describes, with fresh progress: reached by the changes that would
 * have led to it from nothing, so that a state which no changes can reach is found out (text
 * instead of result).
 */
export function restoreMembership(
  tracker: ProgressTracker,
  lastIndex: LogIndex,
  confState: ConfState,
): ChangeResult {
  const { outgoing, incoming } = changesTowards(confState)
  const isJoint = outgoing.length > 0
  let membership: Membership = { config: EMPTY_CONFIG, progress: new Map() }
  for (const change of isJoint ? outgoing : incoming) {
    const result = new ConfChanger(tracker, lastIndex, membership).simple([change])
    if (typeof result === 'string') return result
    membership = result
  }
  if (!isJoint) return membership
  return new ConfChanger(tracker, lastIndex, membership).enterJoint(confState.autoLeave, incoming)
}

/**
 * `outgoing` makes the outgoing half from nothing; `incoming` then turns that into the incoming
 * one.
 */
function changesTowards(
  state: ConfState,
): Readonly<{ outgoing: ConfChangeSingle[]; incoming: ConfChangeSingle[] }> {
  const adding = (ids: ConfState['voters']): ConfChangeSingle[] =>
    ids.map((nodeId) => ({ type: 'ConfChangeAddNode', nodeId }))
  const learning = (ids: ConfState['voters']): ConfChangeSingle[] =>
    ids.map((nodeId) => ({ type: 'ConfChangeAddLearnerNode', nodeId }))
  const removing = (ids: ConfState['voters']): ConfChangeSingle[] =>
    ids.map((nodeId) => ({ type: 'ConfChangeRemoveNode', nodeId }))
  return {
    outgoing: adding(state.votersOutgoing),
    incoming: [
      ...removing(state.votersOutgoing),
      ...adding(state.voters),
      ...learning(state.learners),
      ...learning(state.learnersNext),
    ],
  }
}
