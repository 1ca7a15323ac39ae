/**
 * The "msgapp" stream in "msgappv2" coding (facts: peer-protocol.md 4.4). Both ends keep the
 * position that the last append reached; an append that continues there is sent as its entries and
 * commit index alone.
 *
 *   00                                            link heartbeat
 *   01 u64 count, count × {u64 size, Entry}, u64 commit    entries that continue
 *   02 u64 size, Message                          any append; sets the position
 */

import {
  addIndex,
  type LogIndex,
  logIndex,
  type MemberId,
  type Term,
  ZERO_INDEX,
  ZERO_TERM,
} from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { preEncoded } from '../wire/codec.js'
import { Entry, Message } from '../wire/raftpb.js'
import { Reader, WireError } from '../wire/reader.js'
import type { Writer } from '../wire/writer.js'
import { FrameDecoder, type FrameSink, readU64, StreamFormatError } from './frame-decoder.js'
import {
  closeU64,
  type FrameEncoder,
  openU64,
  type SharedEntries,
  writeU64,
} from './frame-encoder.js'
import { decodeMessage } from './message-frames.js'
import { FRAME_BYTES_MAX } from './peer-limits.js'

const LINK_HEARTBEAT = 0
const APP_ENTRIES = 1
const WHOLE_APPEND = 2
const NO_BYTES = new Uint8Array(0)

/**
 * The index that an append reaches: its last entry's, or the one before its entries when it has
 * none.
 */
const reachedIndex = (message: Message): LogIndex => message.entries.at(-1)?.index ?? message.index

export class AppendFrameEncoder implements FrameEncoder {
  readonly #shared: SharedEntries
  #term: Term = ZERO_TERM
  #index: LogIndex = ZERO_INDEX

  constructor(shared: SharedEntries) {
    this.#shared = shared
  }

  message(message: Message, out: Writer): void {
    invariant(message.type === 'MsgApp', 'the append stream carries appends only')
    const { term, logTerm, index, entries, commit } = message
    if (index === this.#index && logTerm === this.#term && logTerm === term) {
      out.reserve(1)
      out.buffer[out.position++] = APP_ENTRIES
      writeU64(out, entries.length)
      if (entries.length > 0) out.raw(this.#shared.block(entries))
      writeU64(out, commit)
      this.#index = addIndex(this.#index, entries.length)
      return
    }
    out.reserve(1)
    out.buffer[out.position++] = WHOLE_APPEND
    const start = openU64(out)
    const encoded = this.#shared.each(entries).map((bytes) => preEncoded<Entry>(bytes))
    Message.write({ ...message, entries: encoded }, out)
    closeU64(out, start)
    this.#term = term
    this.#index = reachedIndex(message)
  }

  linkHeartbeat(out: Writer): void {
    out.reserve(1)
    out.buffer[out.position++] = LINK_HEARTBEAT
  }
}

export interface AppendDecoderOptions {
  /** Who writes the stream: the sender of what is rebuilt. */
  readonly remoteId: MemberId
  readonly localId: MemberId
}

export class AppendFrameDecoder extends FrameDecoder {
  readonly #options: AppendDecoderOptions
  #term: Term = ZERO_TERM
  #index: LogIndex = ZERO_INDEX
  /** How far the frame at hand was looked at: bytes from its start, and entries still to pass. */
  #scanned = 0
  #entriesLeft = 0

  constructor(options: AppendDecoderOptions, sink: FrameSink) {
    super(sink)
    this.#options = options
  }

  protected override frameEnd(bytes: Uint8Array, start: number, end: number): number {
    switch (bytes[start]) {
      case LINK_HEARTBEAT:
        return start + 1
      case APP_ENTRIES:
        return this.#entriesEnd(bytes, start, end)
      case WHOLE_APPEND: {
        if (end - start < 9) return -1
        const size = readU64(bytes, start + 1)
        if (size > FRAME_BYTES_MAX) throw new StreamFormatError('rafthttp: error limit exceeded')
        return start + 9 + size <= end ? start + 9 + size : -1
      }
      default:
        throw new StreamFormatError(`failed to parse type ${bytes[start] ?? -1} in msgappv2 stream`)
    }
  }

  #entriesEnd(bytes: Uint8Array, start: number, end: number): number {
    if (this.#scanned === 0) {
      if (end - start < 9) return -1
      this.#entriesLeft = readU64(bytes, start + 1)
      this.#scanned = 9
    }
    while (this.#entriesLeft > 0) {
      const at = start + this.#scanned
      if (end - at < 8) return -1
      const next = this.#scanned + 8 + readU64(bytes, at)
      if (next > FRAME_BYTES_MAX) throw new StreamFormatError('rafthttp: error limit exceeded')
      if (start + next > end) return -1
      this.#scanned = next
      this.#entriesLeft--
    }
    const frameEnd = start + this.#scanned + 8
    if (frameEnd > end) return -1
    this.#scanned = 0
    return frameEnd
  }

  protected override decode(frame: Uint8Array): Message | undefined {
    switch (frame[0]) {
      case LINK_HEARTBEAT:
        return undefined
      case APP_ENTRIES:
        return this.#decodeEntries(frame)
      default: {
        const message = decodeMessage(frame.subarray(9))
        this.#term = message.term
        this.#index = reachedIndex(message)
        return message
      }
    }
  }

  #decodeEntries(frame: Uint8Array): Message {
    const count = readU64(frame, 1)
    const entries: Entry[] = []
    const reader = new Reader(frame, 9)
    try {
      for (let at = 0; at < count; at++) {
        const size = readU64(frame, reader.position)
        reader.position += 8
        entries.push(Entry.read(reader, reader.position + size))
      }
    } catch (error) {
      if (error instanceof WireError) throw new StreamFormatError(error.message)
      throw error
    }
    const previous = this.#index
    this.#index = addIndex(previous, count)
    return {
      type: 'MsgApp',
      to: this.#options.localId,
      from: this.#options.remoteId,
      term: this.#term,
      logTerm: this.#term,
      index: previous,
      entries,
      commit: logIndex(readU64(frame, reader.position)),
      snapshot: undefined,
      reject: false,
      rejectHint: ZERO_INDEX,
      context: NO_BYTES,
      vote: undefined,
    }
  }
}
