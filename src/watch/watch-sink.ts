/**
 * Where the responses of one stream go; a `StreamCall` of the gRPC server is one. Must not call
 * back from inside `sendEncoded`.
 */
export interface WatchSink {
  /**
   * Queues one encoded WatchResponse given in parts, which never change afterwards and may be
   * shared with other streams. False when the client should read first; what was given is queued
   * all the same.
   */
  sendEncoded(parts: readonly Uint8Array[]): boolean
  /** Bytes that wait for the client. */
  readonly queuedBytes: number
  /** `listener` runs each time the queue has emptied after `sendEncoded` returned false. */
  onDrain(listener: () => void): void
}
