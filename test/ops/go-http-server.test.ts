// Goal: Node's server keeps the manners of Go's where the comparison with etcd
// (test/interop/http-heads.test.ts) cannot look. Method: raw bytes to a server of its own.
import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, connect, createServer, type Server as SocketServer } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { answerUnreadable, createGoHttpServer } from '../../src/ops/go-http-server.js'

let http: Server
let sockets: SocketServer
const served: string[] = []

beforeEach(async () => {
  served.length = 0
  http = createGoHttpServer((request, response) => {
    served.push(request.url ?? '')
    if (request.url === '/object')
      response.writeHead(200, { 'x-etcd-index': '1', 'CONTENT-type': 'a' })
    else if (request.url === '/reason') response.writeHead(200, 'Fine', { 'x-a': '1' })
    else if (request.url === '/list') response.writeHead(200, ['x-as-it-is', '1'])
    else response.writeHead(200)
    response.end('body')
  })
  http.on('clientError', answerUnreadable)
  sockets = createServer((socket) => http.emit('connection', socket))
  await once(sockets.listen(0, '127.0.0.1'), 'listening')
})
afterEach(() => sockets.close())

async function exchange(text: string): Promise<string> {
  const socket = connect((sockets.address() as AddressInfo).port, '127.0.0.1')
  socket.setEncoding('latin1').write(text)
  let received = ''
  for await (const chunk of socket) received += chunk
  return received
}

const get = (path: string, ...headers: readonly string[]): string =>
  [`GET ${path} HTTP/1.1`, ...headers, 'Connection: close', '', ''].join('\r\n')

test('names of headers are written as Go writes them, but in lists as they are', async () => {
  const host = 'Host: x'
  expect(await exchange(get('/object', host))).toMatch(/\r\nX-Etcd-Index: 1\r\nContent-Type: a\r\n/)
  expect(await exchange(get('/reason', host))).toMatch(/^HTTP\/1\.1 200 Fine\r\nX-A: 1\r\n/)
  expect(await exchange(get('/list', host))).toContain('\r\nx-as-it-is: 1\r\n')
  expect(await exchange(get('/none', host))).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
})

test('no handler sees a request whose host is missing, double or malformed', async () => {
  const texts = await Promise.all(
    [[], ['Host: a', 'Host: b'], ['Host: a/b']].map((hosts) => exchange(get('/', ...hosts))),
  )
  const type = 'Content-Type: text/plain; charset=utf-8\r\nConnection: close'
  expect(texts).toEqual(
    [': missing required Host header', '', ': malformed Host header'].map(
      (problem) => `HTTP/1.1 400 Bad Request${problem}\r\n${type}\r\n\r\n400 Bad Request${problem}`,
    ),
  )
  expect(served).toEqual([])
  expect(await exchange('GET /old HTTP/1.0\r\n\r\n')).toContain(' 200 OK')
  expect(served).toEqual(['/old'])
})

test('nothing is said to who is gone or was too slow', async () => {
  for (const code of ['ECONNRESET', 'ERR_HTTP_REQUEST_TIMEOUT']) {
    const [socket] = await Promise.all([
      once(sockets, 'connection').then(([accepted]) => accepted),
      exchange('').catch(() => undefined),
      once(sockets, 'connection').then(([accepted]) =>
        answerUnreadable(Object.assign(new Error(code), { code }), accepted),
      ),
    ])
    expect(socket.destroyed).toBe(true)
    expect(socket.bytesWritten).toBe(0)
  }
})

test('what is read after the end of a connection does not cut its last words off', async () => {
  const twice = `${get('/', 'Host: a', 'Host: b')}\x00nonsense\r\n\r\n`
  expect(await exchange(twice)).toMatch(/400 Bad Request$/)
  expect(await exchange('\x00nonsense\r\n\r\n')).toMatch(/400 Bad Request$/)
  const huge = get('/', 'Host: a', `X-A: ${'y'.repeat(2 << 20)}`)
  expect(await exchange(huge).catch(() => '431 by reset')).toContain('431')
})
