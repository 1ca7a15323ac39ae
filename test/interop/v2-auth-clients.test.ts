/**
 * Goal: who uses etcdctl or certificates with the v2 API's users cannot tell which daemon answers, and members of
 * both kinds agree on them. Method: one etcdctl session on the etcd of this machine with --enable-v2 and on ours,
 * standard output, standard error and exit codes compared; a cluster of both where each change is made through one
 * member and seen through the others; client certificates as names, shown to both over HTTP/1.1 and HTTP/2.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { request } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Authority, type CertificateFiles } from './support/certificates.js'
import { Cluster, temporaryFolder } from './support/cluster.js'
import { etcdctl, mustEtcdctl, V2_PATIENCE } from './support/etcdctl.js'
import { ETCDCTL_23, type MemberKind, MemberProcess } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { describeWith, type Requirement } from './support/requirements.js'
import { until } from './support/until.js'

type Line = string | { readonly line: string; readonly stdin: string }

/** Blanks separate; a password that is asked for comes from standard input. */
const SESSION: readonly Line[] = [
  'user list',
  'role list',
  'auth enable',
  'auth disable',
  { line: 'user add root', stdin: 'pr\n' },
  'user add root:again',
  'user add u:pu',
  'user add u:pu',
  { line: 'user add empty', stdin: '\n' },
  'user add',
  'user get root',
  'user get u',
  'user get nobody',
  'user list extra',
  { line: 'user passwd u', stdin: 'changed\n' },
  { line: 'user passwd nobody', stdin: 'x\n' },
  'user grant u',
  'user grant u --roles reader,writer',
  'user grant u --roles reader',
  'user get u',
  'user revoke u --roles writer',
  'user revoke u --roles none',
  'role add reader',
  'role add reader',
  'role add root',
  'role add',
  'role get none',
  'role get root',
  'role grant reader --path /a/* --read',
  'role grant reader --path /a/* --read',
  'role grant reader --path /b --readwrite',
  'role grant reader --path b --read',
  'role grant reader --path /c',
  'role grant reader --read',
  'role grant none --path /c --write',
  'role get reader',
  'role revoke reader --path /b --write',
  'role revoke reader --path /none --readwrite',
  'role list',
  'user list',
  'set /a/x 1',
  'set /b 1',
  'auth enable',
  'auth enable',
  'get /a/x',
  'role revoke guest --path /* --readwrite',
  '-u root:pr role get guest',
  '-u root:pr role revoke guest --path /* --readwrite',
  'get /a/x',
  'set /a/x 2',
  'ls /',
  'user list',
  'member remove abc',
  '-u u:changed member remove abc',
  '-u u:changed get /a/x',
  '-u u:pu get /a/x',
  '-u u:changed set /a/x 2',
  '-u u:changed get /b',
  '-u u:changed get /none',
  '-u u:changed get /a/none',
  '-u u:changed ls /a/',
  '-u u:changed ls --recursive /a',
  '-u u:changed role list',
  { line: '-u u get /a/x', stdin: 'changed\n' },
  { line: '-u u get /a/x', stdin: 'wrong\n' },
  '-u nobody:x get /a/x',
  '-u root:pr set /a/x 3',
  '-u root:pr -o extended get /a/x',
  '-u root:pr ls --sort --recursive /',
  '-u root:pr rm /b',
  '-u root:pr user remove root',
  '-u root:pr role remove reader',
  '-u u:changed get /a/x',
  '-u root:pr user get u',
  '-u root:pr user remove u',
  '-u u:changed get /a/x',
  '-u root:pr auth disable',
  '-u root:pr auth disable',
  'get /a/x',
  'user remove root',
  'user list',
  'auth enable',
]

/** What an etcdctl of its own changes: the program, Debian's where it is missing. */
type Client = Readonly<{ program?: string }>

