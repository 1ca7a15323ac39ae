import type { ErrorCode } from '../base/errors.js'
import type { Revision } from '../base/ids.js'

/** What applying a committed request gave its proposer. */
export type ApplyOutcome =
  | {
      readonly kind: 'applied'
      /** The response message without its header; which one follows from the operation. */
      readonly response: object
      /** For the response header. */
      readonly revision: Revision
    }
  | { readonly kind: 'failed'; readonly code: ErrorCode }
