import { crc32c } from '../../../src/base/crc32c.js'
import { hardStateOf, LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD } from '../../../src/raft/message.js'
import type { RawNode, Ready } from '../../../src/raft/raw-node.js'
import type { Entry, HardState, Message } from '../../../src/wire/raftpb.js'
import type { NodeAdapter, SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'

interface Committed {
  readonly entry: Entry
  readonly crc: number
  /** When the first member had it to apply. */
  readonly atUs: number
}

/**
 * Raft's own promises, watched at the border of the core: one leader a term, one commit history, hard states that do
 * not go back, votes that are kept.
 */
export class CommitHistory implements NodeAdapter {
  readonly #world: World
  /** By index; the one history of the cluster. */
  readonly committed: (Committed | undefined)[] = []
  readonly #leaders = new Map<number, number>()
  readonly #votes = new Map<string, bigint>()
  readonly #hardStates = new Map<string, HardState>()

  constructor(world: World) {
    this.#world = world
  }

  get lastIndex(): number {
    return this.committed.length - 1
  }

  node = (place: SimulatedNode, node: RawNode): RawNode => {
    const ready = node.ready.bind(node)
    const { incarnation } = place
    node.ready = () => {
      const result = ready()
      this.#look(place, incarnation, result, node)
      return result
    }
    return node
  }

  #look(place: SimulatedNode, incarnation: number, ready: Ready, node: RawNode): void {
    const { trace } = this.#world
    if (ready.softState !== undefined) {
      const { role, lead } = ready.softState
      const term = node.basicStatus().hardState.term
      trace.event(place.place, role, term, Number(lead % 0x1_0000_0000n))
      if (role === 'leader') {
        this.#onLeader(place.place, term)
        if (place.memberId !== undefined) this.#onVote(place.memberId, term, place.memberId)
      }
    }
    for (const message of ready.messages) {
      if (message.to === LOCAL_APPLY_THREAD) {
        for (const entry of message.entries) this.#onCommitted(place.place, entry)
      } else if (message.to === LOCAL_APPEND_THREAD) {
        const hardState = hardStateOf(message)
        if (hardState !== undefined) this.#onHardState(`${place.place}/${incarnation}`, hardState)
      }
    }
  }

  #onLeader(place: number, term: number): void {
    const other = this.#leaders.get(term)
    this.#world.mark('leader')
    if (other !== undefined && other !== place)
      this.#world.fail('one-leader', `members ${other} and ${place} both lead in term ${term}`)
    this.#leaders.set(term, place)
  }

  /**
   * A vote is a promise once it left the process, whatever becomes of the process then. What a candidate thinks of
   * itself counts only when it has won: it asks others before its own vote is written.
   */
  onSent = (message: Message): void => {
    if (message.type === 'MsgVoteResp' && !message.reject)
      this.#onVote(message.from, message.term, message.to)
  }

  #onVote(voter: bigint, term: number, candidate: bigint): void {
    const key = `${voter}/${term}`
    const before = this.#votes.get(key)
    if (before !== undefined && before !== candidate)
      this.#world.fail('one-vote', `member ${voter.toString(16)} voted twice in term ${term}`)
    this.#votes.set(key, candidate)
  }

  #onHardState(key: string, state: HardState): void {
    const before = this.#hardStates.get(key)
    this.#hardStates.set(key, state)
    if (before === undefined) return
    const isVoteKept =
      before.term !== state.term || before.vote === 0n || before.vote === state.vote
    if (state.term < before.term || state.commit < before.commit || !isVoteKept)
      this.#world.fail('hard-state', `${key}: ${describe(before)} -> ${describe(state)}`)
  }

  #onCommitted(place: number, entry: Entry): void {
    const crc = crc32c(entry.data, 0, entry.data.length)
    const known = this.committed[entry.index]
    if (known === undefined) {
      this.committed[entry.index] = { entry, crc, atUs: this.#world.nowUs }
      this.#world.trace.event(place, 'commit', entry.index, entry.term, crc)
      return
    }
    const isSame = known.entry.term === entry.term && known.crc === crc
    if (!isSame)
      this.#world.fail(
        'commit-history',
        `member ${place} has entry ${entry.index} of term ${entry.term}, others of term ${known.entry.term}`,
      )
  }
}

const describe = ({ term, vote, commit }: HardState): string => `${term}/${vote}/${commit}`
