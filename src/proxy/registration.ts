import type { Log } from '../ports/log.js'
import * as rpc from '../wire/rpc.js'
import type { KeyNamespace } from './key-namespace.js'
import type { KeepAlives } from './lease-proxy.js'
import { type Upstream, UpstreamError } from './upstream.js'

/** Before another attempt, ms. */
const RETRY_PAUSE_MS = 1000

export interface RegistrationOptions {
  readonly upstream: Upstream
  readonly namespace: KeyNamespace
  readonly keepAlives: KeepAlives
  /** `--resolver-prefix`; not ''. */
  readonly prefix: string
  /** `--resolver-ttl`, seconds, at least 1. */
  readonly ttlSeconds: number
  readonly advertiseUrl: string
  readonly hostname: string
  readonly log: Log
}

/**
 * Keeps this proxy known under a prefix of the cluster's keys, by a key with a lease: it goes when
 * the proxy does. Written again when the lease is lost.
 */
export class Registration {
  readonly #options: RegistrationOptions
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(options: RegistrationOptions) {
    this.#options = options
  }

  /** All keys that proxies of this prefix write. */
  get range(): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
    const { prefix } = this.#options
    // '0' is the character behind '/'.
    return { key: Buffer.from(`${prefix}/`), rangeEnd: Buffer.from(`${prefix}0`) }
  }

  start(): void {
    void this.#register()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #later(pauseMs: number, work: () => void): void {
    if (!this.#isStopped) this.#timer = setTimeout(work, pauseMs)
  }

  async #register(): Promise<void> {
    const { upstream, namespace, prefix, ttlSeconds, advertiseUrl, hostname, log } = this.#options
    try {
      const granted = rpc.LeaseGrantResponse.decode(
        await upstream.unary(
          '/etcdserverpb.Lease/LeaseGrant',
          rpc.LeaseGrantRequest.encode({ TTL: ttlSeconds }),
          undefined,
        ),
      )
      const key = namespace.outer(Buffer.from(`${prefix}/${advertiseUrl}`))
      const metadata = JSON.stringify({ name: hostname })
      const value = Buffer.from(JSON.stringify({ Op: 0, Addr: advertiseUrl, Metadata: metadata }))
      const put = rpc.PutRequest.create({ key, value, lease: granted.ID })
      await upstream.unary('/etcdserverpb.KV/Put', rpc.PutRequest.encode(put), undefined)
      log.info('registered session with lease', { addr: advertiseUrl, 'lease-ttl': ttlSeconds })
      this.#keep(granted.ID)
    } catch (error) {
      log.warn('failed to create a session', { error: UpstreamError.from(error).message })
      this.#later(RETRY_PAUSE_MS, () => void this.#register())
    }
  }

  #keep(id: rpc.LeaseGrantResponse['ID']): void {
    const { keepAlives, ttlSeconds, log } = this.#options
    keepAlives.ask(id, ({ TTL }) => {
      if (this.#isStopped) return
      if (TTL > 0) {
        this.#later((ttlSeconds * 1000) / 3, () => this.#keep(id))
        return
      }
      log.warn('session expired; possible network partition or server restart')
      log.warn('creating a new session to rejoin')
      this.#later(RETRY_PAUSE_MS, () => void this.#register())
    })
  }
}
