import { crc32c } from '../../../src/base/crc32c.js'
import type { Member } from '../../../src/member/member.js'
import { LOCAL_APPEND_THREAD } from '../../../src/raft/message.js'
import type { RawNode, Ready } from '../../../src/raft/raw-node.js'
import type { Entry } from '../../../src/wire/raftpb.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker, Commit } from './checker.js'

/** An entry of a log with all that is before it. */
interface Link {
  readonly term: number
  /** Of this entry and of all before it that were seen; 0 = what is before it is not known. */
  readonly chain: number
}

/**
 * Three promises about logs (Raft figure 3): two logs that agree on an index and its term agree on
 * everything before it; a leader never overwrites an entry of its own log; whoever leads has every
 * entry that was committed in an earlier term. And one about counting (§5.4.2): a leader commits by
 * count only what is of its own term.
 */
export class LogMatching implements Checker {
  readonly #world: World
  /** What each process has in its log, by index. */
  readonly #logs = new Map<SimulatedNode, Link[]>()
  /** By term, then by index: the chain that the first member had there. */
  readonly #known = new Map<number, number[]>()
  /** Highest commit index that each process told of while it led, and the term in which. */
  readonly #led = new Map<SimulatedNode, { readonly term: number; readonly commit: number }>()
  /** What was committed: index and term of the entry, and in which term at the latest. */
  readonly #committed: { readonly index: number; readonly term: number; readonly by: number }[] = []

  constructor(world: World) {
    this.#world = world
  }

  onMember(place: SimulatedNode, _member: Member): void {
    const { storage } = place
    const log: Link[] = []
    this.#led.delete(place)
    this.#logs.set(place, log)
    if (storage === undefined) return
    const last = storage.lastIndex()
    const before = storage.firstIndex() - 1
    const term = storage.term(before as typeof last)
    log[before] = { term: typeof term === 'number' ? term : 0, chain: 0 }
    const entries = storage.entries(
      storage.firstIndex(),
      (last + 1) as typeof last,
      Number.POSITIVE_INFINITY,
    )
    if (typeof entries !== 'string') for (const entry of entries) this.#append(place, log, entry)
  }

  onReady(place: SimulatedNode, ready: Ready, core: RawNode): void {
    const log = this.#logs.get(place)
    if (log === undefined) return
    for (const message of ready.messages) {
      if (message.to !== LOCAL_APPEND_THREAD) continue
      const { snapshot } = message
      if (snapshot !== undefined && snapshot.metadata.index > 0) {
        log.length = 0
        log[snapshot.metadata.index] = { term: snapshot.metadata.term, chain: 0 }
      }
      const [first] = message.entries
      const isLeading = first !== undefined && core.basicStatus().softState.role === 'leader'
      if (isLeading && first.index < log.length && first.term === core.term)
        this.#world.fail(
          'leader-append-only',
          `leader ${place.place} of term ${core.term} wrote entry ${first.index} again`,
        )
      for (const entry of message.entries) this.#append(place, log, entry)
    }
    if (ready.softState?.role === 'leader') this.#onLeader(place, log, core)
    if (ready.hardState !== undefined) this.#onCommitIndex(place, log, core)
  }

  onCommitted({ entry, term }: Commit): void {
    this.#committed.push({ index: entry.index, term: entry.term, by: term })
  }

  #append(place: SimulatedNode, log: Link[], { index, term, data }: Entry): void {
    const before = log[index - 1]
    const own = crc32c(data, 0, data.length)
    const mixed =
      (Math.imul((before?.chain ?? 0) ^ own, 0x85ebca6b) + Math.imul(term, 31) + index) >>> 0
    // Behind a snapshot the past is not known: it is taken from whoever has it.
    const isKnown = index === 1 || (before !== undefined && before.chain !== 0)
    let ofTerm = this.#known.get(term)
    if (ofTerm === undefined) {
      ofTerm = []
      this.#known.set(term, ofTerm)
    }
    const known = ofTerm[index]
    const chain = isKnown ? mixed || 1 : (known ?? 0)
    if (log.length > index) log.length = index
    log[index] = { term, chain }
    if (!isKnown) return
    if (known === undefined) ofTerm[index] = chain
    else if (known !== chain)
      this.#world.fail(
        'log-matching',
        `member ${place.place} has another log up to entry ${index} of term ${term} than others`,
      )
  }

  #onLeader(place: SimulatedNode, log: readonly Link[], core: RawNode): void {
    const { term, committed } = core
    this.#led.set(place, { term, commit: committed })
    for (let at = this.#committed.length - 1; at >= 0; at--) {
      const commit = this.#committed[at]
      if (commit === undefined || commit.by >= term) continue
      const link = log[commit.index]
      const isBehindSnapshot = link === undefined && commit.index < firstOf(log)
      if (link?.term === commit.term || isBehindSnapshot) return
      this.#world.fail(
        'leader-completeness',
        `leader ${place.place} of term ${term} lacks entry ${commit.index} of term ${commit.term}, committed in term ${commit.by}`,
      )
      return
    }
  }

  #onCommitIndex(place: SimulatedNode, log: readonly Link[], core: RawNode): void {
    const led = this.#led.get(place)
    if (led === undefined || led.term !== core.term) return
    const commit: number = core.committed
    if (commit > led.commit) {
      const term = log[commit]?.term
      if (term !== undefined && term !== core.term)
        this.#world.fail(
          'commit-by-count',
          `leader ${place.place} of term ${core.term} committed entry ${commit} of term ${term}`,
        )
    }
    this.#led.set(place, { term: core.term, commit })
  }
}

/** Index of the first link of a log; holes are in front of it only. */
function firstOf(log: readonly Link[]): number {
  for (let at = 0; at < log.length; at++) if (log[at] !== undefined) return at
  return 0
}
