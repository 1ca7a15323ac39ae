// Goal: requests to a discovery service go straight or through a proxy, over TLS too, and failures tell the two apart.
// Method: a proxy and an HTTPS service of a few lines, whose authority is named by the environment.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { directRoute, type HttpRoute, parseProxyRoute } from '../../src/discovery/http-route.js'
import { KeysClient } from '../../src/discovery/keys-client.js'
import { CERTIFICATE, KEY } from '../peer/tls-fixture.js'

const servers: Server[] = []
let asked: string[]
/** Tunnels that stand. */
let open = 0

beforeEach(() => {
  asked = []
  mkdirSync('.tmp', { recursive: true })
  const file = join(mkdtempSync(join('.tmp', 'route-')), 'ca.pem')
  writeFileSync(file, CERTIFICATE)
  vi.stubEnv('SSL_CERT_FILE', file)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function listen(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
const answer = '{"action":"get","node":{"key":"/k","value":"v"}}'
const service = (): Promise<number> =>
  listen(
    createTlsServer({ cert: CERTIFICATE, key: KEY }, (_request, response) => response.end(answer)),
  )

/** A proxy that lets tunnels through, or answers them with `refusal`. */
async function proxy(refusal?: number): Promise<number> {
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`)
    response.end(answer)
  })
  server.on('connect', (request, socket, head) => {
    open += 1
    socket.once('close', () => {
      open -= 1
    })
    asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`)
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 ${refusal} Forbidden\r\n\r\n`)
      return
    }
    const [host = '', port = ''] = (request.url ?? '').split(':')
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      onward.write(head)
      onward.pipe(socket).pipe(onward)
    })
    onward.on('error', () => socket.destroy())
    // A socket that nobody reads would not notice that its other side has ended.
    onward.once('close', () => socket.resume())
    socket.on('error', () => onward.destroy())
  })
  return listen(server)
}

const read = async (endpoint: string, route: HttpRoute): Promise<string> =>
  (await new KeysClient({ endpoint, route }).get('/k')).node.value

function routeBy(text: string): HttpRoute {
  const parsed = parseProxyRoute(text)
  if (parsed.kind === 'refused') throw new Error(parsed.reason)
  return parsed.value.route
}

test('a service over TLS is trusted by the authorities of the machine, and by no others', async () => {
  const port = await service()
  expect(await read(`https://127.0.0.1:${port}`, directRoute)).toBe('v')
  vi.stubEnv('SSL_CERT_FILE', '/dev/null')
  await expect(read(`https://127.0.0.1:${port}`, directRoute)).rejects.toThrow('self-signed')
})

test('a proxy gets plain requests whole, with its user', async () => {
  const port = await proxy()
  expect(await read('http://service.test', routeBy(`http://u:p%40@127.0.0.1:${port}`))).toBe('v')
  const user = Buffer.from('u:p@').toString('base64')
  const query = 'quorum=false&recursive=false&sorted=false'
  expect(asked).toEqual([`GET http://service.test/k?${query} Basic ${user}`])
})

test('requests over TLS go through a tunnel of the proxy', async () => {
  const [through, port] = [await proxy(), await service()]
  expect(await read(`https://127.0.0.1:${port}`, routeBy(`127.0.0.1:${through}`))).toBe('v')
  expect(asked).toEqual([`CONNECT 127.0.0.1:${port} `])
  await expect.poll(() => open).toBe(0)
})

test('a proxy that refuses, or that is not there, is told apart from the service', async () => {
  const refusing = routeBy(`127.0.0.1:${await proxy(403)}`)
  await expect(read('https://127.0.0.1:1', refusing)).rejects.toThrow('error #0: Forbidden')
  const gone = routeBy('127.0.0.1:1')
  const text = 'error #0: proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused'
  await expect(read('http://service.test', gone)).rejects.toThrow(text)
  await expect(read('https://service.test', gone)).rejects.toThrow(text)
})

test('the text of a proxy is read as etcd reads it', () => {
  expect(parseProxyRoute('')).toEqual({
    kind: 'value',
    value: { route: directRoute, proxyUrl: undefined },
  })
  expect(parseProxyRoute('127.0.0.1:80')).toMatchObject({
    value: { proxyUrl: 'http://127.0.0.1:80' },
  })
  expect(parseProxyRoute('https://p')).toMatchObject({ value: { proxyUrl: 'https://p' } })
  expect(parseProxyRoute('[::1')).toEqual({
    kind: 'refused',
    reason:
      'invalid proxy address "[::1": parse "[::1": first path segment in URL cannot contain colon',
  })
})
