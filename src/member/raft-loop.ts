import { buggify, mark } from '../base/buggify.js'
import { failpoint } from '../base/failpoints.js'
import type { LogIndex, MemberId } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { Scheduler } from '../ports/clock.js'
import type { MemoryStorage } from '../raft/memory-storage.js'
import { hardStateOf, LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD } from '../raft/message.js'
import type { RaftMessage, RawNode, SoftState } from '../raft/raw-node.js'
import type { Entry, HardState, Snapshot } from '../wire/raftpb.js'

/** What is written in one durable step. */
export interface DurableWrite {
  readonly hardState: HardState | undefined
  readonly entries: readonly Entry[]
  /** Whether it must be on disk, not only written, before `done`. */
  readonly mustSync: boolean
}

/** What the loop drives. Everything is synchronous except where a `done` is given. */
export interface RaftLoopHost {
  /** Puts what waits (proposals, reads) into the core, before its Ready is looked at. */
  submit(): void
  /** Makes entries and hard state durable; writes complete in order. */
  write(write: DurableWrite, done: () => void): void
  /**
   * Makes a received snapshot durable, then `write`, and then recovers the state from the snapshot.
   */
  installSnapshot(snapshot: Snapshot, write: DurableWrite, done: () => void): void
  send(messages: readonly RaftMessage[]): void
  /** Lets what was sent leave now: work that takes a while comes next. */
  flush(): void
  sendSnapshot(message: RaftMessage): void
  /** Applies one committed entry. */
  apply(entry: Entry): void
  /** All entries up to `applied` of this batch are applied. */
  onApplied(applied: LogIndex): void
  onRead(context: Uint8Array, index: LogIndex): void
  onSoftState(state: SoftState): void
  nowMs(): number
}

/** Applying yields to the event loop after this long. */
const APPLY_SLICE_MS = 8
/** The clock is asked once in so many applied entries. */
const APPLY_CLOCK_STRIDE = 64

interface ApplyWork {
  readonly entries: readonly Entry[]
  readonly responses: readonly RaftMessage[]
  next: number
}

/**
 * Carries out what the Raft core wants, in asynchronous-storage mode: messages to peers leave at
 * once, in parallel with the write of the same Ready; what must wait for the disk is in the write's
 * responses and cannot be sent earlier by construction. Everything that arrives while a write is
 * under way becomes the next.
 */
export class RaftLoop {
  readonly #node: RawNode
  readonly #storage: MemoryStorage
  readonly #host: RaftLoopHost
  readonly #scheduler: Scheduler
  readonly #self: MemberId
  readonly #applying: ApplyWork[] = []
  #isScheduled = false
  #isRunning = false
  #isStopped = false
  /** A commit-only hard state costs no write of its own: it rides along with the next one. */
  #deferredHardState: HardState | undefined
  #isInstallingSnapshot = false
  #isLeader = false
  #behindSnapshot: (() => void)[] = []
  #applied: LogIndex

  constructor(options: {
    readonly node: RawNode
    readonly storage: MemoryStorage
    readonly host: RaftLoopHost
    readonly scheduler: Scheduler
    readonly self: MemberId
    readonly applied: LogIndex
  }) {
    this.#node = options.node
    this.#storage = options.storage
    this.#host = options.host
    this.#scheduler = options.scheduler
    this.#self = options.self
    this.#applied = options.applied
  }

  get appliedIndex(): LogIndex {
    return this.#applied
  }

