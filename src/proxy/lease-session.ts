import type { LeaseId } from '../base/ids.js'
import type { Log } from '../ports/log.js'
import * as rpc from '../wire/rpc.js'
import { KeepAlives } from './lease-proxy.js'
import { proxyWithin, type Upstream, UpstreamError } from './upstream.js'

/** How long a proxy that is gone keeps others from its keys, s: that of etcd's sessions. */
const TTL_SECONDS = 60
/** Between two attempts to be granted a lease, ms. */
const RETRY_PAUSE_MS = 500
/** How long a member may take to grant a lease, ms, and to take one back. */
const GRANT_TIMEOUT_MS = 5000
const REVOKE_TIMEOUT_MS = 1000

export interface LeaseSessionOptions {
  readonly upstream: Upstream
  readonly log: Log
  /** The lease is lost, or given up: nothing that hangs on it is ours any more. */
  readonly onEnd: () => void
}

/**
 * A lease that is kept alive, and replaced by another when it is lost. It counts as lost once its
 * time has passed since the last renewal was asked for, whether or not the members say so.
 */
export class LeaseSession {
  readonly #options: LeaseSessionOptions
  /** A stream of its own, so that the time at which a renewal was sent is known. */
  readonly #keepAlives: KeepAlives
  #held: { readonly id: LeaseId; readonly ttlMs: number; deadlineMs: number } | undefined
  #timer: NodeJS.Timeout | undefined
  #expiry: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(options: LeaseSessionOptions) {
    this.#options = options
    this.#keepAlives = new KeepAlives(options.upstream)
  }

  /** The lease, while it surely lives; undefined = there is none at the moment. */
  get lease(): LeaseId | undefined {
    const held = this.#held
    return held !== undefined && performance.now() < held.deadlineMs ? held.id : undefined
  }

  start(): void {
    void this.#open()
  }

  /** Gives the lease back, so that others need not wait for its end. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    await this.#end()
    this.#keepAlives.stop()
  }

  /** What hangs on the lease cannot be given back one by one, so all of it is. */
  abandon(reason: string): void {
    if (this.#held === undefined) return
    this.#options.log.warn('giving up the lease of cached keys', { reason })
    void this.#end()
    this.#later(RETRY_PAUSE_MS, () => void this.#open())
  }

  #later(pauseMs: number, work: () => void): void {
    clearTimeout(this.#timer)
    if (!this.#isStopped) this.#timer = setTimeout(work, pauseMs)
  }

  async #open(): Promise<void> {
    const { upstream, log } = this.#options
    const askedMs = performance.now()
    try {
      const { ID, TTL } = rpc.LeaseGrantResponse.decode(
        await upstream.unary(
          '/etcdserverpb.Lease/LeaseGrant',
          rpc.LeaseGrantRequest.encode({ TTL: TTL_SECONDS }),
          proxyWithin(GRANT_TIMEOUT_MS),
        ),
      )
      if (this.#isStopped) return
      const ttlMs = TTL * 1000
      this.#held = { id: ID, ttlMs, deadlineMs: askedMs + ttlMs }
      this.#watchDeadline()
      this.#later(ttlMs / 3, () => this.#renew(ID))
    } catch (error) {
      log.warn('failed to create a session for cached keys', {
        error: UpstreamError.from(error).message,
      })
      this.#later(RETRY_PAUSE_MS, () => void this.#open())
    }
  }

  #renew(id: LeaseId): void {
    const askedMs = performance.now()
    this.#keepAlives.ask(id, ({ TTL }) => {
      const held = this.#held
      if (held === undefined || held.id !== id) return
      if (TTL <= 0) {
        this.abandon('it expired')
        return
      }
      held.deadlineMs = askedMs + TTL * 1000
      this.#watchDeadline()
      this.#later(held.ttlMs / 3, () => this.#renew(id))
    })
  }

  #watchDeadline(): void {
    clearTimeout(this.#expiry)
    const held = this.#held
    if (held === undefined) return
    const leftMs = Math.max(0, held.deadlineMs - performance.now())
    this.#expiry = setTimeout(() => this.abandon('no renewal was answered'), leftMs)
  }

  /** Forgets the lease; the members are told as well as that can be done. */
  async #end(): Promise<void> {
    const held = this.#held
    clearTimeout(this.#expiry)
    this.#held = undefined
    if (held === undefined) return
    this.#options.onEnd()
    const request = rpc.LeaseRevokeRequest.encode({ ID: held.id })
    try {
      await this.#options.upstream.unary(
        '/etcdserverpb.Lease/LeaseRevoke',
        request,
        proxyWithin(REVOKE_TIMEOUT_MS),
      )
    } catch {
      // It ends by itself when its time has passed.
    }
  }
}
