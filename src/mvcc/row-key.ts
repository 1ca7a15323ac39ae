import { invariant } from '../base/invariant.js'

/**
 * Bytes of a row's key: main revision (u64 BE), `_`, sub revision (u64 BE); a tombstone has a `t`
 * behind.
 */
export const ROW_KEY_BYTES = 17
export const TOMBSTONE_KEY_BYTES = 18
const UNDERSCORE = 0x5f
const TOMBSTONE_MARK = 0x74
const WORD = 0x1_0000_0000

/** Writes the 17 bytes of a revision at `at`. */
export function writeRevision(into: Uint8Array, at: number, main: number, sub: number): void {
  writeCounter(into, at, main)
  into[at + 8] = UNDERSCORE
  writeCounter(into, at + 9, sub)
}

/** A row's key in bucket `key`. */
export function encodeRowKey(main: number, sub: number, isTombstone: boolean): Uint8Array {
  const key = new Uint8Array(isTombstone ? TOMBSTONE_KEY_BYTES : ROW_KEY_BYTES)
  writeRevision(key, 0, main, sub)
  if (isTombstone) key[ROW_KEY_BYTES] = TOMBSTONE_MARK
  return key
}

/** The main revision of a row's key that begins at `at`. */
export function readMain(key: Uint8Array, at = 0): number {
  return readCounter(key, at)
}

/** The sub revision of a row's key that begins at `at`. */
export function readSub(key: Uint8Array, at = 0): number {
  return readCounter(key, at + 9)
}

function writeCounter(into: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / WORD)
  const low = value >>> 0
  into[at] = high >>> 24
  into[at + 1] = high >>> 16
  into[at + 2] = high >>> 8
  into[at + 3] = high
  into[at + 4] = low >>> 24
  into[at + 5] = low >>> 16
  into[at + 6] = low >>> 8
  into[at + 7] = low
}

function readCounter(from: Uint8Array, at: number): number {
  invariant(from.length >= at + 8, 'a revision has eight bytes')
  return readWord(from, at) * WORD + readWord(from, at + 4)
}

function readWord(from: Uint8Array, at: number): number {
  const a = from[at] as number
  const b = from[at + 1] as number
  const c = from[at + 2] as number
  const d = from[at + 3] as number
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
}
