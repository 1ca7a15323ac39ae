/** What the gRPC layer takes and gives; what the connection takes is in Http2Limits. */
export interface GrpcLimits {
  /** Bytes of one request message, after decompression too. Default 4 MiB, as grpc-go. */
  readonly receiveBytesMax: number
  /** Bytes of one response message. Default 2^31 - 1, as grpc-go. */
  readonly sendBytesMax: number
  /** Bytes that may wait on one response stream before `send` says false. Default 256 KiB. */
  readonly sendQueueBytesMax: number
  /** Bytes of unfinished request messages of one connection. Default 256 MiB. */
  readonly assemblingBytesMax: number
}

export const DEFAULT_GRPC_LIMITS: GrpcLimits = {
  receiveBytesMax: 4 << 20,
  sendBytesMax: 0x7fff_ffff,
  sendQueueBytesMax: 256 << 10,
  assemblingBytesMax: 256 << 20,
}
