import type { IncomingMessage, ServerResponse } from 'node:http'
import { idToHex, type MemberId, NO_MEMBER } from '../base/ids.js'
import type { PeerNetwork, SnapshotBody } from '../ports/peer-network.js'
import type { Message } from '../wire/raftpb.js'
import { PeerAgent } from './dial.js'
import { SharedEntries } from './frame-encoder.js'
import { Peer, Remote } from './peer.js'
import type { PeerContext, PeerTransportOptions } from './peer-context.js'
import { PeerHandler } from './peer-handler.js'
import { PEER_TIMINGS, REMOTES_MAX, SNAPSHOTS_MAX } from './peer-limits.js'

function createContext(
  options: PeerTransportOptions,
  transport: Pick<PeerContext, 'isStopped' | 'deliver'>,
): PeerContext {
  let wasRemovalReported = false
  return {
    ...options,
    ...transport,
    timings: { ...PEER_TIMINGS, ...options.timings },
    idText: idToHex(options.id),
    clusterIdText: idToHex(options.clusterId),
    reportRemoved: () => {
      if (wasRemovalReported) return
      wasRemovalReported = true
      options.events.removedFromCluster()
    },
  }
}

/**
 * etcd's peer protocol over HTTP/1.1: the PeerNetwork of production. States: running → stopped; a
 * stopped one ignores every call. The daemon's listener gives it the requests of the peer port.
 */
export class PeerTransport implements PeerNetwork {
  readonly #context: PeerContext
  readonly #agent: PeerAgent
  readonly #shared = new SharedEntries()
  readonly #peers = new Map<MemberId, Peer>()
  readonly #remotes = new Map<MemberId, Remote>()
  readonly #handler: PeerHandler
  #snapshotsUnderWay = 0
  #isStopped = false

  constructor(options: PeerTransportOptions) {
    this.#context = createContext(options, {
      isStopped: () => this.#isStopped,
      deliver: (message) => this.#deliver(message),
    })
    this.#agent = new PeerAgent(this.#context)
    this.#handler = new PeerHandler(this.#context, {
      attach: (id, kind, response) => {
        const peer = this.#peers.get(id)
        peer?.attach(kind, response)
        return peer !== undefined
      },
      hasPeer: (id) => this.#peers.has(id),
      addRemote: (id, urls) => this.addRemote(id, urls),
    })
  }

  /** Peers that are reachable now. */
  get activePeers(): number {
    let count = 0
    for (const peer of this.#peers.values()) if (peer.isActive) count++
    return count
  }

  /**
   * Answers one HTTP/1.1 request of the peer port. False = the path is not one of `/raft`,
   * `/raft/stream/…`, `/raft/snapshot`, `/raft/probing`, and nothing was done with the request.
   */
  handlePeerRequest(request: IncomingMessage, response: ServerResponse): boolean {
    return this.#handler.handle(request, response)
  }

  send(messages: readonly Message[]): void {
    if (this.#isStopped) return
    for (const message of messages) {
      if (message.to === NO_MEMBER) continue
      const target = this.#peers.get(message.to) ?? this.#remotes.get(message.to)
      if (target !== undefined) {
        target.send(message)
        continue
      }
      if (!this.#context.log.isDebugEnabled) continue
      this.#context.log.debug('ignored message send request; unknown remote peer target', {
        type: message.type,
        'unknown-target-peer-id': idToHex(message.to),
      })
    }
    this.#shared.forget()
  }

  #deliver(message: Message): void {
    // The sender's clients wait for what they asked for to be committed there.
    const isRequest = message.type === 'MsgProp' || message.type === 'MsgReadIndex'
    if (isRequest) this.#peers.get(message.from)?.hurry()
    this.#context.events.deliver(message)
  }

  flush(): void {
    for (const peer of this.#peers.values()) peer.flush()
  }

  sendSnapshot(message: Message, body: SnapshotBody): void {
    const peer = this.#peers.get(message.to)
    if (this.#isStopped || peer === undefined || this.#snapshotsUnderWay >= SNAPSHOTS_MAX) {
      body.close()
      if (!this.#isStopped) this.#context.events.snapshotSent(message.to, 'failure')
      return
    }
    this.#snapshotsUnderWay++
    void peer.sendSnapshot(message, body).finally(() => this.#snapshotsUnderWay--)
  }

  addPeer(id: MemberId, urls: readonly string[]): void {
    if (this.#isStopped || id === this.#context.id) return
    if (this.#peers.has(id)) {
      this.updatePeer(id, urls)
      return
    }
    this.#remotes.get(id)?.stop()
    this.#remotes.delete(id)
    const { context, agent, shared } = {
      context: this.#context,
      agent: this.#agent,
      shared: this.#shared,
    }
    this.#peers.set(id, new Peer({ context, agent, shared, id, urls }))
    context.log.info('added remote peer', this.#fields('remote', id, urls))
  }

  addRemote(id: MemberId, urls: readonly string[]): void {
    if (this.#isStopped || id === this.#context.id || id === NO_MEMBER) return
    if (this.#peers.has(id) || this.#remotes.has(id) || this.#remotes.size >= REMOTES_MAX) return
    this.#remotes.set(id, new Remote({ context: this.#context, agent: this.#agent, id, urls }))
    this.#context.log.info('added new remote peer', this.#fields('remote', id, urls))
  }

  updatePeer(id: MemberId, urls: readonly string[]): void {
    const peer = this.#peers.get(id)
    if (this.#isStopped || peer === undefined) return
    peer.update(urls)
    this.#context.log.info('updated remote peer', this.#fields('updated-remote', id, urls))
  }

  removePeer(id: MemberId): void {
    if (this.#isStopped) return
    const peer = this.#peers.get(id)
    const fields = {
      'local-member-id': this.#context.idText,
      'removed-remote-peer-id': idToHex(id),
    }
    if (peer === undefined) {
      this.#context.log.warn('skipped removing already removed peer', fields)
      return
    }
    this.#peers.delete(id)
    peer.stop()
    this.#context.log.info('removed remote peer', fields)
  }

  activeSinceMs(id: MemberId): number | undefined {
    return this.#peers.get(id)?.activeSinceMs
  }

  /**
   * Ends every connection and timer; what was sent before still goes to streams that take it
   * quickly.
   */
  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    for (const peer of this.#peers.values()) peer.stop()
    for (const remote of this.#remotes.values()) remote.stop()
    this.#peers.clear()
    this.#remotes.clear()
    this.#agent.destroy()
  }

  #fields(prefix: string, id: MemberId, urls: readonly string[]): Record<string, unknown> {
    return {
      'local-member-id': this.#context.idText,
      [`${prefix}-peer-id`]: idToHex(id),
      [`${prefix}-peer-urls`]: urls,
    }
  }
}
