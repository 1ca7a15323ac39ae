/**
 * Goal: users and roles of the v2 API are managed and enforced as etcd does it. Method: the same requests, one
 * after the other, to the etcd on this machine with --enable-v2 and to ours, both freshly made clusters of one;
 * status, headers and bodies must be equal, times, ids and addresses aside.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { describeWith } from './support/requirements.js'
import { ask, type Seen, type Server, serverOf } from './support/v2-ask.js'
import { AUTH_STEPS } from './support/v2-auth-steps.js'

describeWith(['daemon', 'etcd'], 'users and roles of the v2 API beside etcd', () => {
  const clusters: Cluster[] = []
  const servers: Server[] = []

  beforeAll(async () => {
    for (const kind of ['etcd', 'ours'] as const) {
      const flags = kind === 'etcd' ? ['--enable-v2'] : []
      const cluster = await Cluster.start({ name: `v2-auth-table-${kind}`, kinds: [kind], flags })
      clusters.push(cluster)
      for (const { clientUrl, options } of cluster.members)
        servers.push(await serverOf(clientUrl, options.peerUrl))
    }
  })
  afterAll(async () => {
    for (const cluster of clusters) await cluster.destroy()
  })

  test('has at least 200 requests', () => {
    expect(AUTH_STEPS.length).toBeGreaterThanOrEqual(200)
  })

  test('answers every request of the table as etcd does', async () => {
    const [theirs, ours] = servers
    if (theirs === undefined || ours === undefined) throw new Error('both run')
    const differences: unknown[] = []
    for (const step of AUTH_STEPS) {
      const [expected, actual] = await Promise.all([ask(theirs, step), ask(ours, step)])
      if (comparable(expected) !== comparable(actual)) differences.push({ step, expected, actual })
    }
    expect(differences).toEqual([])
  })
})

const comparable = ({ headers, ...rest }: Seen): string =>
  JSON.stringify({ ...rest, headers: Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1)) })
