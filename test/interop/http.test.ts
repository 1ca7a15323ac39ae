// Goal: what curl, Prometheus and orchestrators ask on the client and peer ports is answered as etcd answers. Method: the
// same raw requests to a single etcd and a single member of ours; where 3.5 differs from the 3.4 at hand, the documented
// answer of 3.5. Then the ports' manners: two protocols on one, garbage, ports that are taken, flags that are wrong.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Cluster, temporaryFolder } from './support/cluster.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { type MemberProcess, OURS } from './support/member-process.js'
import { exchange, type RawResponse, request } from './support/raw-http.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'
import { V3Client } from './support/v3-client.js'

/** Headers that tell something; the others are the HTTP library's own affair. */
const HEADERS = [
  'content-type',
  'x-content-type-options',
  'allow',
  'location',
  'x-etcd-cluster-id',
  'access-control-allow-origin',
  'access-control-allow-methods',
  'access-control-allow-headers',
]

function comparable({ status, headers, body }: RawResponse, member: MemberProcess): object {
  const told = HEADERS.filter((name) => headers.has(name)).map((name) => {
    const value = headers.get(name) ?? ''
    return `${name}: ${name === 'x-etcd-cluster-id' ? '<id>' : value}`
  })
  const text = body
    .replaceAll(member.clientUrl, '<client>')
    .replaceAll(member.options.peerUrl, '<peer>')
    .replaceAll(member.name, '<name>')
    .replace(/"id":\d+/g, '"id":<id>')
    .replace(/"Now":"[^"]*"/, '"Now":"<now>"')
  return { status, told, text }
}

const clientRequests: readonly (readonly [target: string, method?: string])[] = [
  ['/nothing'],
  ['/version', 'POST'],
  ['/version', 'PUT'],
  ['/health', 'POST'],
  ['/health', 'DELETE'],
  ['//version'],
  ['/./version'],
  ['/a/../version'],
  ['/version/'],
  ['/anything', 'OPTIONS'],
  ['/debug/vars', 'POST'],
  ['/raft'],
]

const peerRequests: readonly (readonly [target: string, method?: string])[] = [
  ['/members'],
  ['/members', 'POST'],
  ['/members/x'],
  ['/raft/probing'],
  ['/version', 'POST'],
  ['/nothing'],
  ['/health'],
  ['/metrics'],
  ['/v2/members'],
  ['/leases'],
  ['/leases/internal'],
  ['/raft'],
]

