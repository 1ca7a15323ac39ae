import type { ApplyOutcome } from '../apply/outcome.js'
import type { ErrorCode } from '../base/errors.js'
import type { RequestId } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { peekV2RequestId } from '../wire/raft-envelope.js'
import type { V2Operation } from '../wire/v2-request.js'

/** What a proposal came to: what applying it gave, or why it was never (known to be) applied. */
export type ProposalOutcome = ApplyOutcome | { readonly kind: 'failed'; readonly code: ErrorCode }

/** A proposal whose entry has not been applied here yet. */
export interface Proposal {
  readonly id: RequestId
  /** The entry's payload; kept until raft took it. */
  readonly data: Uint8Array
  /** What `data` decodes to, when it is of the v2 API and that is known. */
  readonly v2?: V2Operation | undefined
  /** Decided by a leader: not to be given to raft any more once it leads no more. */
  readonly isOfLeadership?: boolean
  readonly startedMs: number
  readonly deadlineMs: number
  readonly done: (outcome: ProposalOutcome) => void
}

/**
 * Proposals that wait to be applied, oldest first. All wait equally long, so the oldest is always
 * the first to time out and looking for late ones costs nothing while there are none.
 */
export class Proposals {
  readonly #waiting = new Map<RequestId, Proposal>()

  get count(): number {
    return this.#waiting.size
  }

  add(proposal: Proposal): void {
    invariant(!this.#waiting.has(proposal.id), 'request ids must be unique')
    this.#waiting.set(proposal.id, proposal)
  }

  get(id: RequestId): Proposal | undefined {
    return this.#waiting.get(id)
  }

  /**
   * The v2 operation in a committed payload, if this very payload was proposed here: then it need
   * not be decoded again.
   */
  v2Proposal(data: Uint8Array): { readonly id: RequestId; readonly v2: V2Operation } | undefined {
    const id = peekV2RequestId(data)
    const proposal = id === undefined ? undefined : this.#waiting.get(id)
    if (proposal?.v2 === undefined || proposal.data !== data) return undefined
    return { id: proposal.id, v2: proposal.v2 }
  }

  /** Hands the outcome to the proposal with this id, if it still waits. */
  settle(id: RequestId, outcome: ProposalOutcome): void {
    const proposal = this.#waiting.get(id)
    if (proposal === undefined) return
    this.#waiting.delete(id)
    proposal.done(outcome)
  }

  /** Fails what is past its deadline; `codeOf` says why. */
  expire(nowMs: number, codeOf: (proposal: Proposal) => ErrorCode): void {
    for (const proposal of this.#waiting.values()) {
      if (proposal.deadlineMs > nowMs) return
      this.settle(proposal.id, { kind: 'failed', code: codeOf(proposal) })
    }
  }

  failAll(code: ErrorCode): void {
    for (const id of [...this.#waiting.keys()]) this.settle(id, { kind: 'failed', code })
  }
}
