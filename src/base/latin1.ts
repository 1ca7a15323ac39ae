/**
 * Keys live in memory as latin1 strings, one character a byte, because strings compare and hash
 * several times faster than byte arrays. `<` on them is unsigned bytewise order.
 */

/** Longest piece given to `String.fromCharCode` at once: its arguments travel on the stack. */
const PIECE_MAX = 4096

function decodePortably(bytes: Uint8Array): string {
  if (bytes.length <= PIECE_MAX) {
    return String.fromCharCode.apply(null, bytes as unknown as number[])
  }
  let text = ''
  for (let at = 0; at < bytes.length; at += PIECE_MAX) {
    const piece = bytes.subarray(at, at + PIECE_MAX)
    text += String.fromCharCode.apply(null, piece as unknown as number[])
  }
  return text
}

let decode: (bytes: Uint8Array) => string = decodePortably

/** The bytes as a string of the same length, every byte one character. */
export function latin1FromBytes(bytes: Uint8Array): string {
  return decode(bytes)
}

/** The inverse of `latin1FromBytes`; characters beyond 255 lose their high bits. */
export function bytesFromLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at)
  return bytes
}

/**
 * Lets the platform put its native decoder in place of the portable one: 0.10 µs instead of 0.46 µs
 * for a key of 64 bytes. It must give the same strings.
 */
export function useLatin1Decoder(native: (bytes: Uint8Array) => string): void {
  decode = native
}
