import type { LogIndex, MemberId } from '../base/ids.js'
import { NO_BYTES, type RaftMessage } from './message.js'

/**
 * Reads waiting for a confirmation round, or for the first commit of a term. More are dropped:
 * readers ask again.
 */
export const PENDING_READS_MAX = 65_536

/** A read that waits for a quorum to confirm the leader (thesis 6.4). */
export interface PendingRead {
  readonly request: RaftMessage
  /** The leader's commit index when the read arrived. */
  readonly index: LogIndex
  /** Who has confirmed: always true, the form that vote results are computed from. */
  readonly acks: Map<MemberId, boolean>
}

/**
 * The reads of a leader in state 'safe', oldest first. One confirmation answers all before it too.
 */
export class ReadOnlyQueue {
  /** By context; a Map keeps the order of arrival. */
  readonly #pending = new Map<string, PendingRead>()
  #lastContext: Uint8Array = NO_BYTES

  /** Takes a read in; a context that waits already, or one too many, changes nothing. */
  add(request: RaftMessage, index: LogIndex): void {
    const context = contextOf(request)
    const key = keyOf(context)
    if (this.#pending.has(key) || this.#pending.size >= PENDING_READS_MAX) return
    this.#pending.set(key, { request, index, acks: new Map() })
    this.#lastContext = context
  }

  /** `id` still follows us, as of the read with `context`. Undefined when nobody waits for that. */
  acknowledge(id: MemberId, context: Uint8Array): ReadonlyMap<MemberId, boolean> | undefined {
    const read = this.#pending.get(keyOf(context))
    if (read === undefined) return undefined
    read.acks.set(id, true)
    return read.acks
  }

  /** Takes out the read with `context` and all that came before it. */
  takeUpTo(context: Uint8Array): readonly PendingRead[] {
    const last = keyOf(context)
    if (!this.#pending.has(last)) return []
    const taken: PendingRead[] = []
    for (const [key, read] of this.#pending) {
      taken.push(read)
      this.#pending.delete(key)
      if (key === last) break
    }
    return taken
  }

  /**
   * What heartbeats carry, so that a lost confirmation round is repeated; empty when no read waits.
   */
  lastPendingContext(): Uint8Array {
    return this.#pending.size === 0 ? NO_BYTES : this.#lastContext
  }
}

/** The context of a MsgReadIndex. */
export function contextOf(request: RaftMessage): Uint8Array {
  return request.entries[0]?.data ?? NO_BYTES
}

function keyOf(context: Uint8Array): string {
  let key = ''
  for (const byte of context) key += String.fromCharCode(byte)
  return key
}
