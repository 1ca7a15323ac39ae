/** Reflected polynomial of CRC-32 Castagnoli. */
const POLYNOMIAL = 0x82f63b78

/** Table `n` (256 words at n * 256) advances a byte over n further zero bytes. */
const tables = new Int32Array(16 * 256)
for (let byte = 0; byte < 256; byte++) {
  let word = byte
  for (let bit = 0; bit < 8; bit++) word = word & 1 ? (word >>> 1) ^ POLYNOMIAL : word >>> 1
  tables[byte] = word
}
for (let at = 256; at < tables.length; at++) {
  const shorter = tables[at - 256] as number
  tables[at] = (shorter >>> 8) ^ (tables[shorter & 0xff] as number)
}

/** For shorter pieces no view is made. */
const VIEWED_BYTES_MIN = 64
/** The view of the bytes before is kept up to this size: the log's records are in one buffer. */
const KEPT_BYTES_MAX = 1024 * 1024
let keptBytes: Uint8Array = new Uint8Array(0)
let keptView: DataView = new DataView(keptBytes.buffer)

function viewOf(bytes: Uint8Array): DataView {
  if (bytes === keptBytes) return keptView
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length <= KEPT_BYTES_MAX) {
    keptBytes = bytes
    keptView = view
  }
  return view
}

/**
 * CRC-32C of `bytes[start, end)`, continued from `seed`: the CRC of what came before, 0 at the
 * beginning. Same as Go's `crc32.Update(seed, Castagnoli, bytes)`. Sixteen bytes a step, read as
 * words: 0.7 to 1 µs for 330 bytes; eight a step and byte by byte took 1.7 to 3.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  const t = tables
  let crc = ~seed
  let at = start
  if (end - start >= VIEWED_BYTES_MIN) {
    const view = viewOf(bytes)
    for (const last = end - 16; at <= last; at += 16) {
      const a = crc ^ view.getInt32(at, true)
      const b = view.getInt32(at + 4, true)
      const c = view.getInt32(at + 8, true)
      const d = view.getInt32(at + 12, true)
      crc =
        (t[3840 + (a & 0xff)] as number) ^
        (t[3584 + ((a >>> 8) & 0xff)] as number) ^
        (t[3328 + ((a >>> 16) & 0xff)] as number) ^
        (t[3072 + (a >>> 24)] as number) ^
        (t[2816 + (b & 0xff)] as number) ^
        (t[2560 + ((b >>> 8) & 0xff)] as number) ^
        (t[2304 + ((b >>> 16) & 0xff)] as number) ^
        (t[2048 + (b >>> 24)] as number) ^
        (t[1792 + (c & 0xff)] as number) ^
        (t[1536 + ((c >>> 8) & 0xff)] as number) ^
        (t[1280 + ((c >>> 16) & 0xff)] as number) ^
        (t[1024 + (c >>> 24)] as number) ^
        (t[768 + (d & 0xff)] as number) ^
        (t[512 + ((d >>> 8) & 0xff)] as number) ^
        (t[256 + ((d >>> 16) & 0xff)] as number) ^
        (t[d >>> 24] as number)
    }
  }
  for (; at < end; at++) {
    crc = (crc >>> 8) ^ (t[(crc ^ (bytes[at] as number)) & 0xff] as number)
  }
  return ~crc >>> 0
}
