/**
 * The door to slow hashing. Types only. Hashing a password takes a processor for a tenth of a
 * second, so it happens elsewhere and ends in a completion, called once, never from inside the call
 * that asked for it.
 */

export type HashOutcome =
  | { readonly kind: 'hash'; readonly hash: string }
  /** Longer than the 72 bytes that bcrypt looks at. */
  | { readonly kind: 'too-long' }
  | PasswordFailure

export type CheckOutcome = { readonly kind: 'checked'; readonly isRight: boolean } | PasswordFailure

export type PasswordFailure =
  /** As many wait as may. */
  | { readonly kind: 'busy' }
  /** Whoever hashes has ended. */
  | { readonly kind: 'failed'; readonly reason: string }

export interface Passwords {
  /** Hashes a password with bcrypt and a salt of its own. */
  hash(password: string, done: (outcome: HashOutcome) => void): void
  /** Whether `hash` is that of `password`; what is not a bcrypt hash is nobody's. */
  check(hash: string, password: string, done: (outcome: CheckOutcome) => void): void
}
