/**
 * The "message" stream: `u64 length; raftpb.Message`, for all types (facts: peer-protocol.md 4.3).
 */
import { Message } from '../wire/raftpb.js'
import { WireError } from '../wire/reader.js'
import type { Writer } from '../wire/writer.js'
import { FrameDecoder, readU64, StreamFormatError } from './frame-decoder.js'
import { closeU64, type FrameEncoder, openU64 } from './frame-encoder.js'
import { FRAME_BYTES_MAX } from './peer-limits.js'

const LENGTH_BYTES = 8
const LINK_HEARTBEAT = Message.create({ type: 'MsgHeartbeat' })

/**
 * Writers differ in the zero fields they write, so it is told by value (facts: peer-protocol.md
 * 4.3).
 */
export function isLinkHeartbeat(message: Message): boolean {
  return message.type === 'MsgHeartbeat' && message.from === 0n && message.to === 0n
}

export class MessageFrameEncoder implements FrameEncoder {
  message(message: Message, out: Writer): void {
    const start = openU64(out)
    Message.write(message, out)
    closeU64(out, start)
  }

  linkHeartbeat(out: Writer): void {
    this.message(LINK_HEARTBEAT, out)
  }
}

/** Decodes protobuf that a peer sent; what is not a message is an error of the stream. */
export function decodeMessage(bytes: Uint8Array): Message {
  try {
    return Message.decode(bytes)
  } catch (error) {
    if (error instanceof WireError) throw new StreamFormatError(error.message)
    throw error
  }
}

export class MessageFrameDecoder extends FrameDecoder {
  protected override frameEnd(bytes: Uint8Array, start: number, end: number): number {
    if (end - start < LENGTH_BYTES) return -1
    const length = readU64(bytes, start)
    if (length > FRAME_BYTES_MAX) throw new StreamFormatError('rafthttp: error limit exceeded')
    const frameEnd = start + LENGTH_BYTES + length
    return frameEnd <= end ? frameEnd : -1
  }

  protected override decode(frame: Uint8Array): Message | undefined {
    const message = decodeMessage(frame.subarray(LENGTH_BYTES))
    return isLinkHeartbeat(message) ? undefined : message
  }
}
