import type { ErrorCode } from '../../src/base/errors.js'
import type { RangeRequest } from '../../src/wire/rpc.js'

/** What a client asks. Writes carry the bytes that go into the log, so that they are found there again. */
export type ClientRequest =
  | {
      readonly kind: 'write'
      readonly operation:
        | 'put'
        | 'deleteRange'
        | 'txn'
        | 'compaction'
        | 'leaseGrant'
        | 'leaseRevoke'
      readonly encoded: Uint8Array
    }
  | { readonly kind: 'read'; readonly request: RangeRequest }
  | { readonly kind: 'renew'; readonly lease: bigint }

export type ClientOutcome =
  /** `response` in the canonical words of `describe-response.ts`. */
  | { readonly kind: 'answered'; readonly revision: number; readonly response: string }
  | { readonly kind: 'failed'; readonly code: ErrorCode }
  /** No answer: it may have happened, may happen later, or never. */
  | { readonly kind: 'unknown' }

export interface Operation {
  readonly client: number
  readonly place: number
  readonly request: ClientRequest
  readonly calledUs: number
  /** Infinity while, or if for ever, nothing came. */
  returnedUs: number
  outcome: ClientOutcome
}

/** One request of a client of the v2 API. */
export interface V2Operation {
  readonly client: number
  readonly place: number
  /** Goes into the log with the request, so that its entry is found again. */
  readonly mark: number
  readonly path: string
  readonly method: string
  readonly value: string
  /** Answered by the member alone, from what it has. */
  readonly isLocal: boolean
  /** The key is given an end. */
  readonly expires: boolean
  readonly calledUs: number
  returnedUs: number
  /** `response` in the words of `V2Model`. */
  outcome: ClientOutcome
}

/** Everything that clients did, in the order of their calls. */
export class History {
  readonly operations: Operation[] = []
  readonly v2: V2Operation[] = []
  /** Told of each call, and of each answer when its client has it. */
  onCalled: (operation: Operation) => void = () => undefined
  onAnswered: (operation: Operation) => void = () => undefined

  begin(client: number, place: number, request: ClientRequest, nowUs: number): Operation {
    const operation: Operation = {
      client,
      place,
      request,
      calledUs: nowUs,
      returnedUs: Number.POSITIVE_INFINITY,
      outcome: { kind: 'unknown' },
    }
    this.operations.push(operation)
    this.onCalled(operation)
    return operation
  }

  end(operation: Operation, outcome: ClientOutcome, nowUs: number): void {
    operation.outcome = outcome
    if (outcome.kind === 'unknown') return
    operation.returnedUs = nowUs
    this.onAnswered(operation)
  }
}
