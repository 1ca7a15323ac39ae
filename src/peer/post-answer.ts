import { STATUS_CODES } from 'node:http'
import { idToHex, type MemberId } from '../base/ids.js'
import { CLUSTER_ID_MISMATCH, INCOMPATIBLE_VERSION } from './compatibility.js'
import type { PeerContext } from './peer-context.js'

export interface PostAnswer {
  /** Whom the posted message is from: the core passes on messages of other members too. */
  readonly sender: MemberId
  readonly status: number
  readonly body: string
  readonly clusterIdText: string
  /** Where the POST went, for the error text. */
  readonly address: string
}

/**
 * What an answered POST means: undefined = taken, else the error text (facts: peer-protocol.md 2,
 * 3).
 */
export function postFailure(
  context: PeerContext,
  to: MemberId,
  answer: PostAnswer,
): string | undefined {
  const peer = idToHex(to)
  switch (answer.status) {
    case 204:
      return undefined
    case 403:
      if (!isAboutUs(context, answer)) return `peer ${peer} refused a message: ${answer.body}`
      context.reportRemoved()
      return 'the member has been permanently removed from the cluster'
    case 412:
      break
    default: {
      const text = STATUS_CODES[answer.status] ?? ''
      return `unexpected http status ${text} while posting to "${answer.address}"`
    }
  }
  const body = answer.body.replace(/\n$/, '')
  if (body === INCOMPATIBLE_VERSION) {
    context.log.error('request sent was ignored by peer', { 'remote-peer-id': peer })
    return body
  }
  if (body === CLUSTER_ID_MISMATCH) {
    context.log.error('request sent was ignored due to cluster ID mismatch', {
      'remote-peer-id': peer,
      'remote-peer-cluster-id': answer.clusterIdText,
      'local-member-cluster-id': context.clusterIdText,
    })
    return body
  }
  return `unhandled error ${JSON.stringify(answer.body)} when precondition failed`
}

/**
 * A refusal of what was passed on for a removed member, or of what was meant for the member that
 * had the address before, is not one of this member. (etcd's senders take it for one, and end.)
 */
function isAboutUs({ id }: PeerContext, { sender, body }: PostAnswer): boolean {
  return sender === id && !body.includes('mismatch member')
}
