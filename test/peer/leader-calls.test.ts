/** Goal: calls to other members read etcd's answers and name its errors. Method: a server with fixed answers. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { leaseId, memberId } from '../../src/base/ids.js'
import {
  fetchDowngradeEnabled,
  fetchMembers,
  fetchVersion,
  type UrlFailure,
} from '../../src/peer/cluster-discovery.js'
import {
  getHashKV,
  LeaseInternalRequest,
  LeaseInternalResponse,
  postLeaseKeepAlive,
  postLeaseTimeToLive,
  postPromote,
} from '../../src/peer/leader-calls.js'
import {
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseTimeToLiveResponse,
} from '../../src/wire/rpc.js'

type Respond = (response: ServerResponse, body: Buffer) => void

let server: Server
let url = ''
let seen: { readonly request: IncomingMessage; readonly body: Buffer } | undefined
let respond: Respond = (response) => response.end()
const DEAD = 'http://127.0.0.1:1'
/** For what is answered, on a machine that stalls too. */
const options = { dialTimeoutMs: 10_000, timeoutMs: 10_000 }
/** For what is not. */
const impatient = { dialTimeoutMs: 500, timeoutMs: 300 }

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      seen = { request, body }
      respond(response, body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.close()
  server.closeAllConnections()
})
beforeEach(() => {
  seen = undefined
})

const text =
  (status: number, body: string | Uint8Array, headers: Record<string, string> = {}): Respond =>
  (response) => {
    response.writeHead(status, headers)
    response.end(body)
  }

describe('discovery', () => {
  test('fetches members with ids that no number holds, from the first URL that answers', async () => {
    const json =
      '[{"id":14553190815069698650,"peerURLs":["http://a:1"],"name":"n","clientURLs":[]}]\n'
    respond = text(200, json, { 'X-Etcd-Cluster-ID': 'cdf818194e3a8c32' })
    const failures: UrlFailure[] = []
    const cluster = await fetchMembers([DEAD, url], options, (failure) => failures.push(failure))
    expect(cluster).toEqual({ clusterId: 0xcdf818194e3a8c32n, membersJson: json, url })
    expect(failures).toEqual([
      { address: `${DEAD}/members`, error: 'dial tcp 127.0.0.1:1: connect: connection refused' },
    ])
  })

  test.each([
    ['without a cluster id', text(200, '[]')],
    ['that are no JSON', text(200, '[{', { 'X-Etcd-Cluster-ID': '1' })],
    ['that are no list', text(200, '{}', { 'X-Etcd-Cluster-ID': '1' })],
    ['with a failure', text(404, 'x', { 'X-Etcd-Cluster-ID': '1' })],
    ['that never end', (response: ServerResponse) => void response.writeHead(200).flushHeaders()],
    ['that are endless', text(200, `[${' '.repeat(2 << 20)}]`, { 'X-Etcd-Cluster-ID': '1' })],
  ])('does not take members %s', async (_, answer) => {
    respond = answer
    const failures: UrlFailure[] = []
    const found = await fetchMembers([url], impatient, (failure) => failures.push(failure))
    expect(found).toBeUndefined()
    expect(failures).toHaveLength(1)
  })

  test('fetches versions', async () => {
    respond = text(200, '{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}')
    expect(await fetchVersion([url], options)).toEqual({
      etcdserver: '3.4.23',
      etcdcluster: '3.4.0',
    })
    expect(seen?.request.url).toBe('/version')
    respond = text(200, '{"etcdserver":"3.4.23"}')
    expect(await fetchVersion([url], options)).toBeUndefined()
  })

  test('fetches whether a downgrade is on; a member before 3.5 does not know', async () => {
    respond = text(200, 'true')
    expect(await fetchDowngradeEnabled([url], options)).toBe(true)
    respond = text(200, 'false')
    expect(await fetchDowngradeEnabled([url], options)).toBe(false)
    respond = text(404, '404 page not found\n')
    expect(await fetchDowngradeEnabled([url], options)).toBeUndefined()
  })
})

