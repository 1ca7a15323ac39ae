// Goal: a cluster changes hands from etcd to ours and back without noticing. Method: one member of a kind; members of the
// other kind join it as voter and as learner while its first entries are still in the log; then the founder is removed.
import { expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { describeWith } from './support/requirements.js'
import { writeAllKinds } from './support/write-all-kinds.js'

const NEEDS = ['etcd', 'etcdctl', 'daemon'] as const

/* A cluster of ours alone is of version 3.5, which a member of 3.4 may not join: one of etcd keeps it at 3.4. */
for (const [founders, second] of [
  [['etcd'], 'ours'],
  [['ours', 'etcd'], 'etcd'],
] as const) {
  describeWith(NEEDS, `a cluster founded by ${founders.join(' and ')}`, () => {
    test(`takes in members of ${second} as voter and as learner, and is carried on by them`, async () => {
      const cluster = await Cluster.start({ name: 'joined', kinds: founders })
      try {
        const [founder] = cluster.members
        if (founder === undefined) throw new Error('no founder')
        await cluster.moveLeader(founder)
        await writeAllKinds(cluster, 'founded')
        await cluster.add(second)
        await writeAllKinds(cluster, 'joined')
        const learner = await cluster.add(second, { isLearner: true })
        await cluster.promote(learner)
        await writeAllKinds(cluster, 'promoted')
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

describeWith(NEEDS, 'a cluster of ours alone', () => {
  test('is of version 3.5: a member of 3.4 is told so and does not start', async () => {
    const cluster = await Cluster.start({ name: 'refuses', kinds: ['ours'] })
    try {
      const joined = await cluster.add('etcd').catch((error: unknown) => String(error))
      expect(joined).toContain('the running cluster version(3.5.0) is higher than')
    } finally {
      await cluster.destroy()
    }
  })
})
