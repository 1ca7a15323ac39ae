// Goal: the fast lane answers as Node's server would, and leaves it what it does not understand.
// Method: raw
// bytes to both ports of one API; what comes back must be the same but for order and the Connection
// headers.
import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { V2Outcome } from '../../src/api-v2/source.js'
import { createLocalServer, type LocalServer } from './local-server.js'

let server: LocalServer
let lanePort: number
let nodePort: number
const sockets: Socket[] = []

beforeEach(async () => {
  server = await createLocalServer()
  await new Promise<void>((resolve) => server.sockets.listen(0, '127.0.0.1', resolve))
  lanePort = (server.sockets.address() as AddressInfo).port
  await server.app.listen({ port: 0, host: '127.0.0.1' })
  nodePort = (server.app.server.address() as AddressInfo).port
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  server.sockets.close()
  await server.app.close()
})

function open(port: number): Socket {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  return socket.on('error', () => undefined)
}

/** Sends pieces one after the other, and reads until `answers` complete answers are there. */
async function exchange(port: number, pieces: readonly string[], answers: number): Promise<string> {
  const socket = open(port)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
  })
  for (const piece of pieces) {
    socket.write(piece, 'latin1')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  while (countAnswers(text) < answers && !socket.destroyed) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  socket.destroy()
  return text
}

function countAnswers(text: string): number {
  let count = 0
  for (let at = 0; ; count++) {
    const end = text.indexOf('\r\n\r\n', at)
    if (end === -1) return count
    const length = /content-length: (\d+)/i.exec(text.slice(at, end))?.[1]
    at = end + 4 + Number(length ?? 0)
    if (at > text.length) return count
  }
}

/** Status lines, headers without order and connection, and bodies. */
const normal = (text: string): string =>
  text
    .split('\r\n')
    .filter((line) => !/^(date|connection|keep-alive):/i.test(line))
    .map((line) => (/^[\w-]+: /.test(line) ? line.replace(/^[^:]+/, (n) => n.toLowerCase()) : line))
    .sort()
    .join('\n')

const HOST = 'Host: a\r\n'
const FORM = `${HOST}Content-Type: application/x-www-form-urlencoded\r\n`
const put = (path: string, body: string): string =>
  `PUT /v2/keys${path} HTTP/1.1\r\n${FORM}Content-Length: ${body.length}\r\n\r\n${body}`
const read = (path: string): string => `GET /v2/keys${path} HTTP/1.1\r\n${HOST}\r\n`

