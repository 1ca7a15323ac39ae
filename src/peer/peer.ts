import type { ServerResponse } from 'node:http'
import { idToHex, type MemberId } from '../base/ids.js'
import type { SnapshotBody } from '../ports/peer-network.js'
import type { Message } from '../wire/raftpb.js'
import { CommitNotices } from './commit-notices.js'
import type { PeerAgent } from './dial.js'
import type { SharedEntries } from './frame-encoder.js'
import type { PeerContext } from './peer-context.js'
import { PeerStatus } from './peer-status.js'
import { Pipeline } from './pipeline.js'
import { Prober } from './prober.js'
import { SnapshotSender } from './snapshot-sender.js'
import type { StreamKind } from './stream-kind.js'
import { StreamReader } from './stream-reader.js'
import { StreamWriter } from './stream-writer.js'
import { UrlPicker } from './url-picker.js'

export interface PeerOptions {
  readonly context: PeerContext
  readonly agent: PeerAgent
  readonly shared: SharedEntries
  readonly id: MemberId
  readonly urls: readonly string[]
}

/** Logs and reports a message that found no room; `channel` is etcd's name of where. */
export function reportDropped(
  context: PeerContext,
  status: PeerStatus,
  message: Message,
  channel: string,
): void {
  const { log, events, observer, idText } = context
  events.unreachable(message.to)
  if (message.type === 'MsgSnap') events.snapshotSent(message.to, 'failure')
  const what = status.isActive ? 'dropped internal Raft message' : 'dropped Raft message'
  log.warn(`${what} since sending buffer is full (overloaded network)`, {
    'message-type': message.type,
    'local-member-id': idText,
    from: idToHex(message.from),
    'remote-peer-id': idToHex(message.to),
    'remote-peer-name': channel,
    'remote-peer-active': status.isActive,
  })
  observer?.sendFailed(message.to)
  if (message.type === 'MsgApp') observer?.appendFailed(message.to)
}

/**
 * Another member: two streams that it dialled and we write, two that we dialled and read, and POSTs
 * for what the streams cannot take (facts: peer-protocol.md 4.5).
 */
export class Peer {
  readonly #context: PeerContext
  readonly #options: PeerOptions
  readonly #status: PeerStatus
  readonly #picker: UrlPicker
  readonly #writers: Readonly<Record<StreamKind, StreamWriter>>
  readonly #readers: readonly StreamReader[]
  readonly #pipeline: Pipeline
  readonly #snapshots: SnapshotSender
  readonly #notices: CommitNotices
  #prober: Prober

  constructor(options: PeerOptions) {
    const { context, agent, id, urls, shared } = options
    const fields = { 'remote-peer-id': idToHex(id) }
    context.log.info('starting remote peer', fields)
    this.#context = context
    this.#options = options
    this.#status = new PeerStatus(context, id)
    this.#picker = new UrlPicker(urls)
    const common = { context, peerId: id, status: this.#status, picker: this.#picker }
    this.#pipeline = new Pipeline({ ...common, agent })
    this.#writers = {
      append: new StreamWriter({ ...common, shared, kind: 'append' }),
      message: new StreamWriter({ ...common, shared, kind: 'message' }),
    }
    this.#notices = new CommitNotices({
      clock: context.clock,
      // Without its stream a notice is lost; heartbeats carry the commit index too.
      send: (message) => {
        if (this.#writers.append.isAttached) this.#sendAppend(message)
      },
    })
    this.#snapshots = new SnapshotSender(common)
    this.#readers = [
      new StreamReader({ ...common, kind: 'append' }),
      new StreamReader({ ...common, kind: 'message' }),
    ]
    this.#prober = new Prober(context, agent, id, urls)
    context.log.info('started remote peer', fields)
  }

  get activeSinceMs(): number | undefined {
    return this.#status.activeSinceMs
  }

  get isActive(): boolean {
    return this.#status.isActive
  }

  /** Never blocks: what finds no room is dropped and reported. */
  send(message: Message): void {
    const { append, message: general } = this.#writers
    if (message.type === 'MsgApp' && append.isAttached) {
      this.#notices.offer(message)
      return
    }
    this.#notices.flush()
    if (message.type === 'MsgSnap') {
      if (!this.#pipeline.send(message)) this.#drop(message, 'pipeline')
    } else if (general.isAttached) {
      if (!general.send(message)) this.#drop(message, 'streamMsg')
    } else if (!this.#pipeline.send(message)) {
      this.#drop(message, 'pipeline')
    }
  }

  /** The peer's clients wait for commits: see CommitNotices. */
  hurry(): void {
    this.#notices.hurry()
  }

  /** Lets what was sent on the streams leave now. */
  flush(): void {
    this.#writers.append.flush()
    this.#writers.message.flush()
  }

  #sendAppend(message: Message): void {
    const { observer, clock } = this.#context
    if (observer === undefined) {
      if (!this.#writers.append.send(message)) this.#drop(message, 'streamMsgAppV2')
      return
    }
    const startMs = clock.monotonicMs()
    if (!this.#writers.append.send(message)) {
      this.#drop(message, 'streamMsgAppV2')
      return
    }
    let bytes = 0
    for (const entry of message.entries) bytes += entry.data.length
    observer.appendSent(message.to, bytes, (clock.monotonicMs() - startMs) / 1000)
  }

  #drop(message: Message, channel: string): void {
    reportDropped(this.#context, this.#status, message, channel)
  }

  sendSnapshot(message: Message, body: SnapshotBody): Promise<void> {
    return this.#snapshots.send(message, body)
  }

  update(urls: readonly string[]): void {
    const { context, agent, id } = this.#options
    this.#picker.update(urls)
    this.#prober.stop()
    this.#prober = new Prober(context, agent, id, urls)
  }

  /** Takes over a response that this peer asked for and whose head was sent. */
  attach(kind: StreamKind, response: ServerResponse): void {
    this.#writers[kind].attach(response)
  }

  /** Ends all connections; what was written to streams before still goes out. */
  stop(): void {
    const fields = { 'remote-peer-id': idToHex(this.#options.id) }
    this.#context.log.info('stopping remote peer', fields)
    this.#notices.stop()
    this.#writers.append.stop(true)
    this.#writers.message.stop(true)
    this.#pipeline.stop()
    this.#snapshots.stop()
    for (const reader of this.#readers) reader.stop()
    this.#prober.stop()
    this.#status.retire()
    this.#context.log.info('stopped remote peer', fields)
  }
}

/** A sender outside our membership: it is answered by POST only, until it becomes a peer. */
export class Remote {
  readonly #context: PeerContext
  readonly #status: PeerStatus
  readonly #pipeline: Pipeline

  constructor({ context, agent, id, urls }: Omit<PeerOptions, 'shared'>) {
    this.#context = context
    this.#status = new PeerStatus(context, id)
    const picker = new UrlPicker(urls)
    this.#pipeline = new Pipeline({ context, agent, peerId: id, status: this.#status, picker })
  }

  send(message: Message): void {
    if (this.#pipeline.send(message)) return
    reportDropped(this.#context, this.#status, message, 'pipeline')
  }

  stop(): void {
    this.#pipeline.stop()
    this.#status.retire()
  }
}
