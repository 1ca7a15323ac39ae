// Goal: a request goes to a member as it came and its answer comes back as the member gave it; what cannot be passed on
// is answered in etcd's words. Method: the proxy between real HTTP connections on loopback, to members that the test
// plays.
import {
  createServer,
  type IncomingMessage,
  request as openRequest,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import type { Log, LogFields } from '../../src/ports/log.js'
import { V2Proxy, type V2ProxyOptions } from '../../src/proxy/v2-proxy.js'
import { freePort } from '../interop/support/ports.js'

type Play = (request: IncomingMessage, response: ServerResponse, body: string) => void
interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: string
}

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

let lines: [string, LogFields | undefined][] = []
const say = (message: string, fields?: LogFields): void => {
  lines.push([message, fields])
}
const log: Log = { isDebugEnabled: false, debug: say, info: say, warn: say, error: say }

function listen(server: Server): Promise<string> {
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    }),
  )
}

const member = (play: Play): Promise<string> =>
  listen(
    createServer((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text) => {
        body += text
      })
      request.on('end', () => play(request, response, body))
    }),
  )

async function proxyTo(
  urls: readonly string[],
  options: Partial<V2ProxyOptions> = {},
): Promise<string> {
  lines = []
  const proxy = new V2Proxy({
    mode: 'on',
    findUrls: async () => urls,
    failureWaitMs: 60_000,
    refreshIntervalMs: 60_000,
    writeTimeoutMs: 5000,
    readTimeoutMs: 0,
    dial: { dialTimeoutMs: 10_000 },
    corsOrigins: [],
    entropy: { below: (bound) => bound - 1 },
    log,
    ...options,
  })
  await proxy.start()
  closing.push(() => proxy.stop())
  return listen(proxy.server)
}

interface Ask {
  readonly method?: string
  readonly headers?: readonly string[]
  readonly body?: string
}

function ask(base: string, path: string, { method = 'GET', headers = [], body }: Ask = {}) {
  const url = new URL(base)
  return new Promise<Answer>((resolve, reject) => {
    const framed = body === undefined ? [] : ['Content-Length', String(Buffer.byteLength(body))]
    const outgoing = openRequest({
      ...{ host: url.hostname, port: url.port, method, path, agent: false, setHost: false },
      headers: ['Host', 'name.test', ...headers, ...framed],
    })
    outgoing.once('error', reject)
    outgoing.once('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.once('aborted', () => reject(new Error('aborted')))
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.rawHeaders, body: text }),
      )
    })
    outgoing.end(body)
  })
}

/** A URL where nobody listens, no other test either. */
const nowhere = async (): Promise<string> => `http://127.0.0.1:${await freePort()}`

const valuesOf = (headers: readonly string[], name: string): string[] =>
  headers.filter((_, at) => headers[at - 1]?.toLowerCase() === name && at % 2 === 1)

describe('what is passed on', () => {
  test('the request: method, path, host, body and its own headers, with who sent it', async () => {
    let seen: IncomingMessage | undefined
    let got = ''
    const url = await member((request, response, body) => {
      seen = request
      got = body
      response.end('done')
    })
    const proxy = await proxyTo([url])
    const answer = await ask(proxy, '/v2/keys/a?prevExist=false', {
      method: 'PUT',
      headers: ['X-A', '1', 'X-A', '2', 'X-Forwarded-For', '10.0.0.1', 'Upgrade', 'x', 'TE', 'a'],
      body: 'value=1',
    })
    expect(answer).toMatchObject({ status: 200, body: 'done' })
    expect(got).toBe('value=1')
    expect(seen).toMatchObject({ method: 'PUT', url: '/v2/keys/a?prevExist=false' })
    const headers = seen?.rawHeaders ?? []
    expect(valuesOf(headers, 'host')).toEqual(['name.test'])
    expect(valuesOf(headers, 'x-a')).toEqual(['1', '2'])
    expect(valuesOf(headers, 'x-forwarded-for')).toEqual(['10.0.0.1, 127.0.0.1'])
    expect(valuesOf(headers, 'upgrade')).toEqual([])
    expect(valuesOf(headers, 'te')).toEqual([])
    expect(valuesOf(headers, 'content-length')).toEqual(['7'])
  })

  test('the answer: status, headers and body', async () => {
    const url = await member((_request, response) => {
      response.writeHead(412, ['X-Etcd-Index', '7', 'Set-Cookie', 'a', 'Set-Cookie', 'b'])
      response.end('{"errorCode":101}')
    })
    const answer = await ask(await proxyTo([url]), '/v2/keys/a')
    expect(answer).toMatchObject({ status: 412, body: '{"errorCode":101}' })
    expect(valuesOf(answer.headers, 'x-etcd-index')).toEqual(['7'])
    expect(valuesOf(answer.headers, 'set-cookie')).toEqual(['a', 'b'])
    expect(valuesOf(answer.headers, 'date')).toHaveLength(1)
  })

  test('headers for browsers come once, from the proxy', async () => {
    const url = await member((_request, response) => {
      response.writeHead(200, { 'Access-Control-Allow-Origin': 'http://other' }).end()
    })
    const proxy = await proxyTo([url], { corsOrigins: ['*'] })
    const answer = await ask(proxy, '/v2/keys/a')
    expect(valuesOf(answer.headers, 'access-control-allow-origin')).toEqual(['*'])
    const options = await ask(proxy, '/v2/keys/a', { method: 'OPTIONS' })
    expect(options).toMatchObject({ status: 200, body: '' })
  })

  test('a body as it grows, and its end when the client goes', async () => {
    let hasMemberLost: (() => void) | undefined
    const lost = new Promise<void>((resolve) => {
      hasMemberLost = resolve
    })
    const url = await member((_request, response) => {
      response.write('first\n')
      response.once('close', () => hasMemberLost?.())
    })
    const proxy = new URL(await proxyTo([url]))
    const outgoing = openRequest({
      host: proxy.hostname,
      port: proxy.port,
      path: '/v2/keys/a?wait=true',
    })
    outgoing.on('error', () => undefined)
    outgoing.end()
    const part = await new Promise<string>((resolve) =>
      outgoing.once('response', (response) =>
        response.on('error', () => undefined).once('data', (data) => resolve(String(data))),
      ),
    )
    expect(part).toBe('first\n')
    outgoing.destroy()
    await lost
    expect(lines.map(([message]) => message)).toContain('client closed request prematurely')
  })

  test('a broken answer breaks off at the client too', async () => {
    const url = await member((_request, response) => {
      response.writeHead(200, { 'Content-Length': '10' })
      response.write('half', () => response.destroy())
    })
    await expect(ask(await proxyTo([url]), '/v2/keys/a')).rejects.toThrow()
    expect(lines.map(([message]) => message)).not.toContain('client closed request prematurely')
  })
})

