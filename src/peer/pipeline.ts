import { idToHex, type MemberId } from '../base/ids.js'
import { Message } from '../wire/raftpb.js'
import type { PeerAgent } from './dial.js'
import type { PeerContext } from './peer-context.js'
import { peerHeaders } from './peer-headers.js'
import { ERROR_BODY_BYTES_MAX, PIPELINE_QUEUE_MAX, PIPELINE_WORKERS } from './peer-limits.js'
import { callPeer } from './peer-request.js'
import type { PeerStatus } from './peer-status.js'
import { postFailure } from './post-answer.js'
import type { UrlPicker } from './url-picker.js'

export interface PipelineOptions {
  readonly context: PeerContext
  readonly agent: PeerAgent
  readonly peerId: MemberId
  readonly status: PeerStatus
  readonly picker: UrlPicker
}

/** Posts messages one by one while no stream is attached (facts: peer-protocol.md 3). */
export class Pipeline {
  readonly #options: PipelineOptions
  readonly #queue: Message[] = []
  readonly #aborts = new Set<() => void>()
  #isStopped = false

  constructor(options: PipelineOptions) {
    this.#options = options
    options.context.log.info('started HTTP pipelining with remote peer', this.#fields())
  }

  /** False = the queue is full, and the message was not taken. */
  send(message: Message): boolean {
    if (this.#isStopped || this.#queue.length >= PIPELINE_QUEUE_MAX) return false
    this.#queue.push(message)
    if (this.#aborts.size < PIPELINE_WORKERS) this.#work()
    return true
  }

  stop(): void {
    this.#isStopped = true
    this.#queue.length = 0
    for (const abort of this.#aborts) abort()
    this.#options.context.log.info('stopped HTTP pipelining with remote peer', this.#fields())
  }

  #work(): void {
    const message = this.#queue.shift()
    if (message === undefined) return
    const { context, agent, picker } = this.#options
    const url = picker.pick()
    const body = Message.encode(message)
    const startMs = context.clock.monotonicMs()
    const call = callPeer({
      url,
      method: 'POST',
      path: '/raft',
      headers: { 'Content-Type': 'application/protobuf', ...peerHeaders(context) },
      body,
      agent,
      timeoutMs: context.timings.pipelineAnswerMs,
      answerBytesMax: ERROR_BODY_BYTES_MAX,
    })
    const abort = (): void => call.abort()
    this.#aborts.add(abort)
    const finish = (failure: string | undefined): void => {
      this.#aborts.delete(abort)
      if (this.#isStopped) return
      if (failure === undefined) this.#onTaken(message, body.length, startMs)
      else this.#onFailed(message, url, failure)
      this.#work()
    }
    call.then(
      ({ status, headers, body: answer }) =>
        finish(
          postFailure(context, this.#options.peerId, {
            sender: message.from,
            status,
            body: answer.toString('latin1'),
            clusterIdText: String(headers['x-etcd-cluster-id'] ?? ''),
            address: `${url.protocol}//${url.host}/raft`,
          }),
        ),
      (error: Error) => finish(error.message),
    )
  }

  #onTaken(message: Message, bytes: number, startMs: number): void {
    const { context, peerId, status } = this.#options
    status.activate()
    if (message.type === 'MsgSnap') context.events.snapshotSent(peerId, 'finish')
    context.observer?.sent(peerId, bytes)
    if (message.type !== 'MsgApp') return
    context.observer?.appendSent(peerId, bytes, (context.clock.monotonicMs() - startMs) / 1000)
  }

  #onFailed(message: Message, url: URL, reason: string): void {
    const { context, peerId, status, picker } = this.#options
    picker.unreachable(url)
    status.deactivate({ source: 'pipeline', action: 'write', reason })
    context.events.unreachable(peerId)
    if (message.type === 'MsgSnap') context.events.snapshotSent(peerId, 'failure')
    context.observer?.sendFailed(peerId)
    if (message.type === 'MsgApp') context.observer?.appendFailed(peerId)
  }

  #fields(): Readonly<Record<string, string>> {
    return {
      'local-member-id': this.#options.context.idText,
      'remote-peer-id': idToHex(this.#options.peerId),
    }
  }
}
