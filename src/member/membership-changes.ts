import type { ErrorCode } from '../base/errors.js'

/** What a change of membership came to. */
export type MembershipOutcome =
  | { readonly kind: 'changed' }
  | { readonly kind: 'failed'; readonly code: ErrorCode }