  /** Something was put into the core: its Ready is handled at the end of this turn. */
  poke(): void {
    if (this.#isScheduled || this.#isStopped) return
    this.#isScheduled = true
    this.#scheduler.soon(() => {
      this.#isScheduled = false
      this.run()
    })
  }

  /** Handles everything that is ready now. */
  run(): void {
    if (this.#isRunning || this.#isStopped) return
    this.#isRunning = true
    try {
      this.#host.submit()
      let yielded = false
      do {
        while (this.#node.hasReady() && !this.#isStopped) {
          this.#handleReady()
          if (buggify('member/apply-between')) break
        }
        yielded = !this.#applySome()
      } while (!yielded && this.#node.hasReady() && !this.#isStopped)
    } finally {
      this.#isRunning = false
    }
    if (this.#applying.length > 0) this.poke()
  }

  stop(): void {
    this.#isStopped = true
  }

  /** Writes a hard state that still waits for company. */
  writeDeferred(done: () => void = () => undefined): void {
    const hardState = this.#deferredHardState
    this.#deferredHardState = undefined
    if (hardState === undefined) done()
    else this.#host.write({ hardState, entries: [], mustSync: false }, done)
  }

  #handleReady(): void {
    const ready = this.#node.ready()
    if (ready.softState !== undefined) {
      this.#isLeader = ready.softState.role === 'leader'
      this.#host.onSoftState(ready.softState)
    }
    const outgoing: RaftMessage[] = []
    const appends: RaftMessage[] = []
    const candidacies: RaftMessage[] = []
    for (const message of ready.messages) {
      if (message.to === LOCAL_APPEND_THREAD) appends.push(message)
      else if (message.type === 'MsgVote') candidacies.push(message)
      else if (message.to === LOCAL_APPLY_THREAD) {
        this.#applying.push({
          entries: message.entries,
          responses: message.responses ?? [],
          next: 0,
        })
      } else if (message.type === 'MsgSnap') this.#host.sendSnapshot(message)
      else outgoing.push(message)
    }
    if (outgoing.length > 0) this.#send(outgoing)
    this.#ask(candidacies, appends)
    for (const append of appends) this.#append(append)
    for (const { context, index } of ready.readStates) this.#host.onRead(context, index)
    failpoint('raftBeforeAdvance')
  }

  /**
   * Votes are asked for only once the own vote is durable. The core would let others elect a member
   * whose disk knows nothing of the term; back from a crash it could be elected in the same term
   * again, and write another entry at the same place (Raft §5.1: one leader a term).
   */
  #ask(candidacies: readonly RaftMessage[], appends: RaftMessage[]): void {
    if (candidacies.length === 0) return
    const append = appends.pop()
    invariant(append !== undefined, 'a candidacy comes with its term and vote')
    appends.push({ ...append, responses: [...(append.responses ?? []), ...candidacies] })
  }

  #append(message: RaftMessage): void {
    const hardState = hardStateOf(message)
    const { entries, snapshot } = message
    const responses = message.responses ?? []
    if (snapshot !== undefined && snapshot.metadata.index > 0) {
      if (this.#isInstallingSnapshot) {
        // A newer snapshot overtook the one that is being installed: one after the other.
        mark('member/behind-snapshot')
        this.#behindSnapshot.push(() => this.#append(message))
        return
      }
      this.#isInstallingSnapshot = true
      const write = { hardState, entries, mustSync: true }
      this.#deferredHardState = undefined
      this.#host.installSnapshot(snapshot, write, () => {
        if (!this.#isStopped) this.#onInstalled(snapshot, write, responses)
      })
      return
    }
    const changesVote = hardState !== undefined && this.#changesTermOrVote(hardState)
    const mustSync = entries.length > 0 || changesVote
    const mayWait = hardState === undefined || !buggify('member/commit-at-once')
    if (!mustSync && responses.length === 0 && mayWait) {
      this.#deferredHardState = hardState ?? this.#deferredHardState
      if (hardState !== undefined) this.#storage.setHardState(hardState)
      return
    }
    this.#write({ hardState: hardState ?? this.#deferredHardState, entries, mustSync }, responses)
  }

  #write(write: DurableWrite, responses: readonly RaftMessage[]): void {
    if (this.#isInstallingSnapshot) {
      // What comes behind a snapshot has a place in the log only once the snapshot is in it.
      mark('member/behind-snapshot')
      this.#behindSnapshot.push(() => this.#write(write, responses))
      return
    }
    this.#deferredHardState = undefined
    this.#host.write(write, () => {
      if (!this.#isStopped) this.#onWritten(write, responses)
    })
  }

  #onInstalled(snapshot: Snapshot, write: DurableWrite, responses: readonly RaftMessage[]): void {
    this.#isInstallingSnapshot = false
    failpoint('raftBeforeApplySnap')
    this.#storage.applySnapshot(snapshot)
    failpoint('raftAfterApplySnap')
    this.#applied = snapshot.metadata.index
    this.#skipApplied()
    this.#keep(write, responses)
    const behind = this.#behindSnapshot
    this.#behindSnapshot = []
    // Nothing new is taken up before all that waited has its place in the log.
    const wasRunning = this.#isRunning
    this.#isRunning = true
    try {
      for (const next of behind) next()
    } finally {
      this.#isRunning = wasRunning
    }
    this.#continue()
  }

  /** What was still to be applied here is part of the snapshot's state now. */
  #skipApplied(): void {
    for (const work of this.#applying) {
      while ((work.entries[work.next]?.index ?? Number.POSITIVE_INFINITY) <= this.#applied)
        work.next++
    }
  }

  #onWritten(write: DurableWrite, responses: readonly RaftMessage[]): void {
    this.#keep(write, responses)
    this.#continue()
  }

  #keep(write: DurableWrite, responses: readonly RaftMessage[]): void {
    if (write.entries.length > 0) this.#storage.append(write.entries)
    if (write.hardState !== undefined) this.#storage.setHardState(write.hardState)
    this.#respond(responses)
  }

  /**
   * A write ended: its consequences are handled in the same turn, unless `run` is what called it.
   */
  #continue(): void {
    if (!this.#isRunning) this.run()
  }

  #respond(responses: readonly RaftMessage[]): void {
    const outgoing: RaftMessage[] = []
    for (const response of responses) {
      if (response.to === this.#self) this.#node.step(response)
      else outgoing.push(response)
    }
    if (outgoing.length > 0) this.#send(outgoing)
  }

  #send(messages: readonly RaftMessage[]): void {
    failpoint(this.#isLeader ? 'raftBeforeLeaderSend' : 'raftBeforeFollowerSend')
    this.#host.send(messages)
  }

  #changesTermOrVote(hardState: HardState): boolean {
    const known = this.#storage.initialState().hardState
    return hardState.term !== known.term || hardState.vote !== known.vote
  }

  /** Applies what is committed, for a bounded time; false when the event loop is to run first. */
  #applySome(): boolean {
    if (this.#isInstallingSnapshot) return true
    if (this.#applying.length > 0) this.#host.flush()
    const startedMs = this.#host.nowMs()
    let sinceClock = 0
    for (;;) {
      const work = this.#applying[0]
      if (work === undefined) return true
      while (work.next < work.entries.length) {
        if (++sinceClock >= APPLY_CLOCK_STRIDE) {
          sinceClock = 0
          if (this.#host.nowMs() - startedMs >= APPLY_SLICE_MS) return this.#cutOff()
        }
        const entry = work.entries[work.next++]
        invariant(entry !== undefined, 'an entry to apply exists')
        invariant(entry.index === this.#applied + 1, 'entries are applied in order, without a gap')
        this.#host.apply(entry)
        this.#applied = entry.index
        if (this.#isStopped) return true
        if (work.next < work.entries.length && buggify('member/apply-one')) return this.#cutOff()
      }
      this.#applying.shift()
      this.#host.onApplied(this.#applied)
      this.#respond(work.responses)
    }
  }

  /** The rest is applied in a later turn. */
  #cutOff(): false {
    mark('member/apply-cut-off')
    this.#host.onApplied(this.#applied)
    return false
  }
}
