/**
 * Goal: over TLS, requests that are not gRPC reach the HTTP/1 handlers as if they had come over HTTP/1, beside gRPC on
 * the same connection. Method: Node's own http2 client and grpc-js against a GrpcServer whose HTTP requests go to a
 * plain http.Server; the raw client for what neither sends.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GrpcServer } from '../../src/grpc/server.js'
import { type HttpExchangeLimits, HttpExchanges } from '../../src/http2/http-exchange.js'
import { EchoState, echoMethods, Note } from '../grpc/echo-service.js'
import { CERTIFICATE, KEY } from '../peer/tls-fixture.js'

const MEBIBYTE = 1 << 20

interface Answer {
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders
  readonly body: Buffer
}

/** What the handlers saw. */
interface Seen {
  readonly requests: IncomingMessage[]
  closed: number
  finished: number
  handlerErrors: unknown[]
}

let seen: Seen
let limits: Partial<HttpExchangeLimits>
let pages: Server
let grpc: GrpcServer
let listener: TlsServer
let session: ClientHttp2Session
let exchanges: HttpExchanges | undefined
const sockets = new Set<Socket>()

function collect(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => resolve(Buffer.concat(chunks)))
    request.on('error', reject)
  })
}

/** A response of `count` pieces of 64 KiB, as fast as they are taken. */
function pour(response: ServerResponse, count: number): void {
  let left = count
  const more = (): void => {
    while (left > 0) {
      left--
      if (!response.write(Buffer.alloc(65_536, left))) {
        response.once('drain', more)
        return
      }
    }
    response.end()
  }
  more()
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  seen.requests.push(request)
  response.on('close', () => seen.closed++)
  response.on('finish', () => seen.finished++)
  const [path, argument] = (request.url ?? '').slice(1).split('?')
  switch (path) {
    case 'echo': {
      const body = await collect(request)
      response.setHeader('X-Method', request.method ?? '')
      response.setHeader('X-Length', String(body.length))
      response.end(body)
      break
    }
    case 'hello':
      response.setHeader('Content-Type', 'text/plain')
      response.setHeader('Content-Length', '5')
      response.end(request.method === 'HEAD' ? undefined : 'hello')
      break
    case 'empty':
      response.statusCode = 204
      response.end()
      break
    case 'zero':
      response.setHeader('Content-Length', '0')
      response.end()
      break
    case 'pour':
      pour(response, Number(argument))
      break
    case 'wait':
      response.writeHead(200, { 'X-Waiting': 'yes' })
      response.flushHeaders()
      response.write('first')
      break
    case 'mute':
      break
    case 'break':
      response.writeHead(200, { 'Content-Length': '10' })
      response.write('half')
      setImmediate(() => response.destroy())
      break
    case 'hang-up':
      request.socket.destroy()
      break
    case 'too-large':
      response.writeHead(413, { Connection: 'close' })
      response.end('too large')
      break
    case 'trailers':
      response.writeHead(200, { Trailer: 'X-Sum' })
      response.write('body')
      response.addTrailers({ 'X-Sum': '4' })
      response.end()
      break
    case 'many':
      for (let at = 0; at < 60; at++) response.setHeader(`X-Field-${at}`, 'v'.repeat(150))
      response.setHeader('Set-Cookie', ['a=1', 'b=2'])
      response.end('many')
      break
    default:
      response.statusCode = 404
      response.end('404 page not found\n')
  }
}

beforeEach(async () => {
  seen = { requests: [], closed: 0, finished: 0, handlerErrors: [] }
  limits = {}
  pages = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => seen.handlerErrors.push(error))
  })
  grpc = new GrpcServer({ methods: echoMethods(new EchoState()) })
  listener = createTlsServer(
    { cert: CERTIFICATE, key: KEY, ALPNProtocols: ['h2', 'http/1.1'] },
    (socket) => {
      exchanges = new HttpExchanges({
        origin: socket,
        serve: (duplex) => pages.emit('connection', duplex),
        limits,
      })
      grpc.handleConnection(socket, undefined, exchanges.begin)
    },
  )
  listener.on('connection', (socket: Socket) => sockets.add(socket))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
})
afterEach(async () => {
  session?.destroy()
  grpc.close()
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  listener.close()
  expect(seen.handlerErrors).toEqual([])
})

