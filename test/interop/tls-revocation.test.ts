// Goal: who shows a revoked certificate is refused, by clients' and peers' listeners and by the gRPC proxy, as etcd does it.
// Method: an authority of openssl's; Debian's etcdctl with a good and a revoked certificate at a member or proxy of either
// kind while the list is changed under it, the same table for both; then a cluster of both kinds with a revoked member.
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CertificateFiles } from './support/certificates.js'
import { Cluster, temporaryFolder } from './support/cluster.js'
import { etcdctl } from './support/etcdctl.js'
import { MemberProcess } from './support/member-process.js'
import { OpensslAuthority } from './support/openssl-authority.js'
import { freePort } from './support/ports.js'
import { ProxyProcess } from './support/proxy-process.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

const KINDS = ['etcd', 'ours'] as const

describeWith(['daemon', 'etcd', 'etcdctl', 'openssl'], 'certificate revocation', () => {
  const folder = temporaryFolder('revocation')
  let authority: OpensslAuthority
  let server: CertificateFiles
  let good: CertificateFiles
  let bad: CertificateFiles
  const list = join(folder, 'revoked.list')

  beforeAll(() => {
    authority = new OpensslAuthority(join(folder, 'ca'))
    server = authority.issue('server')
    good = authority.issue('good')
    bad = authority.issue('bad')
    authority.writeList(join(folder, 'empty.list'))
    authority.revoke('bad')
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))

  async function canRead(endpoint: string, { certFile, keyFile }: CertificateFiles) {
    const files = ['--cacert', authority.caFile, '--cert', certFile, '--key', keyFile]
    const args = ['--command-timeout', '2s', ...files, 'get', 'x']
    return (await etcdctl({ endpoints: [endpoint], args })).code === 0
  }

  /** Whether a page is answered to this certificate; who is refused is hung up on. */
  function isLetIn(endpoint: string, { certFile, keyFile }: CertificateFiles): Promise<boolean> {
    const { hostname, port } = new URL(endpoint)
    const [cert, key, ca] = [certFile, keyFile, authority.caFile].map((file) => readFileSync(file))
    return new Promise((resolve) => {
      const socket = connect({
        ...{ host: hostname, port: Number(port), cert, key, ca },
        ALPNProtocols: ['http/1.1'],
      })
      socket.on('secureConnect', () => socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n'))
      socket.once('data', () => {
        resolve(true)
        socket.destroy()
      })
      socket.on('error', () => socket.destroy())
      socket.on('close', () => resolve(false))
    })
  }

  /** Who gets in with each list, one word a row. */
  async function table(endpoint: string): Promise<readonly string[]> {
    const rows: string[] = []
    const row = async (name: string): Promise<void> => {
      const who = [await isLetIn(endpoint, good), await isLetIn(endpoint, bad)]
      rows.push(`${name}: good ${who[0]}, bad ${who[1]}`)
    }
    authority.writeList(list)
    await until('it serves', () => canRead(endpoint, good))
    expect(await canRead(endpoint, bad)).toBe(false)
    await row('a list in DER')
    rmSync(list)
    await row('no list any more')
    authority.writeList(list, 'PEM')
    await row('a list in PEM')
    writeFileSync(list, 'garbage')
    await row('garbage')
    return rows
  }
  const EXPECTED = [
    'a list in DER: good true, bad false',
    'no list any more: good false, bad false',
    'a list in PEM: good true, bad false',
    'garbage: good false, bad false',
  ]

  const clientFlags = (): string[] => [
    ...['--cert-file', server.certFile, '--key-file', server.keyFile],
    ...['--trusted-ca-file', authority.caFile, '--client-crl-file', list],
  ]

  for (const kind of KINDS) {
    test(`clients of ${kind}`, async () => {
      const own = join(folder, kind)
      const peerUrl = `http://127.0.0.1:${await freePort()}`
      const member = new MemberProcess({
        ...{ kind, name: 'n', folder: own, peerUrl },
        clientUrl: `https://127.0.0.1:${await freePort()}`,
        flags: ['--initial-cluster', `n=${peerUrl}`, '--client-cert-auth', ...clientFlags()],
      })
      try {
        member.start()
        expect(await table(member.clientUrl)).toEqual(EXPECTED)
        expect(member.log()).toContain('transport: certificate serial 03 revoked')
        expect(member.log()).toContain(`open ${list}: no such file or directory`)
      } finally {
        await member.kill()
      }
    })

    test(`clients of a gRPC proxy of ${kind}`, async () => {
      const cluster = await Cluster.start({ name: 'revocation-proxy', kinds: ['ours'] })
      const address = `127.0.0.1:${await freePort()}`
      const at = ['--listen-addr', address, '--endpoints', new URL(cluster.endpoints[0] ?? '').host]
      const args = ['grpc-proxy', 'start', ...at, ...clientFlags()]
      const proxy = new ProxyProcess({ kind, name: `${kind}-proxy`, folder, args })
      try {
        await proxy.startUntil('listening for gRPC proxy client requests')
        expect(await table(`https://${address}`)).toEqual(EXPECTED)
      } finally {
        await proxy.stop('SIGKILL')
        await cluster.destroy()
      }
    })
  }

  for (const revoked of KINDS) {
    test(`what a member of ${revoked} with a revoked certificate dials is refused`, async () => {
      // Members of ours send the authority along, so its own number must not be in this list.
      const peerAuthority = new OpensslAuthority(join(folder, `peers-${revoked}`))
      const shown = ['first', 'second', 'third'].map((name) => peerAuthority.issue(name))
      const cluster: Cluster = new Cluster({
        name: 'revocation-peers',
        adapt: async (planned) => {
          const { certFile = '', keyFile = '' } = shown[cluster.members.length] ?? {}
          return {
            ...planned,
            peerUrl: planned.peerUrl.replace('http:', 'https:'),
            environment: {
              ETCD_PEER_CERT_FILE: certFile,
              ETCD_PEER_KEY_FILE: keyFile,
              ETCD_PEER_TRUSTED_CA_FILE: peerAuthority.caFile,
              ETCD_PEER_CLIENT_CERT_AUTH: 'true',
              ETCD_PEER_CRL_FILE: list,
            },
          }
        },
      })
      peerAuthority.writeList(list)
      try {
        await cluster.startAll(['etcd', 'ours', revoked])
        await cluster.healthy()
        const [first, second, third] = cluster.members
        if (first === undefined || second === undefined || third === undefined) throw new Error()
        await third.kill()
        peerAuthority.revoke('third')
        peerAuthority.writeList(list)
        third.start()
        for (const one of [first, second])
          await until(`${one.name} refuses it`, () =>
            one.log().includes('transport: certificate serial 03 revoked'),
          )
        copyFileSync(join(folder, 'empty.list'), list)
        await cluster.healthy()
        expect(await cluster.ctl(['put', 'among', 'all'], { at: third })).toBe('OK')
      } catch (error) {
        throw new Error(`${String(error)}\n${cluster.logs()}`)
      } finally {
        await cluster.destroy()
      }
    })
  }
})
