/**
 * Clients that are not ours, as far as they are installed: h2load, nghttp, curl, grpcurl and python's grpcio
 * over plain sockets; grpc-js and curl over TLS with a certificate of the moment. What is missing is skipped
 * and says so.
 */
import { spawn, spawnSync } from 'node:child_process'
import { webcrypto } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { credentials } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HealthService } from '../../src/grpc/health.js'
import { reflectionMethods } from '../../src/grpc/reflection.js'
import { GrpcServer } from '../../src/grpc/server.js'
import {
  EchoState,
  echoClient,
  echoDefinition,
  echoMethods,
  Note,
  type NoteValue,
  type RunningServer,
  startEchoServer,
} from '../grpc/echo-service.js'

const has = (command: string, ...args: readonly string[]): boolean =>
  spawnSync(command, args).status === 0
const python = process.env.PYTHON ?? 'python3'
const grpcurl = process.env.GRPCURL ?? 'grpcurl'
const missing = {
  h2load: !has('h2load', '--version'),
  nghttp: !has('nghttp', '--version'),
  curl: !execCurlHasHttp2(),
  grpcurl: !has(grpcurl, '-version'),
  python: !has(python, '-c', 'import grpc'),
}

function execCurlHasHttp2(): boolean {
  const found = spawnSync('curl', ['--version'])
  return found.status === 0 && found.stdout.toString().includes('HTTP2')
}

const named = (what: keyof typeof missing, text: string): string =>
  missing[what] ? `${text}: skipped, ${what} is not installed` : text

async function run(command: string, ...args: readonly string[]): Promise<string> {
  const child = spawn(command, args)
  let out = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      out += chunk
    })
  }
  await new Promise((done) => child.on('close', done))
  return out
}

const folder = resolve('.tmp', `grpc-clients-${process.pid}`)
const message = join(folder, 'message')
let server: RunningServer
let url = ''

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  const body = Note.encode({ text: 'hello', count: 7 })
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(body.length, 1)
  writeFileSync(message, Buffer.concat([prefix, body]))
  const health = new HealthService()
  health.setStatus('', 'SERVING')
  const methods = [...echoMethods(new EchoState()), ...health.methods]
  server = await startEchoServer({ methods: [...methods, ...reflectionMethods({ methods })] })
  url = `http://127.0.0.1:${server.port}/test.Echo/Unary`
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
  expect(server.errors).toEqual([])
})

const GRPC = ['-H', 'content-type: application/grpc', '-H', 'te: trailers']

describe('plain', () => {
  test.skipIf(missing.h2load)(named('h2load', 'h2load has all its calls answered'), async () => {
    const out = await run(
      'h2load',
      ...['-n', '20000', '-c', '50', '-m', '10', '-d', message, ...GRPC, url],
    )
    expect(out).toContain('20000 succeeded, 0 failed, 0 errored, 0 timeout')
  })

  test.skipIf(missing.nghttp)(named('nghttp', 'nghttp sees headers and trailers'), async () => {
    const out = await run('nghttp', '-nv', '-d', message, ...GRPC, url)
    expect(out).toContain(':status: 200')
    expect(out).toContain('grpc-status: 0')
    expect(out).not.toContain('[ERROR]')
  })

  test.skipIf(missing.nghttp)(
    named('nghttp', 'nghttp sends a large body with padding and continuation'),
    async () => {
      const large = join(folder, 'large')
      const body = Note.encode({ blob: new Uint8Array(2_000_000) })
      const prefix = Buffer.alloc(5)
      prefix.writeUInt32BE(body.length, 1)
      writeFileSync(large, Buffer.concat([prefix, body]))
      const out = await run(
        'nghttp',
        ...['-nv', '-b', '40', '--continuation', '-d', large, ...GRPC, url],
      )
      expect(out).toContain('grpc-status: 0')
    },
  )

  test.skipIf(missing.curl)(named('curl', 'curl gets the echo'), async () => {
    const reply = join(folder, 'reply')
    await run(
      'curl',
      ...['-s', '--http2-prior-knowledge', '--data-binary', `@${message}`, ...GRPC, '-o', reply],
      url,
    )
    expect(await run('cmp', reply, message)).toBe('')
  })

  test.skipIf(missing.curl)(named('curl', 'curl without gRPC is told so'), async () => {
    const out = await run('curl', '-si', '--http2-prior-knowledge', url)
    expect(out).toContain('HTTP/2 415')
  })

  test.skipIf(missing.grpcurl)(
    named('grpcurl', 'grpcurl (grpc-go) finds its way by reflection'),
    async () => {
      const target = `127.0.0.1:${server.port}`
      const list = await run(grpcurl, '-plaintext', target, 'list')
      expect(list).toContain('grpc.health.v1.Health')
      const described = await run(grpcurl, '-plaintext', target, 'describe', 'etcdserverpb.KV')
      expect(described).toContain('rpc Put ( .etcdserverpb.PutRequest )')
      const health = 'grpc.health.v1.Health'
      expect(await run(grpcurl, '-plaintext', target, `${health}/Check`)).toContain('SERVING')
      expect(await run(grpcurl, '-plaintext', target, `${health}/List`)).toContain('SERVING')
      const unknown = await run(
        grpcurl,
        '-plaintext',
        '-d',
        '{"service":"x"}',
        target,
        `${health}/Check`,
      )
      expect(unknown).toContain('Message: unknown service')
    },
  )

  test.skipIf(missing.python)(
    named('python', 'grpcio calls, streams, compresses and is refused'),
    async () => {
      const script = join(folder, 'client.py')
      writeFileSync(script, PYTHON_CLIENT)
      const out = await run(python, script, `127.0.0.1:${server.port}`)
      expect(out.trim().split('\n')).toEqual([
        'unary True',
        'count 100',
        'chat 3',
        'gzip True',
        'fail NOT_FOUND no such note: ä%',
        'deadline DEADLINE_EXCEEDED',
      ])
    },
  )
})

