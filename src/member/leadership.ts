import type { ErrorCode } from '../base/errors.js'
import { type MemberId, NO_MEMBER } from '../base/ids.js'
import type { SoftState } from '../raft/raw-node.js'

/** Told of the end of a wait: undefined = the member leads. */
export type LeadershipDone = (failure: ErrorCode | undefined) => void

interface Waiter {
  readonly target: MemberId
  readonly deadlineMs: number
  readonly done: LeadershipDone
}

/** What changed with a soft state. */
export interface LeadershipChange {
  readonly isOtherLeader: boolean
  /** This member led and does not any more. */
  readonly isDemoted: boolean
}

/** Who leads, as this member sees it, and who waits for somebody to lead. */
export class Leadership {
  #soft: SoftState
  #electedMs = Number.NEGATIVE_INFINITY
  #changesSeen = 0
  #waiters: Waiter[] = []

  constructor(soft: SoftState) {
    this.#soft = soft
  }

  /** 0n = nobody. */
  get leaderId(): MemberId {
    return this.#soft.lead
  }

  get isLeader(): boolean {
    return this.#soft.role === 'leader'
  }

  /** Monotonic ms at which the last leader appeared; -Infinity = never. */
  get electedMs(): number {
    return this.#electedMs
  }

  get changesSeen(): number {
    return this.#changesSeen
  }

  onSoftState(soft: SoftState, nowMs: number): LeadershipChange {
    const before = this.#soft
    this.#soft = soft
    const isOtherLeader = before.lead !== soft.lead
    if (isOtherLeader) {
      if (soft.lead !== NO_MEMBER) {
        this.#changesSeen++
        this.#electedMs = nowMs
      }
      const reached = this.#waiters.filter(({ target }) => target === soft.lead)
      this.#waiters = this.#waiters.filter(({ target }) => target !== soft.lead)
      for (const { done } of reached) done(undefined)
    }
    return { isOtherLeader, isDemoted: before.role === 'leader' && soft.role !== 'leader' }
  }

  /** Waits until `target` leads, at most until `deadlineMs`. */
  waitFor(target: MemberId, deadlineMs: number, done: LeadershipDone): void {
    this.#waiters.push({ target, deadlineMs, done })
  }

  expire(nowMs: number): void {
    const late = this.#waiters.filter(({ deadlineMs }) => deadlineMs <= nowMs)
    if (late.length === 0) return
    this.#waiters = this.#waiters.filter(({ deadlineMs }) => deadlineMs > nowMs)
    for (const { done } of late) done('TIMEOUT_LEADER_TRANSFER')
  }
}
