// Goal: the pages of the discovery service: tokens, keys passed on with their waits, limits, and a cluster that is
// away. Method: the service in front of a keys server of a few lines; requests as clients send them.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createDiscoveryService } from '../../src/discovery/discovery-service.js'
import { KeysUpstream } from '../../src/discovery/keys-upstream.js'

const TOKEN = '0123456789abcdef0123456789abcdef'
const log = { isDebugEnabled: false, debug() {}, info() {}, warn() {}, error() {} }

let keys: Server
let url: string
let asked: string[]
let answer: (request: IncomingMessage, response: ServerResponse, body: string) => void
let close: () => Promise<void>

async function serve(
  members: readonly URL[],
  other: Readonly<{ urlPrefix?: string; requestsMax?: number }> = {},
): Promise<void> {
  const upstream = new KeysUpstream(members)
  const app = createDiscoveryService({
    ...{ upstream, urlPrefix: undefined, createToken: () => TOKEN, log },
    ...other,
  })
  url = await app.listen({ port: 0, host: '127.0.0.1' })
  close = async () => {
    await app.close()
    upstream.close()
  }
}
const keysUrl = (): URL => new URL(`http://127.0.0.1:${(keys.address() as AddressInfo).port}`)

beforeEach(async () => {
  asked = []
  answer = (_request, response) => {
    response.writeHead(201, { 'X-Etcd-Index': '7' }).end('{"action":"create"}')
  }
  keys = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      asked.push(`${request.method} ${request.url} ${body}`)
      answer(request, response, body)
    })
  })
  await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  await close()
  keys.closeAllConnections()
  await new Promise((resolve) => keys.close(resolve))
})

const text = async (path: string, init: RequestInit = {}): Promise<string> => {
  const response = await fetch(url + path, init)
  return `${response.status} ${await response.text()}`
}
const put = (body: string): RequestInit => ({
  method: 'PUT',
  body,
  headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
})

describe('new tokens', () => {
  test('are made with the size that is asked for, in the URL or in a form', async () => {
    await serve([keysUrl()])
    expect(await text('/new')).toBe(`200 ${url}/${TOKEN}`)
    expect(await text('/new?size=5')).toBe(`200 ${url}/${TOKEN}`)
    expect(await text('/new', put('size=7'))).toBe(`200 ${url}/${TOKEN}`)
    const path = `/v2/keys/_etcd/registry/${TOKEN}/_config/size?prevExist=false`
    expect(asked).toEqual([3, 5, 7].map((size) => `PUT ${path} value=${size}`))
  })

  test('have the prefix that the operator gave', async () => {
    await serve([keysUrl()], { urlPrefix: 'https://discovery.test/' })
    expect(await text('/new')).toBe(`200 https://discovery.test/${TOKEN}`)
  })

  test.each([
    ['x', 'strconv.Atoi: parsing "x": invalid syntax'],
    ['0', 'the size must be from 1 to 1000, got 0'],
    ['1001', 'the size must be from 1 to 1000, got 1001'],
  ])('of size %s are refused', async (size, why) => {
    await serve([keysUrl()])
    expect(await text(`/new?size=${size}`)).toBe(`400 ${why}\n`)
    expect(asked).toEqual([])
  })

  test('are not handed out when the cluster does not take them', async () => {
    await serve([keysUrl()])
    answer = (_request, response) => response.writeHead(412).end('{}')
    expect(await text('/new')).toBe('503 Unable to generate token\n')
    expect(await text('/health')).toBe('503 the cluster takes no keys\n')
  })
})

describe('keys', () => {
  test('are passed on as they are, and so are their answers', async () => {
    await serve([keysUrl()])
    answer = (request, response) => {
      expect(request.headers['content-type']).toBe('application/x-www-form-urlencoded')
      response.writeHead(412, { 'X-Etcd-Index': '9', Connection: 'close' }).end('{"errorCode":105}')
    }
    const response = await fetch(`${url}/${TOKEN}/abc?prevExist=false`, put('value=a%3Db'))
    expect([response.status, response.headers.get('x-etcd-index')]).toEqual([412, '9'])
    expect(await response.text()).toBe('{"errorCode":105}')
    expect(asked).toEqual([`PUT /v2/keys/_etcd/registry/${TOKEN}/abc?prevExist=false value=a%3Db`])
  })

  test('other pages and other ways to ask are refused', async () => {
    await serve([keysUrl()])
    expect(await text('/foo')).toBe('404 404 page not found\n')
    expect(await text(`/${TOKEN}/a/b`)).toBe('404 404 page not found\n')
    expect(await text(`/${TOKEN.slice(1)}`)).toBe('404 404 page not found\n')
    expect(await text(`/${TOKEN}`, { method: 'DELETE' })).toBe('405 ')
    expect(await text(`/${TOKEN}/_config/size`, put('value=9'))).toBe('405 ')
    expect((await text('/')).startsWith('200 This is an etcd discovery service')).toBe(true)
    expect(asked).toEqual([])
  })

  test('a body beyond what a member has to say is refused', async () => {
    await serve([keysUrl()])
    expect(await text(`/${TOKEN}/abc`, put('x'.repeat(65 * 1024)))).toMatch(/^413 /)
    expect(asked).toEqual([])
  })

  test('a wait ends with its client, and only so many may be under way', async () => {
    await serve([keysUrl()], { requestsMax: 1 })
    let isGone = false
    answer = (_request, response) => {
      response.once('close', () => {
        isGone = true
      })
      response.writeHead(200).flushHeaders()
    }
    const client = new AbortController()
    const waiting = fetch(`${url}/${TOKEN}?wait=true`, { signal: client.signal })
    await expect.poll(() => asked.length).toBe(1)
    expect(await text(`/${TOKEN}`)).toBe('503 too many requests are under way\n')
    client.abort()
    await waiting.then(
      (response) => response.text().catch(() => ''),
      () => '',
    )
    await expect.poll(() => isGone).toBe(true)
    answer = (_request, response) => response.end('free')
    await expect.poll(() => text(`/${TOKEN}`)).toBe('200 free')
  })

  test('the next member is asked when one cannot be reached', async () => {
    await serve([new URL('http://127.0.0.1:1'), keysUrl()])
    expect(await text(`/${TOKEN}`)).toBe('201 {"action":"create"}')
    await close()
    await serve([new URL('http://127.0.0.1:1')])
    const gone = '502 the cluster behind this service cannot be reached\n'
    expect(await text(`/${TOKEN}`)).toBe(gone)
    expect(await text('/new')).toBe('503 Unable to generate token\n')
  })

  test('a request that may have arrived is not sent again', async () => {
    await serve([keysUrl(), keysUrl()])
    answer = (request) => request.socket.destroy()
    expect(await text(`/${TOKEN}/abc`, put('value=1'))).toMatch(/^502 /)
    expect(asked).toHaveLength(1)
  })

  test('a healthy service has made a token and removed it', async () => {
    await serve([keysUrl()])
    answer = (request, response) => {
      response.writeHead(request.method === 'DELETE' ? 200 : 201).end('{}')
    }
    expect(await text('/health')).toBe('200 OK')
    expect(asked[1]).toBe(`DELETE /v2/keys/_etcd/registry/${TOKEN}?recursive=true `)
  })
})
