import type { Cluster } from './cluster.js'
import type { SimulatedNode } from './node.js'
import type { Prng } from './world/prng.js'

/** What becomes of a member outside the core while the core has to go on without it. */
export const OUTSIDE_STATES = ['down', 'paused', 'cut-off', 'deaf', 'mute', 'slow'] as const
export type OutsideState = (typeof OUTSIDE_STATES)[number]

/** What a slow member's messages take longer, both ways, microseconds. */
const SLOW_US_MIN = 50_000
const SLOW_US_MAX = 300_000

/** A part of the cluster that has to go on, and what is wrong with the others. */
export interface Core {
  readonly nodes: readonly SimulatedNode[]
  readonly outside: ReadonlyMap<SimulatedNode, OutsideState>
}

/**
 * A quorum of members, drawn at random, that nothing is wrong with from now on; undefined when there is nobody to leave
 * out. It is a quorum whatever becomes of a change of membership under way, for no further one is begun.
 */
export function drawCore(cluster: Cluster, prng: Prng): Core | undefined {
  const { nodes, changing, votersCommitted } = cluster
  const able = nodes.filter(
    (node) =>
      node.memberId !== undefined &&
      votersCommitted.has(node.memberId) &&
      node !== changing &&
      !node.isDamaged &&
      !node.isRuined,
  )
  // The member that changes may come to vote, or go: counted as a voter in any case.
  const isOneMore = changing !== undefined && !votersCommitted.has(changing.memberId ?? 0n)
  const voterCount = votersCommitted.size + (isOneMore ? 1 : 0)
  const least = Math.floor(voterCount / 2) + 1
  const most = nodes.length - 1
  if (least > able.length || least > most) return undefined
  const size = prng.between(least, Math.min(able.length, most))
  const core = prng.shuffled(able).slice(0, size)
  const outside = new Map<SimulatedNode, OutsideState>()
  for (const node of nodes) if (!core.includes(node)) outside.set(node, prng.pick(OUTSIDE_STATES))
  return { nodes: core, outside }
}

/** From now on the members outside are as their states say, and the links of the core are whole. */
export function separate(cluster: Cluster, { nodes, outside }: Core, prng: Prng): void {
  const { network, world } = cluster
  for (const [node, state] of outside) {
    world.mark(`core-without-${state}`)
    world.trace.event(node.place, `outside-${state}`)
    switch (state) {
      case 'down':
        node.kill('crash')
        break
      case 'paused':
        node.pause()
        break
      case 'cut-off':
        network.limit(node.place, { isDeaf: true, isMute: true, delayUs: 0 })
        break
      case 'deaf':
        network.limit(node.place, { isDeaf: true, isMute: false, delayUs: 0 })
        break
      case 'mute':
        network.limit(node.place, { isDeaf: false, isMute: true, delayUs: 0 })
        break
      case 'slow':
        network.limit(node.place, {
          isDeaf: false,
          isMute: false,
          delayUs: prng.between(SLOW_US_MIN, SLOW_US_MAX),
        })
    }
  }
  cluster.outside = new Set(outside.keys())
  for (const node of nodes) cluster.heal(node)
}

/** Everybody is whole again. */
export function reunite(cluster: Cluster): void {
  cluster.outside = new Set()
  cluster.network.limits.clear()
  for (const node of cluster.nodes) cluster.heal(node)
}

/** Whether all of them serve, and have applied the same with nothing left to do. */
export function areLevel(nodes: readonly SimulatedNode[]): boolean {
  const applied = nodes[0]?.member?.appliedIndex
  return nodes.every(
    ({ isUp, isPaused, member }) =>
      isUp &&
      !isPaused &&
      member?.isServing === true &&
      member.appliedIndex === applied &&
      member.committedIndex === applied &&
      member.lastIndex === applied,
  )
}

/** The end of the longest log. */
export const lastIndexOf = (nodes: readonly SimulatedNode[]): number =>
  Math.max(...nodes.map(({ member }) => member?.lastIndex ?? 0))

/** Whether all are up and have applied the entry at `index`. */
export const haveApplied = (nodes: readonly SimulatedNode[], index: number): boolean =>
  nodes.every(({ isUp, member }) => isUp && (member?.appliedIndex ?? 0) >= index)

/** Whether a leader leads the core, and all of it is equal with nothing left to do. */
export function isCoreSettled({ nodes, outside }: Core): boolean {
  const term = Math.max(...nodes.map(({ member }) => member?.term ?? 0))
  const slow = [...outside].filter(([, state]) => state === 'slow').map(([node]) => node)
  const isLeading = ({ isUp, member }: SimulatedNode): boolean =>
    isUp && member?.isLeader === true && member.term >= term
  return areLevel(nodes) && (nodes.some(isLeading) || slow.some(isLeading))
}

/** Role, term, commit/applied and the extent of the log, aligned: for the lines of a trace. */
export function describeShortly({ raft, storage, member, isDown }: SimulatedNode): string {
  if (raft === undefined || member === undefined) return (isDown ? 'down' : 'booting').padEnd(36)
  const { softState, hardState, applied } = raft.basicStatus()
  const log = `[${storage?.firstIndex() ?? 0}:${member.lastIndex}]`
  return [
    softState.role.padEnd(9),
    `t${hardState.term}`.padEnd(4),
    `${hardState.commit}/${applied}`.padEnd(10),
    log.padEnd(10),
  ].join(' ')
}

/** Where each member stands in consensus, for whoever asks why nothing moves. */
export function describeMembers(cluster: Cluster, core?: Core): string {
  const nameOf = (id: bigint): string => {
    const node = cluster.nodes.find(({ memberId }) => memberId === id)
    return node === undefined ? id.toString(16) : `m${node.place}`
  }
  return cluster.nodes
    .map((node) => {
      const { place, isUp, isDown, isPaused, isRuined, isReplacingState, member, raft } = node
      const condition = [
        core?.nodes.includes(node) === true ? 'core' : core?.outside.get(node),
        isUp ? 'up' : isDown ? 'down' : 'booting',
        isPaused ? 'paused' : undefined,
        isRuined ? 'refused to start' : undefined,
        isReplacingState ? 'installing a snapshot' : undefined,
      ].filter((word) => word !== undefined)
      if (raft === undefined || member === undefined) return `m${place} ${condition.join(' ')}`
      const { softState, hardState, progress, leadTransferee, config } = raft.status()
      const followers = [...progress].map(
        ([id, { state, match, next, isPaused: isHeld, recentActive, pendingSnapshot }]) =>
          `${nameOf(id)} ${state} ${match}/${next}${isHeld ? ' held' : ''}${recentActive ? '' : ' silent'}${pendingSnapshot > 0 ? ` snapshot ${pendingSnapshot}` : ''}`,
      )
      const words = [
        ...condition,
        `${softState.role} in term ${hardState.term}`,
        `leader ${softState.lead === 0n ? 'unknown' : nameOf(softState.lead)}`,
        `vote ${hardState.vote === 0n ? 'free' : nameOf(hardState.vote)}`,
        `applied ${member.appliedIndex} committed ${member.committedIndex} last ${member.lastIndex}`,
        `voters ${config.voters.map(nameOf).join('+')}`,
        ...(leadTransferee === 0n ? [] : [`transferring to ${nameOf(leadTransferee)}`]),
        ...(followers.length === 0 ? [] : [`sees ${followers.join(', ')}`]),
      ]
      return `m${place} ${words.join(', ')}`
    })
    .join('; ')
    .concat(cluster.describe())
}
