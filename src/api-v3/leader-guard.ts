import type { Member } from '../member/member.js'
import type { CallContext } from '../ports/rpc.js'

/**
 * Checks in a row without a leader after which streams that asked for one end (facts: v3-api.md 2).
 */
const MISSED_CHECKS_MAX = 3

/**
 * Ends streams that were opened with `hasleader: true` when there has been no leader for too long.
 */
export class LeaderGuard {
  readonly #member: Member
  readonly #guarded = new Set<() => void>()
  #missed = 0

  constructor(member: Member) {
    this.#member = member
  }

  /** Guards a call if it asked for that; the result takes it out again. */
  watch(call: CallContext, onNoLeader: () => void): () => void {
    if (call.metadata('hasleader') !== 'true') return () => undefined
    this.#guarded.add(onNoLeader)
    return () => this.#guarded.delete(onNoLeader)
  }

  /** Called once each election timeout. */
  check(): void {
    this.#missed = this.#member.leaderId === 0n ? this.#missed + 1 : 0
    if (this.#missed < MISSED_CHECKS_MAX) return
    const ended = [...this.#guarded]
    this.#guarded.clear()
    for (const end of ended) end()
  }
}
