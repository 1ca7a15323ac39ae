import type { RawNode, Ready } from '../../../src/raft/raw-node.js'
import type { Message } from '../../../src/wire/raftpb.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'

/**
 * At most one leader a term, and at most one vote of a member in a term, over all restarts: a vote
 * is a promise once it left the process, whatever becomes of the process then.
 */
export class Election implements Checker {
  readonly #world: World
  readonly #leaders = new Map<number, bigint>()
  /** By voter and term. */
  readonly #votes = new Map<string, bigint>()

  constructor(world: World) {
    this.#world = world
  }

  onReady(place: SimulatedNode, { softState }: Ready, core: RawNode): void {
    if (softState === undefined) return
    const { term } = core
    const { role, lead } = softState
    this.#world.trace.event(place.place, role, term, Number(lead % 0x1_0000_0000n))
    if (role !== 'leader') return
    this.#world.mark('leader')
    const { id } = core.basicStatus()
    const other = this.#leaders.get(term)
    if (other !== undefined && other !== id)
      this.#world.fail(
        'one-leader',
        `members ${other.toString(16)} and ${id.toString(16)} both lead in term ${term}`,
      )
    this.#leaders.set(term, id)
    // What a candidate thinks of itself counts only when it has won: it asks before its own vote
    // is written.
    this.#onVote(id, term, id)
  }

  onSent(_from: SimulatedNode, message: Message): void {
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
}
