/** The largest value a counter (index, term, revision) can have here: 2^53 - 1. */
export const MAX_COUNTER = Number.MAX_SAFE_INTEGER
