/** Numbers of RFC 9113 (frame types, flags, settings, error codes) and what a broken rule is. */

/** The first bytes of every HTTP/2 connection from a client (RFC 9113 3.4). */
export const PREFACE: Uint8Array = Uint8Array.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', (char) =>
  char.charCodeAt(0),
)

/** Bytes of a frame header: length (3), type, flags, stream id (4). */
export const FRAME_HEADER_BYTES = 9
/** The largest frame that we take and send: the protocol's initial value, never raised. */
export const FRAME_BYTES_MAX = 16_384
/** Windows of the connection and of streams before anyone changed them. */
export const INITIAL_WINDOW_BYTES = 65_535
/** No window may grow beyond this; also the largest stream id. */
export const WINDOW_BYTES_MAX = 0x7fff_ffff
/** Size of the HPACK table before anyone changed it. */
export const INITIAL_TABLE_BYTES = 4096

/** Frame types (RFC 9113 6). */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const

/** Frame flags. ACK and END_STREAM share a bit on different frames. */
export const FLAG = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const

/** Settings (RFC 9113 6.5.2). */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const

/** Error codes (RFC 9113 7). */
export const ERROR = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11,
} as const

/**
 * A rule whose breach ends the whole connection with GOAWAY. `message` is sent as its debug data.
 */
export class Http2ConnectionError extends Error {
  override readonly name = 'Http2ConnectionError'
  /** One of ERROR. */
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}
