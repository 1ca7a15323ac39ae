// Goal: the three-member TLS set-up of etcd's guides works with etcd's own client. Method: one CA, server and peer
// certificates with IP SANs, client certificates required; then a certificate replaced on disk; then --auto-tls.
import { readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority, type CertificateFiles } from './support/certificates.js'
import { Cluster, temporaryFolder } from './support/cluster.js'
import { etcdctl, mustEtcdctl, type Output } from './support/etcdctl.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

/** Waits until `args` succeed; etcdctl's own two seconds to connect are the poll interval. */
async function succeeds(endpoints: readonly string[], args: readonly string[]): Promise<void> {
  await until(
    `etcdctl ${args.join(' ')}`,
    async () => {
      const { code, stdout, stderr } = await etcdctl({ endpoints, args })
      if (code !== 0) throw new Error(stdout + stderr)
      return true
    },
    40_000,
  )
}

/** The serial number of the certificate that a new connection is shown. */
function shownSerial(url: string, files: CertificateFiles): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname,
      port: Number(port),
      rejectUnauthorized: false,
      cert: readFileSync(files.certFile),
      key: readFileSync(files.keyFile),
    })
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      resolve(socket.getPeerCertificate().serialNumber)
      socket.destroy()
    })
  })
}

for (const kinds of [['ours', 'ours', 'ours'] as const, ['etcd', 'ours', 'ours'] as const]) {
  const needs = kinds.includes('etcd' as never) ? (['etcd'] as const) : []
  describeWith(['daemon', 'etcdctl', ...needs], `TLS on ${kinds.join(', ')}`, () => {
    const folder = temporaryFolder('certificates')
    let cluster: Cluster
    let authority: Authority
    let client: CertificateFiles
    let server: CertificateFiles
    logsOnFailure(() => cluster)

    const secure = (): readonly string[] => [
      ...['--cacert', authority.caFile, '--cert', client.certFile, '--key', client.keyFile],
    ]
    const run = (args: readonly string[]): Promise<string> =>
      mustEtcdctl({ endpoints: cluster.endpoints, args })
    const refused = (args: readonly string[]): Promise<Output> =>
      etcdctl({ endpoints: cluster.endpoints, args: ['--command-timeout', '3s', ...args] })

    beforeAll(async () => {
      authority = await Authority.create(folder)
      client = await authority.issue('client')
      server = await authority.issue('server')
      const peer = await authority.issue('peer')
      cluster = new Cluster({
        name: 'tls',
        scheme: 'https',
        flags: [
          ...['--cert-file', server.certFile, '--key-file', server.keyFile],
          ...['--trusted-ca-file', authority.caFile, '--client-cert-auth'],
          ...['--peer-cert-file', peer.certFile, '--peer-key-file', peer.keyFile],
          ...['--peer-trusted-ca-file', authority.caFile, '--peer-client-cert-auth'],
        ],
      })
      await cluster.startAll(kinds)
      await succeeds(cluster.endpoints, [...secure(), 'endpoint', 'health'])
    })
    afterAll(async () => {
      await cluster?.destroy()
      rmSync(folder, { recursive: true, force: true })
    })

    test('etcdctl with --cacert, --cert and --key works', async () => {
      expect(await run([...secure(), 'put', 'over', 'tls'])).toBe('OK')
      expect(await run([...secure(), 'get', 'over'])).toBe('over\ntls')
      const list = await run([...secure(), 'member', 'list'])
      expect(list.split('\n')).toHaveLength(3)
    })

    test('etcdctl without a certificate, or with one of another CA, is refused', async () => {
      const without = await refused(['--cacert', authority.caFile, 'get', 'over'])
      expect(without).toMatchObject({ code: 1, stdout: '' })
      const stranger = await (await Authority.create(folder, 'other-ca')).issue('stranger')
      const { certFile, keyFile } = stranger
      const files = ['--cacert', authority.caFile, '--cert', certFile, '--key', keyFile]
      expect(await refused([...files, 'get', 'over'])).toMatchObject({ code: 1, stdout: '' })
      const plain = cluster.endpoints.map((url) => url.replace('https', 'http'))
      expect(
        await etcdctl({ endpoints: plain, args: ['--command-timeout', '3s', 'get', 'over'] }),
      ).toMatchObject({ code: 1 })
    })

    test('a certificate replaced on disk is used by the next connection', async () => {
      const [url = ''] = cluster.endpoints.slice(-1)
      const before = await shownSerial(url, client)
      await authority.issue('server')
      await until('the new certificate', async () => (await shownSerial(url, client)) !== before)
      expect(await run([...secure(), 'get', 'over'])).toBe('over\ntls')
    })

    test('a member that is killed and restarted finds its peers again', async () => {
      const member = cluster.members.at(-1)
      await member?.restart()
      await succeeds([member?.clientUrl ?? ''], [...secure(), 'put', 'after', 'restart'])
    })
  })
}

describeWith(['daemon', 'etcdctl'], '--auto-tls and --peer-auto-tls', () => {
  test('three members with certificates of their own making are one cluster', async () => {
    const flags = ['--auto-tls', '--peer-auto-tls']
    const cluster = new Cluster({ name: 'auto-tls', scheme: 'https', flags })
    try {
      await cluster.startAll(['ours', 'ours', 'ours'])
      const { endpoints } = cluster
      const trusting = ['--insecure-skip-tls-verify', '--insecure-transport=false']
      await succeeds(endpoints, [...trusting, 'endpoint', 'health'])
      await succeeds(endpoints.slice(0, 1), [...trusting, 'put', 'auto', 'tls'])
      const read = [...trusting, 'get', 'auto']
      const answer = await mustEtcdctl({ endpoints: endpoints.slice(1, 2), args: read })
      expect(answer).toBe('auto\ntls')
    } catch (error) {
      throw new Error(`${String(error)}\n${cluster.logs()}`)
    } finally {
      await cluster.destroy()
    }
  })
})
