/** The doors to time and chance. Types only. */

export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back, fractions allowed. */
  monotonicMs(): number
  /** Unix milliseconds; may step. */
  wallMs(): number
}

/** Runs work later on the member's thread. */
export interface Scheduler {
  /**
   * Runs `work` once, after the input that is ready now has been read: what arrives together is
   * batched.
   */
  soon(work: () => void): void
  /** Runs `work` once, `delayMs` from now at the earliest; the result takes it back. */
  later(delayMs: number, work: () => void): () => void
}

export interface Entropy {
  /** A whole number from 0 (inclusive) to `bound` (exclusive); `bound` from 1 to 2^32. */
  below(bound: number): number
}