async function run(member: MemberProcess, entry: Line, client: Client): Promise<string> {
  const { line, stdin } = typeof entry === 'string' ? { line: entry, stdin: '' } : entry
  const endpoints = [member.clientUrl]
  const { stdout, stderr, code } = await etcdctl({
    ...client,
    endpoints,
    args: [...V2_PATIENCE, ...line.split(' ')],
    api: '2',
    stdin,
  })
  const text = `etcdctl ${line}\n${stdout}\n${stderr}\nexit code: ${code}`
  return text.replaceAll(member.clientUrl, 'CLIENT').replaceAll(`name=${member.name}`, 'name=NAME')
}

function startCluster(name: string, kinds: readonly MemberKind[]): Promise<Cluster> {
  // Ours has the v2 API unless told otherwise, and takes the flag.
  return Cluster.start({ name, kinds, flags: ['--enable-v2'] })
}

function session(needs: readonly Requirement[], title: string, client: Client): void {
  describeWith(needs, title, () => {
    const clusters: Cluster[] = []
    beforeAll(async () => {
      for (const kind of ['etcd', 'ours'] as const)
        clusters.push(await startCluster(`v2-auth-${kind}`, [kind]))
    })
    afterAll(async () => {
      for (const cluster of clusters) await cluster.destroy()
    })

    test('every command says the same', async () => {
      const [etcd, ours] = clusters.flatMap(({ members }) => members)
      if (etcd === undefined || ours === undefined) throw new Error('both run')
      const seen: { expected: string; actual: string }[] = []
      for (const line of SESSION) {
        const [expected, actual] = await Promise.all([
          run(etcd, line, client),
          run(ours, line, client),
        ])
        seen.push({ expected, actual })
      }
      expect(seen.map(({ actual }) => actual)).toEqual(seen.map(({ expected }) => expected))
    })
  })
}

session(['daemon', 'etcd', 'etcdctl'], 'users and roles with etcdctl in API 2', {})
session(['daemon', 'etcd', 'etcdctl-2.3'], 'users and roles with the etcdctl of etcd 2.3', {
  program: ETCDCTL_23,
})

