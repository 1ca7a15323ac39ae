import type { LogIndex, Term } from '../base/ids.js'

/** Names one entry: no two entries of a Raft group share both (Log Matching, Raft §5.3). */
export interface LogPosition {
  readonly term: Term
  readonly index: LogIndex
}

export const minIndex = (a: LogIndex, b: LogIndex): LogIndex => (a < b ? a : b)
export const maxIndex = (a: LogIndex, b: LogIndex): LogIndex => (a > b ? a : b)
