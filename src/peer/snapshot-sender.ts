import type { ClientRequest, IncomingMessage } from 'node:http'
import { idToHex, type MemberId } from '../base/ids.js'
import { InvariantViolation } from '../base/invariant.js'
import type { SnapshotBody } from '../ports/peer-network.js'
import type { Message } from '../wire/raftpb.js'
import { Writer } from '../wire/writer.js'
import { networkErrorText } from './dial.js'
import { MessageFrameEncoder } from './message-frames.js'
import type { PeerContext } from './peer-context.js'
import { peerHeaders } from './peer-headers.js'
import { ERROR_BODY_BYTES_MAX } from './peer-limits.js'
import { openPeerRequest, readBody } from './peer-request.js'
import type { PeerStatus } from './peer-status.js'
import { postFailure } from './post-answer.js'
import type { UrlPicker } from './url-picker.js'

/** How long an answer's body may take once its head is there (facts: peer-protocol.md 6). */
const ANSWER_BODY_MS = 5000

export interface SnapshotSenderOptions {
  readonly context: PeerContext
  readonly peerId: MemberId
  readonly status: PeerStatus
  readonly picker: UrlPicker
}

/** Posts one snapshot: the message, then the store's content as fast as the peer takes it. */
export class SnapshotSender {
  readonly #options: SnapshotSenderOptions
  readonly #running = new Set<ClientRequest>()
  #isStopped = false

  constructor(options: SnapshotSenderOptions) {
    this.#options = options
  }

  stop(): void {
    this.#isStopped = true
    for (const request of this.#running) request.destroy(new Error('stopped'))
  }

  /** Sends one snapshot; settles when its outcome was reported. Frees the body in any case. */
  async send(message: Message, body: SnapshotBody): Promise<void> {
    const { context, peerId, picker } = this.#options
    const startMs = context.clock.monotonicMs()
    const url = picker.pick()
    const fields = {
      'snapshot-index': message.snapshot?.metadata.index ?? 0,
      'remote-peer-id': idToHex(peerId),
    }
    context.log.info('sending database snapshot', fields)
    context.observer?.snapshotSendStarted(peerId)
    let bytes = 0
    let failure: string | undefined
    try {
      const request = openPeerRequest(url, {
        method: 'POST',
        path: '/raft/snapshot',
        headers: { 'Content-Type': 'application/octet-stream', ...peerHeaders(context) },
        agent: context,
      })
      this.#running.add(request)
      try {
        const answer = this.#answer(request, url)
        bytes = await this.#upload(request, message, body, answer)
        failure = await answer
      } finally {
        this.#running.delete(request)
        request.destroy()
      }
    } catch (error) {
      if (error instanceof InvariantViolation) throw error
      failure = error instanceof Error ? networkErrorText(error) : String(error)
    } finally {
      body.close()
    }
    const seconds = (context.clock.monotonicMs() - startMs) / 1000
    this.#report(failure, { url, bytes, seconds, fields })
  }

  /** Writes it all. Stops early, without an error, when the peer answers before the end. */
  async #upload(
    request: ClientRequest,
    message: Message,
    body: SnapshotBody,
    answer: Promise<unknown>,
  ): Promise<number> {
    const { timings } = this.#options.context
    const head = new Writer(4096)
    new MessageFrameEncoder().message(message, head)
    let bytes = head.position
    let isAnswered = false
    const answered = answer.then(
      () => {
        isAnswered = true
      },
      () => {
        isAnswered = true
      },
    )
    request.setTimeout(timings.snapshotIdleMs, () => request.destroy(new Error('i/o timeout')))
    let hasRoom = request.write(head.take())
    while (!isAnswered) {
      if (!hasRoom) await Promise.race([drained(request), answered])
      const chunk = isAnswered ? undefined : await body.next()
      if (chunk === undefined) break
      bytes += chunk.length
      if (chunk.length > 0) hasRoom = request.write(chunk)
    }
    request.setTimeout(timings.snapshotAnswerMs)
    if (!isAnswered) request.end()
    return bytes
  }

  /** The error text that the peer answered with, or undefined when it took the snapshot. */
  #answer(request: ClientRequest, url: URL): Promise<string | undefined> {
    const { context, peerId } = this.#options
    const answer = new Promise<string | undefined>((resolve, reject) => {
      request.on('error', reject)
      request.on('close', () => reject(new Error('unexpected EOF')))
      request.on('response', (response: IncomingMessage) => {
        const timer = setTimeout(
          () => response.destroy(new Error('i/o timeout')),
          Math.min(ANSWER_BODY_MS, context.timings.snapshotAnswerMs),
        )
        readBody(response, ERROR_BODY_BYTES_MAX)
          .then((body) =>
            resolve(
              postFailure(context, peerId, {
                sender: context.id,
                status: response.statusCode ?? 0,
                body: body.toString('latin1'),
                clusterIdText: String(response.headers['x-etcd-cluster-id'] ?? ''),
                address: `${url.protocol}//${url.host}/raft/snapshot`,
              }),
            ),
          )
          .catch(reject)
          .finally(() => clearTimeout(timer))
      })
    })
    // It is awaited only after the upload; until then a failure is not forgotten but not unhandled
    // either.
    answer.catch(() => undefined)
    return answer
  }

  #report(
    failure: string | undefined,
    sent: Readonly<{ url: URL; bytes: number; seconds: number; fields: Record<string, unknown> }>,
  ): void {
    const { context, peerId, status, picker } = this.#options
    const outcome = failure === undefined ? 'finish' : 'failure'
    context.observer?.snapshotSendEnded(peerId, outcome, sent.seconds)
    const fields = { ...sent.fields, bytes: sent.bytes }
    if (failure === undefined) {
      context.log.info('sent database snapshot', fields)
      context.observer?.sent(peerId, sent.bytes)
      if (!this.#isStopped) status.activate()
    } else {
      context.log.warn('failed to send database snapshot', { ...fields, error: failure })
      context.observer?.sendFailed(peerId)
      picker.unreachable(sent.url)
      status.deactivate({ source: 'sendMsgSnap', action: 'post', reason: failure })
    }
    if (this.#isStopped) return
    if (failure !== undefined) context.events.unreachable(peerId)
    context.events.snapshotSent(peerId, outcome)
  }
}

function drained(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      request.off('drain', settle)
      request.off('close', settle)
      resolve()
    }
    request.on('drain', settle)
    request.on('close', settle)
  })
}
