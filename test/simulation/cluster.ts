import type { MemberId } from '../../src/base/ids.js'
import type { Member } from '../../src/member/member.js'
import { Membership } from '../../src/membership/membership.js'
import { DurableLog } from './checkers/durable-log.js'
import type { Configuration } from './checkers/membership-changes.js'
import { type EndReason, type NodeAdapter, type NodeContext, SimulatedNode } from './node.js'
import type { SimulationOptions } from './options.js'
import { SimulatedSeam } from './simulated-seam.js'
import { type Damage, damage } from './world/damage.js'
import { SimulatedNetwork } from './world/network.js'
import type { Prng } from './world/prng.js'
import type { World } from './world/world.js'

/** How long after an end a process is started again, microseconds. */
const RESTART_MEAN_US = 1_000_000
/** Between two looks at a change of membership under way, microseconds. */
const SUPERVISE_US = 300_000

/** A member that is being replaced by an empty one, step by step, each known to be committed before the next. */
interface Replacement {
  readonly node: SimulatedNode
  /** The id that has to go first; undefined when the node is new. */
  readonly oldId: MemberId | undefined
  readonly isLearner: boolean
  stage: 'removing' | 'adding' | 'promoting'
}

/** The machines and what is between them. */
export class Cluster {
  readonly world: World
  readonly options: SimulationOptions
  readonly network: SimulatedNetwork
  readonly nodes: SimulatedNode[] = []
  readonly seam: SimulatedSeam
  readonly #context: NodeContext
  readonly #prng: Prng
  #replacement: Replacement | undefined
  /** Members that stay as they are: what ended is not started again, and no change of membership goes on. */
  outside: ReadonlySet<SimulatedNode> = new Set()

  readonly #configuration: () => Configuration

