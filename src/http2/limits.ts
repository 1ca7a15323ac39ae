/**
 * What one connection may use. Every default is chosen for a server of small requests and long
 * streams.
 */
export interface Http2Limits {
  /**
   * Requests under way at once; more are refused with REFUSED_STREAM. Default 2^32 - 1 = no limit.
   */
  readonly concurrentStreamsMax: number
  /** Bytes of body that a client may send ahead on one stream. Default 1 MiB. */
  readonly streamWindowBytes: number
  /** Bytes of body that a client may send ahead on all streams together. Default 4 MiB. */
  readonly connectionWindowBytes: number
  /** Bytes of one header block on the wire, over all its CONTINUATION frames. Default 64 KiB. */
  readonly headerBlockBytesMax: number
  /** CONTINUATION frames of one header block. Default 16. */
  readonly continuationFramesMax: number
  /** Bytes of one list of fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts. Default 64 KiB. */
  readonly headerListBytesMax: number
  /** Fields of one request. Default 256. */
  readonly headerCountMax: number
  /** Bytes that wait for a blocked socket before we stop to read from it. Default 256 KiB. */
  readonly outputBacklogBytesMax: number
  /**
   * Bytes that wait on streams for the client's windows before new requests are refused. Default 64
   * MiB.
   */
  readonly queuedBytesMax: number
  /**
   * Time for the preface, for SETTINGS, and for a frame or header block that has begun. Default 10
   * s.
   */
  readonly headersTimeoutMs: number
  /** Time that a socket may take no output, or a finished reply stay unread. Default 120 s. */
  readonly stallTimeoutMs: number
  /** Time without any stream before GOAWAY; 0 = never. Default 0. */
  readonly idleTimeoutMs: number
  /**
   * Pings of the client closer together than this are strikes; 0 = all are allowed. Default 5 s.
   */
  readonly keepaliveMinTimeMs: number
  /** Silence after which we ping the client; 0 = never. Default 2 h. */
  readonly keepaliveIntervalMs: number
  /** Time for any answer to that ping before the connection is closed. Default 20 s. */
  readonly keepaliveTimeoutMs: number
  /** Requests that a client resets within FLOOD_WINDOW_MS. Default 10,000. */
  readonly resetsMax: number
  /** PING frames within FLOOD_WINDOW_MS (beside the keep-alive policy). Default 1,000. */
  readonly pingsMax: number
  /** SETTINGS frames within FLOOD_WINDOW_MS. Default 100. */
  readonly settingsMax: number
  /** DATA frames without data that end nothing, within FLOOD_WINDOW_MS. Default 1,000. */
  readonly emptyFramesMax: number
  /** PRIORITY and unknown frames within FLOOD_WINDOW_MS. Default 5,000. */
  readonly ignoredFramesMax: number
  /**
   * WINDOW_UPDATE frames within FLOOD_WINDOW_MS beyond four per DATA frame sent. Default 20,000.
   */
  readonly windowUpdatesMax: number
}

/** The span over which floods are counted. */
export const FLOOD_WINDOW_MS = 10_000

export const DEFAULT_HTTP2_LIMITS: Http2Limits = {
  concurrentStreamsMax: 0xffff_ffff,
  streamWindowBytes: 1 << 20,
  connectionWindowBytes: 4 << 20,
  headerBlockBytesMax: 64 << 10,
  continuationFramesMax: 16,
  headerListBytesMax: 64 << 10,
  headerCountMax: 256,
  outputBacklogBytesMax: 256 << 10,
  queuedBytesMax: 64 << 20,
  headersTimeoutMs: 10_000,
  stallTimeoutMs: 120_000,
  idleTimeoutMs: 0,
  keepaliveMinTimeMs: 5_000,
  keepaliveIntervalMs: 7_200_000,
  keepaliveTimeoutMs: 20_000,
  resetsMax: 10_000,
  pingsMax: 1_000,
  settingsMax: 100,
  emptyFramesMax: 1_000,
  ignoredFramesMax: 5_000,
  windowUpdatesMax: 20_000,
}
