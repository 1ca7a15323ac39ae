import { Metadata } from '@grpc/grpc-js'
import { revision } from '../base/ids.js'
import type { CallContext } from '../ports/rpc.js'
import * as rpc from '../wire/rpc.js'
import type { Upstream, UpstreamStream } from './upstream.js'

/** Watched, at a revision that never comes, to hear when the cluster has lost its leader. */
const LOST_LEADER_KEY = '__lostleader'
const NEVER_REVISION = Number.MAX_SAFE_INTEGER - 2
/** Between two attempts to watch, ms. */
const RETRY_PAUSE_MS = 100

/** Tells streams that asked for a leader when there is none. */
export class LeaderWatch {
  readonly #upstream: Upstream
  readonly #guarded = new Set<() => void>()
  #stream: UpstreamStream | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(upstream: Upstream) {
    this.#upstream = upstream
  }

  start(): void {
    const metadata = new Metadata()
    metadata.set('hasleader', 'true')
    const stream = this.#upstream.bidiStream('/etcdserverpb.Watch/Watch', metadata)
    this.#stream = stream
    const onLost = (): void => {
      if (this.#isStopped || stream !== this.#stream) return
      this.#stream = undefined
      this.#tellLost()
      this.#timer = setTimeout(() => this.start(), RETRY_PAUSE_MS)
    }
    stream.on('data', (bytes: Buffer) => {
      if (rpc.WatchResponse.decode(bytes).canceled) stream.cancel()
    })
    stream.on('error', onLost)
    stream.on('end', onLost)
    const createRequest = rpc.WatchCreateRequest.create({
      key: Buffer.from(LOST_LEADER_KEY),
      startRevision: revision(NEVER_REVISION),
    })
    stream.write(rpc.WatchRequest.encode({ createRequest }))
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#stream?.cancel()
  }

  /**
   * Calls `onLost` once when the leader is lost, if the client asked for that with `hasleader`; the
   * result takes it back.
   */
  guard(call: CallContext, onLost: () => void): () => void {
    if (call.metadata('hasleader') !== 'true') return () => undefined
    this.#guarded.add(onLost)
    return () => {
      this.#guarded.delete(onLost)
    }
  }

  #tellLost(): void {
    const lost = [...this.#guarded]
    this.#guarded.clear()
    for (const onLost of lost) onLost()
  }
}
