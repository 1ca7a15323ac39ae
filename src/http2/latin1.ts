interface Latin1Reader {
  latin1Slice(start: number, end: number): string
}

const { latin1Slice } = Buffer.prototype as unknown as Latin1Reader

/** Bytes `start` (inclusive) to `end` (exclusive) as a string of one character per byte. */
export function latin1Text(bytes: Uint8Array, start: number, end: number): string {
  return latin1Slice.call(bytes, start, end)
}

/** The reverse of `latin1Text`; characters above 0xff lose their upper bits. */
export function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at)
  return bytes
}
