import { exhaustive } from '../base/invariant.js'

/** Why a proposal went nowhere. The proposer may try again, here or elsewhere. */
export type DropReason =
  | 'no-leader'
  | 'forwarding-disabled'
  | 'not-a-member'
  | 'transfer-in-progress'
  | 'uncommitted-size-limit'

export type Dropped = Readonly<{ kind: 'dropped'; reason: DropReason }>
/**
 * The message was not looked at: only this member may say such a thing, or its sender is unknown.
 */
export type Refused = Readonly<{ kind: 'refused'; reason: 'local-message' | 'peer-not-found' }>

export type ProposeResult = 'ok' | Dropped
export type StepResult = 'ok' | Dropped | Refused

const dropped = (reason: DropReason): Dropped => Object.freeze({ kind: 'dropped', reason })

/** One object per reason: a refusal costs no allocation however often it happens. */
export const DROPPED: Readonly<Record<DropReason, Dropped>> = {
  'no-leader': dropped('no-leader'),
  'forwarding-disabled': dropped('forwarding-disabled'),
  'not-a-member': dropped('not-a-member'),
  'transfer-in-progress': dropped('transfer-in-progress'),
  'uncommitted-size-limit': dropped('uncommitted-size-limit'),
}
export const LOCAL_MESSAGE: Refused = Object.freeze({ kind: 'refused', reason: 'local-message' })
export const PEER_NOT_FOUND: Refused = Object.freeze({ kind: 'refused', reason: 'peer-not-found' })

/** etcd's text for what is not 'ok'. */
export function outcomeText(outcome: Dropped | Refused): string {
  switch (outcome.kind) {
    case 'dropped':
      return 'raft proposal dropped'
    case 'refused':
      return outcome.reason === 'local-message'
        ? 'raft: cannot step raft local message'
        : 'raft: cannot step as peer not found'
    default:
      return exhaustive(outcome)
  }
}
