/** The server's side of `/raft…` on the peer port (facts: peer-protocol.md 1-7). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { idToHex, type MemberId, memberId, parseHexId } from '../base/ids.js'
import { formatRfc3339Nano } from '../base/rfc3339.js'
import { SERVER_VERSION } from '../base/version.js'
import { Message } from '../wire/raftpb.js'
import { WireError } from '../wire/reader.js'
import { incompatibility } from './compatibility.js'
import { admit } from './message-gate.js'
import type { PeerContext } from './peer-context.js'
import { FRAME_BYTES_MAX } from './peer-limits.js'
import { readBody } from './peer-request.js'
import { answerError, answerErrorObject } from './plain-answer.js'
import { SnapshotReceiver } from './snapshot-receiver.js'
import { STREAM_KINDS, STREAM_PATHS, type StreamKind } from './stream-kind.js'
import { isPeerUrl } from './url-picker.js'

const STREAM_PREFIX = '/raft/stream/'

/** What the handler needs of the transport. */
export interface HandlerTarget {
  /** Attaches the open response to the peer's writer; false = no such peer. */
  attach(id: MemberId, kind: StreamKind, response: ServerResponse): boolean
  hasPeer(id: MemberId): boolean
  addRemote(id: MemberId, urls: readonly string[]): void
}

export class PeerHandler {
  readonly #context: PeerContext
  readonly #target: HandlerTarget
  readonly #snapshots: SnapshotReceiver

  constructor(context: PeerContext, target: HandlerTarget) {
    this.#context = context
    this.#target = target
    this.#snapshots = new SnapshotReceiver(context)
  }

