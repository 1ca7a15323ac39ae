// Goal: `etcd migrate-v2` works where certificates and users are demanded. Method: sources and targets of either kind that
// want client certificates of an authority of openssl's, users of the v2 API switched on at the source; then every way of
// not having the right certificate or password.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CertificateFiles } from './support/certificates.js'
import { Cluster, temporaryFolder } from './support/cluster.js'
import { mustEtcdctl, V2_PATIENCE } from './support/etcdctl.js'
import { type MemberKind, OURS } from './support/member-process.js'
import { OpensslAuthority } from './support/openssl-authority.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

describeWith(['daemon', 'etcd', 'etcdctl', 'openssl'], 'migrate-v2 over TLS', () => {
  const folder = temporaryFolder('migrate-tls')
  const clusters = new Map<MemberKind, Cluster>()
  let authority: OpensslAuthority
  let client: CertificateFiles
  let stranger: CertificateFiles

  const of = (kind: MemberKind): Cluster => {
    const cluster = clusters.get(kind)
    if (cluster === undefined) throw new Error(`no cluster of ${kind}`)
    return cluster
  }
  const ctl = (kind: MemberKind, api: '2' | '3', ...args: readonly string[]): Promise<string> => {
    const { certFile, keyFile } = client
    const files =
      api === '2'
        ? ['--ca-file', authority.caFile, '--cert-file', certFile, '--key-file', keyFile]
        : ['--cacert', authority.caFile, '--cert', certFile, '--key', keyFile]
    const patience = api === '2' ? V2_PATIENCE : []
    const all = [...patience, ...files, ...args]
    return mustEtcdctl({ endpoints: of(kind).endpoints, api, args: all })
  }
  const asRoot = (kind: MemberKind, ...args: readonly string[]): Promise<string> =>
    ctl(kind, '2', '-u', 'root:pass', ...args)
  function migrate(from: MemberKind, to: MemberKind, ...words: readonly string[]) {
    const [program, ...rest] = OURS
    const ends = ['--from', of(from).endpoints.join(','), '--to', of(to).endpoints.join(',')]
    const { status, stdout, stderr } = spawnSync(
      program,
      [...rest, 'migrate-v2', ...ends, ...words],
      { encoding: 'utf8', timeout: 60_000 },
    )
    return { code: status, stdout, stderr }
  }
  const files = ({ certFile, keyFile }: CertificateFiles): string[] => [
    ...['--cacert', authority.caFile, '--cert', certFile, '--key', keyFile],
  ]

  beforeAll(async () => {
    authority = new OpensslAuthority(join(folder, 'ca'))
    const server = authority.issue('server')
    client = authority.issue('client')
    stranger = new OpensslAuthority(join(folder, 'other')).issue('stranger')
    for (const kind of ['etcd', 'ours'] as const) {
      const cluster = new Cluster({
        name: `migrate-tls-${kind}`,
        scheme: 'https',
        flags: [
          ...['--enable-v2', '--peer-auto-tls', '--client-cert-auth'],
          ...['--cert-file', server.certFile, '--key-file', server.keyFile],
          ...['--trusted-ca-file', authority.caFile],
        ],
      })
      clusters.set(kind, cluster)
      await cluster.startAll([kind])
      await until(`${kind} serves`, () => ctl(kind, '2', 'set', '/app/first', kind))
      await ctl(kind, '2', 'set', '/app/inner/second', 'two')
      // Users come with the version of the cluster, which is decided some time after the start.
      await until(`${kind} has users`, () => ctl(kind, '2', 'user', 'list'))
      await ctl(kind, '2', 'user', 'add', 'root:pass')
      await ctl(kind, '2', 'user', 'add', 'reader:pass')
      await ctl(kind, '2', 'role', 'add', 'nothing')
      await ctl(kind, '2', 'user', 'grant', 'reader', '--roles', 'nothing')
      await ctl(kind, '2', 'auth', 'enable')
      await asRoot(kind, 'role', 'revoke', 'guest', '--path', '/*', '--readwrite')
    }
  })
  afterAll(async () => {
    await Promise.all([...clusters.values()].map((cluster) => cluster.destroy()))
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  for (const [from, to] of [
    ['etcd', 'ours'],
    ['ours', 'etcd'],
  ] as const) {
    test(`from ${from} to ${to}, with a certificate and a user`, async () => {
      const run = migrate(
        from,
        to,
        '--prefix',
        '/app',
        '--from-user',
        'root:pass',
        ...files(client),
      )
      expect(run).toMatchObject({ code: 0 })
      expect(run.stdout).toContain('copied 2 keys')
      const found = await ctl(to, '3', 'get', '--prefix', '/app')
      expect(found).toBe(`/app/first\n${from}\n/app/inner/second\ntwo`)
    })
  }

  test('who may not read the tree is told so at once', () => {
    const words = ['--prefix', '/app', '--strip', ...files(client)]
    for (const user of ['reader:pass', 'root:wrong', 'nobody:pass']) {
      for (const from of ['etcd', 'ours'] as const) {
        const run = migrate(from, 'ours', ...words, '--from-user', user)
        expect(run.code, user).toBe(1)
        expect(run.stderr, user).toContain('the source answered 401')
        expect(run.stderr, user).toContain('The request requires user authentication')
      }
    }
  })

  test('without the right files it does not begin', () => {
    const words = ['--prefix', '/app', '--from-user', 'root:pass']
    const [none, cert] = [join(folder, 'none.pem'), client.certFile]
    expect(migrate('etcd', 'ours', ...words, '--cacert', none)).toMatchObject({
      code: 1,
      stderr: `migrate-v2: open ${none}: no such file or directory\n`,
    })
    expect(migrate('etcd', 'ours', ...words, '--cert', cert)).toMatchObject({ code: 2 })
    const unknown = migrate('etcd', 'ours', ...words, '--cert', cert, '--key', client.keyFile)
    expect(unknown).toMatchObject({ code: 1 })
    expect(unknown.stderr).toMatch(/unable to (?:verify the first|get local issuer) certificate/)
    const foreign = migrate('etcd', 'ours', ...words, ...files(stranger))
    expect(foreign).toMatchObject({ code: 1, stdout: '' })
    expect(foreign.stderr).toMatch(/alert|ECONNRESET/)
  })
})