describe('a lease kept alive at the leader', () => {
  const lease = leaseId(0x7000000000000001n)

  test('gives the new TTL, by the first URL that answers', async () => {
    respond = text(200, LeaseKeepAliveResponse.encode({ ID: lease, TTL: 60 }))
    expect(await postLeaseKeepAlive([DEAD, url], lease, options)).toBe(60)
    expect(seen?.request).toMatchObject({ method: 'POST', url: '/leases' })
    expect(seen?.request.headers['content-type']).toBe('application/protobuf')
    expect(LeaseKeepAliveRequest.decode(seen?.body ?? Buffer.alloc(0)).ID).toBe(lease)
  })

  test.each([
    ['LEASE_NOT_FOUND', text(404, 'lease not found\n')],
    ['TIMEOUT', text(408, 'waiting for node to catch up its applied index has timed out\n')],
    ['TIMEOUT', () => undefined],
    ['INTERNAL', text(400, 'not a primary lessor\n')],
    ['INTERNAL', text(200, LeaseKeepAliveResponse.encode({ ID: leaseId(5n), TTL: 60 }))],
    ['INTERNAL', text(200, '\x0f\x0f')],
  ])('fails with %s', async (code, answer) => {
    respond = answer
    const patience = code === 'TIMEOUT' ? impatient : options
    await expect(postLeaseKeepAlive([url], lease, patience)).rejects.toMatchObject({ code })
  })

  test('fails with NO_LEADER when there is nobody to ask', async () => {
    await expect(postLeaseKeepAlive([], lease, options)).rejects.toMatchObject({
      code: 'NO_LEADER',
    })
  })

  test('is asked for what is left of it', async () => {
    const response = LeaseTimeToLiveResponse.create({ ID: lease, TTL: 5, grantedTTL: 10 })
    respond = text(200, LeaseInternalResponse.encode({ response }))
    const left = await postLeaseTimeToLive([url], { ID: lease, keys: true }, options)
    expect(left).toMatchObject({ TTL: 5, grantedTTL: 10 })
    expect(seen?.request.url).toBe('/leases/internal')
    const asked = LeaseInternalRequest.decode(seen?.body ?? Buffer.alloc(0))
    expect(asked.request).toEqual({ ID: lease, keys: true })
  })
})

describe('a promotion at the leader', () => {
  const learner = memberId(14553190815069698650n)

  test('names the learner in decimal and gives the members as text', async () => {
    respond = text(200, '[{"id":14553190815069698650}]')
    expect(await postPromote([url], learner, options)).toBe('[{"id":14553190815069698650}]')
    expect(seen?.request.url).toBe('/members/promote/14553190815069698650')
  })

  test.each([
    ['MEMBER_NOT_FOUND', text(404, 'membership: ID not found\n')],
    ['MEMBER_NOT_LEARNER', text(412, 'membership: can only promote a learner member\n')],
    [
      'LEARNER_NOT_READY',
      text(412, 'etcdserver: can only promote a learner member which is in sync with leader\n'),
    ],
    ['TIMEOUT', text(408, 'x')],
    ['INTERNAL', text(500, '{"message":"Internal Server Error"}')],
  ])('fails with %s', async (code, answer) => {
    respond = answer
    await expect(postPromote([url], learner, options)).rejects.toMatchObject({ code })
  })
})

describe('the hash of another member', () => {
  const asked = { ...options, clusterIdText: 'abc' }

  test('is asked with a body in the GET', async () => {
    respond = text(
      200,
      '{"header":{"cluster_id":14553190815069698650,"revision":9},"hash":4294967295,"compact_revision":3,"hash_revision":8}',
    )
    expect(await getHashKV([url], 8, asked)).toEqual({
      hash: 4294967295,
      revision: 9,
      compactRevision: 3,
      hashRevision: 8,
    })
    expect(seen?.body.toString()).toBe('{"revision":8}')
    expect(seen?.request.headers['x-etcd-cluster-id']).toBe('abc')
  })

  test('leaves out what is zero', async () => {
    respond = text(200, '{"header":{"revision":1},"hash":7}')
    expect(await getHashKV([url], 0, asked)).toMatchObject({ compactRevision: 0, hashRevision: 0 })
  })

  test.each([
    ['COMPACTED', text(400, 'mvcc: required revision has been compacted\n')],
    ['FUTURE_REVISION', text(400, 'mvcc: required revision is a future revision\n')],
    ['CLUSTER_ID_MISMATCH', text(412, 'cluster ID mismatch\n')],
    ['INTERNAL', text(400, 'error reading body\n')],
    ['INTERNAL', text(200, 'no json')],
  ])('fails with %s', async (code, answer) => {
    respond = answer
    await expect(getHashKV([url], 1, asked)).rejects.toMatchObject({ code })
  })
})
