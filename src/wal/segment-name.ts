import { type LogIndex, logIndex } from '../base/ids.js'

/** What a segment's name says: `<sequence>-<index>.wal`, both as 16 hex digits. */
export interface SegmentName {
  readonly name: string
  /** Counts segments from 0, without a gap. */
  readonly sequence: number
  /** The first entry that may be in the segment. */
  readonly index: LogIndex
}

const PATTERN = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/

const hex16 = (value: number): string => value.toString(16).padStart(16, '0')

export function segmentName(sequence: number, index: LogIndex): SegmentName {
  return { name: `${hex16(sequence)}-${hex16(index)}.wal`, sequence, index }
}

/** Reads a name; undefined when it is not that of a segment. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const match = PATTERN.exec(name)
  if (match === null) return undefined
  const sequence = Number.parseInt(match[1] as string, 16)
  const index = Number.parseInt(match[2] as string, 16)
  if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(index)) return undefined
  return { name, sequence, index: logIndex(index) }
}

/** The segments among `names`, oldest first; every other name is left out. */
export function segmentsAmong(names: readonly string[]): SegmentName[] {
  return names
    .map(parseSegmentName)
    .filter((segment) => segment !== undefined)
    .sort((a, b) => a.sequence - b.sequence || a.index - b.index)
}

/**
 * The segments to read for what follows `index`: from the last one whose name's index is not above
 * it, to the newest. Undefined when there is none, or when a sequence number is missing.
 */
export function segmentsFrom(
  segments: readonly SegmentName[],
  index: LogIndex,
): readonly SegmentName[] | undefined {
  const first = segments.findLastIndex((segment) => segment.index <= index)
  if (first < 0) return undefined
  const chosen = segments.slice(first)
  const base = chosen[0]?.sequence ?? 0
  return chosen.every((segment, at) => segment.sequence === base + at) ? chosen : undefined
}
