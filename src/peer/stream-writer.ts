import type { ServerResponse } from 'node:http'
import { idToHex, type MemberId } from '../base/ids.js'
import type { LogFields } from '../ports/log.js'
import type { Message } from '../wire/raftpb.js'
import { AppendFrameEncoder } from './append-frames.js'
import type { SharedEntries } from './frame-encoder.js'
import { MessageFrameEncoder } from './message-frames.js'
import { OutgoingStream } from './outgoing-stream.js'
import type { PeerContext } from './peer-context.js'
import type { PeerStatus } from './peer-status.js'
import { STREAM_NAMES, type StreamKind } from './stream-kind.js'

export interface StreamWriterOptions {
  readonly context: PeerContext
  readonly kind: StreamKind
  readonly peerId: MemberId
  readonly status: PeerStatus
  readonly shared: SharedEntries
}

/**
 * The place where a peer's stream of one kind is attached. States: idle ↔ attached; a newer
 * connection replaces the one before.
 */
export class StreamWriter {
  readonly #options: StreamWriterOptions
  #stream: OutgoingStream | undefined

  constructor(options: StreamWriterOptions) {
    this.#options = options
    this.#options.context.log.info('started stream writer with remote peer', {
      'local-member-id': options.context.idText,
      'remote-peer-id': idToHex(options.peerId),
    })
  }

  get isAttached(): boolean {
    return this.#stream !== undefined
  }

  /** Takes over a response whose head was sent. */
  attach(response: ServerResponse): void {
    const { context, kind, status, shared, peerId } = this.#options
    if (this.#stream !== undefined) {
      this.#closeStream(false)
      context.log.warn('closed TCP streaming connection with remote peer', this.#fields())
    }
    const encoder = kind === 'append' ? new AppendFrameEncoder(shared) : new MessageFrameEncoder()
    context.log.info('set message encoder', {
      from: context.idText,
      to: idToHex(peerId),
      'stream-type': STREAM_NAMES[kind],
    })
    status.activate()
    const stream = new OutgoingStream(context, response, encoder, {
      onSent: (bytes) => context.observer?.sent(peerId, bytes),
      onLost: (action, reason, lostMessages) => {
        if (this.#stream !== stream) return
        this.#stream = undefined
        status.deactivate({ source: STREAM_NAMES[kind], action, reason })
        context.observer?.sendFailed(peerId)
        context.log.warn('lost TCP streaming connection with remote peer', this.#fields())
        if (lostMessages > 0) context.events.unreachable(peerId)
      },
    })
    this.#stream = stream
    context.log.info('established TCP streaming connection with remote peer', this.#fields())
  }

  /** Sends on the attached stream; false = there is none or its queue is full. */
  send(message: Message): boolean {
    return this.#stream?.send(message) ?? false
  }

  /** Lets what was sent leave now. */
  flush(): void {
    this.#stream?.flush()
  }

  /** What was sent before still goes out when `isGraceful`. */
  stop(isGraceful: boolean): void {
    const { log } = this.#options.context
    if (this.#stream !== undefined) {
      this.#closeStream(isGraceful)
      log.warn('closed TCP streaming connection with remote peer', this.#fields())
    }
    log.info('stopped TCP streaming connection with remote peer', this.#fields())
  }

  #closeStream(isGraceful: boolean): void {
    const stream = this.#stream
    if (stream === undefined) return
    const { context, peerId } = this.#options
    this.#stream = undefined
    if (!isGraceful && stream.pendingMessages > 0) context.events.unreachable(peerId)
    stream.close(isGraceful)
  }

  #fields(): LogFields {
    return {
      'stream-writer-type': STREAM_NAMES[this.#options.kind],
      'local-member-id': this.#options.context.idText,
      'remote-peer-id': idToHex(this.#options.peerId),
    }
  }
}