describeWith(['daemon', 'etcd', 'etcdctl'], 'HTTP as etcd speaks it', () => {
  let theirs: Cluster
  let ours: Cluster
  logsOnFailure(() => ours)

  beforeAll(async () => {
    theirs = await Cluster.start({ name: 'http-etcd', kinds: ['etcd'] })
    ours = await Cluster.start({ name: 'http-ours', kinds: ['ours'] })
  })
  afterAll(async () => {
    await theirs?.destroy()
    await ours?.destroy()
  })

  const memberOf = (cluster: Cluster): MemberProcess => {
    const [member] = cluster.members
    if (member === undefined) throw new Error('no member')
    return member
  }

  describe('client port', () => {
    for (const [target, method = 'GET'] of clientRequests) {
      test(`${method} ${target}`, async () => {
        const [a, b] = await Promise.all(
          [theirs, ours].map(async (cluster) => {
            const member = memberOf(cluster)
            return comparable(await request(member.clientUrl, target, { method }), member)
          }),
        )
        expect(b).toEqual(a)
      })
    }

    test('/version, /health, /livez and /readyz have the bodies of 3.5', async () => {
      const { clientUrl } = memberOf(ours)
      const bodies = await Promise.all(
        ['/version', '/health', '/livez', '/readyz', '/readyz/linearizable_read'].map(
          async (target) => {
            const { status, headers, body } = await request(clientUrl, target)
            return [status, headers.get('content-type'), body]
          },
        ),
      )
      const text = 'text/plain; charset=utf-8'
      expect(bodies).toEqual([
        [200, 'application/json', '{"etcdserver":"3.5.33","etcdcluster":"3.5.0"}'],
        [200, text, '{"health":"true","reason":""}'],
        [200, text, 'ok\n'],
        [200, text, 'ok\n'],
        [200, text, 'ok\n'],
      ])
      const { body } = await request(clientUrl, '/readyz?verbose')
      expect(body.split('\n').sort()).toContain('[+]linearizable_read ok')
    })

    test('/metrics has every etcd family of the etcd at hand', async () => {
      const [a, b] = await Promise.all(
        [theirs, ours].map(async (cluster) => {
          const { body, headers } = await request(memberOf(cluster).clientUrl, '/metrics')
          expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
          return new Set(body.match(/(?<=^# TYPE )(?:etcd|grpc|process|os|promhttp)_\w+ \w+$/gm))
        }),
      )
      /* Of 3.4 only; of the gRPC proxy, which no server is; of Go's exporter. */
      const gone = /^(?:etcd_debugging_mvcc_(?:put|delete|txn|db)_total|etcd_grpc_proxy_|promhttp_)/
      const missing = [...(a ?? [])].filter((family) => !b?.has(family) && !gone.test(family))
      expect(missing).toEqual([])
    })

    test('/debug/vars is JSON with what etcd publishes', async () => {
      const { status, headers, body } = await request(memberOf(ours).clientUrl, '/debug/vars')
      expect([status, headers.get('content-type')]).toEqual([
        200,
        'application/json; charset=utf-8',
      ])
      const keys = Object.keys(JSON.parse(body) as object)
      expect(keys).toEqual(expect.arrayContaining(['cmdline', 'memstats', 'raft.status']))
    })
  })

  /* etcd's peer port answers and then leaves the connection open, whatever `Connection: close` asks. */
  describe('peer port', () => {
    for (const [target, method = 'GET'] of peerRequests) {
      test(`${method} ${target}`, async () => {
        const [a, b] = await Promise.all(
          [theirs, ours].map(async (cluster) => {
            const member = memberOf(cluster)
            return comparable(
              await request(member.options.peerUrl, target, { method, idleMs: 700 }),
              member,
            )
          }),
        )
        expect(b).toEqual(a)
      })
    }
  })

  test('gRPC and HTTP/1 are served on one port at the same time', async () => {
    const { clientUrl } = memberOf(ours)
    const client = new V3Client(clientUrl)
    try {
      const both = Array.from({ length: 20 }, async (_, at) => {
        await client.put(`both/${at}`, 'x')
        return (await request(clientUrl, '/health')).status
      })
      expect(new Set(await Promise.all(both))).toEqual(new Set([200]))
    } finally {
      client.close()
    }
  })

  test('garbage and half requests on a socket harm nobody else', async () => {
    const { clientUrl, options } = memberOf(ours)
    const client = new V3Client(clientUrl)
    try {
      const noise = Uint8Array.from({ length: 4096 }, (_, at) => (at * 197 + 13) % 256)
      const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
      const all = [clientUrl, options.peerUrl].flatMap((url) =>
        [noise, preface, `${preface}\xff\xff\xff garbage`, 'GET / HT', '\x16\x03\x01\x02'].map(
          (bytes) => exchange(url, bytes, 1000),
        ),
      )
      for (let at = 0; at < 10; at += 1) await client.put(`calm/${at}`, 'x')
      await Promise.all(all)
      expect((await request(clientUrl, '/health')).status).toBe(200)
      expect((await request(options.peerUrl, '/raft/probing')).status).toBe(200)
      expect(memberOf(ours).isRunning).toBe(true)
    } finally {
      client.close()
    }
  })
})

describeWith(['daemon', 'etcd', 'etcdctl'], 'the host whitelist', () => {
  test('refuses other names with the page of etcd, and lets the named one through', async () => {
    const flags = ['--host-whitelist', 'good.example']
    const clusters: Cluster[] = []
    try {
      for (const kind of ['etcd', 'ours'] as const) {
        const cluster = new Cluster({ name: `whitelist-${kind}`, flags })
        clusters.push(cluster)
        await cluster.startAll([kind])
      }
      const answers = await Promise.all(
        clusters.map(async ({ members: [member] }) => {
          if (member === undefined) throw new Error('no member')
          await until(`${member.name} serves`, async () => {
            const health = await request(member.clientUrl, '/health', { host: 'good.example' })
            return health.status === 200
          })
          const refused = await request(member.clientUrl, '/version', { host: 'evil.example:1' })
          const good = await request(member.clientUrl, '/version', { host: 'good.example:99' })
          return [comparable(refused, member), good.status]
        }),
      )
      expect(answers[1]).toEqual(answers[0])
      expect(answers[1]?.[1]).toBe(200)
    } finally {
      await Promise.all(clusters.map((cluster) => cluster.destroy()))
    }
  })
})

describeWith(['daemon'], 'a start that cannot succeed', () => {
  const run = (flags: readonly string[]): { text: string; status: number | null } => {
    const [program, ...first] = OURS
    const cwd = temporaryFolder('refused')
    const { stdout, stderr, status } = spawnSync(program, [...first, ...flags], {
      cwd,
      encoding: 'utf8',
      timeout: 20_000,
    })
    rmSync(cwd, { recursive: true, force: true })
    return { text: stdout + stderr, status }
  }

  for (const which of ['client', 'peer'] as const) {
    test(`a ${which} port that is taken ends it with code 1 and the reason`, async () => {
      const holder = createServer()
      await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
      try {
        const address = holder.address()
        const taken = typeof address === 'object' && address !== null ? address.port : 0
        const free = 'http://127.0.0.1:0'
        const url = `http://127.0.0.1:${taken}`
        const [client, peer] = which === 'client' ? [url, free] : [free, url]
        const { text, status } = run([
          ...['--listen-client-urls', client, '--advertise-client-urls', 'http://127.0.0.1:1'],
          ...['--listen-peer-urls', peer],
        ])
        expect(text).toMatch(/address already in use/)
        expect(text).toContain(`127.0.0.1:${taken}`)
        expect(status).toBe(1)
      } finally {
        holder.close()
      }
    })
  }

  test('an unknown flag ends it with code 2 and names the flag', () => {
    const { text, status } = run(['--no-such-flag'])
    expect(text).toContain('flag provided but not defined: -no-such-flag')
    expect(status).toBe(2)
  })

  test('a conflict of flags ends it with code 1 and says which', () => {
    const { text, status } = run(['--initial-cluster', 'other=http://127.0.0.1:1'])
    expect(text).toContain(`couldn't find local name`)
    expect(status).toBe(1)
  })
})
