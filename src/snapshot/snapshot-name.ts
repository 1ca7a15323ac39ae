import { type LogIndex, logIndex, type Term, term } from '../base/ids.js'

/** Where in the log a snapshot was taken, as its file's name says it. */
export interface SnapshotPosition {
  readonly term: Term
  readonly index: LogIndex
}

const PATTERN = /^([0-9a-f]{16})-([0-9a-f]{16})\.snap$/
const DATABASE_PATTERN = /^([0-9a-f]{16})\.snap\.db$/

const hex16 = (value: number): string => value.toString(16).padStart(16, '0')

/** `<term>-<index>.snap`, both as 16 hex digits: the order of names is the order of snapshots. */
export const snapshotName = (position: SnapshotPosition): string =>
  `${hex16(position.term)}-${hex16(position.index)}.snap`

/** Reads a name; undefined when it is not that of a snapshot. */
export function parseSnapshotName(name: string): SnapshotPosition | undefined {
  const match = PATTERN.exec(name)
  if (match === null) return undefined
  return {
    term: term(Number.parseInt(match[1] as string, 16)),
    index: logIndex(Number.parseInt(match[2] as string, 16)),
  }
}

/**
 * The index of a `<index>.snap.db`, a database that came with a snapshot; undefined for other
 * names.
 */
export function parseDatabaseName(name: string): LogIndex | undefined {
  const match = DATABASE_PATTERN.exec(name)
  return match === null ? undefined : logIndex(Number.parseInt(match[1] as string, 16))
}
