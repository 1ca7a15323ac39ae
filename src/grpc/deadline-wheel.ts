import { invariant } from '../base/invariant.js'

/** How exact deadlines are. */
const TICK_MS = 20
/** One turn of the wheel; later deadlines stay in their slot for several turns. A power of two. */
const SLOT_COUNT = 512

/** Something with a deadline. The wheel alone touches the `wheel` fields. */
export interface DeadlineEntry {
  /** The tick at which it is due; -1 while it is in no wheel. */
  wheelTick: number
  wheelNext: DeadlineEntry | undefined
  wheelPrevious: DeadlineEntry | undefined
  /** Its deadline has passed. It is in the wheel no more. */
  onDeadline(): void
}

/**
 * Deadlines of many calls on one timer, which runs only while there are any. Adding and removing
 * take the same time however many there are. A deadline is never called early, and at most two
 * ticks late.
 */
export class DeadlineWheel {
  readonly #nowMs: () => number
  #slots: (DeadlineEntry | undefined)[] | undefined
  #count = 0
  #tick = 0
  #timer: NodeJS.Timeout | undefined

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Deadlines that are waited for. */
  get count(): number {
    return this.#count
  }

  /** Calls `entry.onDeadline` once `deadlineMs` (on the clock of the wheel) has passed. */
  add(entry: DeadlineEntry, deadlineMs: number): void {
    invariant(entry.wheelTick < 0, 'an entry is in the wheel at most once')
    if (this.#count === 0) {
      this.#tick = Math.floor(this.#nowMs() / TICK_MS)
      this.#timer ??= setInterval(() => this.#advance(), TICK_MS)
    }
    this.#slots ??= new Array<DeadlineEntry | undefined>(SLOT_COUNT).fill(undefined)
    // Beyond this no slot can be told from another; nobody waits for such a deadline.
    const due = Math.min(Math.ceil(deadlineMs / TICK_MS), Number.MAX_SAFE_INTEGER)
    entry.wheelTick = Math.max(due, this.#tick + 1)
    const slot = entry.wheelTick % SLOT_COUNT
    const first = this.#slots[slot]
    entry.wheelNext = first
    entry.wheelPrevious = undefined
    if (first !== undefined) first.wheelPrevious = entry
    this.#slots[slot] = entry
    this.#count++
  }

  /** Does nothing when the entry is in no wheel. */
  remove(entry: DeadlineEntry): void {
    if (entry.wheelTick < 0) return
    invariant(this.#slots !== undefined, 'a wheel with an entry has slots')
    if (entry.wheelPrevious !== undefined) entry.wheelPrevious.wheelNext = entry.wheelNext
    else this.#slots[entry.wheelTick % SLOT_COUNT] = entry.wheelNext
    if (entry.wheelNext !== undefined) entry.wheelNext.wheelPrevious = entry.wheelPrevious
    entry.wheelNext = undefined
    entry.wheelPrevious = undefined
    entry.wheelTick = -1
    this.#count--
  }

  /** Stops the timer; no deadline is called any more. */
  stop(): void {
    if (this.#timer !== undefined) clearInterval(this.#timer)
    this.#timer = undefined
    this.#slots = undefined
    this.#count = 0
  }

  #advance(): void {
    const now = Math.floor(this.#nowMs() / TICK_MS)
    // After a long pause each slot is looked at once, not once per tick that was missed.
    const from = Math.max(this.#tick + 1, now - SLOT_COUNT + 1)
    this.#tick = now
    for (let tick = from; tick <= now; tick++) this.#callDue(tick % SLOT_COUNT, now)
    if (this.#count > 0 || this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #callDue(slot: number, now: number): void {
    let entry = this.#slots?.[slot]
    while (entry !== undefined) {
      const next: DeadlineEntry | undefined = entry.wheelNext
      if (entry.wheelTick <= now) {
        this.remove(entry)
        entry.onDeadline()
      }
      // The listener may have removed the next one as well.
      entry = next !== undefined && next.wheelTick >= 0 ? next : undefined
      if (entry === undefined && next !== undefined) entry = this.#firstDue(slot, now)
    }
  }

  #firstDue(slot: number, now: number): DeadlineEntry | undefined {
    let entry = this.#slots?.[slot]
    while (entry !== undefined && entry.wheelTick > now) entry = entry.wheelNext
    return entry
  }
}
