import type { IncomingMessage, ServerResponse } from 'node:http'
import { idToHex } from '../base/ids.js'
import { InvariantViolation } from '../base/invariant.js'
import type { Message } from '../wire/raftpb.js'
import { readU64, StreamFormatError } from './frame-decoder.js'
import { decodeMessage } from './message-frames.js'
import { admit } from './message-gate.js'
import type { PeerContext } from './peer-context.js'
import { FRAME_BYTES_MAX, SNAPSHOTS_MAX } from './peer-limits.js'
import { answerError, answerErrorObject } from './plain-answer.js'

const LENGTH_BYTES = 8
const STOPPED = 'failed to process raft message (raft: stopped)'

/** Why an upload is refused: the answer's status and text. */
class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: 400 | 403 | 500

  constructor(status: 400 | 403 | 500, text: string) {
    super(text)
    this.status = status
  }
}

/** Takes snapshots that peers post (facts: peer-protocol.md 6). */
export class SnapshotReceiver {
  readonly #context: PeerContext
  #running = 0

  constructor(context: PeerContext) {
    this.#context = context
  }

  /** Answers one upload whose sender was checked already. Settles when it was answered. */
  async receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { log, idText } = this.#context
    // Whoever stops reading early must not cut the connection that our answer goes through.
    const chunks: AsyncIterator<Uint8Array> = request.iterator({ destroyOnReturn: false })
    const refuse = (status: number, text: string): void => {
      log.warn('refused an incoming snapshot', { 'local-member-id': idText, error: text })
      if (!response.destroyed) {
        if (status === 403) answerErrorObject(response, status, text)
        else answerError(response, status, text)
      }
      this.#discardRest(request)
    }
    if (this.#running >= SNAPSHOTS_MAX) {
      refuse(500, 'failed to save KV snapshot (too many snapshots at once)')
      return
    }
    this.#running++
    try {
      const { message, rest } = await this.#readMessage(chunks, request)
      await this.#take(message, rest, chunks)
      response.writeHead(204)
      response.end()
      this.#discardRest(request)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      refuse(error.status, error.message)
    } finally {
      this.#running--
    }
  }

  async #readMessage(
    chunks: AsyncIterator<Uint8Array>,
    request: IncomingMessage,
  ): Promise<{ message: Message; rest: Uint8Array }> {
    try {
      let bytes = Buffer.alloc(0)
      const gathered: Uint8Array[] = []
      let gatheredBytes = 0
      const gather = async (count: number): Promise<void> => {
        while (gatheredBytes < count) {
          const next = await chunks.next()
          if (next.done === true) throw new StreamFormatError('unexpected EOF')
          gathered.push(next.value)
          gatheredBytes += next.value.length
        }
        bytes = Buffer.concat(gathered)
        gathered.splice(0, gathered.length, bytes)
      }
      await gather(LENGTH_BYTES)
      const length = readU64(bytes, 0)
      if (length > FRAME_BYTES_MAX) throw new StreamFormatError('rafthttp: error limit exceeded')
      await gather(LENGTH_BYTES + length)
      const message = decodeMessage(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length))
      this.#context.observer?.received(message.from, length)
      return { message, rest: bytes.subarray(LENGTH_BYTES + length) }
    } catch (error) {
      this.#context.observer?.receiveFailed(request.socket.remoteAddress ?? '')
      const text = error instanceof Error ? error.message : String(error)
      throw new Refusal(400, `failed to decode raft message (${text})`)
    }
  }

  async #take(
    message: Message,
    rest: Uint8Array,
    chunks: AsyncIterator<Uint8Array>,
  ): Promise<void> {
    const { log, idText, clock, observer, events } = this.#context
    if (message.type !== 'MsgSnap') throw new Refusal(400, 'wrong raft message type')
    // Before the body, where etcd checks after it: nothing of a refused sender needs to be stored.
    this.#check(message)
    const startMs = clock.monotonicMs()
    const fields = {
      'local-member-id': idText,
      'remote-snapshot-sender-id': idToHex(message.from),
      'incoming-snapshot-index': message.snapshot?.metadata.index ?? 0,
    }
    log.info('receiving database snapshot', fields)
    observer?.snapshotReceiveStarted(message.from)
    let bytes = 0
    async function* body(): AsyncGenerator<Uint8Array> {
      if (rest.length > 0) yield rest
      bytes += rest.length
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
        bytes += next.value.length
        yield next.value
      }
    }
    const ended = (outcome: 'finish' | 'failure'): void => {
      const seconds = (clock.monotonicMs() - startMs) / 1000
      observer?.snapshotReceiveEnded(message.from, outcome, seconds)
    }
    try {
      await events.receiveSnapshot(message, body())
    } catch (error) {
      ended('failure')
      if (error instanceof InvariantViolation) throw error
      const text = error instanceof Error ? error.message : String(error)
      log.warn('failed to save incoming database snapshot', { ...fields, error: text })
      throw new Refusal(500, `failed to save KV snapshot (${text})`)
    }
    observer?.received(message.from, bytes)
    log.info('received and saved database snapshot', {
      ...fields,
      'incoming-snapshot-size-bytes': bytes,
    })
    // The sender may have been removed, and we may have been stopped meanwhile.
    this.#check(message)
    if (this.#context.isStopped()) throw new Refusal(500, STOPPED)
    this.#context.deliver(message)
    ended('finish')
  }

  #check(message: Message): void {
    const admission = admit(this.#context, message)
    if (admission === 'removed-sender') {
      throw new Refusal(403, 'cannot process message from removed member')
    }
    if (admission === 'other-target') {
      throw new Refusal(403, 'cannot process message to mismatch member')
    }
  }

  /**
   * Reads on for a moment, so that the sender sees our answer and not a reset, and then hangs up on
   * it. A body that was read to its end leaves nothing to do.
   */
  #discardRest(request: IncomingMessage): void {
    if (request.complete || request.destroyed) return
    request.resume()
    const timer = setTimeout(() => request.socket.destroy(), this.#context.timings.lingerMs)
    const settle = (): void => clearTimeout(timer)
    request.once('end', settle)
    request.once('close', settle)
  }
}
