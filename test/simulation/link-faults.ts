import type { Cluster } from './cluster.js'
import type { SimulatedNode } from './node.js'
import type { Prng } from './world/prng.js'

/** How long a partition or a clog lasts beyond its least, mean microseconds. */
const LASTS_MEAN_US = 3_000_000
/** Between two steps of a swizzle, at most, microseconds. */
const SWIZZLE_STEP_US = 800_000

/** What goes wrong between machines: partitions of several shapes, and links that stand still. */
export class LinkFaults {
  readonly #cluster: Cluster
  readonly #prng: Prng

  constructor(cluster: Cluster, prng: Prng) {
    this.#cluster = cluster
    this.#prng = prng
  }

  partition(isOneWay: boolean): boolean {
    const { nodes, options } = this.#cluster
    const [side, other] = this.#sides(options.world.partitionMode)
    for (const a of side) for (const b of other) this.#cut(a, b, isOneWay)
    this.#healLater()
    return nodes.length > 1
  }

  isolate(node: SimulatedNode): void {
    for (const other of this.#cluster.nodes) if (other !== node) this.#cut(node, other, false)
    this.#healLater()
  }

  /** Messages on some links wait, and come together afterwards. */
  clog(): boolean {
    const { network, nodes } = this.#cluster
    if (nodes.length < 2) return false
    const [node, ...others] = this.#prng.shuffled(nodes)
    if (node === undefined) return false
    const isOneLink = this.#prng.perMille(500)
    const forUs = this.#prng.skewed(LASTS_MEAN_US)
    for (const other of isOneLink ? others.slice(0, 1) : others) {
      network.clog(node.place, other.place, forUs)
      if (!isOneLink) network.clog(other.place, node.place, forUs)
    }
    return true
  }

  /** Machines fall silent one by one, and come back one by one in another order. */
  swizzle(): boolean {
    const { network, nodes, world } = this.#cluster
    if (nodes.length < 2) return false
    const chosen = this.#prng.shuffled(nodes).slice(0, this.#prng.between(1, nodes.length))
    const startsUs = new Map(chosen.map((node) => [node, this.#prng.below(SWIZZLE_STEP_US)]))
    let endUs = SWIZZLE_STEP_US
    for (const node of this.#prng.shuffled(chosen)) {
      endUs += this.#prng.below(SWIZZLE_STEP_US)
      const startUs = startsUs.get(node) ?? 0
      const forUs = endUs - startUs
      world.queue.after(startUs, () => {
        for (const other of nodes) {
          if (other === node) continue
          network.clog(node.place, other.place, forUs)
          network.clog(other.place, node.place, forUs)
        }
      })
    }
    return true
  }

  #sides(mode: string): readonly [readonly SimulatedNode[], readonly SimulatedNode[]] {
    const prng = this.#prng
    const shuffled = prng.shuffled(this.#cluster.nodes)
    if (mode === 'uniform-partition') {
      const side = shuffled.filter(() => prng.perMille(500))
      return [side, shuffled.filter((node) => !side.includes(node))]
    }
    const size = mode === 'isolate-one' ? 1 : prng.below(shuffled.length) + 1
    return [shuffled.slice(0, size), shuffled.slice(size)]
  }

  #cut(a: SimulatedNode, b: SimulatedNode, isOneWay: boolean): void {
    this.#cluster.network.cut(a.place, b.place)
    if (!isOneWay) this.#cluster.network.cut(b.place, a.place)
  }

  #healLater(): void {
    const { world, network, options } = this.#cluster
    const stableUs = options.world.partitionStabilityMs * 1000
    world.queue.after(stableUs + this.#prng.skewed(LASTS_MEAN_US), () => network.healAll())
  }
}