describeWith(['daemon', 'etcd', 'etcdctl'], 'users and roles of the v2 API', () => {
  describe('in a cluster of both', () => {
    let cluster: Cluster
    beforeAll(async () => {
      cluster = await startCluster('v2-auth-mixed', ['etcd', 'etcd', 'ours'])
    })
    afterAll(() => cluster?.destroy())

    const said = async (member: MemberProcess, line: string): Promise<string> => {
      const endpoints = [member.clientUrl]
      // Or it asks this member for the others, and then any of them.
      const args = ['--no-sync', ...V2_PATIENCE, ...line.split(' ')]
      const { stdout, stderr } = await etcdctl({ endpoints, args, api: '2' })
      return (stdout + stderr).trim()
    }
    /** Waits until every member says the same: a follower may be an entry behind. */
    const allSay = async (line: string, expected: string): Promise<void> => {
      for (const member of cluster.members) {
        await until(`${member.name}: ${line}`, async () => (await said(member, line)) === expected)
      }
    }
    const DENIED =
      'Error:  110: The request requires user authentication (Insufficient credentials) [0]'

    test('what one member is told, all enforce', async () => {
      const [first, second] = cluster.members
      const ours = cluster.members.find(({ options }) => options.kind === 'ours')
      if (first === undefined || second === undefined || ours === undefined)
        throw new Error('three')
      expect(await said(first, 'user add root:pr')).toBe('User root created')
      expect(await said(ours, 'user add u:pu')).toBe('User u created')
      expect(await said(ours, 'role add reader')).toBe('Role reader created')
      // Who changes something looks first what it was, at this member.
      await allSay('user list', 'root\nu')
      await allSay('role list', 'reader\nroot')
      expect(await said(first, 'role grant reader --path /a --read')).toBe('Role reader updated')
      expect(await said(ours, 'user grant u --roles reader')).toBe('User u updated')
      expect(await said(ours, 'set /a 1')).toBe('1')
      expect(await said(ours, 'auth enable')).toBe('Authentication Enabled')
      await allSay('user list', 'Insufficient credentials')
      // A hash of theirs is right here, and one of ours is right there.
      await allSay('-u root:pr user list', 'root\nu')
      await allSay('-u u:pu user list', 'Insufficient credentials')
      expect(await said(second, '-u root:pr role revoke guest --path /* --readwrite')).toBe(
        'Role guest updated',
      )
      await allSay('get /a', DENIED)
      await allSay('-u u:pu get /a', '1')
      await allSay('-u u:pu set /a 2', DENIED)
      await allSay('-u u:wrong get /a', DENIED)
    })

    test('a backup of theirs is a member of ours that enforces the same', async () => {
      const [first] = cluster.members
      const folder = join(cluster.folder, 'restored')
      const restored = new MemberProcess({
        kind: 'ours',
        name: 'restored',
        folder,
        clientUrl: `http://127.0.0.1:${await freePort()}`,
        peerUrl: `http://127.0.0.1:${await freePort()}`,
        flags: ['--force-new-cluster'],
      })
      mkdirSync(folder)
      const directories = ['--data-dir', first?.dataDir ?? '', '--backup-dir', restored.dataDir]
      await mustEtcdctl({ endpoints: [], args: ['backup', ...directories], api: '2' })
      restored.start()
      try {
        await until('it enforces', async () => (await said(restored, 'get /a')) === DENIED)
        expect(await said(restored, '-u u:pu get /a')).toBe('1')
        expect(await said(restored, '-u root:pr user list')).toBe('root\nu')
      } finally {
        await restored.kill()
      }
    })

    test('ours knows it all again after a crash, and what it is told then counts everywhere', async () => {
      const ours = cluster.members.find(({ options }) => options.kind === 'ours')
      if (ours === undefined) throw new Error('one is ours')
      await ours.restart()
      await until('it enforces again', async () => (await said(ours, 'get /a')) === DENIED)
      expect(await said(ours, '-u root:pr role revoke reader --path /a --read')).toBe(
        'Role reader updated',
      )
      await allSay('-u u:pu get /a', DENIED)
      expect(await said(ours, '-u root:pr auth disable')).toBe('Authentication Disabled')
      await allSay('get /a', '1')
    })
  })

  describe('with --client-cert-auth', () => {
    const folder = temporaryFolder('v2-auth-certificates')
    const clusters: Cluster[] = []
    let authority: Authority
    const files = new Map<string, CertificateFiles>()

    beforeAll(async () => {
      authority = await Authority.create(folder)
      for (const name of ['server', 'root', 'u', 'stranger'])
        files.set(name, await authority.issue(name))
      const server = files.get('server')
      for (const kind of ['etcd', 'ours'] as const) {
        const cluster = new Cluster({
          name: `v2-auth-tls-${kind}`,
          scheme: 'https',
          flags: [
            ...['--cert-file', server?.certFile ?? '', '--key-file', server?.keyFile ?? ''],
            ...['--trusted-ca-file', authority.caFile, '--client-cert-auth', '--enable-v2'],
            ...[
              '--peer-cert-file',
              server?.certFile ?? '',
              '--peer-key-file',
              server?.keyFile ?? '',
            ],
            ...['--peer-trusted-ca-file', authority.caFile],
          ],
        })
        clusters.push(cluster)
        await cluster.startAll([kind])
        await until(`${kind} serves`, async () => {
          const { status } = await asked(cluster, { as: 'root', path: '/health' })
          return status === 200
        })
        // Its entry counts as one of the v2 API.
        await until(`${kind} knows the version of the cluster`, async () => {
          const { body } = await asked(cluster, { as: 'root', path: '/version' })
          return !body.includes('not_decided')
        })
      }
    })
    afterAll(async () => {
      for (const cluster of clusters) await cluster.destroy()
      rmSync(folder, { recursive: true, force: true })
    })

    interface Asked {
      readonly as: string
      readonly path: string
      readonly method?: string
      readonly body?: string
      readonly password?: string
      readonly overHttp2?: boolean
    }

    const pems = (name: string): { ca: Buffer; cert: Buffer; key: Buffer } => {
      const { certFile, keyFile } = files.get(name) ?? { certFile: '', keyFile: '' }
      return {
        ca: readFileSync(authority.caFile),
        cert: readFileSync(certFile),
        key: readFileSync(keyFile),
      }
    }

    function asked(cluster: Cluster, what: Asked): Promise<{ status: number; body: string }> {
      const [member] = cluster.members
      const { as, path, method = 'GET', body = '', password, overHttp2 = false } = what
      const authorization =
        password === undefined
          ? {}
          : { authorization: `Basic ${Buffer.from(password).toString('base64')}` }
      const type = { 'content-type': 'application/x-www-form-urlencoded' }
      const headers = { ...(body === '' ? {} : type), ...authorization }
      const url = new URL(path, member?.clientUrl)
      return new Promise((resolve, reject) => {
        let text = ''
        const collect = (stream: NodeJS.ReadableStream, status: () => number, end: () => void) => {
          stream.on('data', (chunk) => {
            text += String(chunk)
          })
          stream.once('end', () => {
            end()
            resolve({ status: status(), body: text })
          })
          stream.once('error', reject)
        }
        if (!overHttp2) {
          const sent = request(url, { ...pems(as), method, headers, agent: false }, (response) =>
            collect(
              response,
              () => response.statusCode ?? 0,
              () => undefined,
            ),
          )
          sent.once('error', reject)
          sent.end(body)
          return
        }
        const session = connectHttp2(url.origin, pems(as))
        session.once('error', reject)
        const fields = { ':method': method, ':path': path, ...headers }
        const stream = session.request(fields, { endStream: body === '' })
        let status = 0
        stream.once('response', (found) => {
          status = Number(found[':status'])
        })
        collect(
          stream,
          () => status,
          () => session.close(),
        )
        if (body !== '') stream.end(body)
      })
    }

    const json = (value: object): string => JSON.stringify(value)
    const steps: readonly Asked[] = [
      ...[
        ['users/root', { user: 'root', password: 'pr' }],
        ['users/u', { user: 'u', password: 'pu', roles: ['r'] }],
        ['roles/r', { role: 'r', permissions: { kv: { read: ['/a'], write: ['/a'] } } }],
        ['roles/guest', { role: 'guest', permissions: { kv: { read: ['/open'], write: [] } } }],
      ].map(([path, body]) => ({
        as: 'root',
        method: 'PUT',
        path: `/v2/auth/${String(path)}`,
        body: json(body as object),
      })),
      { as: 'stranger', method: 'PUT', path: '/v2/auth/enable' },
      ...['root', 'u', 'stranger'].flatMap((as) =>
        [false, true].flatMap((overHttp2): Asked[] => [
          { as, overHttp2, path: '/v2/auth/users' },
          { as, overHttp2, path: '/v2/keys/a', method: 'PUT', body: 'value=1' },
          { as, overHttp2, path: '/v2/keys/b', method: 'PUT', body: 'value=1' },
          { as, overHttp2, path: '/v2/keys/a' },
          { as, overHttp2, path: '/v2/keys/open' },
          { as, overHttp2, path: '/v2/keys/a', password: 'u:pu' },
          { as, overHttp2, path: '/v2/keys/b', password: 'u:pu' },
          { as, overHttp2, path: '/v2/keys/a', password: 'u:wrong' },
          { as, overHttp2, path: '/v2/auth/roles', password: 'root:pr' },
          { as, overHttp2, path: '/v2/members/abc', method: 'DELETE' },
        ]),
      ),
      { as: 'u', method: 'DELETE', path: '/v2/auth/enable' },
      { as: 'root', method: 'DELETE', path: '/v2/auth/enable' },
    ]

    test('the name in a certificate is the user, unless a password says another', async () => {
      const [theirs, ours] = clusters
      if (theirs === undefined || ours === undefined) throw new Error('both run')
      const seen: { expected: unknown; actual: unknown }[] = []
      for (const step of steps) {
        const [expected, actual] = await Promise.all([asked(theirs, step), asked(ours, step)])
        seen.push({ expected: { step, ...expected }, actual: { step, ...actual } })
      }
      expect(seen.map(({ actual }) => actual)).toEqual(seen.map(({ expected }) => expected))
    })
  })
})
