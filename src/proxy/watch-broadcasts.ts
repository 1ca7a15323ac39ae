import { latin1FromBytes } from '../base/latin1.js'
import type { KeyNamespace } from './key-namespace.js'
import type { ProxyFigures } from './proxy-figures.js'
import type { Caller, Upstream } from './upstream.js'
import { type Receiver, WatchBroadcast } from './watch-broadcast.js'

/** A watch at a member with so many receivers is not joined with another. */
const JOINED_RECEIVERS_MAX = 5

interface Wanted {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
  readonly caller: Caller
}

export interface WatchBroadcastsOptions {
  readonly upstream: Upstream
  readonly namespace: KeyNamespace
  readonly figures: ProxyFigures
}

/** All watches at members: clients that watch the same range as the same user share one. */
export class WatchBroadcasts {
  readonly #options: WatchBroadcastsOptions
  readonly #groups = new Map<string, Set<WatchBroadcast>>()
  readonly #places = new Map<
    Receiver,
    { readonly broadcast: WatchBroadcast; readonly name: string }
  >()

  constructor(options: WatchBroadcastsOptions) {
    this.#options = options
  }

  /** Watches at members. */
  get count(): number {
    let count = 0
    for (const group of this.#groups.values()) count += group.size
    return count
  }

  add(receiver: Receiver, wanted: Wanted): void {
    const { upstream, namespace, figures } = this.#options
    const range = `${latin1FromBytes(wanted.key)}\0${latin1FromBytes(wanted.rangeEnd)}`
    const name = `${wanted.caller?.metadata('token') ?? ''}\0${wanted.key.length}\0${range}`
    const group = this.#groups.get(name) ?? new Set()
    this.#groups.set(name, group)
    for (const broadcast of group) {
      // Told of its creation, it may end at once, so its place comes first.
      this.#places.set(receiver, { broadcast, name })
      if (broadcast.maybeAdd(receiver)) {
        figures.watchersShared(1)
        return
      }
    }
    const broadcast = new WatchBroadcast({
      ...{ upstream, namespace, ...wanted, nextRevision: receiver.nextRevision },
      onResponse: (one) => {
        if (one.receivers.size > 1) figures.responsesShared(one.receivers.size - 1)
        this.#join(one, name)
      },
      onEnd: (one) => this.#forget(one, name),
    })
    group.add(broadcast)
    this.#places.set(receiver, { broadcast, name })
    broadcast.maybeAdd(receiver)
    broadcast.start()
  }

  remove(receiver: Receiver): void {
    const place = this.#places.get(receiver)
    if (place === undefined) return
    const { broadcast, name } = place
    this.#places.delete(receiver)
    broadcast.receivers.delete(receiver)
    if (broadcast.receivers.size > 0) this.#options.figures.watchersShared(-1)
    else {
      broadcast.stop()
      this.#forget(broadcast, name)
    }
  }

  stop(): void {
    for (const group of this.#groups.values()) for (const broadcast of group) broadcast.stop()
    this.#groups.clear()
    this.#places.clear()
  }

  /** A watch that has caught up goes into one that is not ahead of it; repeats are known. */
  #join(broadcast: WatchBroadcast, name: string): void {
    if (broadcast.receivers.size >= JOINED_RECEIVERS_MAX) return
    for (const other of this.#groups.get(name) ?? []) {
      if (other === broadcast || !other.isCreated) continue
      if (broadcast.nextRevision < other.nextRevision) continue
      for (const receiver of broadcast.receivers) {
        other.receivers.add(receiver)
        this.#places.set(receiver, { broadcast: other, name })
      }
      this.#options.figures.watchersShared(1)
      broadcast.receivers.clear()
      broadcast.stop()
      this.#forget(broadcast, name)
      return
    }
  }

  #forget(broadcast: WatchBroadcast, name: string): void {
    const shared = broadcast.receivers.size - 1
    if (shared > 0) this.#options.figures.watchersShared(-shared)
    for (const receiver of broadcast.receivers) this.#places.delete(receiver)
    const group = this.#groups.get(name)
    group?.delete(broadcast)
    if (group?.size === 0) this.#groups.delete(name)
  }
}