  /** Answers one request; false = the path is somebody else's, and nothing was done. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const path = (request.url ?? '').replace(/[?#].*$/s, '')
    const isStream = path.startsWith(STREAM_PREFIX)
    const isOurs =
      isStream || path === '/raft' || path === '/raft/snapshot' || path === '/raft/probing'
    if (!isOurs) return false
    if (this.#context.isStopped()) {
      request.socket.destroy()
      return true
    }
    if (path === '/raft/probing') this.#answerProbe(response)
    else if (isStream) this.#openStream(path, request, response)
    else this.#takePost(path, request, response)
    return true
  }

  #answerProbe(response: ServerResponse): void {
    const nanos = BigInt(Math.round(this.#context.clock.wallMs() * 1000)) * 1000n
    const body = `{"OK":true,"Now":"${formatRfc3339Nano(nanos)}"}\n`
    response.writeHead(200, {
      'Content-Type': 'text/plain; charset=utf-8',
      'Content-Length': body.length,
    })
    response.end(body)
  }

  #refuseMethod(response: ServerResponse, allowed: 'GET' | 'POST'): void {
    response.setHeader('Allow', allowed)
    answerError(response, 405, 'Method Not Allowed')
  }

  /** Whether the sender may talk to us; if not, it has been answered. */
  #isCompatible(request: IncomingMessage, response: ServerResponse): boolean {
    const remoteClusterId = header(request, 'x-etcd-cluster-id')
    const remoteVersion = header(request, 'x-server-version')
    const remoteMinVersion = header(request, 'x-min-cluster-version')
    const refusal = incompatibility(
      {
        serverVersion: remoteVersion,
        minClusterVersion: remoteMinVersion,
        clusterIdText: remoteClusterId,
      },
      this.#context.clusterIdText,
    )
    if (refusal === undefined) return true
    const line =
      refusal === 'incompatible version'
        ? 'failed version compatibility check'
        : 'request cluster ID mismatch'
    this.#context.log.warn(line, {
      'local-member-id': this.#context.idText,
      'local-member-cluster-id': this.#context.clusterIdText,
      'local-member-server-version': SERVER_VERSION,
      'remote-peer-server-name': header(request, 'x-server-from') ?? '',
      'remote-peer-server-version': remoteVersion ?? '',
      'remote-peer-server-minimum-cluster-version': remoteMinVersion ?? '',
      'remote-peer-cluster-id': remoteClusterId ?? '',
    })
    answerError(response, 412, refusal)
    return false
  }

  /** Remembers how to reach a sender that we may not know as a member yet. */
  #noteSender(id: MemberId, request: IncomingMessage): void {
    const urls = (header(request, 'x-peerurls') ?? '').split(',').filter(isPeerUrl)
    if (urls.length > 0) this.#target.addRemote(id, urls)
  }

  #openStream(path: string, request: IncomingMessage, response: ServerResponse): void {
    const { log, idText, clusterIdText, events } = this.#context
    if (request.method !== 'GET') {
      this.#refuseMethod(response, 'GET')
      return
    }
    response.setHeader('X-Server-Version', SERVER_VERSION)
    response.setHeader('X-Etcd-Cluster-ID', clusterIdText)
    if (!this.#isCompatible(request, response)) return
    const slash = path.lastIndexOf('/')
    const kind = STREAM_KINDS.find((name) => STREAM_PATHS[name] === path.slice(0, slash))
    if (kind === undefined) {
      answerError(response, 404, 'invalid path')
      return
    }
    const fromText = path.slice(slash + 1)
    const parsed = parseHexId(fromText)
    if (parsed === undefined) {
      log.warn('failed to parse path into ID', { 'local-member-id': idText, path: fromText })
      answerError(response, 404, 'invalid from')
      return
    }
    const from = memberId(parsed)
    const ids = { 'local-member-id': idText, 'remote-peer-id-from': idToHex(from) }
    if (events.isRemoved(from)) {
      log.warn('rejected stream from remote peer because it was removed', ids)
      answerError(response, 410, 'removed member')
      return
    }
    if (!this.#target.hasPeer(from)) {
      this.#noteSender(from, request)
      const cluster = { 'cluster-id': clusterIdText }
      log.warn('failed to find remote peer in cluster', { ...ids, ...cluster })
      answerError(response, 404, 'error sender not found')
      return
    }
    const to = header(request, 'x-raft-to') ?? ''
    if (to !== idText) {
      const seen = { 'remote-peer-id-header': to, 'cluster-id': clusterIdText }
      log.warn('ignored streaming request; ID mismatch', { ...ids, ...seen })
      answerError(response, 412, 'to field mismatch')
      return
    }
    this.#attach(from, kind, request, response)
  }

  #attach(
    from: MemberId,
    kind: StreamKind,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    // A pipelined request has no socket of its own yet, and an HTTP/1.0 one no chunks: no member
    // sends them.
    if (response.socket === null || request.httpVersion !== '1.1') {
      request.socket.destroy()
      return
    }
    response.writeHead(200, { 'Transfer-Encoding': 'chunked' })
    response.flushHeaders()
    if (!this.#target.attach(from, kind, response)) request.socket.destroy()
  }

  #takePost(path: string, request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'POST') {
      this.#refuseMethod(response, 'POST')
      return
    }
    response.setHeader('X-Etcd-Cluster-ID', this.#context.clusterIdText)
    if (!this.#isCompatible(request, response)) {
      request.resume()
      return
    }
    const from = parseHexId(header(request, 'x-server-from') ?? '')
    if (from !== undefined) this.#noteSender(memberId(from), request)
    const answered =
      path === '/raft/snapshot'
        ? this.#snapshots.receive(request, response)
        : this.#takeMessage(request, response)
    // What is left to fail is a fault of ours, which ends the process as any uncaught error does.
    answered.catch((error: unknown) => {
      queueMicrotask(() => {
        throw error
      })
    })
  }

  async #takeMessage(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { log, idText, observer } = this.#context
    const refuse = (line: string, error: unknown, text: string): void => {
      const reason = error instanceof Error ? error.message : String(error)
      log.warn(line, { 'local-member-id': idText, error: reason })
      observer?.receiveFailed(request.socket.remoteAddress ?? '')
      if (!response.destroyed) answerError(response, 400, text)
      request.resume()
    }
    let body: Uint8Array
    try {
      body = await readBody(request, FRAME_BYTES_MAX)
    } catch (error) {
      refuse('failed to read Raft message', error, 'error reading raft message')
      return
    }
    let message: Message
    try {
      message = Message.decode(body)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      refuse('failed to unmarshal Raft message', error, 'error unmarshalling raft message')
      return
    }
    observer?.received(message.from, body.length)
    if (this.#context.isStopped()) {
      request.socket.destroy()
      return
    }
    switch (admit(this.#context, message)) {
      case 'removed-sender':
        // Who passes it on may not know of the removal yet, and would take a refusal for its own.
        if (header(request, 'x-server-from') !== idToHex(message.from)) break
        answerErrorObject(response, 403, 'cannot process message from removed member')
        return
      case 'other-target':
        answerErrorObject(response, 403, 'cannot process message to mismatch member')
        return
      case 'admitted':
        if (message.type === 'MsgApp') observer?.appendReceived(message.from, body.length)
        this.#context.deliver(message)
        break
      default:
        break
    }
    response.writeHead(204)
    response.end()
  }
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value[0] : value
}
