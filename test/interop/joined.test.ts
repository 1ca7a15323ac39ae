// Goal: a cluster changes hands from etcd to ours and back without noticing. Method: one member of a kind; members of the
// other kind join it as voter and as learner while its first entries are still in the log; then the founder is removed.
import { expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { describeWith } from './support/requirements.js'
import { writeAllKinds } from './support/write-all-kinds.js'

const NEEDS = ['etcd', 'etcdctl', 'daemon'] as const

for (const [first, second] of [
  ['etcd', 'ours'],
  ['ours', 'etcd'],
] as const) {
  describeWith(NEEDS, `a cluster of one ${first}`, () => {
    test(`takes in ${second} members as voter and as learner, and is carried on by them`, async () => {
      const cluster = await Cluster.start({ name: 'joined', kinds: [first] })
      try {
        await writeAllKinds(cluster, 'alone')
        const [founder] = cluster.members
        if (founder === undefined) throw new Error('no founder')
        await cluster.add(second)
        await writeAllKinds(cluster, 'two')
        const learner = await cluster.add(second, { isLearner: true })
        await cluster.promote(learner)
        await writeAllKinds(cluster, 'three')
        expect((await cluster.hashes()).size).toBe(1)
        await cluster.moveLeader(learner)
        await cluster.remove(founder)
        await writeAllKinds(cluster, 'heirs')
        expect((await cluster.hashes()).size).toBe(1)
      } catch (error) {
        throw new Error(`${String(error)}\n${cluster.logs()}`)
      } finally {
        await cluster.destroy()
      }
    })
  })
}