const origin = (): string => `https://127.0.0.1:${(listener.address() as AddressInfo).port}`

function dial(settings: { readonly initialWindowSize?: number } = {}): ClientHttp2Session {
  session = connect(origin(), { ca: CERTIFICATE, settings })
  session.on('error', () => undefined)
  return session
}

function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let headers: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders = {}
    const chunks: Buffer[] = []
    stream.on('response', (given) => {
      headers = given
    })
    stream.on('trailers', (given) => {
      trailers = given
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => resolve({ headers, trailers, body: Buffer.concat(chunks) }))
    stream.on('error', reject)
  })
}

function ask(headers: OutgoingHttpHeaders, body?: Buffer | string): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}

/** One gRPC call on the same session. */
async function echo(text: string): Promise<string> {
  const message = Note.encode({ text })
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  const { headers, trailers, body } = await ask(
    {
      ':method': 'POST',
      ':path': '/test.Echo/Unary',
      'content-type': 'application/grpc',
      te: 'trailers',
    },
    Buffer.concat([prefix, message]),
  )
  expect([headers[':status'], trailers['grpc-status']]).toEqual([200, '0'])
  return Note.decode(body.subarray(5)).text
}

async function until(what: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2000 && !what(); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  expect(what()).toBe(true)
}

/** Nothing of a request is left once it is over. */
const isIdle = (): boolean => exchanges?.count === 0 && exchanges.unreadBytes === 0

describe('plain requests', () => {
  test('GET, POST and PUT reach the handler with their fields and body, between gRPC calls', async () => {
    dial()
    expect(await echo('one')).toBe('one')
    const got = await ask({ ':path': '/hello?x=%20y', 'x-note': 'ä', cookie: 'a=1' })
    expect(got.headers).toMatchObject({
      ':status': 200,
      'content-type': 'text/plain',
      'content-length': '5',
    })
    expect(got.headers.connection ?? got.headers['transfer-encoding']).toBeUndefined()
    expect(got.body.toString()).toBe('hello')
    const [request] = seen.requests
    expect(request?.url).toBe('/hello?x=%20y')
    expect(request?.headers).toMatchObject({
      host: origin().slice('https://'.length),
      'x-note': 'ä',
      cookie: 'a=1',
    })
    const { socket } = request ?? {}
    expect([
      socket?.remoteAddress,
      (socket as { encrypted?: boolean } | undefined)?.encrypted,
    ]).toEqual(['127.0.0.1', true])
    expect(await echo('two')).toBe('two')
    for (const method of ['POST', 'PUT', 'DELETE', 'GET']) {
      const { headers, body } = await ask({ ':path': '/echo', ':method': method }, 'with a body')
      expect([headers['x-method'], body.toString()]).toEqual([method, 'with a body'])
    }
    expect(await echo('three')).toBe('three')
    await until(isIdle)
  })

  test('a body has the length that was declared, or none', async () => {
    dial()
    for (const declared of [{}, { 'content-length': 4 }]) {
      const { headers } = await ask({ ':path': '/echo', ':method': 'PUT', ...declared }, 'four')
      expect(headers['x-length']).toBe('4')
    }
    for (const method of ['PUT', 'POST', 'PATCH', 'DELETE', 'GET']) {
      const { headers } = await ask({ ':path': '/echo', ':method': method })
      expect([headers['x-method'], headers['x-length']]).toEqual([method, '0'])
    }
  })

  test('HEAD and responses without a body end with their fields', async () => {
    dial()
    const head = await ask({ ':path': '/hello', ':method': 'HEAD' })
    expect(head.headers).toMatchObject({ ':status': 200, 'content-length': '5' })
    const empty = await ask({ ':path': '/empty' })
    expect(empty.headers[':status']).toBe(204)
    const zero = await ask({ ':path': '/zero' })
    expect([head, empty, zero].map(({ body }) => body.length)).toEqual([0, 0, 0])
    await until(isIdle)
    expect(seen.finished).toBe(3)
  })

  test('404, many fields, repeated fields and trailers arrive as they were sent', async () => {
    dial()
    const missing = await ask({ ':path': '/nowhere' })
    expect([missing.headers[':status'], missing.body.toString()]).toEqual([
      404,
      '404 page not found\n',
    ])
    const many = await ask({ ':path': '/many' })
    expect(many.headers['x-field-59']).toBe('v'.repeat(150))
    expect(many.headers['set-cookie']).toEqual(['a=1', 'b=2'])
    const { trailers, body } = await ask({ ':path': '/trailers' })
    expect([body.toString(), trailers['x-sum']]).toEqual(['body', '4'])
  })

  test('a body larger than every window arrives whole, in both directions', async () => {
    dial()
    const body = Buffer.alloc(9 * MEBIBYTE, 'abcdefg')
    const back = await ask({ ':path': '/echo', ':method': 'POST' }, body)
    expect(back.headers['x-length']).toBe(String(body.length))
    expect(back.body.equals(body)).toBe(true)
    await until(isIdle)
  })

  test('a client that waits for 100 Continue gets it', async () => {
    dial()
    const stream = session.request(
      { ':path': '/echo', ':method': 'PUT', expect: '100-continue' },
      { endStream: false },
    )
    const answer = answerOf(stream)
    await once(stream, 'continue')
    stream.end('now')
    expect((await answer).body.toString()).toBe('now')
  })

  test('many at once are answered each with its own', async () => {
    dial()
    const bodies = Array.from({ length: 200 }, (_, at) => `body ${at}`)
    const answers = await Promise.all(
      bodies.map((body) => ask({ ':path': '/echo', ':method': 'POST' }, body)),
    )
    expect(answers.map(({ body }) => body.toString())).toEqual(bodies)
    await until(isIdle)
  })
})

