import type { Entry } from '../wire/raftpb.js'

const TWO_TO_THE_35TH = 2 ** 35
const TWO_TO_THE_42ND = 2 ** 42
const TWO_TO_THE_49TH = 2 ** 49

/** Bytes of a protobuf varint; `value` is a whole number in [0, 2^53 - 1]. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  if (value < 0x1000_0000) return 4
  if (value < TWO_TO_THE_35TH) return 5
  if (value < TWO_TO_THE_42ND) return 6
  return value < TWO_TO_THE_49TH ? 7 : 8
}

/**
 * Encoded bytes of an entry: what limits of messages and of applying count. Equal to its codec's
 * output.
 */
export function entrySize(entry: Entry): number {
  const dataBytes = entry.data.length
  const size = 4 + varintSize(entry.term) + varintSize(entry.index)
  return dataBytes === 0 ? size : size + 1 + varintSize(dataBytes) + dataBytes
}

/** Encoded bytes of all entries, without what a message adds around each. */
export function entriesSize(entries: readonly Entry[]): number {
  let size = 0
  for (let i = 0; i < entries.length; i++) size += entrySize(entries[i] as Entry)
  return size
}

/**
 * Payload bytes of all entries: what the uncommitted and the in-flight limits count. 0 for a no-op.
 */
export function payloadsSize(entries: readonly Entry[]): number {
  let size = 0
  for (let i = 0; i < entries.length; i++) size += (entries[i] as Entry).data.length
  return size
}

/**
 * How many entries of `entries` from `from` (inclusive) to `to` (exclusive) fit into `bytesMax`,
 * but at least one. Places are 0-based.
 */
export function countWithin(
  entries: readonly Entry[],
  range: Readonly<{ from: number; to: number; bytesMax: number }>,
): number {
  const { from, to, bytesMax } = range
  if (bytesMax === Number.POSITIVE_INFINITY) return to - from
  let size = 0
  for (let i = from; i < to; i++) {
    size += entrySize(entries[i] as Entry)
    if (size > bytesMax) return i === from ? 1 : i - from
  }
  return to - from
}
