/**
 * Goal: clients of the v2 API cannot tell our daemon from etcd. Method: the same requests, one after the other,
 * to the etcd on this machine with --enable-v2 and to ours, both freshly made clusters of one; status, headers
 * and bodies must be equal, times, ids and addresses aside. Without a built daemon the API runs in this process
 * over a store without raft.
 */
import { existsSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLocalServer, type LocalServer } from '../api-v2/local-server.js'
import { Cluster } from './support/cluster.js'
import { DAEMON_BUILT, ETCD } from './support/member-process.js'
import { ask, type Server, serverOf } from './support/v2-ask.js'
import { STEPS } from './support/v2-steps.js'

const isInProcess = process.env.V2_TABLE === 'in-process' || !existsSync(DAEMON_BUILT)

describe.skipIf(!existsSync(ETCD))('the v2 API beside etcd', () => {
  const clusters: Cluster[] = []
  let local: LocalServer | undefined
  let timer: NodeJS.Timeout | undefined
  let theirs: Server
  let ours: Server

  const start = async (kind: 'etcd' | 'ours'): Promise<Server> => {
    const flags = kind === 'etcd' ? ['--enable-v2'] : []
    const cluster = await Cluster.start({ name: `v2-table-${kind}`, kinds: [kind], flags })
    clusters.push(cluster)
    const [member] = cluster.members
    if (member === undefined) throw new Error('a cluster has a member')
    return serverOf(member.clientUrl, member.options.peerUrl)
  }

  const startLocal = async (): Promise<Server> => {
    local = await createLocalServer()
    const { source } = local
    timer = setInterval(() => source.expire(), 200)
    const { sockets } = local
    await new Promise<void>((resolve) => sockets.listen(0, '127.0.0.1', resolve))
    const { port } = sockets.address() as AddressInfo
    const url = `http://127.0.0.1:${port}`
    const peerUrl = 'http://127.0.0.1:2380'
    source.list = source.list.map((member) => ({ ...member, clientUrls: [url] }))
    return serverOf(url, peerUrl)
  }

  beforeAll(async () => {
    theirs = await start('etcd')
    ours = isInProcess ? await startLocal() : await start('ours')
  })

  afterAll(async () => {
    clearInterval(timer)
    await local?.app.close()
    local?.sockets.close()
    for (const cluster of clusters) await cluster.destroy()
  })

  test('has at least 300 requests', () => {
    expect(STEPS.length).toBeGreaterThanOrEqual(300)
  })

  test('answers every request of the table as etcd does', async () => {
    const differences: unknown[] = []
    for (const step of STEPS) {
      const [expected, actual] = await Promise.all([ask(theirs, step), ask(ours, step)])
      const isEqual = JSON.stringify(sorted(expected)) === JSON.stringify(sorted(actual))
      if (!isEqual) differences.push({ step, expected, actual })
    }
    expect(differences).toEqual([])
  })
})

const sorted = ({ headers, ...rest }: Awaited<ReturnType<typeof ask>>): unknown => ({
  ...rest,
  headers: Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1)),
})
