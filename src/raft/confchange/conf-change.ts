import { ZERO_INDEX, ZERO_TERM } from '../../base/ids.js'
import { exhaustive, invariant } from '../../base/invariant.js'
import { ConfChange, type ConfChangeSingle, ConfChangeV2, type Entry } from '../../wire/raftpb.js'

/** Whether a change uses the joint protocol, and if so how that is left. */
export type ChangePath = 'simple' | 'joint-auto-leave' | 'joint-explicit-leave' | 'leave-joint'

/** The general form of a change. */
export function asConfChangeV2(change: ConfChange | ConfChangeV2): ConfChangeV2 {
  if ('changes' in change) return change
  return {
    transition: 'ConfChangeTransitionAuto',
    changes: [{ type: change.type, nodeId: change.nodeId }],
    context: change.context,
  }
}

/** The entry that proposes a change; term and index are the leader's to give. */
export function encodeConfChange(change: ConfChange | ConfChangeV2): Entry {
  const isV2 = 'changes' in change
  return {
    type: isV2 ? 'EntryConfChangeV2' : 'EntryConfChange',
    term: ZERO_TERM,
    index: ZERO_INDEX,
    data: isV2 ? ConfChangeV2.encode(change) : ConfChange.encode(change),
  }
}

/**
 * Reads the change in an entry; `undefined` for a normal one. Throws WireError on bytes that are
 * none.
 */
export function decodeConfChange(entry: Entry): ConfChange | ConfChangeV2 | undefined {
  switch (entry.type) {
    case 'EntryConfChange':
      return ConfChange.decode(entry.data)
    case 'EntryConfChangeV2':
      return ConfChangeV2.decode(entry.data)
    case 'EntryNormal':
    case 'UNKNOWN':
      return undefined
    default:
      return exhaustive(entry.type)
  }
}

/** Whether the change says nothing but "leave the joint configuration". */
export function wantsToLeaveJoint(change: ConfChangeV2): boolean {
  return change.changes.length === 0 && change.transition === 'ConfChangeTransitionAuto'
}

/** How a change is to be carried out. A single change without a wish goes the simple way. */
export function pathOf(change: ConfChangeV2): ChangePath {
  if (wantsToLeaveJoint(change)) return 'leave-joint'
  switch (change.transition) {
    case 'ConfChangeTransitionAuto':
      return change.changes.length > 1 ? 'joint-auto-leave' : 'simple'
    case 'ConfChangeTransitionJointImplicit':
      return 'joint-auto-leave'
    case 'ConfChangeTransitionJointExplicit':
      return 'joint-explicit-leave'
    case 'UNKNOWN':
      return invariant(false, 'unknown conf change transition') as never
    default:
      return exhaustive(change.transition)
  }
}

const LETTERS = {
  ConfChangeAddNode: 'v',
  ConfChangeAddLearnerNode: 'l',
  ConfChangeRemoveNode: 'r',
  ConfChangeUpdateNode: 'u',
  UNKNOWN: 'unknown',
} as const satisfies Record<ConfChangeSingle['type'], string>

/** Changes in the short form `v1 l2 r3 u4`: voter, learner, remove, update. */
export function describeChanges(changes: readonly ConfChangeSingle[]): string {
  return changes.map(({ type, nodeId }) => `${LETTERS[type]}${nodeId}`).join(' ')
}

/** A change as etcd's log lines show it. */
export function describeConfChange(change: ConfChange | ConfChangeV2): string {
  if (!('changes' in change)) {
    const id = change.id === 0n ? '' : `id:${change.id} `
    return `${id}type:${change.type} node_id:${change.nodeId}`
  }
  const changes = change.changes.map(({ type, nodeId }) => {
    return ` changes:{type:${type} node_id:${nodeId}}`
  })
  return `transition:${change.transition}${changes.join('')}`
}
