import { buggify, mark } from '../base/buggify.js'
import type { ErrorCode } from '../base/errors.js'
import type { LogIndex } from '../base/ids.js'
import { invariant } from '../base/invariant.js'

/**
 * Called once the state here is at least as new as when the read began, or with why that cannot be
 * known.
 */
export type ReadDone = (failure: ErrorCode | undefined) => void

interface Read {
  readonly done: ReadDone
  readonly deadlineMs: number
}

interface Round {
  readonly context: Uint8Array
  readonly reads: Read[]
  /** When the question was last put to the leader; it is repeated each RETRY_MS. */
  askedMs: number
  /** Set by the answer: reads run once applied reaches it. */
  index: LogIndex | undefined
}

/** Repeats of an unanswered question (facts: ops.md 11). */
const RETRY_MS = 500
/** Rounds that wait to be applied; more than this and new reads wait for the oldest. */
const ANSWERED_ROUNDS_MAX = 1024

export interface ReadsOptions {
  /** Eight bytes that no other question of any member has. */
  readonly nextContext: () => Uint8Array
  /** Puts the question with this context to the leader. */
  readonly ask: (context: Uint8Array) => void
  readonly onSlow: (sentContext: Uint8Array) => void
  readonly onFailed: () => void
}

/**
 * Linearizable reads by read index (thesis 6.4). One question at a time is under way to the leader;
 * every read that arrives meanwhile shares the next one.
 */
export class Reads {
  readonly #options: ReadsOptions
  #queued: Read[] = []
  #asking: Round | undefined
  readonly #answered: Round[] = []

  constructor(options: ReadsOptions) {
    this.#options = options
  }

  get waitingCount(): number {
    let count = this.#queued.length + (this.#asking?.reads.length ?? 0)
    for (const round of this.#answered) count += round.reads.length
    return count
  }

  add(done: ReadDone, deadlineMs: number): void {
    this.#queued.push({ done, deadlineMs })
  }

  /** Whether `startRound` would ask something. */
  get wantsRound(): boolean {
    return (
      this.#asking === undefined &&
      this.#queued.length > 0 &&
      this.#answered.length < ANSWERED_ROUNDS_MAX
    )
  }

  /** Asks for all queued reads together, unless a question is under way already. */
  startRound(nowMs: number): void {
    if (!this.wantsRound) return
    const context = this.#options.nextContext()
    this.#asking = { context, reads: this.#queued, askedMs: nowMs, index: undefined }
    this.#queued = []
    this.#options.ask(context)
  }

  /** The leader's answer. Answers to questions given up are ignored. */
  onAnswer(context: Uint8Array, index: LogIndex): void {
    const round = this.#asking
    if (round === undefined || !equal(round.context, context)) return
    round.index = index
    this.#asking = undefined
    this.#answered.push(round)
  }

  /** Runs the reads whose index has been applied. */
  onApplied(applied: LogIndex): void {
    for (;;) {
      const round = this.#answered[0]
      if (round === undefined) return
      invariant(round.index !== undefined, 'an answered round has an index')
      if (round.index > applied) return
      this.#answered.shift()
      for (const read of round.reads) read.done(undefined)
    }
  }

  /** Repeats a question without answer and fails the reads that are late. */
  tick(nowMs: number, lateCode: ErrorCode): void {
    const round = this.#asking
    const isSlow = round !== undefined && nowMs - round.askedMs >= RETRY_MS
    if (round !== undefined && (isSlow || buggify('member/ask-again'))) {
      mark('member/read-asked-again')
      round.askedMs = nowMs
      this.#options.onSlow(round.context)
      this.#options.ask(round.context)
    }
    this.#queued = this.#expire(this.#queued, nowMs, lateCode)
    if (round !== undefined) {
      const left = this.#expire(round.reads, nowMs, lateCode)
      round.reads.length = 0
      round.reads.push(...left)
      if (left.length === 0) this.#asking = undefined
    }
    for (const answered of this.#answered) {
      const left = this.#expire(answered.reads, nowMs, 'TIMEOUT_WAIT_APPLIED')
      answered.reads.length = 0
      answered.reads.push(...left)
    }
  }

  failAll(code: ErrorCode): void {
    const all = [
      ...this.#queued,
      ...(this.#asking?.reads ?? []),
      ...this.#answered.flatMap((round) => round.reads),
    ]
    this.#queued = []
    this.#asking = undefined
    this.#answered.length = 0
    for (const read of all) read.done(code)
  }

  /** The leader changed: who was asked may not answer, so what was asked is failed as etcd does. */
  onLeaderChange(): void {
    const round = this.#asking
    if (round === undefined) return
    this.#asking = undefined
    for (const read of round.reads) read.done('LEADER_CHANGED')
  }

  #expire(reads: readonly Read[], nowMs: number, code: ErrorCode): Read[] {
    const late = reads.filter((read) => read.deadlineMs <= nowMs)
    if (late.length === 0) return [...reads]
    this.#options.onFailed()
    for (const read of late) read.done(code)
    return reads.filter((read) => read.deadlineMs > nowMs)
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at])
}
