import type { LeaseId } from '../base/ids.js'
import { bytesFromLatin1 } from '../base/latin1.js'
import type { Log } from '../ports/log.js'
import type { KeyNamespace } from './key-namespace.js'
import type { KvCalls } from './kv-calls.js'
import { LeaseSession } from './lease-session.js'
import { type KnownValue, LeasedKey, LeasedKeys } from './leased-keys.js'
import { type LeasingProtocol, staysOurs } from './leasing-protocol.js'
import type { KeyRange } from './range-cache.js'
import { deletionOf, RevocationWatch } from './revocation-watch.js'
import { type Caller, proxyWithin, type Upstream, UpstreamError } from './upstream.js'

/** Between two attempts to give a key back, ms. */
const GIVE_BACK_PAUSE_MS = 100
/** How long one of them may take, ms. */
const GIVE_BACK_TIMEOUT_MS = 5000
/** gRPC codes after which the same question is worth asking again: it may not have arrived. */
const PASSING_CODES: readonly number[] = [1, 4, 14]

export interface LeaseHolderOptions {
  readonly upstream: Upstream
  readonly namespace: KeyNamespace
  readonly members: KvCalls
  readonly protocol: LeasingProtocol
  readonly log: Log
}

/**
 * The keys that this proxy has made its own under one lease, until somebody asks for them, the
 * lease is lost, or there is no room for them.
 */
export class LeaseHolder {
  readonly #options: LeaseHolderOptions
  readonly #keys = new LeasedKeys()
  readonly #session: LeaseSession
  readonly #revocations: RevocationWatch
  /** Ends the watch of a key's lease key. */
  readonly #unwatch = new Map<LeasedKey, () => void>()
  /** Keys that are being given back; until that is done they must not be taken again. */
  readonly #leaving = new Set<string>()

  constructor(options: LeaseHolderOptions) {
    this.#options = options
    const { upstream, log } = options
    this.#revocations = new RevocationWatch(upstream)
    this.#session = new LeaseSession({ upstream, log, onEnd: () => this.#forgetAll() })
  }

  start(): void {
    this.#session.start()
  }

  async stop(): Promise<void> {
    await this.#session.stop()
    this.#revocations.stop()
  }

  /** undefined = nothing can be held at the moment, and nothing of what was held counts. */
  get lease(): LeaseId | undefined {
    return this.#session.lease
  }

  get(name: string): LeasedKey | undefined {
    return this.lease === undefined ? undefined : this.#keys.get(name)
  }

  use(name: string): LeasedKey | undefined {
    return this.lease === undefined ? undefined : this.#keys.use(name)
  }

  within(range: KeyRange): readonly LeasedKey[] {
    return this.lease === undefined ? [] : this.#keys.within(range)
  }

  mayTake(name: string): boolean {
    return !this.#leaving.has(name) && this.#keys.mayTake(name)
  }

  /** The key became ours under this lease, at the revision of what is known of it. */
  hold(name: string, lease: LeaseId, known: KnownValue): void {
    if (this.lease !== lease || this.#keys.get(name) !== undefined) return
    const { namespace, protocol } = this.#options
    const key = new LeasedKey(name, known.header.revision, known)
    const excess = this.#keys.add(key)
    const unwatch = this.#revocations.add({
      key: namespace.outer(protocol.leaseKey(bytesFromLatin1(name))),
      startRevision: key.revision + 1,
      onEvent: (event) => {
        if (event === undefined || !staysOurs(event, lease)) this.release(key)
      },
    })
    this.#unwatch.set(key, unwatch)
    for (const one of excess) this.release(one)
  }

  learn(key: LeasedKey, known: KnownValue): void {
    if (this.#keys.get(key.name) === key) this.#keys.learn(key, known)
  }

  /** Lets a key go, and tells whoever waits for it. */
  release(key: LeasedKey): void {
    const { lease } = this
    if (this.lose(key) && lease !== undefined) this.giveBack(key.name, lease)
  }

  /** Lets a key go that is no longer ours. False when it was let go before. */
  lose(key: LeasedKey): boolean {
    if (!this.#keys.maybeRemove(key)) return false
    this.#unwatch.get(key)?.()
    this.#unwatch.delete(key)
    return true
  }

  /** Deletes the lease key of a key, if it has this lease, however long that takes. */
  giveBack(name: string, lease: LeaseId): void {
    if (this.#leaving.has(name)) return
    this.#leaving.add(name)
    void this.#giveBack(name, lease).finally(() => this.#leaving.delete(name))
  }

  async #giveBack(name: string, lease: LeaseId): Promise<void> {
    const { members, protocol } = this.#options
    const request = protocol.giveBack(bytesFromLatin1(name), lease)
    // At the latest the end of the lease gives it back.
    while (this.lease === lease) {
      try {
        await members.txn(request, proxyWithin(GIVE_BACK_TIMEOUT_MS))
        return
      } catch (error) {
        const { status, message } = UpstreamError.from(error)
        if (!PASSING_CODES.includes(status)) this.#session.abandon(message)
        else await new Promise((resolve) => setTimeout(resolve, GIVE_BACK_PAUSE_MS))
      }
    }
  }

  /** Resolves when another owner has given the key back, or it is time to look again. */
  deletionOf(key: Uint8Array, startRevision: number, caller: Caller): Promise<void> {
    const { upstream, namespace, protocol } = this.#options
    return deletionOf({
      ...{ upstream, startRevision, caller },
      key: namespace.outer(protocol.leaseKey(key)),
    })
  }

  #forgetAll(): void {
    for (const unwatch of this.#unwatch.values()) unwatch()
    this.#unwatch.clear()
    this.#keys.clear()
  }
}
