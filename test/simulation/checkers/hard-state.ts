import type { Member } from '../../../src/member/member.js'
import { hardStateOf, LOCAL_APPEND_THREAD } from '../../../src/raft/message.js'
import type { Ready } from '../../../src/raft/raw-node.js'
import type { HardState } from '../../../src/wire/raftpb.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'

/** Term, vote within a term, and commit index never go back in one process. */
export class HardStates implements Checker {
  readonly #world: World
  readonly #states = new Map<SimulatedNode, HardState>()

  constructor(world: World) {
    this.#world = world
  }

  onMember(place: SimulatedNode, _member: Member): void {
    const found = place.storage?.initialState().hardState
    if (found === undefined) this.#states.delete(place)
    else this.#states.set(place, found)
  }

  onReady(place: SimulatedNode, ready: Ready): void {
    for (const message of ready.messages) {
      const state = message.to === LOCAL_APPEND_THREAD ? hardStateOf(message) : undefined
      if (state !== undefined) this.#take(place, state)
    }
  }

  #take(place: SimulatedNode, state: HardState): void {
    const before = this.#states.get(place)
    this.#states.set(place, state)
    if (before === undefined) return
    const isVoteKept =
      before.term !== state.term || before.vote === 0n || before.vote === state.vote
    if (state.term < before.term || state.commit < before.commit || !isVoteKept)
      this.#world.fail(
        'hard-state',
        `member ${place.place}: ${describe(before)} -> ${describe(state)}`,
      )
  }
}

const describe = ({ term, vote, commit }: HardState): string => `${term}/${vote}/${commit}`
