import type { GrpcStatus } from '../ports/rpc.js'

/** The status codes by name (grpc.io/docs/guides/status-codes). */
export const STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const satisfies Record<string, GrpcStatus>

const utf8 = new TextEncoder()
const HEX = '0123456789ABCDEF'

/**
 * A status message as `grpc-message` wants it: everything outside of printable ASCII, and `%`, as
 * %XX of UTF-8.
 */
export function percentEncode(message: string): string {
  if (/^[ -$&-~]*$/.test(message)) return message
  let out = ''
  for (const byte of utf8.encode(message)) {
    if (byte >= 0x20 && byte <= 0x7e && byte !== 0x25) out += String.fromCharCode(byte)
    else out += `%${HEX[byte >>> 4]}${HEX[byte & 15]}`
  }
  return out
}

/** A string as Go's %q shows it, for the texts that name what the client sent. */
export function goQuote(text: string): string {
  let out = '"'
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0
    if (char === '"' || char === '\\') out += `\\${char}`
    else if (char === '\n') out += '\\n'
    else if (char === '\t') out += '\\t'
    else if (char === '\r') out += '\\r'
    else if (code < 0x20 || (code >= 0x7f && code <= 0xff)) {
      out += `\\x${code.toString(16).padStart(2, '0')}`
    } else out += char
  }
  return `${out}"`
}