describe('members that fail', () => {
  test('are passed over, and left alone from then on', async () => {
    const dead = await nowhere()
    const url = await member((_request, response) => response.end('alive'))
    const proxy = await proxyTo([dead, url])
    const first = await ask(proxy, '/v2/keys/a', { method: 'PUT', body: 'value=1' })
    expect(first).toMatchObject({ status: 200, body: 'alive' })
    expect((await ask(proxy, '/v2/config/local/proxy')).body).toBe(`{"endpoints":["${url}"]}\n`)
    expect(lines[1]).toMatchObject(['failed to direct request', { url: dead }])
  })

  test('all of them: 502 once, 503 while nobody is left', async () => {
    const proxy = await proxyTo([await nowhere(), await nowhere()])
    expect(await ask(proxy, '/v2/keys/a')).toMatchObject({
      status: 502,
      body: '{"message":"httpproxy: unable to get response from 2 endpoint(s)"}',
    })
    expect(await ask(proxy, '/v2/keys/a')).toMatchObject({
      status: 503,
      body: '{"message":"httpproxy: zero endpoints currently available"}',
    })
    const { body } = await ask(proxy, '/metrics')
    expect(body).toContain('etcd_proxy_requests_total{method="GET"} 2')
    const reasons = [...body.matchAll(/proxying_error="(\w+)"} (\d)/g)].map(([, ...found]) => found)
    expect(reasons.sort()).toEqual([
      ['failed_getting_response', '1'],
      ['failed_sending_request', '2'],
      ['zero_endpoints', '1'],
    ])
  })

  test('one that is silent is given up when there is a read timeout', async () => {
    const url = await member(() => undefined)
    const proxy = await proxyTo([url], { readTimeoutMs: 50 })
    expect((await ask(proxy, '/v2/keys/a')).status).toBe(502)
    expect(lines[1]).toMatchObject(['failed to direct request', { error: 'i/o timeout' }])
  })
})

describe('the proxy itself', () => {
  test('readonly takes GET only', async () => {
    const url = await member((_request, response) => response.end('read'))
    const proxy = await proxyTo([url], { mode: 'readonly' })
    for (const method of ['PUT', 'POST', 'DELETE', 'HEAD', 'OPTIONS'])
      expect(await ask(proxy, '/v2/keys/a', { method })).toMatchObject({ status: 501, body: '' })
    expect((await ask(proxy, '/v2/keys/a')).body).toBe('read')
  })

  test('its page takes GET only', async () => {
    const answer = await ask(await proxyTo([]), '/v2/config/local/proxy', { method: 'PUT' })
    expect(answer).toMatchObject({ status: 405, body: 'Method Not Allowed\n' })
    expect(valuesOf(answer.headers, 'allow')).toEqual(['GET'])
  })

  test('a path that is not clean is sent elsewhere', async () => {
    const answer = await ask(await proxyTo([]), '/v2//keys/../keys/a?wait=true')
    expect(answer.status).toBe(301)
    expect(valuesOf(answer.headers, 'location')).toEqual(['/v2/keys/a?wait=true'])
  })

  test('a body beyond the limit is refused', async () => {
    const url = await member((_request, response) => response.end())
    const body = 'x'.repeat(10 * 1024 * 1024 + 1)
    expect(await ask(await proxyTo([url]), '/v2/keys/a', { method: 'PUT', body })).toMatchObject({
      status: 500,
      body: '{"message":"httpproxy: failed to read request body: http: request body too large"}',
    })
  })
})
