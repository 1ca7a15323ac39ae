import { idToHex, type MemberId } from '../base/ids.js'
import type { PeerContext } from './peer-context.js'

/** What failed, in etcd's words: `failed to <action> <id> on <source> (<reason>)`. */
export interface PeerFailure {
  readonly source: string
  readonly action: 'dial' | 'read' | 'write' | 'heartbeat' | 'post'
  readonly reason: string
}

/**
 * Whether a peer is reachable, and since when. Any channel that works makes it so, any that fails
 * unmakes it.
 */
export class PeerStatus {
  readonly #context: PeerContext
  readonly #id: MemberId
  #activeSinceMs: number | undefined

  constructor(context: PeerContext, id: MemberId) {
    this.#context = context
    this.#id = id
  }

  get activeSinceMs(): number | undefined {
    return this.#activeSinceMs
  }

  get isActive(): boolean {
    return this.#activeSinceMs !== undefined
  }

  activate(): void {
    if (this.isActive) return
    this.#activeSinceMs = this.#context.clock.monotonicMs()
    this.#context.log.info('peer became active', { 'peer-id': idToHex(this.#id) })
    this.#context.observer?.activeChanged(this.#id, true)
  }

  deactivate({ source, action, reason }: PeerFailure): void {
    const { log, observer } = this.#context
    const peer = idToHex(this.#id)
    if (!this.isActive) {
      if (!log.isDebugEnabled) return
      const error = `failed to ${action} ${peer} on ${source} (${reason})`
      log.debug('peer deactivated again', { 'peer-id': peer, error })
      return
    }
    this.#activeSinceMs = undefined
    log.warn('peer became inactive (message send to peer failed)', {
      'peer-id': peer,
      error: `failed to ${action} ${peer} on ${source} (${reason})`,
    })
    observer?.activeChanged(this.#id, false)
  }

  /** The peer is no peer any more: what was counted as active is not. */
  retire(): void {
    if (!this.isActive) return
    this.#activeSinceMs = undefined
    this.#context.observer?.activeChanged(this.#id, false)
  }
}
