import { addIndex, idToHex, NO_MEMBER, nextIndex, ZERO_INDEX, ZERO_TERM } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { Entry } from '../wire/raftpb.js'
import { asConfChangeV2, decodeConfChange, describeConfChange } from './confchange/conf-change.js'
import { describeConfig } from './describe.js'
import { NO_BYTES } from './message.js'
import { DROPPED, type ProposeResult } from './outcome.js'
import type { Raft } from './raft.js'
import { broadcastAppend } from './replication.js'

/** Appends proposed entries to the leader's log and sends them on, or drops them all. */
export function proposeAsLeader(raft: Raft, proposed: readonly Entry[]): ProposeResult {
  invariant(proposed.length > 0, 'stepped empty MsgProp')
  if (!raft.tracker.progress.has(raft.id)) return DROPPED['not-a-member']
  if (raft.leadTransferee !== NO_MEMBER) {
    raft.logger.debug(
      () =>
        `${raft.name} [term ${raft.term}] transfer leadership to ` +
        `${idToHex(raft.leadTransferee)} is in progress; dropping proposal`,
    )
    return DROPPED['transfer-in-progress']
  }
  if (!raft.appendAsLeader(checkedConfChanges(raft, proposed))) {
    return DROPPED['uncommitted-size-limit']
  }
  broadcastAppend(raft)
  return 'ok'
}

/** Puts an empty entry in the place of each configuration change that cannot be made now. */
function checkedConfChanges(raft: Raft, proposed: readonly Entry[]): readonly Entry[] {
  let checked: Entry[] | undefined
  for (let i = 0; i < proposed.length; i++) {
    const entry = proposed[i] as Entry
    if (entry.type === 'EntryNormal') continue
    const obstacle = obstacleTo(raft, entry)
    if (obstacle === undefined) {
      raft.pendingConfIndex = addIndex(nextIndex(raft.log.lastIndex()), i)
      continue
    }
    checked ??= proposed.slice()
    checked[i] = { type: 'EntryNormal', term: ZERO_TERM, index: ZERO_INDEX, data: NO_BYTES }
  }
  return checked ?? proposed
}

/** Why a configuration change may not enter the log; `undefined` when it may. */
function obstacleTo(raft: Raft, entry: Entry): string | undefined {
  const change = decodeConfChange(entry)
  if (change === undefined) return undefined
  const applied = raft.log.applied
  const isJoint = raft.tracker.config.outgoing.size > 0
  const isLeaving = asConfChangeV2(change).changes.length === 0
  let obstacle: string | undefined
  if (raft.pendingConfIndex > applied) {
    obstacle =
      `possible unapplied conf change at index ${raft.pendingConfIndex} ` +
      `(applied to ${applied})`
  } else if (isJoint && !isLeaving) {
    obstacle = 'must transition out of joint config first'
  } else if (!isJoint && isLeaving) {
    obstacle = 'not in joint state; refusing empty conf change'
  }
  if (obstacle === undefined || raft.config.disableConfChangeValidation) return undefined
  const reason = obstacle
  raft.logger.info(
    () =>
      `${raft.name} ignoring conf change ${describeConfChange(change)} at config ` +
      `${describeConfig(raft.tracker.config)}: ${reason}`,
  )
  return obstacle
}
