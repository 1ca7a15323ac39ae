import { AlarmRequest, CompactionRequest } from '../../src/wire/rpc.js'
import type { Cluster } from './cluster.js'

/** Between two looks of the operator at the alarms, microseconds. */
const LOOK_US = 500_000

/** Whoever runs the cluster: frees space and takes alarms back, as etcd's manual says. */
export class Operator {
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /** Compacts, defragments and disarms; false when there is no alarm or nobody leads. */
  disarm(): boolean {
    const { leader, nodes } = this.#cluster
    const member = leader?.member
    if (leader === undefined || member === undefined || !member.isServing) return false
    const alarms = member.state.alarms.list(0n as never, 'NOSPACE')
    if (alarms.length === 0) return false
    leader.run(leader.incarnation, () => {
      const compaction = CompactionRequest.encode({ revision: member.currentRevision })
      member.propose('compaction', compaction, () => undefined)
      for (const { memberId } of alarms) {
        const request = { action: 'DEACTIVATE', memberID: memberId, alarm: 'NOSPACE' } as const
        member.propose('alarm', AlarmRequest.encode(request), () => undefined)
      }
    })
    for (const node of nodes) {
      const each = node.member
      if (
        !node.isUp ||
        node.isPaused ||
        each === undefined ||
        !each.isServing ||
        each.isDefragmenting
      )
        continue
      node.run(node.incarnation, () => each.defragment(() => undefined))
    }
    this.#cluster.world.mark('alarm-disarmed')
    return true
  }

  /** From now on no alarm stays. */
  keepFreeOfAlarms(): void {
    this.disarm()
    this.#cluster.world.queue.after(LOOK_US, () => this.keepFreeOfAlarms())
  }
}