const PYTHON_CLIENT = `
import sys, grpc
channel = grpc.insecure_channel(sys.argv[1])
raw = lambda value: value
note = lambda text, count=0: b'\\x0a' + bytes([len(text)]) + text + (b'\\x10' + bytes([count]) if count else b'')
unary = channel.unary_unary('/test.Echo/Unary', raw, raw)
print('unary', unary(note(b'hello', 5)) == note(b'hello', 5))
print('count', len(list(channel.unary_stream('/test.Echo/Count', raw, raw)(b'\\x10\\x64'))))
print('chat', len(list(channel.stream_stream('/test.Echo/Chat', raw, raw)(iter([note(b'a'), note(b'b'), note(b'c')])))))
print('gzip', unary(note(b'z' * 100), compression=grpc.Compression.Gzip) == note(b'z' * 100))
try:
    unary(note(b'fail'))
except grpc.RpcError as error:
    print('fail', error.code().name, error.details().strip())
try:
    unary(note(b'wait'), timeout=0.2)
except grpc.RpcError as error:
    print('deadline', error.code().name)
`

describe('TLS', () => {
  test('grpc-js and curl with a certificate of the moment', async () => {
    await import('reflect-metadata')
    const x509 = await import('@peculiar/x509')
    x509.cryptoProvider.set(webcrypto as never)
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: 'CN=localhost',
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      keys: keys as never,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }]),
      ],
    })
    const cert = certificate.toString('pem')
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
    const lines = pkcs8.toString('base64').replace(/(.{64})/g, '$1\n')
    const key = `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`
    const state = new EchoState()
    const grpc = new GrpcServer({ methods: echoMethods(state) })
    const tls = createTlsServer(
      { cert, key, ca: cert, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2'] },
      (socket) => grpc.handleConnection(socket),
    )
    await new Promise<void>((done) => tls.listen(0, '127.0.0.1', done))
    const { port } = tls.address() as AddressInfo
    const channel = credentials.createSsl(Buffer.from(cert), Buffer.from(key), Buffer.from(cert))
    const client = echoClient(port, {}, channel)
    const method = echoDefinition.Unary
    if (method === undefined) throw new Error('no such method')
    const call = (request: NoteValue): Promise<NoteValue> =>
      new Promise((done, failed) => {
        client.makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request,
          (error, value) => (error ? failed(error) : done(value as NoteValue)),
        )
      })
    const blob = new Uint8Array(2_000_000).fill(3)
    expect((await call({ text: 'big', count: 3_000_000 })).blob?.length).toBe(3_000_000)
    expect((await call({ text: 'x', blob })).blob?.length).toBe(2_000_000)
    const many = await Promise.all(Array.from({ length: 500 }, (_, at) => call({ count: at })))
    expect(many.map((note) => note.count)).toEqual(Array.from({ length: 500 }, (_, at) => at))
    expect(state.lastCall?.peerCertificate).toEqual({ commonName: 'localhost' })
    if (!missing.curl) {
      const secure = `https://localhost:${port}/test.Echo/Unary`
      const out = await run(
        'curl',
        '-sik',
        '--http2',
        '--data-binary',
        `@${message}`,
        ...GRPC,
        secure,
      )
      expect(out).toContain('HTTP/2 200')
    }
    client.close()
    grpc.close()
    await new Promise((done) => tls.close(done))
  })
})
