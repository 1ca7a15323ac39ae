/** The two kinds of stream between members (facts: peer-protocol.md 1, 4). */
export const STREAM_KINDS = ['message', 'append'] as const
export type StreamKind = (typeof STREAM_KINDS)[number]

/** The word in the request path. */
export const STREAM_PATHS: Readonly<Record<StreamKind, string>> = {
  message: '/raft/stream/message',
  append: '/raft/stream/msgapp',
}

/** What log lines call it. */
export const STREAM_NAMES: Readonly<Record<StreamKind, string>> = {
  message: 'stream Message',
  append: 'stream MsgApp v2',
}
