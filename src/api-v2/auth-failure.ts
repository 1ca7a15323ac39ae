/** Why a change of users and roles, or a look at them, came to nothing. */
import { refuseV2Auth, type V2AuthErrorCode, type V2AuthRefusal } from '../base/v2-auth-errors.js'
import type { V2Error } from '../base/v2-errors.js'

export type AuthProblem =
  | { readonly kind: 'refused'; readonly refusal: V2AuthRefusal }
  /** The store said no in a way that this API has no words of its own for. */
  | { readonly kind: 'store'; readonly error: V2Error }
  /** The client sees an internal error, the log the reason. */
  | { readonly kind: 'internal'; readonly reason: string }

/** Ends a request about users and roles; the handler answers with the problem. */
export class AuthFailure extends Error {
  override readonly name = 'AuthFailure'
  readonly problem: AuthProblem

  constructor(problem: AuthProblem) {
    super(problem.kind)
    this.problem = problem
  }

  static refused(code: V2AuthErrorCode, ...names: readonly string[]): AuthFailure {
    return new AuthFailure({ kind: 'refused', refusal: refuseV2Auth(code, ...names) })
  }

  static internal(reason: string): AuthFailure {
    return new AuthFailure({ kind: 'internal', reason })
  }
}
