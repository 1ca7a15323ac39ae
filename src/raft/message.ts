import type { Term } from '../base/ids.js'
import {
  type LogIndex,
  type MemberId,
  memberId,
  NO_MEMBER,
  ZERO_INDEX,
  ZERO_TERM,
} from '../base/ids.js'
import type { Entry, HardState, Message, Snapshot } from '../wire/raftpb.js'

/**
 * Target of MsgStorageAppend: whoever makes entries, hard state and snapshots durable on this
 * member.
 */
export const LOCAL_APPEND_THREAD: MemberId = memberId(0xffff_ffff_ffff_ffffn)
/** Target of MsgStorageApply: whoever applies committed entries on this member. */
export const LOCAL_APPLY_THREAD: MemberId = memberId(0xffff_ffff_ffff_fffen)

/**
 * A message of the core: what crosses the wire, plus `responses`, which never does.
 *
 * MsgStorageAppend carries the hard state in `term`, `vote` and `commit` (all zero: unchanged), the
 * `entries` to append and the `snapshot` to install. MsgStorageApply carries the `entries` to
 * apply.
 */
export interface RaftMessage extends Message {
  /**
   * On MsgStorageAppend and MsgStorageApply: to be delivered, in order, once the work is durable or
   * done. Those addressed to this member go back into `step`, the others to the network.
   */
  readonly responses?: readonly RaftMessage[] | undefined
}

export type MessageType = Message['type']

/**
 * Shared empty values: messages made here all have the same shape and allocate nothing for unused
 * fields.
 */
export const NO_BYTES: Uint8Array = new Uint8Array(0)
export const NO_ENTRIES: readonly Entry[] = Object.freeze([])

/** What may be set when making a message; everything else is zero. */
export interface MessageFields {
  readonly type: MessageType
  readonly to?: MemberId
  readonly from?: MemberId
  readonly term?: Term
  readonly logTerm?: Term
  readonly index?: LogIndex
  readonly entries?: readonly Entry[]
  readonly commit?: LogIndex
  readonly snapshot?: Snapshot | undefined
  readonly reject?: boolean
  readonly rejectHint?: LogIndex
  readonly context?: Uint8Array
  readonly vote?: MemberId | undefined
  readonly responses?: readonly RaftMessage[] | undefined
}

/**
 * Makes a whole message: fields left out are zero or empty. `from` and `term` override the fields'.
 */
export function createMessage(
  fields: MessageFields,
  from: MemberId = fields.from ?? NO_MEMBER,
  term: Term = fields.term ?? ZERO_TERM,
): RaftMessage {
  return {
    type: fields.type,
    to: fields.to ?? NO_MEMBER,
    from,
    term,
    logTerm: fields.logTerm ?? ZERO_TERM,
    index: fields.index ?? ZERO_INDEX,
    entries: fields.entries ?? NO_ENTRIES,
    commit: fields.commit ?? ZERO_INDEX,
    snapshot: fields.snapshot,
    reject: fields.reject ?? false,
    rejectHint: fields.rejectHint ?? ZERO_INDEX,
    context: fields.context ?? NO_BYTES,
    vote: fields.vote,
    responses: fields.responses,
  }
}

/** The hard state that a MsgStorageAppend asks to persist; `undefined` when it is unchanged. */
export function hardStateOf(message: RaftMessage): HardState | undefined {
  const { term, vote = NO_MEMBER, commit } = message
  if (term === 0 && vote === NO_MEMBER && commit === 0) return undefined
  return { term, vote, commit }
}

/**
 * Whether a snapshot is absent or says nothing: etcd <= 3.5 sends an empty one with every message.
 */
export function isEmptySnapshot(snapshot: Snapshot | undefined): boolean {
  return snapshot === undefined || snapshot.metadata.index === 0
}

/** Whether `id` names a local storage thread rather than a member. */
export function isLocalThread(id: MemberId): boolean {
  return id === LOCAL_APPEND_THREAD || id === LOCAL_APPLY_THREAD
}

/** Messages that only this member may give itself; from the network they are refused. */
export function isLocalMessage(type: MessageType): boolean {
  switch (type) {
    case 'MsgHup':
    case 'MsgBeat':
    case 'MsgUnreachable':
    case 'MsgSnapStatus':
    case 'MsgCheckQuorum':
    case 'MsgStorageAppend':
    case 'MsgStorageAppendResp':
    case 'MsgStorageApply':
    case 'MsgStorageApplyResp':
      return true
    default:
      return false
  }
}

/** Messages that answer another one; from an unknown member they are refused. */
export function isResponseMessage(type: MessageType): boolean {
  switch (type) {
    case 'MsgAppResp':
    case 'MsgVoteResp':
    case 'MsgHeartbeatResp':
    case 'MsgUnreachable':
    case 'MsgReadIndexResp':
    case 'MsgPreVoteResp':
    case 'MsgStorageAppendResp':
    case 'MsgStorageApplyResp':
      return true
    default:
      return false
  }
}