describe('streaming', () => {
  test('what a handler sends comes before its response ends; a cancel reaches the handler', async () => {
    dial()
    const stream = session.request({ ':path': '/wait' })
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
    expect(headers['x-waiting']).toBe('yes')
    const [first] = (await once(stream, 'data')) as [Buffer]
    expect(first.toString()).toBe('first')
    expect(seen.closed).toBe(0)
    stream.close(constants.NGHTTP2_CANCEL)
    await until(() => seen.closed === 1)
    expect(seen.finished).toBe(0)
    expect(await echo('still here')).toBe('still here')
    await until(isIdle)
  })

  test('the end of the connection reaches every handler', async () => {
    dial()
    const streams = Array.from({ length: 5 }, (_, at) =>
      session.request({ ':path': at % 2 === 0 ? '/wait' : '/mute' }),
    )
    for (const stream of streams) stream.on('error', () => undefined)
    await until(() => seen.requests.length === 5)
    session.destroy()
    await until(() => seen.closed === 5)
    await until(isIdle)
  })

  test('requests that are cancelled at once, body and all, leave nothing behind', async () => {
    dial()
    await echo('connected')
    for (let turn = 0; turn < 50; turn++) {
      const stream = session.request(
        { ':path': turn % 2 === 0 ? '/wait' : '/mute', ':method': 'POST' },
        { endStream: false },
      )
      stream.on('error', () => undefined)
      stream.write(Buffer.alloc(10_000))
      if (turn % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
      if (turn % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
      stream.close(constants.NGHTTP2_CANCEL)
    }
    expect(await echo('after')).toBe('after')
    await until(isIdle)
    expect(seen.closed).toBe(seen.requests.length)
  })

  test('a handler waits for a client that does not read', async () => {
    dial({ initialWindowSize: 65_535 })
    const stream = session.request({ ':path': '/pour?120' })
    await once(stream, 'response')
    stream.pause()
    await echo('others are served meanwhile')
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(seen.finished).toBe(0)
    const answer = answerOf(stream)
    stream.resume()
    const { body } = await answer
    expect(body.length).toBe(120 * 65_536)
    expect(body.at(-1)).toBe(0)
    await until(isIdle)
  })

  test('a client waits for a handler that does not read', async () => {
    dial()
    const stream = session.request({ ':path': '/mute', ':method': 'POST' }, { endStream: false })
    stream.on('error', () => undefined)
    const body = Buffer.alloc(65_536)
    let sent = 0
    const more = (): void => {
      if (stream.destroyed || sent > 100) return
      sent++
      stream.write(body, more)
    }
    more()
    await until(() => seen.requests.length === 1)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(exchanges?.unreadBytes).toBeLessThan(2 * MEBIBYTE)
    expect(sent).toBeLessThan(50)
    expect(await echo('others are served meanwhile')).toBe('others are served meanwhile')
    stream.close(constants.NGHTTP2_CANCEL)
    await until(isIdle)
  })
})

describe('what goes wrong', () => {
  test('a body that the handler refuses is answered before it is whole', async () => {
    dial()
    const stream = session.request(
      { ':path': '/too-large', ':method': 'POST' },
      { endStream: false },
    )
    const answer = answerOf(stream)
    stream.write(Buffer.alloc(MEBIBYTE))
    const { headers, body } = await answer
    expect([headers[':status'], body.toString()]).toEqual([413, 'too large'])
    expect(await echo('after')).toBe('after')
    await until(isIdle)
  })

  test('a response that breaks off resets its stream and nothing else', async () => {
    dial()
    for (const path of ['/break', '/hang-up']) {
      const stream = session.request({ ':path': path })
      await expect(answerOf(stream)).rejects.toThrow(/NGHTTP2_INTERNAL_ERROR/)
    }
    expect(await echo('after')).toBe('after')
    await until(isIdle)
  })

  test.each<readonly [string, OutgoingHttpHeaders]>([
    ['CONNECT', { ':method': 'CONNECT', ':authority': 'a:1' }],
    ['a method that HTTP/1.1 does not know', { ':method': 'FROB', ':path': '/hello' }],
    ['a path with a blank', { ':path': '/hello HTTP/1.1\tX: y' }],
  ])('%s is answered 400', async (_what, headers) => {
    dial()
    expect((await ask(headers)).headers[':status']).toBe(400)
    expect(seen.requests).toEqual([])
    await until(isIdle)
  })

  test('a body cannot carry another request', async () => {
    dial()
    const hidden = 'GET /hello HTTP/1.1\r\nHost: x\r\n\r\n'
    for (const method of ['GET', 'DELETE', 'POST']) {
      const { body } = await ask({ ':path': '/echo', ':method': method }, hidden)
      expect(body.toString()).toBe(hidden)
    }
    expect(seen.requests.map(({ url }) => url)).toEqual(['/echo', '/echo', '/echo'])
  })

  test('requests beyond the maximum are refused so that clients try again', async () => {
    limits = { exchangesMax: 2 }
    dial()
    const waiting = [0, 1].map(() => session.request({ ':path': '/wait' }))
    await Promise.all(waiting.map((stream) => once(stream, 'response')))
    await expect(ask({ ':path': '/hello' })).rejects.toThrow(/NGHTTP2_REFUSED_STREAM/)
    for (const stream of waiting) stream.close(constants.NGHTTP2_CANCEL)
    await until(isIdle)
    expect((await ask({ ':path': '/hello' })).body.toString()).toBe('hello')
  })

  test('bodies that nobody reads are held up to the maximum only', async () => {
    limits = { unreadBytesMax: 300_000 }
    dial()
    const stream = session.request({ ':path': '/mute', ':method': 'POST' }, { endStream: false })
    const answer = answerOf(stream)
    stream.write(Buffer.alloc(MEBIBYTE))
    await expect(answer).rejects.toThrow(/NGHTTP2_ENHANCE_YOUR_CALM/)
    expect(await echo('after')).toBe('after')
    await until(isIdle)
  })

  test('without a handler, and for content types that only begin like gRPC, it is 415', async () => {
    dial()
    const odd = await ask({
      ':path': '/hello',
      ':method': 'POST',
      'content-type': 'application/grpc-web',
    })
    expect(odd.headers[':status']).toBe(415)
    session.destroy()
    listener.removeAllListeners('secureConnection')
    listener.on('secureConnection', (socket) => grpc.handleConnection(socket))
    dial()
    const refused = await ask({ ':path': '/hello' })
    expect(refused.headers).toMatchObject({ ':status': 415, 'content-type': 'application/grpc' })
    expect(seen.requests).toEqual([])
  })
})
