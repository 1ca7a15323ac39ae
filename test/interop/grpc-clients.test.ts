/**
 * Clients that are not ours, as far as they are installed: h2load, nghttp, curl, grpcurl, python's grpcio and grpc-js,
 * each over plain sockets and over TLS with a certificate of the moment. What is missing is skipped and says so.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type ChannelCredentials, credentials } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HealthService } from '../../src/grpc/health.js'
import { reflectionMethods } from '../../src/grpc/reflection.js'
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
import { Authority, type CertificateFiles } from './support/certificates.js'

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
const GRPC = ['-H', 'content-type: application/grpc', '-H', 'te: trailers']
let authority: Authority
let files: CertificateFiles

/** A message with gRPC's five bytes in front. */
function framed(note: Partial<NoteValue>): Uint8Array {
  const body = Note.encode(note)
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(body.length, 1)
  return Buffer.concat([prefix, body])
}

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(message, framed({ text: 'hello', count: 7 }))
  authority = await Authority.create(folder)
  files = await authority.issue('localhost')
})
afterAll(() => rmSync(folder, { recursive: true }))

describe.each(['plain', 'TLS'] as const)('%s', (transport) => {
  const isPlain = transport === 'plain'
  let server: RunningServer
  let target = ''
  let url = ''

  beforeAll(async () => {
    const health = new HealthService()
    health.setStatus('', 'SERVING')
    const methods = [...echoMethods(new EchoState()), ...health.methods]
    const options = { methods: [...methods, ...reflectionMethods({ methods })] }
    const [cert, key, ca] = [files.certFile, files.keyFile, authority.caFile].map((file) =>
      readFileSync(file, 'utf8'),
    )
    server = await startEchoServer(options, isPlain ? undefined : { cert, key, ca })
    target = `127.0.0.1:${server.port}`
    url = `${isPlain ? 'http' : 'https'}://${target}/test.Echo/Unary`
  })
  afterAll(async () => {
    await server.close()
    expect(server.errors).toEqual([])
  })

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
      writeFileSync(large, framed({ blob: new Uint8Array(2_000_000) }))
      const out = await run(
        'nghttp',
        ...['-nv', '-b', '40', '--continuation', '-d', large, ...GRPC, url],
      )
      expect(out).toContain('grpc-status: 0')
    },
  )

  /** How curl is told to speak HTTP/2 and whom to trust. */
  const curlFlags = (): string[] =>
    isPlain ? ['--http2-prior-knowledge'] : ['--http2', '--cacert', authority.caFile]

  test.skipIf(missing.curl)(named('curl', 'curl gets the echo'), async () => {
    const reply = join(folder, 'reply')
    await run(
      'curl',
      ...['-s', ...curlFlags(), '--data-binary', `@${message}`, ...GRPC, '-o', reply],
      url,
    )
    expect(await run('cmp', reply, message)).toBe('')
  })

  test.skipIf(missing.curl)(named('curl', 'curl without gRPC is told so'), async () => {
    const out = await run('curl', '-si', ...curlFlags(), url)
    expect(out).toContain('HTTP/2 415')
  })

  test.skipIf(missing.grpcurl)(
    named('grpcurl', 'grpcurl (grpc-go) finds its way by reflection'),
    async () => {
      const ask = (...args: readonly string[]): Promise<string> =>
        run(grpcurl, ...(isPlain ? ['-plaintext'] : ['-cacert', authority.caFile]), ...args)
      expect(await ask(target, 'list')).toContain('grpc.health.v1.Health')
      const described = await ask(target, 'describe', 'etcdserverpb.KV')
      expect(described).toContain('rpc Put ( .etcdserverpb.PutRequest )')
      const health = 'grpc.health.v1.Health'
      expect(await ask(target, `${health}/Check`)).toContain('SERVING')
      expect(await ask(target, `${health}/List`)).toContain('SERVING')
      const unknown = await ask('-d', '{"service":"x"}', target, `${health}/Check`)
      expect(unknown).toContain('Message: unknown service')
    },
  )

  test.skipIf(missing.python)(
    named('python', 'grpcio calls, streams, compresses and is refused'),
    async () => {
      const script = join(folder, 'client.py')
      writeFileSync(script, PYTHON_CLIENT)
      const out = await run(python, script, target, ...(isPlain ? [] : [authority.caFile]))
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

  test('grpc-js calls with large messages, and many at once', async () => {
    const client = echoClient(server.port, {}, isPlain ? undefined : channelWithCertificate())
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
    client.close()
  })
})

function channelWithCertificate(): ChannelCredentials {
  const [ca, key, cert] = [authority.caFile, files.keyFile, files.certFile].map((file) =>
    readFileSync(file),
  )
  return credentials.createSsl(ca, key, cert)
}

test('a handler sees the name in the certificate of a client', async () => {
  const [ca, key, cert] = [authority.caFile, files.keyFile, files.certFile].map((file) =>
    readFileSync(file, 'utf8'),
  )
  const server = await startEchoServer({}, { ca, key, cert })
  const client = echoClient(server.port, {}, channelWithCertificate())
  const method = echoDefinition.Unary
  await new Promise<void>((done, failed) => {
    client.makeUnaryRequest(
      method?.path ?? '',
      (note: NoteValue) => Buffer.from(Note.encode(note)),
      (bytes: Buffer) => Note.decode(bytes),
      { text: 'x' },
      (error) => (error ? failed(error) : done()),
    )
  })
  expect(server.state.lastCall?.peerCertificate).toEqual({ commonName: 'localhost' })
  client.close()
  await server.close()
})

const PYTHON_CLIENT = `
import sys, grpc
target, *authority = sys.argv[1:]
if authority:
    channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(open(authority[0], 'rb').read()))
else:
    channel = grpc.insecure_channel(target)
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
