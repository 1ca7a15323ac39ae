import type { Applied, StateMachine } from '../../../src/apply/state-machine.js'
import type { Member } from '../../../src/member/member.js'
import type { RawNode, Ready } from '../../../src/raft/raw-node.js'
import type { V3Request } from '../../../src/wire/raft-envelope.js'
import type { ConfState, Entry, Message } from '../../../src/wire/raftpb.js'
import type { Operation } from '../history.js'
import type { NodeAdapter, SimulatedNode } from '../node.js'

/** An entry that the first member has to apply: from then on it can never be another. */
export interface Commit {
  readonly entry: Entry
  /** Checksum of its data. */
  readonly crc: number
  /** When the first member had it to apply. */
  readonly atUs: number
  /** Term of that member at that moment: the entry was committed in it or before. */
  readonly term: number
}

/**
 * One property. It is told what happens, looks only, and says by `world.fail` what must not be. All
 * of it is synchronous, so the state that it looks at is the one in which the thing happened.
 */
export interface Checker {
  /** The core gave something out to be done. */
  onReady?(place: SimulatedNode, ready: Ready, core: RawNode): void
  /** The core has another configuration from now on. */
  onConfiguration?(place: SimulatedNode, state: ConfState): void
  /** The core is asked at which index a read may be answered. */
  onReadIndex?(place: SimulatedNode, context: Uint8Array): void
  /** A process has read its disk and is about to run. */
  onMember?(place: SimulatedNode, member: Member): void
  /** A message leaves a process, whatever becomes of it. */
  onSent?(from: SimulatedNode, message: Message): void
  /** A part of a snapshot's body leaves, from its beginning on; the same message for all parts. */
  onSnapshotChunk?(from: SimulatedNode, message: Message, chunk: Uint8Array): void
  /** For each index once, in their order. */
  onCommitted?(commit: Commit, by: SimulatedNode): void
  /** A request changed a member's store for the first time there. */
  onApplied?(place: SimulatedNode, request: V3Request, applied: Applied): void
  /** A client asks its member, or has its answer. */
  onCalled?(operation: Operation): void
  onAnswered?(operation: Operation): void
  /** Something happened on a process that runs. */
  afterEvent?(place: SimulatedNode): void
}

type Hook = keyof Checker

/** Tells all checkers what happens. */
export class Observer {
  readonly #checkers: readonly Checker[]
  /** The state machine of each process that is listened to. */
  readonly #machines = new WeakSet<StateMachine>()
  /** The one that each machine had last, by its place. */
  readonly #last: (StateMachine | undefined)[] = []
  readonly #told: { readonly [Name in Hook]: readonly (Checker & Required<Pick<Checker, Name>>)[] }

  constructor(checkers: readonly Checker[]) {
    this.#checkers = checkers
    this.#told = {
      onReady: this.#who('onReady'),
      onConfiguration: this.#who('onConfiguration'),
      onReadIndex: this.#who('onReadIndex'),
      onMember: this.#who('onMember'),
      onSent: this.#who('onSent'),
      onSnapshotChunk: this.#who('onSnapshotChunk'),
      onCommitted: this.#who('onCommitted'),
      onApplied: this.#who('onApplied'),
      onCalled: this.#who('onCalled'),
      onAnswered: this.#who('onAnswered'),
      afterEvent: this.#who('afterEvent'),
    }
  }

  /** Next to the core: sees what it wants before anybody meddles. */
  readonly inner: NodeAdapter = {
    node: (place, core) => {
      const ready = core.ready.bind(core)
      core.ready = () => {
        const result = ready()
        this.#listen(place)
        for (const checker of this.#told.onReady) checker.onReady(place, result, core)
        return result
      }
      const applyConfChange = core.applyConfChange.bind(core)
      core.applyConfChange = (change) => {
        const state = applyConfChange(change)
        for (const checker of this.#told.onConfiguration) checker.onConfiguration(place, state)
        return state
      }
      const readIndex = core.readIndex.bind(core)
      core.readIndex = (context) => {
        for (const checker of this.#told.onReadIndex) checker.onReadIndex(place, context)
        readIndex(context)
      }
      return core
    },
  }

  /** Around the member as it came to be, with all that meddles in it. */
  readonly outer: NodeAdapter = {
    member: (place, member) => {
      for (const checker of this.#told.onMember) checker.onMember(place, member)
      this.#listenTo(place, member)
    },
  }

  onSent(from: SimulatedNode, message: Message): void {
    for (const checker of this.#told.onSent) checker.onSent(from, message)
  }

  onSnapshotChunk(from: SimulatedNode, message: Message, chunk: Uint8Array): void {
    for (const checker of this.#told.onSnapshotChunk) checker.onSnapshotChunk(from, message, chunk)
  }

  onCommitted(commit: Commit, by: SimulatedNode): void {
    for (const checker of this.#told.onCommitted) checker.onCommitted(commit, by)
  }

  onCalled(operation: Operation): void {
    for (const checker of this.#told.onCalled) checker.onCalled(operation)
  }

  onAnswered(operation: Operation): void {
    for (const checker of this.#told.onAnswered) checker.onAnswered(operation)
  }

  afterEvent(place: SimulatedNode): void {
    this.#listen(place)
    for (const checker of this.#told.afterEvent) checker.afterEvent(place)
  }

  #who<Name extends Hook>(name: Name): readonly (Checker & Required<Pick<Checker, Name>>)[] {
    return this.#checkers.filter(
      (checker): checker is Checker & Required<Pick<Checker, Name>> => checker[name] !== undefined,
    )
  }

  /** A snapshot from another member brings a new state machine with it. */
  #listen(place: SimulatedNode): void {
    const { member } = place
    if (member !== undefined) this.#listenTo(place, member)
  }

  #listenTo(place: SimulatedNode, member: Member): void {
    const { machine } = member.state
    if (this.#last[place.place] === machine) return
    this.#last[place.place] = machine
    if (this.#machines.has(machine)) return
    this.#machines.add(machine)
    const apply = machine.apply.bind(machine)
    machine.apply = (request, nowMs) => {
      const applied = apply(request, nowMs)
      for (const checker of this.#told.onApplied) checker.onApplied(place, request, applied)
      return applied
    }
  }
}
