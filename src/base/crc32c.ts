/** Reflected polynomial of CRC-32 Castagnoli. */
const POLYNOMIAL = 0x82f63b78

/** Table `n` (256 words at n * 256) advances a byte over n further zero bytes. */
const tables = new Int32Array(8 * 256)
for (let byte = 0; byte < 256; byte++) {
  let word = byte
  for (let bit = 0; bit < 8; bit++) word = word & 1 ? (word >>> 1) ^ POLYNOMIAL : word >>> 1
  tables[byte] = word
}
for (let at = 256; at < tables.length; at++) {
  const shorter = tables[at - 256] as number
  tables[at] = (shorter >>> 8) ^ (tables[shorter & 0xff] as number)
}

/**
 * CRC-32C of `bytes[start, end)`, continued from `seed`: the CRC of what came before, 0 at the
 * beginning. Same as Go's `crc32.Update(seed, Castagnoli, bytes)`. Eight bytes a step: about 1.3 µs
 * for 300 bytes.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  const t = tables
  let crc = ~seed
  let at = start
  for (const last = end - 8; at <= last; at += 8) {
    crc ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    crc =
      (t[1792 + (crc & 0xff)] as number) ^
      (t[1536 + ((crc >>> 8) & 0xff)] as number) ^
      (t[1280 + ((crc >>> 16) & 0xff)] as number) ^
      (t[1024 + (crc >>> 24)] as number) ^
      (t[768 + (bytes[at + 4] as number)] as number) ^
      (t[512 + (bytes[at + 5] as number)] as number) ^
      (t[256 + (bytes[at + 6] as number)] as number) ^
      (t[bytes[at + 7] as number] as number)
  }
  for (; at < end; at++) {
    crc = (crc >>> 8) ^ (t[(crc ^ (bytes[at] as number)) & 0xff] as number)
  }
  return ~crc >>> 0
}
