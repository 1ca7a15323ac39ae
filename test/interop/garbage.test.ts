// Goal: whatever is sent to a port that speaks something else, the member goes on, and where etcd answers, ours answers the
// same. Method: bytes of several sorts on new connections to the client and peer ports, plain and TLS, of Debian's etcd and
// of ours; then a write.
import { readFileSync, rmSync } from 'node:fs'
import { connect as connectTls } from 'node:tls'
import { expect, test } from 'vitest'
import { Authority } from './support/certificates.js'
import { Cluster, temporaryFolder } from './support/cluster.js'
import { etcdctl } from './support/etcdctl.js'
import { exchange, exchangeForAnswer } from './support/raw-http.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const NOISE = Buffer.from(Array.from({ length: 1000 }, (_, at) => (at * 167 + 13) % 256))
const HELLO = Buffer.concat([Buffer.from('16030100c8010000c40303', 'hex'), NOISE.subarray(0, 194)])
const WAIT_MS = 400

/** Whoever answers these answers as etcd does; to the others etcd only waits. */
const ANSWERED: Readonly<Record<string, string>> = {
  'a page that is not there': 'GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  'a gRPC call over HTTP/1':
    'POST /etcdserverpb.KV/Range HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\n' +
    'Content-Length: 5\r\nConnection: close\r\n\r\n\0\0\0\0\0',
}
const OTHERS: readonly (string | Uint8Array)[] = [
  ...[NOISE, HELLO, Buffer.alloc(500), 'hello\r\nworld\r\n\r\n', PREFACE],
  ...[Buffer.concat([Buffer.from(PREFACE), NOISE]), PREFACE.slice(0, 10)],
]

/** Bytes inside TLS, with this protocol chosen; ends by itself. */
function inside(url: string, protocol: string, bytes: string | Uint8Array): Promise<void> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connectTls({
      ...{ host: hostname, port: Number(port), rejectUnauthorized: false },
      ALPNProtocols: [protocol],
    })
    socket.setTimeout(WAIT_MS, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => resolve())
    socket.on('secureConnect', () => socket.write(bytes))
    socket.resume()
  })
}

const ready = async (cluster: Cluster, flags: readonly string[] = []): Promise<void> => {
  await until('it serves', async () => {
    const args = [...flags, '--command-timeout', '2s', 'put', 'a', 'b']
    return (await etcdctl({ endpoints: cluster.endpoints, args })).code === 0
  })
}

describeWith(['daemon', 'etcd', 'etcdctl'], 'bytes that nobody asked for', () => {
  test('on plain ports', async () => {
    const said: Record<string, string>[] = []
    for (const kind of ['etcd', 'ours'] as const) {
      const cluster = await Cluster.start({ name: 'garbage', kinds: [kind] })
      try {
        const [member] = cluster.members
        if (member === undefined) throw new Error('no member')
        const urls = [member.clientUrl, member.options.peerUrl]
        const answers: Record<string, string> = {}
        for (const [side, url] of urls.entries()) {
          for (const [name, bytes] of Object.entries(ANSWERED)) {
            const text = await exchangeForAnswer(url, bytes, 1500)
            const head = text.split('\r\n\r\n', 1)[0] ?? ''
            const lines = head.split('\r\n').filter((line) => !line.startsWith('Date:'))
            const [first = '', ...fields] = lines
            answers[`${side} ${name}`] = [first, ...fields.sort()].join('\n')
          }
          await Promise.all(OTHERS.map((bytes) => exchange(url, bytes, WAIT_MS)))
        }
        said.push(answers)
        await ready(cluster)
        expect(member.isRunning).toBe(true)
      } finally {
        await cluster.destroy()
      }
    }
    expect(said[1]).toEqual(said[0])
  })

  test('on TLS ports, and inside TLS', async () => {
    const folder = temporaryFolder('garbage-tls')
    const authority = await Authority.create(folder)
    const { certFile, keyFile } = await authority.issue('server')
    const cluster = new Cluster({
      name: 'garbage-tls',
      scheme: 'https',
      flags: [
        ...['--cert-file', certFile, '--key-file', keyFile],
        ...['--peer-cert-file', certFile, '--peer-key-file', keyFile],
      ],
    })
    try {
      expect(readFileSync(certFile, 'utf8')).toContain('CERTIFICATE')
      await cluster.startAll(['ours'])
      const trust = ['--cacert', authority.caFile]
      await ready(cluster, trust)
      const [member] = cluster.members
      if (member === undefined) throw new Error('no member')
      for (const url of [member.clientUrl, member.options.peerUrl]) {
        const all = [...OTHERS, ...Object.values(ANSWERED)]
        await Promise.all(all.map((bytes) => exchange(url, bytes, WAIT_MS)))
        for (const protocol of ['h2', 'http/1.1'])
          await Promise.all(all.map((bytes) => inside(url, protocol, bytes)))
      }
      await ready(cluster, trust)
      expect(member.isRunning).toBe(true)
    } finally {
      await cluster.destroy()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
