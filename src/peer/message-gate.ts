/** Which messages from the network may reach the consensus core. */
import { idToHex } from '../base/ids.js'
import type { Message } from '../wire/raftpb.js'
import type { PeerContext } from './peer-context.js'

/**
 * Types that cross the wire (facts: peer-protocol.md 5); all others are a member talking to itself.
 */
const WIRE_TYPES: ReadonlySet<Message['type']> = new Set([
  'MsgProp',
  'MsgApp',
  'MsgAppResp',
  'MsgVote',
  'MsgVoteResp',
  'MsgSnap',
  'MsgHeartbeat',
  'MsgHeartbeatResp',
  'MsgTransferLeader',
  'MsgTimeoutNow',
  'MsgReadIndex',
  'MsgReadIndexResp',
  'MsgPreVote',
  'MsgPreVoteResp',
  'MsgForgetLeader',
] as const)

export type Admission = 'admitted' | 'ignored' | 'removed-sender' | 'other-target'

/**
 * Decides about one message and logs what is refused. Ignored ones are answered like admitted ones.
 */
export function admit(context: PeerContext, message: Message): Admission {
  if (context.events.isRemoved(message.from)) {
    context.log.warn('rejected Raft message from removed member', {
      'local-member-id': context.idText,
      'removed-member-id': idToHex(message.from),
    })
    return 'removed-sender'
  }
  if (message.to !== context.id) {
    context.log.warn('rejected Raft message to mismatch member', {
      'local-member-id': context.idText,
      'mismatch-member-id': idToHex(message.to),
    })
    return 'other-target'
  }
  return WIRE_TYPES.has(message.type) ? 'admitted' : 'ignored'
}
