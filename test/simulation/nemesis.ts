import type { Cluster } from './cluster.js'
import { LinkFaults } from './link-faults.js'
import type { SimulatedNode } from './node.js'
import { Operator } from './operator.js'
import { FAULTS, type FaultKind } from './options.js'
import { REACHED_FAILPOINTS } from './simulated-seam.js'
import type { Prng } from './world/prng.js'
import type { World } from './world/world.js'

/** Brings the faults of the run's options over the cluster, at random times. */
export class Nemesis {
  readonly #cluster: Cluster
  readonly #prng: Prng
  readonly #links: LinkFaults
  readonly #operator: Operator
  #isStopped = false

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#prng = cluster.world.prng.fork('nemesis')
    this.#links = new LinkFaults(cluster, this.#prng)
    this.#operator = new Operator(cluster)
  }

  start(): void {
    const { faults } = this.#cluster.options
    if (FAULTS.every((kind) => faults[kind] === 0)) return
    this.#later()
  }

  /** No more faults; what is between the machines is whole again. What ails a machine is healed by the cluster. */
  stop(): void {
    this.#isStopped = true
    const { network, options, seam } = this.#cluster
    network.healAll()
    network.unclogAll()
    seam.calm()
    this.#operator.keepFreeOfAlarms()
    network.options = {
      ...options.network,
      lossPerMille: 0,
      duplicatePerMille: 0,
      tornSnapshotPerMille: 0,
    }
  }

  #later(): void {
    const { world, options } = this.#cluster
    world.queue.after(this.#prng.skewed(options.faultMeanMs * 1000), () => {
      if (this.#isStopped) return
      const kind = this.#draw()
      if (this.#strike(kind)) {
        world.mark(kind)
        world.trace.event(98, kind)
      }
      this.#later()
    })
  }

  #draw(): FaultKind {
    const { faults } = this.#cluster.options
    let at = this.#prng.below(FAULTS.reduce((sum, kind) => sum + faults[kind], 0))
    for (const kind of FAULTS) {
      at -= faults[kind]
      if (at < 0) return kind
    }
    return 'crash'
  }

  #strike(kind: FaultKind): boolean {
    const cluster = this.#cluster
    const node = this.#prng.pick(cluster.nodes)
    const { member } = node
    switch (kind) {
      case 'crash':
      case 'power-loss':
        if (!node.isUp && !node.isBooting) return false
        cluster.crash(node, kind)
        return true
      case 'power-loss-all':
        for (const each of cluster.nodes) cluster.crash(each, 'power-loss')
        return true
      case 'stop':
        return this.#stop(node)
      case 'pause':
        return this.#pause(node)
      case 'partition':
        return this.#links.partition(false)
      case 'one-way-partition':
        return this.#links.partition(true)
      case 'isolate-leader': {
        const { leader } = cluster
        if (leader === undefined) return false
        this.#links.isolate(leader)
        return true
      }
      case 'clog':
        return this.#links.clog()
      case 'swizzle-clog':
        return this.#links.swizzle()
      case 'crash-within':
        cluster.seam.arm(this.#prng.pick(REACHED_FAILPOINTS))
        return true
      case 'bit-flip':
      case 'garbage-sector':
      case 'misdirected-write':
      case 'bad-snapshot':
        return cluster.damage(node, kind)
      case 'disarm-alarm':
        return this.#operator.disarm()
      case 'replace-member':
        return cluster.replace(node)
      case 'add-learner':
        return cluster.grow()
      case 'move-leader':
        return this.#moveLeader()
      case 'defragment':
        if (member === undefined || !member.isServing || member.isDefragmenting) return false
        node.run(node.incarnation, () => member.defragment(() => undefined))
        return true
      case 'snapshot-now':
        if (member === undefined || !member.isServing) return false
        node.run(node.incarnation, () => member.snapshotNow())
        return true
      case 'failed-sync':
        if (!node.isUp) return false
        node.mayFail = true
        node.disk.failsNextWrite = true
        return true
      case 'failed-engine-write':
        if (!node.isUp) return false
        node.mayFail = true
        node.engines.failsNextWrite = true
        return true
      case 'disk-full':
        node.mayFail = true
        node.disk.isFull = true
        cluster.world.queue.after(this.#prng.below(3_000_000), () => {
          node.disk.isFull = false
        })
        return true
      case 'clock-step':
        node.clock.step(this.#prng.between(-10_000, 10_000))
        return true
      case 'check-hashes':
        return compareHashes(cluster)
    }
  }

  /** Somebody stops the process in order. */
  #stop(node: SimulatedNode): boolean {
    const { member, incarnation } = node
    if (member === undefined || !node.isUp) return false
    node.run(incarnation, () =>
      member.stop(() => {
        this.#cluster.world.queue.after(1000, () => {
          if (node.incarnation === incarnation) this.#cluster.crash(node, 'crash')
        })
      }),
    )
    // Whoever stops a process loses patience at last.
    this.#cluster.world.queue.after(8_000_000, () => {
      if (node.incarnation === incarnation) this.#cluster.crash(node, 'crash')
    })
    return true
  }

  #pause(node: SimulatedNode): boolean {
    if (!node.isUp || node.isPaused) return false
    const { incarnation } = node
    node.pause()
    this.#cluster.world.queue.after(this.#prng.skewed(1_500_000), () => {
      // Outside a core a member stands still for as long as the core is alone.
      const isKept = this.#cluster.outside.has(node)
      if (node.incarnation === incarnation && !isKept) node.resume()
    })
    return true
  }

  #moveLeader(): boolean {
    const { leader } = this.#cluster
    const member = leader?.member
    if (leader === undefined || member === undefined) return false
    const target = this.#prng.pick(member.membership.members())
    leader.run(leader.incarnation, () => member.moveLeader(target.id, () => undefined))
    return true
  }
}

/**
 * Asks all members for their hash at the newest revision that all have, and at those they compacted to, for which a
 * member keeps what it computed before the rows went: equal compaction, equal hash.
 */
export function compareHashes(cluster: Cluster): boolean {
  const askable = cluster.nodes.filter(({ isUp, member }) => isUp && member?.isServing === true)
  const newest = Math.min(...askable.map(({ member }) => member?.currentRevision ?? 0))
  if (askable.length < 2 || newest < 1) return false
  const compacted = askable.map(({ member }) => member?.store.compactedRevision ?? 0)
  const revisions = new Set([newest, ...compacted.filter((at) => at >= 1 && at <= newest)])
  for (const revision of revisions) compareHashesAt(cluster.world, askable, revision)
  return true
}

function compareHashesAt(world: World, nodes: readonly SimulatedNode[], at: number): void {
  const found = new Map<number, { readonly hash: number; readonly place: number }>()
  for (const node of nodes) {
    const { store } = node.member ?? {}
    node.run(node.incarnation, () => {
      const live = store?.range({ key: '\0', end: '\0', revision: at, isCountOnly: true })
      // As in etcd, the hash of a revision without a living key depends on how far compaction came.
      if (live?.kind !== 'range' || live.count === 0) return
      store?.hashKv(at, ({ hash, compactRevision }) => {
        const other = found.get(compactRevision)
        world.mark('hash-compared')
        if (other !== undefined && other.hash !== hash)
          world.fail(
            'equal-hash',
            `members ${other.place} and ${node.place} differ at revision ${at}, compacted ${compactRevision}`,
          )
        found.set(compactRevision, { hash, place: node.place })
      })
    })
  }
}
