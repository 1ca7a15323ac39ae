// Goal: over TLS, a client that speaks HTTP/2 gets etcd's HTTP pages beside gRPC; in plain text it does not. Method:
// the same curl commands to a single etcd and a single member of ours, each over HTTP/1.1 and HTTP/2; then gRPC and
// pages on one connection, a long poll, and the ports that serve one of the two only.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { connect } from 'node:http2'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority, type CertificateFiles } from './support/certificates.js'
import { Cluster, temporaryFolder } from './support/cluster.js'
import { logsOnFailure } from './support/logs-on-failure.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

interface Page {
  readonly version: string
  readonly status: number
  readonly type: string
  readonly body: string
}

const hasCurl = /HTTP2/.test(spawnSync('curl', ['--version'], { encoding: 'utf8' }).stdout ?? '')
const DEADLINE_S = '30'
/** What curl prints behind the body. */
const TOLD = '\n%{http_version} %{http_code} %{content_type}'

function curl(args: readonly string[]): { child: ChildProcess; page: Promise<Page> } {
  const child = spawn('curl', ['-s', '-S', '-m', DEADLINE_S, '-w', TOLD, ...args])
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const page = new Promise<Page>((resolve, reject) => {
    child.once('close', (code) => {
      const cut = output.lastIndexOf('\n')
      const [version = '', status = '', ...type] = output.slice(cut + 1).split(' ')
      if (code !== 0) reject(new Error(`curl ended with ${code}: ${errors}`))
      else
        resolve({
          version,
          status: Number(status),
          type: type.join(' '),
          body: output.slice(0, cut),
        })
    })
  })
  return { child, page }
}

const keys = '/v2/keys/tls-pages'
const form = (value: string): readonly string[] => ['-d', `value=${value}`]

/** Asked of both, in this order; the answers must be the same. */
const requests: readonly (readonly [path: string, ...args: string[]])[] = [
  [keys, '-X', 'PUT', ...form('one')],
  [keys],
  [`${keys}/dir`, '-X', 'POST', ...form('in order')],
  [`${keys}?prevValue=two`, '-X', 'PUT', ...form('three')],
  [`${keys}/nothing`],
  [keys, '-I'],
  [`${keys}/large`, '-X', 'PUT', ...form('x'.repeat(100_000))],
  [`${keys}/large`],
  [`${keys}/large`, '-X', 'DELETE'],
  ['/v2/machines'],
  ['/nothing'],
  ['//version'],
  ['/version', '-X', 'POST', '-d', ''],
  ['/health', '-X', 'POST', '-d', '{}'],
  ['/anything', '-X', 'OPTIONS'],
]

