// Goal: connections reach a remote that works, in turn or by weight, and bytes go both ways until both ends are through.
// Method: the proxy and echoing remotes on loopback; picks alone with a chance that the test decides.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import type { Log, LogFields } from '../../src/ports/log.js'
import { TcpProxy, type TcpRemote } from '../../src/proxy/tcp-proxy.js'
import { freePort } from '../interop/support/ports.js'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})
const lines: [string, LogFields | undefined][] = []
const say = (message: string, fields?: LogFields): void => {
  lines.push([message, fields])
}
const log: Log = { isDebugEnabled: false, debug: say, info: say, warn: say, error: say }
let chance = 0

function proxyTo(remotes: readonly TcpRemote[], retryDelayMs = 60_000): TcpProxy {
  lines.length = 0
  const entropy = { below: (bound: number) => chance % bound }
  const proxy = new TcpProxy({ remotes, retryDelayMs, retryDelayText: '1m0s', entropy, log })
  closing.push(() => proxy.stop())
  return proxy
}

const remote = (host: string, priority = 0, weight = 0): TcpRemote => ({
  ...{ host, port: 1, priority, weight },
})
const picks = (proxy: TcpProxy, count: number): (string | undefined)[] =>
  Array.from({ length: count }, () => proxy.pick()?.host)

test('remotes take turns', () => {
  const proxy = proxyTo([remote('a'), remote('b'), remote('c', 1)])
  expect(picks(proxy, 4)).toEqual(['a', 'b', 'a', 'b'])
})

test('weights share what there is, and those without one get one in a hundred', () => {
  const proxy = proxyTo([remote('a', 0, 3), remote('b', 0, 1), remote('c')])
  const seen: (string | undefined)[] = []
  for (chance = 0; chance < 400; chance++) seen.push(proxy.pick()?.host)
  const count = (host: string): number => seen.filter((one) => one === host).length
  expect([count('a'), count('b'), count('c')]).toEqual([296, 100, 4])
})

function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  )
}

/** Answers with its name and everything it was sent, once the other side has ended. */
const echo = (name: string): Promise<number> =>
  listen(
    createServer({ allowHalfOpen: true }, (socket) => {
      let text = `${name}:`
      socket
        .on('error', () => undefined)
        .on('data', (data) => {
          text += String(data)
        })
      socket.on('end', () => socket.end(text))
    }),
  )

function say1(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket
      .on('error', () => undefined)
      .on('data', (data) => {
        received += String(data)
      })
    socket.once('close', () => resolve(received))
    socket.once('end', () => socket.end())
    socket.end(text)
  })
}

const at = (port: number): TcpRemote => ({ host: '127.0.0.1', port, priority: 0, weight: 0 })

test('bytes go both ways, and each end ends by itself', async () => {
  const proxy = proxyTo([at(await echo('a')), at(await echo('b'))])
  const port = await listen(proxy.server)
  const text = 'x'.repeat(300_000)
  expect(await say1(port, text)).toBe(`a:${text}`)
  expect(await say1(port, 'second')).toBe('b:second')
})

test('a remote that refuses is passed over until it is back', async () => {
  // No other test gets it while nobody listens on it.
  const dead = await freePort()
  const proxy = proxyTo([at(dead), at(await echo('b'))], 20)
  const port = await listen(proxy.server)
  proxy.start()
  expect(await say1(port, '1')).toBe('b:1')
  expect(lines).toContainEqual([
    'deactivated endpoint',
    {
      address: `127.0.0.1:${dead}`,
      interval: '1m0s',
      error: `dial tcp 127.0.0.1:${dead}: connect: connection refused`,
    },
  ])
  const back = createServer((socket) => socket.on('error', () => undefined).end('back'))
  closing.push(() => back.close())
  await new Promise<void>((resolve) => back.listen(dead, '127.0.0.1', resolve))
  while (!lines.some(([message]) => message === 'activated'))
    await new Promise((resolve) => setTimeout(resolve, 5))
  expect(new Set([await say1(port, ''), await say1(port, '')])).toEqual(new Set(['back', 'b:']))
})

test('without any remote the client is sent away', async () => {
  const dead = await freePort()
  const port = await listen(proxyTo([at(dead)]).server)
  expect(await say1(port, 'x')).toBe('')
})
