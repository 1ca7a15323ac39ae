/** Bounds and periods of the peer protocol (facts: peer-protocol.md 3, 4.2, 6, 7). */

/** Largest frame that a stream reader accepts, and largest body of a pipelined message. */
export const FRAME_BYTES_MAX = 512 * 1024 * 1024
/**
 * Messages written to one stream and not yet taken by the kernel. More are dropped and reported.
 */
export const STREAM_MESSAGES_MAX = 4096
/** The same in bytes: 4096 appends of 1 MiB each would be 4 GiB. */
export const STREAM_BYTES_MAX = 64 * 1024 * 1024
/** Messages that wait for a pipeline worker. More are dropped and reported. */
export const PIPELINE_QUEUE_MAX = 64
/** Concurrent POSTs to one peer. */
export const PIPELINE_WORKERS = 4
/** Snapshots that are being sent, and that are being received, by one member at once. More fail. */
export const SNAPSHOTS_MAX = 16
/** Senders outside our membership that we remember how to reach. More are not remembered. */
export const REMOTES_MAX = 64
/** Largest head of a response to a stream request. */
export const RESPONSE_HEAD_BYTES_MAX = 16 * 1024
/** Largest body of a response that is an error text; what is beyond is cut off. */
export const ERROR_BODY_BYTES_MAX = 4096

/** Periods in milliseconds; tests shorten them. */
export interface PeerTimings {
  /**
   * A stream that brings nothing for this long is broken; a write that moves nothing for this long,
   * too.
   */
  readonly streamIdleMs: number
  /** A write that does not get on for this long breaks the stream (`--raft-write-timeout`). */
  readonly streamStuckMs: number
  /** Between two link heartbeats on a stream that we write. */
  readonly linkHeartbeatMs: number
  /** Least time between two dials of one stream. */
  readonly dialRetryMs: number
  /** Between two probes of one peer. */
  readonly probeMs: number
  /** Until the first look at the probes, and after each unhealthy one. */
  readonly probeReportUnhealthyMs: number
  /** Between two looks at healthy probes. */
  readonly probeReportHealthyMs: number
  /** A pipelined POST that is not answered for this long has failed. */
  readonly pipelineAnswerMs: number
  /** A snapshot body of which nothing moves for this long has failed. */
  readonly snapshotIdleMs: number
  /** From the end of a snapshot's body to the answer: the receiver makes it durable. */
  readonly snapshotAnswerMs: number
  /**
   * How long the rest of a refused upload is read and thrown away, and how long stopping may take.
   */
  readonly lingerMs: number
}

export const PEER_TIMINGS: PeerTimings = {
  streamIdleMs: 5000,
  streamStuckMs: 5000,
  linkHeartbeatMs: 5000 / 3,
  dialRetryMs: 100,
  probeMs: 4000,
  probeReportUnhealthyMs: 5000,
  probeReportHealthyMs: 30_000,
  pipelineAnswerMs: 30_000,
  snapshotIdleMs: 60_000,
  snapshotAnswerMs: 300_000,
  lingerMs: 500,
}