const comparable = ({ status, type, body }: Page, url: string): object => ({
  status,
  type,
  body: body
    .replaceAll(url, '<client>')
    .replace(/^(?:date|content-length|transfer-encoding|x-\w+-\w+(?:-id)?): .*\r?\n/gim, '')
    .replace(/^HTTP\/\S+ (\d+).*/gm, 'HTTP $1')
    .replace(/"(?:created|modified)Index":\d+|"index":\d+/g, '"index":0')
    .replace(/\/0{10}\d{10}"/g, '/<in order>"')
    .split('\n')
    .map((line) => (line.includes(': ') ? line.toLowerCase() : line))
    .sort()
    .join('\n'),
})

describeWith(['daemon', 'etcd'], `HTTP pages over TLS${hasCurl ? '' : ' (no curl)'}`, () => {
  const folder = temporaryFolder('pages-certificates')
  let authority: Authority
  let server: CertificateFiles
  let ours: Cluster
  let theirs: Cluster
  logsOnFailure(() => ours)

  const flags = (): string[] => [
    ...['--cert-file', server.certFile, '--key-file', server.keyFile, '--peer-auto-tls'],
  ]
  const urlOf = (cluster: Cluster): string => cluster.endpoints[0] ?? ''
  const ask = (url: string, ...args: readonly string[]): Promise<Page> =>
    curl(['--cacert', authority.caFile, ...args, url]).page
  const answering = (url: string): Promise<unknown> =>
    until('the first page', async () => (await ask(`${url}/health`, '--http1.1')).status === 200)

  beforeAll(async () => {
    authority = await Authority.create(folder)
    server = await authority.issue('server')
    const options = { scheme: 'https', flags: flags() } as const
    ours = new Cluster({ name: 'pages-ours', ...options })
    theirs = new Cluster({
      name: 'pages-etcd',
      scheme: 'https',
      flags: [...flags(), '--enable-v2=true'],
    })
    await ours.startAll(['ours'])
    await theirs.startAll(['etcd'])
    await answering(urlOf(ours))
    await answering(urlOf(theirs))
  })
  afterAll(async () => {
    await ours?.destroy()
    await theirs?.destroy()
    rmSync(folder, { recursive: true, force: true })
  })

  test.runIf(hasCurl)('curl gets the pages over HTTP/2 without being told anything', async () => {
    const url = urlOf(ours)
    expect(await ask(`${url}/health`)).toEqual({
      version: '2',
      status: 200,
      type: 'text/plain; charset=utf-8',
      body: '{"health":"true","reason":""}',
    })
    expect(await ask(`${url}/version`)).toMatchObject({ version: '2', type: 'application/json' })
    const metrics = await ask(`${url}/metrics`)
    expect(metrics.body).toContain('etcd_server_has_leader 1')
    expect(metrics.type).toMatch(/^text\/plain; version=0\.0\.4/)
  })

  test.runIf(hasCurl)(
    'v2 and every other page are those of etcd, over either protocol',
    async () => {
      for (const protocol of ['--http2', '--http1.1']) {
        for (const [path, ...args] of requests) {
          const [a, b] = await Promise.all(
            [theirs, ours].map(async (cluster) => {
              const page = await ask(`${urlOf(cluster)}${path}`, '--path-as-is', protocol, ...args)
              expect(page.version).toBe(protocol === '--http2' ? '2' : '1.1')
              return comparable(page, urlOf(cluster))
            }),
          )
          expect([protocol, path, ...args.slice(0, 2), b]).toEqual([
            ...[protocol, path, ...args.slice(0, 2)],
            a,
          ])
        }
      }
    },
  )

  test.runIf(hasCurl)('a long poll over HTTP/2 ends with the change', async () => {
    const url = `${urlOf(ours)}/v2/keys/polled`
    const poll = curl(['--cacert', authority.caFile, '-N', `${url}?wait=true`])
    let isThere = false
    void poll.page.then(() => {
      isThere = true
    })
    // A poll that comes behind the change waits for another one.
    await until('it waits', async () => {
      const { body } = await ask(`${urlOf(ours)}/v2/stats/store`)
      return JSON.parse(body).watchers === 1
    })
    expect(isThere).toBe(false)
    await ask(url, '-X', 'PUT', ...form('changed'))
    expect(JSON.parse((await poll.page).body)).toMatchObject({
      action: 'set',
      node: { value: 'changed' },
    })
  })

  test('gRPC and pages share one connection', async () => {
    const session = connect(urlOf(ours), { rejectUnauthorized: false })
    const read = (headers: Record<string, string>, body?: Buffer): Promise<string> =>
      new Promise((resolve, reject) => {
        const stream = session.request(headers)
        let text = ''
        let told = ''
        stream.on('response', (given) => {
          told = `${given[':status']} ${given['grpc-status'] ?? ''}`
        })
        stream.on('trailers', (given) => {
          told += String(given['grpc-status'])
        })
        stream.on('data', (chunk: Buffer) => {
          text += chunk.toString('latin1')
        })
        stream.on('end', () => resolve(`${told} ${text}`))
        stream.on('error', reject)
        stream.end(body)
      })
    const range = {
      ':method': 'POST',
      ':path': '/etcdserverpb.KV/Range',
      'content-type': 'application/grpc',
      te: 'trailers',
    }
    // One message of three bytes: field 1, the key, is `k`.
    const message = Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x6b])
    try {
      for (let turn = 0; turn < 3; turn++) {
        const [page, call] = await Promise.all([read({ ':path': '/health' }), read(range, message)])
        expect(page).toBe('200  {"health":"true","reason":""}')
        expect(call).toMatch(/^200 0 /)
      }
    } finally {
      session.destroy()
    }
  })

  test.runIf(hasCurl)('in plain text HTTP/2 is gRPC alone, here as there', async () => {
    for (const kind of ['etcd', 'ours'] as const) {
      const cluster = await Cluster.start({ name: `pages-plain-${kind}`, kinds: [kind] })
      try {
        const args = ['--http2-prior-knowledge', `${urlOf(cluster)}/health`]
        const told = await curl(args).page.catch(() => undefined)
        expect(told?.body ?? '').not.toContain('health')
        expect(told?.status ?? 415).toBe(415)
      } finally {
        await cluster.destroy()
      }
    }
  })

  test.runIf(hasCurl)('a port for HTTP alone and one for gRPC alone keep apart', async () => {
    const port = await freePort()
    const pagesUrl = `https://127.0.0.1:${port}`
    const split = new Cluster({
      name: 'pages-split',
      scheme: 'https',
      flags: [...flags(), '--listen-client-http-urls', pagesUrl],
    })
    try {
      await split.startAll(['ours'])
      await answering(pagesUrl)
      expect(await ask(`${pagesUrl}/health`)).toMatchObject({ status: 200 })
      expect(await ask(`${urlOf(split)}/health`)).toMatchObject({ status: 415, version: '2' })
    } finally {
      await split.destroy()
    }
  })
})