  constructor(
    world: World,
    options: SimulationOptions,
    adapters: readonly NodeAdapter[],
    configuration: () => Configuration,
    afterEvent: (node: SimulatedNode) => void,
  ) {
    this.world = world
    this.options = options
    this.#configuration = configuration
    this.#prng = world.prng.fork('cluster')
    this.network = new SimulatedNetwork(
      world.queue,
      world.prng.fork('network'),
      world.trace,
      options.network,
      options.world.linkMessagesMax,
    )
    this.seam = new SimulatedSeam(world, options.world.buggify)
    this.#context = {
      seam: this.seam,
      world,
      network: this.network,
      options,
      adapters,
      afterEvent,
      onEnded: (node, reason, message) => this.#onEnded(node, reason, message),
    }
    for (let place = 0; place < options.memberCount; place++) this.#addNode()
  }

  start(): void {
    const urlsByName = new Map(this.nodes.map(({ name, peerUrls }) => [name, peerUrls]))
    const initial = Membership.fromInitialCluster({ urlsByName, token: 'simulated' })
    if (initial.kind === 'refused') throw new Error(initial.reason)
    for (const node of this.nodes) {
      const own = initial.membership.memberByName(node.name)
      if (own === undefined) throw new Error('a member of the initial cluster is known')
      node.memberId = own.id
      this.world.queue.after(this.#prng.below(500_000), () =>
        node.boot({ kind: 'begin', membership: initial.membership, id: own.id }),
      )
    }
    this.#supervise()
  }

  /** Whether promises may be under way: only then microtasks are waited for. */
  get isAsync(): boolean {
    if (this.network.streamCount > 0) return true
    for (const node of this.nodes) if (node.isBooting || node.isReplacingState) return true
    return false
  }

  get leader(): SimulatedNode | undefined {
    const leads = ({ isUp, member }: SimulatedNode): boolean => isUp && member?.isLeader === true
    return (
      this.nodes.find((node) => leads(node) && !this.outside.has(node)) ?? this.nodes.find(leads)
    )
  }

  /** The member that has applied most: what it says of membership is committed. */
  get foremost(): Member | undefined {
    let best: Member | undefined
    for (const { isUp, member } of this.nodes) {
      if (!isUp || member === undefined || !member.isServing) continue
      if (best === undefined || member.appliedIndex > best.appliedIndex) best = member
    }
    return best
  }

  /** Nodes that the cluster counts on now. */
  get currentNodes(): SimulatedNode[] {
    const known = new Set(this.foremost?.membership.members().map(({ id }) => id) ?? [])
    return this.nodes.filter(({ memberId }) => memberId !== undefined && known.has(memberId))
  }

  get isReplacing(): boolean {
    return this.#replacement !== undefined || this.nodes.some(({ isRuined }) => isRuined)
  }

  describe(): string {
    if (this.#replacement === undefined) return ''
    const { node, stage, oldId } = this.#replacement
    return `; m${node.place} is being replaced: ${stage}, old id ${oldId?.toString(16)}`
  }

  crash(node: SimulatedNode, kind: 'crash' | 'power-loss'): void {
    const { isDown } = node
    // A machine whose process has ended can lose power as well, and what the process left unsynced.
    if (!isDown || kind === 'power-loss') node.kill(kind)
    if (!isDown) this.restartLater(node)
  }

  restartLater(node: SimulatedNode): void {
    const delayUs = this.#prng.perMille(300)
      ? this.#prng.below(20_000)
      : this.#prng.skewed(RESTART_MEAN_US)
    this.world.queue.after(delayUs, () => this.restart(node))
  }

  /** Starts a machine again that was a member and may be one still. */
  restart(node: SimulatedNode): void {
    const isReplaced = this.#replacement?.node === node && this.#replacement.stage !== 'promoting'
    if (!node.isDown || isReplaced || node.memberId === undefined) return
    if (node.isRuined || this.outside.has(node)) return
    const directory = node.disk.stat('/data/member/wal')
    if (directory === undefined) {
      this.#beginAgain(node)
      return
    }
    node.boot({ kind: 'restart' })
  }

  /** Whatever was done to a machine on purpose is done no more; a process that is down begins soon. */
  heal(node: SimulatedNode): void {
    node.resume()
    node.disk.isFull = false
    node.disk.failsNextWrite = false
    node.engines.failsNextWrite = false
    if (node.isDown) this.restartLater(node)
  }

  /** Who votes, as the last committed change of membership says. */
  get votersCommitted(): ReadonlySet<bigint> {
    return this.#configuration().voters
  }

  /** The machine whose membership is being changed now. */
  get changing(): SimulatedNode | undefined {
    return this.#replacement?.node
  }

  /** Replaces a member by an empty one, if nothing of the kind is under way. */
  replace(node: SimulatedNode): boolean {
    const voters = this.foremost?.membership.votingMembers() ?? []
    const isVoter = voters.some(({ id }) => id === node.memberId)
    if (this.#replacement !== undefined || voters.length < 3 || !isVoter) return false
    // A damaged member may be gone for good already: no other may be taken away beside it.
    if (this.nodes.some(({ isDamaged }) => isDamaged)) return false
    // From now on it may end and not come back.
    const { voters: voting, index } = this.#configuration()
    if (!this.#isKnownBeside(node, voting, index)) return false
    this.#replacement = {
      node,
      oldId: node.memberId,
      isLearner: this.#prng.perMille(700),
      stage: 'removing',
    }
    node.mayBeRemoved = true
    return true
  }

  /**
   * A member loses power, and its disk is damaged meanwhile. The atlas: with every member that may have to be replaced
   * at one time, a quorum of whole ones is left, by the voters that those know of.
   */
  damage(node: SimulatedNode, kind: Damage): boolean {
    const { voters, index } = this.#configuration()
    const spare = voters.size - (Math.floor(voters.size / 2) + 1)
    const damaged = this.nodes.filter(({ isDamaged }) => isDamaged)
    const isVoter = node.memberId !== undefined && voters.has(node.memberId)
    if (this.isReplacing || !isVoter || damaged.length >= spare || damaged.includes(node))
      return false
    if (!this.#isKnownBeside(node, voters, index)) return false
    this.crash(node, 'power-loss')
    node.isDamaged = damage(node.disk, kind, this.#prng)
    return node.isDamaged
  }

  /**
   * Whether every whole voter but `node` has on its disk that this change of voters is committed. One that has not
   * counts by the voters before, of which too few may be left.
   */
  #isKnownBeside(node: SimulatedNode, voters: ReadonlySet<bigint>, index: number): boolean {
    for (const other of this.nodes) {
      const { memberId, isDamaged, disk } = other
      if (other === node || isDamaged || memberId === undefined || !voters.has(memberId)) continue
      const log = new DurableLog(disk)
      log.look()
      if ((log.hardState?.commit ?? 0) < index) return false
    }
    return true
  }

  /** Adds one machine more, as a learner first. */
  grow(): boolean {
    if (this.#replacement !== undefined || this.nodes.length > this.options.memberCount + 1) {
      return false
    }
    const node = this.#addNode()
    this.#replacement = { node, oldId: undefined, isLearner: true, stage: 'adding' }
    return true
  }

  #addNode(): SimulatedNode {
    const node = new SimulatedNode(this.nodes.length, this.#context)
    this.nodes.push(node)
    this.network.add(node)
    return node
  }

  /** Its log was never made durable: nobody heard of it, so it may begin as the first time. */
  #beginAgain(node: SimulatedNode): void {
    const members = this.foremost?.membership
    const id = node.memberId
    if (id === undefined) return
    if (node.beginning !== undefined) node.boot(node.beginning)
    else if (members !== undefined)
      node.boot({ kind: 'join', id, clusterId: members.clusterId, remotes: members.members() })
    else this.restartLater(node)
  }

  #onEnded(node: SimulatedNode, reason: EndReason, message: string): void {
    this.world.trace.event(node.place, `ended-${reason}`)
    if (reason === 'panicked') {
      this.restartLater(node)
      return
    }
    if (reason === 'refused') {
      this.world.mark('refused-damaged')
      return
    }
    if (reason === 'removed') {
      if (!node.mayBeRemoved) this.world.fail('removed', `member ${node.place}: ${message}`)
      return
    }
    if (!node.mayFail) {
      this.world.fail('no-crash', `member ${node.place} ended: ${message}`)
      return
    }
    this.world.mark('stopped-by-disk')
    this.world.queue.after(10_000, () => this.restartLater(node))
  }

  #supervise(): void {
    this.world.queue.after(SUPERVISE_US, () => {
      const replacement = this.#replacement
      const view = this.outside.size === 0 ? this.foremost : undefined
      if (replacement === undefined && view !== undefined) this.#replaceRuined(view)
      if (replacement !== undefined && view !== undefined) this.#advance(replacement, view)
      this.#supervise()
    })
  }

  /** Who refused to start is replaced as a new member, once it is known what the cluster thinks of it. */
  #replaceRuined(view: Member): void {
    const node = this.nodes.find(({ isRuined }) => isRuined)
    if (node === undefined) return
    const { memberId } = node
    const known = memberId === undefined ? undefined : view.membership.member(memberId)
    if (known === undefined && this.#prng.perMille(500)) return
    node.mayBeRemoved = true
    this.world.mark('ruined-replaced')
    this.#replacement = {
      node,
      oldId: memberId,
      isLearner: this.#prng.perMille(700),
      stage: 'removing',
    }
  }

  /** Another member that will never be back: it goes first, or nobody may be added. */
  #ruinedIn(view: Member): MemberId | undefined {
    return this.nodes.find(
      ({ isRuined, memberId }) =>
        isRuined && memberId !== undefined && view.membership.member(memberId) !== undefined,
    )?.memberId
  }

  #advance(replacement: Replacement, view: Member): void {
    const { node, oldId, isLearner } = replacement
    const leader = this.leader
    const asked = leader?.member
    const isActing = this.#prng.perMille(300)
    // After a power loss of all, members may not know yet what they had committed.
    const here = view.membership
      .members()
      .find(({ id, peerUrls }) => id !== oldId && peerUrls[0] === node.peerUrls[0])
    switch (replacement.stage) {
      case 'removing': {
        const goes = knows(view, oldId) ? oldId : this.#ruinedIn(view)
        if (goes !== undefined) {
          if (asked === undefined || !isActing) return
          leader?.run(leader.incarnation, () => asked.members.remove(goes, () => undefined))
          return
        }
        node.wipe()
        node.beginning = undefined
        replacement.stage = 'adding'
        return
      }
      case 'adding':
        if (here === undefined) {
          if (asked === undefined || !isActing) return
          // Whoever was asked before may not have known yet that the old one had been added.
          const goes = knows(view, oldId) ? oldId : this.#ruinedIn(view)
          if (goes !== undefined) {
            leader?.run(leader.incarnation, () => asked.members.remove(goes, () => undefined))
            return
          }
          const member = asked.members.newMember(node.peerUrls, isLearner)
          leader?.run(leader.incarnation, () => asked.members.add(member, () => undefined))
          return
        }
        this.world.mark('member-added')
        node.mayBeRemoved = false
        node.memberId = here.id
        node.beginning = {
          kind: 'join',
          id: here.id,
          clusterId: view.clusterId,
          remotes: view.membership.members().filter(({ id }) => id !== here.id),
        }
        node.boot(node.beginning)
        replacement.stage = 'promoting'
        return
      case 'promoting':
        if (here === undefined) return
        if (!here.isLearner) {
          // Until it has the log that makes it one, it is a voter that could not stand in for another.
          const own = node.member?.membership.member(here.id)
          if (own?.isLearner === false) this.#replacement = undefined
          return
        }
        if (asked === undefined || !isActing) return
        leader?.run(leader.incarnation, () => asked.members.promote(here.id, () => undefined))
    }
  }
}

const knows = (view: Member, id: MemberId | undefined): boolean =>
  id !== undefined && view.membership.member(id) !== undefined
