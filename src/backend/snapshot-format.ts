import { WireError } from '../wire/reader.js'

/**
 * How the content of the buckets travels between members (docs/formats/backend.md): a head,
 * records, a trailer. All numbers are little-endian.
 */
export const SNAPSHOT_MAGIC = new Uint8Array([0x65, 0x74, 0x63, 0x64, 0x6c, 0x76, 0x6c, 0x01])
/** Length of key (u32) and length of value (u32) stand before each record. */
export const RECORD_HEAD_BYTES = 8
/**
 * In place of a key's length: the end; a u32 with the CRC-32C of all bytes before the CRC follows.
 */
export const END_MARK = 0xffff_ffff
/** Longer records are taken for damage. */
export const RECORD_BYTES_MAX = 1 << 30

export function putWord(into: Uint8Array, at: number, value: number): void {
  into[at] = value
  into[at + 1] = value >>> 8
  into[at + 2] = value >>> 16
  into[at + 3] = value >>> 24
}

export function getWord(from: Uint8Array, at: number): number {
  const a = from[at] as number
  const b = from[at + 1] as number
  const c = from[at + 2] as number
  const d = from[at + 3] as number
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0
}

/** The bytes are not a whole snapshot of ours. */
export function damaged(reason: string): WireError {
  return new WireError(`snapshot of the store: ${reason}`)
}
