/** Campaigns and votes (Raft §5.2, §5.4.1; pre-vote: thesis 9.6; leases: thesis 4.2.3, 6.4.1). */
import { idToHex, NO_MEMBER, nextIndex, nextTerm } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { RaftMessage } from './message.js'
import { NO_BYTES } from './message.js'
import type { VoteResult } from './quorum/majority.js'
import type { Raft } from './raft.js'

/** 'transfer': asked for by the leader, so voters ignore its lease. */
export type CampaignKind = 'pre-election' | 'election' | 'transfer'

/** The context of a MsgVote that the present leader asked for: "CampaignTransfer". */
const CAMPAIGN_TRANSFER = Uint8Array.from('CampaignTransfer', (letter) => letter.charCodeAt(0))

/**
 * Starts an election unless this member leads, may not lead, or has unapplied configuration
 * changes.
 */
export function startElection(raft: Raft, kind: CampaignKind): void {
  const { logger, name } = raft
  if (raft.role === 'leader') {
    logger.debug(() => `${name} ignoring MsgHup because already leader`)
    return
  }
  if (!raft.isPromotable()) {
    logger.warning(() => `${name} is unpromotable and can not campaign`)
    return
  }
  if (hasUnappliedConfChanges(raft)) {
    logger.warning(
      () =>
        `${name} cannot campaign at term ${raft.term} since there are still pending ` +
        'configuration changes to apply',
    )
    return
  }
  logger.info(() => `${name} is starting a new election at term ${raft.term}`)
  campaign(raft, kind)
}

/** Reads page by page: what is committed but not applied may be long. */
function hasUnappliedConfChanges(raft: Raft): boolean {
  const { log } = raft
  const end = nextIndex(log.committed)
  let low = nextIndex(log.applied)
  while (low < end) {
    const page = log.slice(low, end, log.applyingBytesMax)
    invariant(page !== 'compacted', 'unapplied entries must be readable')
    if (page.some(({ type }) => type !== 'EntryNormal')) return true
    const last = page.at(-1)
    invariant(last !== undefined, 'a page has at least one entry')
    low = nextIndex(last.index)
  }
  return false
}

/** Becomes a candidate of the kind and asks everybody for a vote, itself included. */
export function campaign(raft: Raft, kind: CampaignKind): void {
  const isPreVote = kind === 'pre-election'
  if (isPreVote) raft.becomePreCandidate()
  else raft.becomeCandidate()
  // A pre-vote asks about the term that the campaign would be in; ours stays as it is until it
  // succeeds.
  const term = isPreVote ? nextTerm(raft.term) : raft.term
  const type = isPreVote ? 'MsgPreVote' : 'MsgVote'
  const { index, term: logTerm } = raft.lastPosition()
  const context = kind === 'transfer' ? CAMPAIGN_TRANSFER : NO_BYTES
  for (const to of raft.tracker.voterIds()) {
    if (to === raft.id) {
      // Its own vote counts once it is durable, like everybody's.
      raft.send({ type: isPreVote ? 'MsgPreVoteResp' : 'MsgVoteResp', to, term })
      continue
    }
    raft.logger.info(
      () =>
        `${raft.name} [logterm: ${logTerm}, index: ${index}] sent ${type} request to ` +
        `${idToHex(to)} at term ${raft.term}`,
    )
    raft.send({ type, to, term, index, logTerm, context })
  }
}

/** Counts the vote in `message` and says what the votes so far decide. */
export function countVote(raft: Raft, message: RaftMessage): VoteResult {
  const { type, from, reject } = message
  const kind = reject ? `${type} rejection` : type
  raft.logger.info(() => `${raft.name} received ${kind} from ${idToHex(from)} at term ${raft.term}`)
  raft.tracker.recordVote(from, !reject)
  const { granted, rejected, result } = raft.tracker.tallyVotes()
  raft.logger.info(
    () => `${raft.name} has received ${granted} ${type} votes and ${rejected} vote rejections`,
  )
  return result
}

/**
 * Whether a request must be ignored because this member heard from a leader less than a timeout
 * ago.
 */
export function isRefusedByLease(raft: Raft, request: RaftMessage): boolean {
  const { electionTicks, checkQuorum } = raft.config
  const isInLease = checkQuorum && raft.lead !== NO_MEMBER && raft.electionElapsed < electionTicks
  if (!isInLease || isCampaignTransfer(request.context)) return false
  raft.logger.info(
    () =>
      `${describeVote(raft, 'ignored', request)}: lease is not expired ` +
      `(remaining ticks: ${electionTicks - raft.electionElapsed})`,
  )
  return true
}

function isCampaignTransfer(context: Uint8Array): boolean {
  if (context.length !== CAMPAIGN_TRANSFER.length) return false
  return context.every((byte, at) => byte === CAMPAIGN_TRANSFER[at])
}

/**
 * Answers MsgVote and MsgPreVote of the present term, or of a later one in the case of a pre-vote.
 */
export function answerVote(raft: Raft, request: RaftMessage): void {
  const { from, term, logTerm, index } = request
  const isPreVote = request.type === 'MsgPreVote'
  const type = isPreVote ? 'MsgPreVoteResp' : 'MsgVoteResp'
  const canVote =
    raft.vote === from ||
    (raft.vote === NO_MEMBER && raft.lead === NO_MEMBER) ||
    (isPreVote && term > raft.term)
  // A learner votes too: it may have been promoted without knowing it yet, and its vote be needed.
  if (canVote && raft.log.isUpToDate({ term: logTerm, index })) {
    raft.logger.info(() => describeVote(raft, 'cast', request))
    // The request's term, not ours: the pre-candidate compares it with the term that it asked for.
    raft.send({ type, to: from, term })
    if (isPreVote) return
    raft.electionElapsed = 0
    raft.vote = from
    return
  }
  refuseVote(raft, request)
}

/** Refuses at this member's own term. */
export function refuseVote(raft: Raft, request: RaftMessage): void {
  raft.logger.info(() => describeVote(raft, 'rejected', request))
  const type = request.type === 'MsgPreVote' ? 'MsgPreVoteResp' : 'MsgVoteResp'
  raft.send({ type, to: request.from, term: raft.term, reject: true })
}

function describeVote(
  raft: Raft,
  verdict: 'cast' | 'rejected' | 'ignored',
  request: RaftMessage,
): string {
  const { index, term } = raft.lastPosition()
  const preposition = verdict === 'cast' ? 'for' : 'from'
  return (
    `${raft.name} [logterm: ${term}, index: ${index}, vote: ${idToHex(raft.vote)}] ${verdict} ` +
    `${request.type} ${preposition} ${idToHex(request.from)} ` +
    `[logterm: ${request.logTerm}, index: ${request.index}] at term ${raft.term}`
  )
}
