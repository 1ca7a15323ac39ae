// Goal: the etcd client of Python finds an etcd. Method: support/clients.py, a session of python3-etcd3 with Debian's
// python3 (whose protobuf it was built for), on a cluster of three.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { ROOT } from './support/member-process.js'
import { describeWith } from './support/requirements.js'

/** Runs the session; what it printed, and its errors after that. */
function session(clientUrl: string): Promise<string> {
  const { hostname, port } = new URL(clientUrl)
  const script = join(ROOT, 'test/interop/support/clients.py')
  return new Promise((resolve) => {
    const options = { encoding: 'utf8', timeout: 120_000 } as const
    execFile('/usr/bin/python3', [script, hostname, port], options, (_error, stdout, stderr) =>
      resolve(`${stdout}${stderr}`),
    )
  })
}

describeWith(['daemon', 'etcdctl', 'python3-etcd3'], 'python3-etcd3', () => {
  let cluster: Cluster
  logsOnFailure(() => cluster)
  beforeAll(async () => {
    cluster = await Cluster.start({ name: 'python', kinds: ['ours', 'ours', 'ours'] })
  })
  afterAll(() => cluster?.destroy())

  for (const role of ['leader', 'follower'] as const) {
    test(`a realistic session through the ${role}`, async () => {
      const leader = await cluster.leader()
      const follower = cluster.members.find((member) => member !== leader)
      const member = role === 'leader' ? leader : follower
      const printed = await session(member?.clientUrl ?? '')
      expect(printed).toMatch(/^(?:ok .*\n)+done\n/)
      expect(printed).not.toContain('FAILED')
    })
  }
})