describe('the fast lane', () => {
  const cases: readonly (readonly [string, readonly string[], number])[] = [
    ['a read', [read('/none')], 1],
    ['requests in a row', [read('/none') + read('/') + read('?sorted=x')], 3],
    ['a body in one piece', [put('/a', 'prevExist=true&value=x')], 1],
    ['a body that comes later', [put('/a', 'prevExist=true').slice(0, -4), 'true'], 1],
    ['a head in pieces', ['GET /v2/ke', 'ys/none HTTP/1.1\r\nHo', 'st: a\r\n\r\n'], 1],
    [
      'a read, then a head in pieces',
      [`${read('/none')}GET /v2/keys`, ` HTTP/1.1\r\n${HOST}\r\n`],
      2,
    ],
    [
      'a delete with a body',
      [`DELETE /v2/keys/x HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`],
      1,
    ],
    ['a post without a body', [`POST /v2/keys/x/%zz HTTP/1.1\r\n${HOST}\r\n`], 1],
    ['a method in lower case', [`get /v2/keys HTTP/1.1\r\n${HOST}\r\n`], 1],
    ['another path', [`GET /version HTTP/1.1\r\n${HOST}\r\n`], 1],
    ['a path beside the keys', [`GET /v2/keysx HTTP/1.1\r\n${HOST}\r\n`], 1],
    ['an unclean path', [read('//a')], 1],
    ['a bad escape', [read('/%zz')], 1],
    ['bytes that are not UTF-8', [read('/%ff') + put('/%fe', 'prevExist=true&value=%ff')], 2],
    ['no host', ['GET /v2/keys HTTP/1.1\r\n\r\n'], 1],
    ['no fields at all but one', ['GET /v2/keys HTTP/1.1\r\nA: b\r\n\r\n'], 1],
    [
      'two lengths',
      [`PUT /v2/keys HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx`],
      1,
    ],
    ['a length that is none', [`PUT /v2/keys HTTP/1.1\r\n${HOST}Content-Length: x\r\n\r\nx`], 1],
    [
      'chunks',
      [
        `PUT /v2/keys/c HTTP/1.1\r\n${FORM}Transfer-Encoding: chunked\r\n\r\n9\r\nprevExist\r\n0\r\n\r\n`,
      ],
      1,
    ],
    ['a folded field', [`GET /v2/keys HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`], 1],
    ['a field without colon', [`GET /v2/keys HTTP/1.1\r\n${HOST}nonsense\r\n\r\n`], 1],
    ['a space before the colon', [`GET /v2/keys HTTP/1.1\r\n${HOST}X : a\r\n\r\n`], 1],
    ['bare newlines', ['GET /v2/keys HTTP/1.1\nHost: a\n\n'], 1],
    ['HTTP/1.0', [`GET /v2/keys HTTP/1.0\r\n${HOST}\r\n`], 1],
    ['close', [`GET /v2/keys HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`], 1],
    ['keep-alive', [`GET /v2/keys HTTP/1.1\r\n${HOST}Connection: Keep-Alive\r\n\r\n`], 1],
    ['HEAD', [`HEAD /v2/machines HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`], 1],
    ['two spaces', [`GET  /v2/keys HTTP/1.1\r\n${HOST}\r\n`], 1],
    ['an absolute target', [`GET http://a/v2/keys/none HTTP/1.1\r\n${HOST}\r\n`], 1],
    ['a long head', [`GET /v2/keys HTTP/1.1\r\n${HOST}X: ${'x'.repeat(9000)}\r\n\r\n`], 1],
    ['a long body', [put('/a', `prevExist=true&value=${'x'.repeat(70_000)}`)], 1],
  ]

  test.each(cases)('answers %s as Node does', async (_name, pieces, answers) => {
    const lane = await exchange(lanePort, pieces, answers)
    const node = await exchange(nodePort, pieces, answers)
    expect(normal(lane)).toBe(normal(node))
    expect(lane).not.toBe('')
  })

  test('bytes in a path are taken as their escapes, by whoever answers', async () => {
    const wait = '?wait=true&waitIndex=x'
    for (const path of ['/ä%20ö', '//ä', `/ä${wait}`]) {
      const raw = Buffer.from(read(path), 'utf8').toString('latin1')
      const [typed, escaped] = await Promise.all([
        exchange(lanePort, [raw], 1),
        exchange(lanePort, [read(path.replace('ä', '%C3%A4').replace('ö', '%C3%B6'))], 1),
      ])
      expect(typed).toMatch(/^HTTP\/1\.1 (404|301|400) /)
      expect(typed).toContain(path.startsWith('//') ? 'Location: /v2/keys/%C3%A4' : '"errorCode":')
      expect(normal(typed)).toBe(normal(escaped))
    }
  })

  test('requests in a row are answered in order while the first waits for the log', async () => {
    const waiting: (() => void)[] = []
    const propose = server.source.propose.bind(server.source)
    server.source.propose = (operation, done: (outcome: V2Outcome) => void) => {
      waiting.push(() => propose(operation, done))
    }
    const both = exchange(lanePort, [put('/a', 'value=1') + read('/a')], 2)
    while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    waiting[0]?.()
    const statuses = [...(await both).matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1])
    expect(statuses).toEqual(['201', '200'])
  })

  test('what comes bit by bit while one waits for the log is answered behind it, in order', async () => {
    const waiting: (() => void)[] = []
    const propose = server.source.propose.bind(server.source)
    server.source.propose = (operation, done: (outcome: V2Outcome) => void) => {
      waiting.push(() => propose(operation, done))
    }
    const socket = open(lanePort)
    await once(socket, 'connect')
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
    })
    const names = Array.from({ length: 20 }, (_, at) => `/none${at}`)
    socket.write(put('/a', 'value=1'))
    for (const name of names) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      socket.write(read(name))
    }
    while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    waiting[0]?.()
    const causes = (): string[] =>
      [...text.matchAll(/"cause":"([^"]+)"/g)].map(([, name = '']) => name)
    while (causes().length < names.length) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(text.startsWith('HTTP/1.1 201 ')).toBe(true)
    expect(causes()).toEqual(names)
    socket.write(read('/last'))
    while (!text.includes('/last')) await new Promise((resolve) => setTimeout(resolve, 5))
  })

  test('an answer for a client that left is dropped', async () => {
    const waiting: (() => void)[] = []
    server.source.propose = (_operation, done: (outcome: V2Outcome) => void) => {
      waiting.push(() => done({ kind: 'failed', reason: 'too late' }))
    }
    const socket = open(lanePort)
    socket.write(put('/a', 'value=1'))
    while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    socket.resetAndDestroy()
    const connections = (): Promise<number> =>
      new Promise((resolve) => server.sockets.getConnections((_error, count) => resolve(count)))
    while ((await connections()) > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    waiting[0]?.()
    expect(await exchange(lanePort, [read('/none')], 1)).toContain('404 Not Found')
  })

  test('a client that does not read is not read from', async () => {
    server.source.current.set({
      path: '/1/big',
      nowMs: 0,
      value: 'x'.repeat(200_000),
      isDirectory: false,
    })
    let reads = 0
    const get = server.source.current.get.bind(server.source.current)
    server.source.current.get = (options) => {
      reads++
      return get(options)
    }
    const socket = open(lanePort)
    await once(socket, 'connect')
    socket.pause()
    socket.write(read('/big').repeat(1000))
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(reads).toBeLessThan(200)
    let bytes = 0
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    socket.resume()
    while (bytes < 200_000_000) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(reads).toBe(1000)
  })

  test.each([
    ['a wait that the history serves', '?wait=true&waitIndex=4'],
    ['a wait for an index that is gone', '?wait=true&waitIndex=1'],
    ['a wait', '?wait=true'],
    ['a wait whose parameter is escaped', '?%77ait=true&recursive=true'],
    ['a stream', '?wait=true&stream=true'],
  ])('%s is answered as Node does', async (_name, query) => {
    const { current } = server.source
    const value = 'Ä'.repeat(300)
    for (let at = 0; at < 1001; at++) {
      current.set({ path: '/1/w', nowMs: 0, value: at === 0 ? value : 'x', isDirectory: false })
    }
    const texts: string[] = []
    const ports = [lanePort, nodePort]
    for (const port of ports) {
      open(port)
        .setEncoding('latin1')
        .on('data', (chunk: string) => {
          texts[ports.indexOf(port)] = (texts[ports.indexOf(port)] ?? '') + chunk
        })
        .write(read(`/w${query.replace('waitIndex=4', `waitIndex=${current.index}`)}`))
    }
    while (texts[0] === undefined || texts[1] === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    current.set({ path: '/1/w', nowMs: 0, value, isDirectory: false })
    current.set({ path: '/1/w', nowMs: 0, value: 'last', isDirectory: false })
    await new Promise((resolve) => setTimeout(resolve, 50))
    for (let turn = 0; turn < 400 && normal(texts[0]) !== normal(texts[1]); turn++)
      await new Promise((resolve) => setTimeout(resolve, 5))
    expect(normal(texts[0])).toBe(normal(texts[1]))
    expect(texts[0]).toMatch(/^HTTP\/1\.1 (200|400)/)
  })

  test('answers that leave together keep their order and their characters', async () => {
    const { current } = server.source
    current.set({ path: '/1/u', nowMs: 0, value: 'Ä€😀', isDirectory: false })
    const pieces = [read('/none') + read('/u') + read('/'), read('/u') + read('/u')]
    const lane = await exchange(lanePort, pieces, 5)
    expect(normal(lane)).toBe(normal(await exchange(nodePort, pieces, 5)))
    const statuses = [...lane.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1])
    expect(statuses).toEqual(['404', '200', '200', '200', '200'])
    expect(Buffer.from(lane, 'latin1').toString('utf8')).toContain('"value":"Ä€😀"')
  })

  test('a wait behind answers that are still to be read gets its event', async () => {
    const value = 'x'.repeat(50_000)
    server.source.current.set({ path: '/1/big', nowMs: 0, value, isDirectory: false })
    const socket = open(lanePort)
    await once(socket, 'connect')
    socket.pause()
    socket.write(read('/big').repeat(200) + read('/a?wait=true'))
    await new Promise((resolve) => setTimeout(resolve, 50))
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
    })
    socket.resume()
    while (server.handler.waiterCount === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    server.source.current.set({ path: '/1/a', nowMs: 0, value: 'late', isDirectory: false })
    while (!text.endsWith('\r\n0\r\n\r\n')) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(text).toContain('"value":"late"')
  })

  test('after a wait the connection goes on, also with what came meanwhile', async () => {
    const both = exchange(lanePort, [read('/a?wait=true') + read('/none'), read('/none')], 3)
    while (server.handler.waiterCount === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    server.source.current.set({ path: '/1/a', nowMs: 0, value: 'x', isDirectory: false })
    const statuses = [...(await both).matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1])
    expect(statuses).toEqual(['200', '404', '404'])
  })

  test('a client that ends its side still gets the answer; one that waits is let go', async () => {
    const waiting: (() => void)[] = []
    const propose = server.source.propose.bind(server.source)
    server.source.propose = (operation, done: (outcome: V2Outcome) => void) => {
      waiting.push(() => propose(operation, done))
    }
    const half = connect({ port: lanePort, host: '127.0.0.1', allowHalfOpen: true })
    sockets.push(half)
    let text = ''
    half.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
    })
    half.end(put('/a', 'value=1') + read('/a'))
    while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await new Promise((resolve) => setTimeout(resolve, 20))
    waiting[0]?.()
    await once(half, 'end')
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1])).toEqual(['201', '200'])

    const waiter = connect({ port: lanePort, host: '127.0.0.1', allowHalfOpen: true })
    sockets.push(waiter)
    waiter.write(read('/a?wait=true'))
    while (server.handler.waiterCount === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    waiter.resume().end()
    await once(waiter, 'close')
    expect(server.handler.waiterCount).toBe(0)
  })
})
