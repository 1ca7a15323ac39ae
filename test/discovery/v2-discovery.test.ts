// Goal: how a member meets others under a v2 token when the service is slow, gone, broken or wrong. Method: a keys
// service of a few lines that answers from a script; pauses are recorded instead of waited for.
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { joinPath } from '../../src/discovery/keys-client.js'
import { clusterByV2Discovery, joinByV2Discovery } from '../../src/discovery/v2-discovery.js'
import type { Log } from '../../src/ports/log.js'

const ID = 'abc'
const CONFIG = 'a=http://127.0.0.1:1'

interface Reply {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body?: unknown
}

const node = (key: string, createdIndex: number, value = CONFIG): object => ({
  key: `/t/${key}`,
  value,
  createdIndex,
  modifiedIndex: createdIndex,
})
const of = (body: object, index = 9): Reply => ({
  body: { action: 'get', node: body },
  headers: { 'X-Etcd-Index': String(index) },
})
const size = (value: string): Reply => of({ key: '/t/_config/size', value })
const members = (...nodes: object[]): Reply =>
  of({ key: '/t', dir: true, nodes: [{ key: '/t/_config', dir: true, createdIndex: 1 }, ...nodes] })
const event = (action: string, one: object): Reply => ({ body: { action, node: one } })
const own = node(ID, 10)
/** A connection that ends without an answer. */
const HANG_UP: Reply = { status: 0 }

let server: Server
let endpoint: string
let script: Reply[]
let asked: string[]
let pauses: number[]
let messages: string[]

const log: Log = {
  isDebugEnabled: false,
  debug: () => {},
  info: (message) => messages.push(message),
  warn: (message) => messages.push(message),
  error: (message) => messages.push(message),
}

const answer: RequestListener = (request, response) => {
  asked.push(`${request.method} ${request.url}`)
  const reply = script.shift()
  if (reply === undefined || reply.status === 0) {
    response.destroy()
    return
  }
  const { body = '', headers = {}, status = 200 } = reply
  response.writeHead(status, headers)
  response.end(typeof body === 'string' ? body : JSON.stringify(body))
}

