import { invariant } from '../base/invariant.js'
import type { Clock } from '../ports/clock.js'
import type { Message } from '../wire/raftpb.js'

/** How long a notice may be kept back, ms. */
export const NOTICE_HOLD_MS = 1
/** For so long after a follower asked for something, ms, its notices leave at once. */
export const NOTICE_PROMPT_MS = 1000

export interface CommitNoticesOptions {
  readonly clock: Clock
  /** Hands an append to the peer's stream. */
  readonly send: (message: Message) => void
}

/**
 * Appends without entries tell a follower what was committed. With one write after the other each
 * would cost the leader and its follower a message there and one back, a fifth of a millisecond
 * before the next append says the same. So while writes follow each other closely, a notice is
 * kept back until that append replaces it, for NOTICE_HOLD_MS at most. Raft allows for it: a notice
 * that is replaced is a message that was lost (Raft §5.3: appends carry the commit index).
 *
 * A follower whose clients wait for a commit to arrive there (it forwarded a proposal or a read
 * within NOTICE_PROMPT_MS) gets its notices at once.
 *
 * States: empty ↔ holding one notice. Order per peer is kept: whatever does not replace the notice
 * is sent behind it.
 */
export class CommitNotices {
  readonly #options: CommitNoticesOptions
  #held: Message | undefined
  #heldAtMs = 0
  #timer: NodeJS.Timeout | undefined
  /** Whether the latest notice was followed closely by an append that says the same. */
  #isSteady = false
  #noticedAtMs = Number.NEGATIVE_INFINITY
  #promptUntilMs = Number.NEGATIVE_INFINITY

  constructor(options: CommitNoticesOptions) {
    this.#options = options
  }

  /** Sends an append, or keeps it back when it only tells of a commit. */
  offer(message: Message): void {
    invariant(message.type === 'MsgApp', 'notices are appends')
    const nowMs = this.#options.clock.monotonicMs()
    const held = this.#held
    if (held !== undefined && !replaces(message, held)) this.flush()
    this.#held = undefined
    if (message.entries.length > 0) {
      this.#isSteady = nowMs - this.#noticedAtMs <= NOTICE_HOLD_MS
      this.#options.send(message)
      return
    }
    this.#noticedAtMs = nowMs
    if (!this.#isSteady || nowMs < this.#promptUntilMs) {
      this.#options.send(message)
      return
    }
    this.#held = message
    this.#heldAtMs = nowMs
    this.#timer ??= setTimeout(() => this.#onTimer(), NOTICE_HOLD_MS)
  }

  /** The follower's clients wait for what is committed. */
  hurry(): void {
    this.#promptUntilMs = this.#options.clock.monotonicMs() + NOTICE_PROMPT_MS
    this.flush()
  }

  /** Sends the notice that is kept back: something else is about to be sent. */
  flush(): void {
    const held = this.#held
    if (held === undefined) return
    this.#held = undefined
    this.#options.send(held)
  }

  /** Sends what is kept back and ends the timer. */
  stop(): void {
    this.flush()
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #onTimer(): void {
    this.#timer = undefined
    if (this.#held === undefined) return
    const leftMs = this.#heldAtMs + NOTICE_HOLD_MS - this.#options.clock.monotonicMs()
    if (leftMs > 0) {
      this.#timer = setTimeout(() => this.#onTimer(), leftMs)
      return
    }
    this.#isSteady = false
    this.flush()
  }
}

/** Whether a follower that gets this append needs the notice no more. */
function replaces(message: Message, notice: Message): boolean {
  return (
    message.term === notice.term && message.index >= notice.index && message.commit >= notice.commit
  )
}
