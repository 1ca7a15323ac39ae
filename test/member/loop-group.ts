import { logIndex, type MemberId, memberId, term } from '../../src/base/ids.js'
import { type DurableWrite, RaftLoop } from '../../src/member/raft-loop.js'
import type { Scheduler } from '../../src/ports/clock.js'
import { MemoryStorage } from '../../src/raft/memory-storage.js'
import { type RaftMessage, RawNode } from '../../src/raft/raw-node.js'
import type { Entry, Snapshot } from '../../src/wire/raftpb.js'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (entry: Entry): string => new TextDecoder().decode(entry.data)

/** A scheduler whose work runs when the test says so. */
export class ManualScheduler implements Scheduler {
  readonly #soon: (() => void)[] = []
  readonly later_: { delayMs: number; work: () => void }[] = []

  soon(work: () => void): void {
    this.#soon.push(work)
  }

  later(delayMs: number, work: () => void): () => void {
    const item = { delayMs, work }
    this.later_.push(item)
    return () => {
      const at = this.later_.indexOf(item)
      if (at >= 0) this.later_.splice(at, 1)
    }
  }

  /** Whether there was something to run. */
  runSoon(): boolean {
    const work = this.#soon.shift()
    work?.()
    return work !== undefined
  }

  runLater(): boolean {
    const item = this.later_.shift()
    item?.work()
    return item !== undefined
  }
}

/** One loop over a real core, with a disk that completes writes when the test says so. */
export class LoopMember {
  readonly id: MemberId
  readonly node: RawNode
  readonly storage = new MemoryStorage()
  readonly scheduler = new ManualScheduler()
  readonly loop: RaftLoop
  /** Writes that were asked for and are not durable yet, oldest first. */
  readonly writing: { readonly write: DurableWrite; readonly done: () => void }[] = []
  /** Entries that are on the fake disk. */
  readonly durable: Entry[] = []
  readonly outbox: RaftMessage[] = []
  readonly applied: string[] = []
  readonly reads: { context: Uint8Array; index: number }[] = []
  readonly story: string[] = []
  readonly installing: { snapshot: Snapshot; write: DurableWrite; done: () => void }[] = []
  readonly proposals: string[] = []
  clockMs = 0
  /** How far the clock moves each time the loop looks at it. */
  clockStepMs = 0

  constructor(id: number, voters: readonly number[], startedAt = 1) {
    this.id = memberId(BigInt(id))
    this.storage.applySnapshot({
      data: bytes(''),
      metadata: {
        confState: {
          voters: voters.map((voter) => memberId(BigInt(voter))),
          learners: [],
          votersOutgoing: [],
          learnersNext: [],
          autoLeave: false,
        },
        index: logIndex(startedAt),
        term: term(1),
      },
    })
    this.node = new RawNode({
      id: this.id,
      electionTicks: 10,
      heartbeatTicks: 1,
      storage: this.storage,
      randomBelow: () => 0,
      applied: logIndex(startedAt),
      asyncStorageWrites: true,
      checkQuorum: true,
      preVote: true,
    })
    this.loop = new RaftLoop({
      node: this.node,
      storage: this.storage,
      scheduler: this.scheduler,
      self: this.id,
      applied: logIndex(startedAt),
      host: {
        flush: () => undefined,
        submit: () => {
          const waiting = this.proposals.splice(0)
          if (waiting.length > 0) this.node.propose(waiting.map(bytes))
        },
        write: (write, done) => {
          this.story.push(`write ${write.entries.map(textOf).join('+') || '-'}`)
          this.writing.push({ write, done })
        },
        installSnapshot: (snapshot, write, done) => {
          this.story.push(`install ${snapshot.metadata.index}`)
          this.installing.push({ snapshot, write, done })
        },
        send: (messages) => {
          for (const message of messages) this.story.push(`send ${message.type}`)
          this.outbox.push(...messages)
        },
        sendSnapshot: (message) => this.outbox.push(message),
        apply: (entry) => {
          this.story.push(`apply ${textOf(entry) || '-'}`)
          this.applied.push(textOf(entry))
        },
        onApplied: (index) => this.story.push(`applied ${index}`),
        onRead: (context, index) => this.reads.push({ context, index }),
        onSoftState: (state) => this.story.push(`is ${state.role}`),
        nowMs: () => {
          this.clockMs += this.clockStepMs
          return this.clockMs
        },
      },
    })
  }

  propose(...texts: string[]): void {
    this.proposals.push(...texts)
    this.loop.poke()
  }

  /** Makes the oldest write durable; whether there was one. */
  completeWrite(): boolean {
    const oldest = this.writing.shift()
    if (oldest === undefined) return false
    this.durable.push(...oldest.write.entries)
    this.story.push(`durable ${oldest.write.entries.map(textOf).join('+') || '-'}`)
    oldest.done()
    return true
  }

  /** Runs everything that needs no other member, writes included. */
  settle(): void {
    while (this.scheduler.runSoon() || this.completeWrite()) {}
  }

  campaign(): void {
    this.node.campaign()
    this.loop.poke()
  }
}

/** Members whose messages travel when the test says so. */
export class LoopGroup {
  readonly members: readonly LoopMember[]

  constructor(ids: readonly number[]) {
    this.members = ids.map((id) => new LoopMember(id, ids))
  }

  /** Delivers what is under way; messages to members that are not here are lost. */
  deliver(): boolean {
    let delivered = false
    for (const member of this.members) {
      for (const message of member.outbox.splice(0)) {
        const target = this.members.find(({ id }) => id === message.to)
        if (target === undefined) continue
        target.node.step(message)
        target.loop.poke()
        delivered = true
      }
    }
    return delivered
  }

  settle(): void {
    do for (const member of this.members) member.settle()
    while (this.deliver())
  }
}