beforeEach(async () => {
  script = []
  asked = []
  pauses = []
  messages = []
  server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const options = () => ({
  url: `${endpoint}/t`,
  proxy: '',
  log,
  pause: async (ms: number) => {
    pauses.push(ms)
  },
})
const join = (): Promise<string> =>
  joinByV2Discovery({ ...options(), memberId: ID, config: CONFIG })
const refusal = (reason: string): string => `failed to join discovery cluster (${reason})`

describe('joining', () => {
  test('asks for the size, registers, sees itself, and waits for who is missing', async () => {
    script = [
      ...[size('2'), members()],
      ...[event('create', own), event('create', own)],
      ...[size('2'), members(own)],
      ...[event('set', node('_config/size', 11, '2')), event('expire', node('old', 12))],
      event('create', node('def', 13, 'b=http://127.0.0.1:2')),
    ]
    expect(await join()).toBe('a=http://127.0.0.1:1,b=http://127.0.0.1:2')
    expect(asked).toEqual([
      'GET /t/_config/size?quorum=false&recursive=false&sorted=false',
      'GET /t?quorum=false&recursive=false&sorted=false',
      'PUT /t/abc?prevExist=false',
      'GET /t/abc?recursive=false&wait=true&waitIndex=10',
      'GET /t/_config/size?quorum=false&recursive=false&sorted=false',
      'GET /t?quorum=false&recursive=false&sorted=false',
      'GET /t?recursive=true&wait=true&waitIndex=10',
      'GET /t?recursive=true&wait=true&waitIndex=12',
      'GET /t?recursive=true&wait=true&waitIndex=13',
    ])
    expect(pauses).toEqual([])
  })

  test('pauses double from 2 s to 256 s while the service is away', async () => {
    const bad = { status: 503, body: 'x' }
    script = [HANG_UP, bad, { status: 502 }, HANG_UP, bad, bad, bad, bad, bad, size('x')]
    await expect(join()).rejects.toThrow(refusal('discovery: size key is bad'))
    expect(pauses.map((ms) => ms / 1000)).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 256])
  })

  test('a wait that breaks off begins anew from what is registered by then', async () => {
    const other = node('def', 11, 'b=http://127.0.0.1:2')
    script = [
      ...[size('2'), members(), event('create', own), event('create', own)],
      ...[size('2'), members(own), HANG_UP],
      ...[size('2'), members(own, other)],
    ]
    expect(await join()).toBe('a=http://127.0.0.1:1,b=http://127.0.0.1:2')
    expect(pauses).toEqual([2000])
    expect(messages).toContain('error while waiting for peers')
  })

  test('the first to register make the cluster; whoever is later is kept out', async () => {
    const [first, second] = [node('1', 3), node('2', 4, 'b=http://127.0.0.1:2')]
    script = [size('2'), members(second, first)]
    await expect(join()).rejects.toMatchObject({ problem: 'full' })
    // It is told so too when others came between its look and its registration.
    script = [
      ...[size('2'), members(first), event('create', own), event('create', own)],
      ...[size('2'), members(own, second, first)],
    ]
    await expect(join()).rejects.toMatchObject({ problem: 'full' })
  })

  test.each([
    ['a size that is no number', [size('3x')], 'discovery: size key is bad'],
    ['a size of 0, before anything is registered', [size('0')], 'discovery: size key is bad'],
    ['a page that is no keys service', [{ body: '<html>' }], 'discovery: bad discovery endpoint'],
    [
      'a missing size',
      [{ status: 404, body: { errorCode: 100, message: 'Key not found', cause: '/t', index: 7 } }],
      '100: Key not found (/t) [7]',
    ],
    [
      'an own id that is registered',
      [
        ...[size('2'), members()],
        { status: 412, body: { errorCode: 105, message: 'Key already exists' } },
      ],
      'discovery: found duplicate id',
    ],
    ['a registration that got lost', [size('2'), members(), HANG_UP], 'EOF'],
    [
      'the same name twice',
      [
        ...[size('2'), members(node('1', 3)), event('create', own), event('create', own)],
        ...[size('2'), members(node('1', 3), own)],
      ],
      'discovery: found duplicate name',
    ],
    [
      'a value that is no cluster',
      [
        ...[size('1'), members(), event('create', own), event('create', own)],
        ...[size('1'), members(node(ID, 10, 'a=nonsense'))],
      ],
      'discovery: invalid URL',
    ],
  ] as const)('%s is refused in the words of etcd', async (_what, replies, reason) => {
    script = [...replies]
    await expect(join()).rejects.toThrow(refusal(reason))
  })

  test('a redirect is followed, and a circle of them is not', async () => {
    const moved = { status: 307, headers: { Location: `${endpoint}/elsewhere` } }
    script = [moved, size('x')]
    await expect(join()).rejects.toThrow('size key is bad')
    expect(asked[1]).toBe('GET /elsewhere')
    script = [...Array<Reply>(11).fill(moved), size('x')]
    await expect(join()).rejects.toThrow('size key is bad')
    expect(pauses).toEqual([2000])
  })
})

describe('looking only', () => {
  test('a full cluster is its members in their order, and nothing is written', async () => {
    const nodes = [node('2', 4, 'b=http://127.0.0.1:2'), node('1', 3), node('3', 5, 'c=http://x:3')]
    script = [size('2'), members(...nodes)]
    expect(await clusterByV2Discovery(options())).toBe('a=http://127.0.0.1:1,b=http://127.0.0.1:2')
    expect(asked.every((one) => one.startsWith('GET'))).toBe(true)
  })
})

test('paths are joined as Go joins them', () => {
  expect(joinPath('/a//b/', '../c', '.')).toBe('/a/c')
  expect(joinPath('', '')).toBe('/')
})
