// Goal: how a member meets others under a v3 token when they come at once, twice, broken or late. Method: a gRPC service
// of a few lines that answers from a script; pauses are recorded instead of waited for.
import { Server, ServerCredentials, type ServiceError, status } from '@grpc/grpc-js'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { V3DiscoveryConfig } from '../../src/config/server-config.js'
import { prefixEnd, rpcErrorText } from '../../src/discovery/v3-client.js'
import { clusterByV3Discovery, joinByV3Discovery } from '../../src/discovery/v3-discovery.js'
import type { Log } from '../../src/ports/log.js'
import { KeyValue } from '../../src/wire/mvccpb.js'
import {
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  ResponseHeader,
  WatchRequest,
  WatchResponse,
} from '../../src/wire/rpc.js'

const CONFIG = 'own=http://127.0.0.1:1'
const MEMBERS = '/_etcd/registry/t/members'

type Kv = ReturnType<typeof KeyValue.decode>
const keyValue = (key: string, value: string, createRevision: number): Kv =>
  KeyValue.decode(
    KeyValue.encode(
      KeyValue.create({
        key: Buffer.from(key),
        value: Buffer.from(value),
        createRevision: createRevision as Kv['createRevision'],
      }),
    ),
  )
const member = (id: string, createRevision: number, value = `${id}=http://127.0.0.1:2`): Kv =>
  keyValue(`${MEMBERS}/${id}`, value, createRevision)

let server: Server
let endpoint: string
let size: string | undefined
/** Answers to the ranges over the members, one each; the last one stays. */
let ranges: (readonly Kv[])[]
/** The batches that each watch brings before it goes quiet; a watch without a script ends at once. */
let watches: (readonly (readonly Kv[])[])[]
let puts: string[]
let watched: number[]
let pauses: number[]
let messages: string[]

const log: Log = {
  isDebugEnabled: false,
  debug: () => {},
  info: (message) => messages.push(message),
  warn: (message) => messages.push(message),
  error: (message) => messages.push(message),
}

const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes)
const header = () => ResponseHeader.create({ revision: 20 as ResponseHeader['revision'] })

beforeEach(async () => {
  size = '2'
  ranges = [[]]
  watches = []
  puts = []
  watched = []
  pauses = []
  messages = []
  server = new Server()
  server.register(
    '/etcdserverpb.KV/Range',
    (call: { request: RangeRequest }, done: (e: null, r: RangeResponse) => void) => {
      const isSize = Buffer.from(call.request.key).toString().endsWith('_config/size')
      const sizes = size === undefined ? [] : [keyValue('size', size, 1)]
      const kvs = isSize ? sizes : ((ranges.length > 1 ? ranges.shift() : ranges[0]) ?? [])
      done(null, RangeResponse.create({ header: header(), kvs }))
    },
    (response) => toBuffer(RangeResponse.encode(response)),
    (bytes) => RangeRequest.decode(bytes),
    'unary',
  )
  server.register(
    '/etcdserverpb.KV/Put',
    (call: { request: PutRequest }, done: (e: null, r: PutResponse) => void) => {
      puts.push(`${Buffer.from(call.request.key)} ${Buffer.from(call.request.value)}`)
      done(null, PutResponse.create({ header: header() }))
    },
    (response) => toBuffer(PutResponse.encode(response)),
    (bytes) => PutRequest.decode(bytes),
    'unary',
  )
  server.register(
    '/etcdserverpb.Watch/Watch',
    (call: {
      on(event: 'data', listener: (request: WatchRequest) => void): void
      write(response: WatchResponse): void
      end(): void
    }) => {
      call.on('data', ({ createRequest }) => {
        if (createRequest === undefined) return
        watched.push(createRequest.startRevision)
        const batches = watches.shift()
        for (const batch of batches ?? []) {
          const events = batch.map((kv) => ({ type: 'PUT' as const, kv, prevKv: undefined }))
          call.write(WatchResponse.create({ header: header(), events }))
        }
        if (batches === undefined) call.end()
      })
    },
    (response) => toBuffer(WatchResponse.encode(response)),
    (bytes) => WatchRequest.decode(bytes),
    'bidi',
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  endpoint = `127.0.0.1:${port}`
})
afterEach(() => server.forceShutdown())

const options = () => ({
  service: {
    ...{ token: 't', endpoints: [endpoint], dialTimeoutMs: 2000, requestTimeoutMs: 5000 },
    ...{ keepAliveTimeMs: 0, keepAliveTimeoutMs: 6000, isInsecureTransport: true },
    ...{ skipTlsVerify: false, certFile: '', keyFile: '', caFile: '', user: '', password: '' },
  } satisfies V3DiscoveryConfig,
  log,
  pause: async (ms: number) => {
    pauses.push(ms)
  },
})
const join = (): Promise<string> =>
  joinByV3Discovery({ ...options(), memberId: 'own', config: CONFIG })
const own = member('own', 5, CONFIG)

test('registers, waits, and takes the members in the order of their registration', async () => {
  ranges = [[], [own]]
  watches = [[[member('b', 9), member('a', 3)]]]
  expect(await join()).toBe(`a=http://127.0.0.1:2,${CONFIG}`)
  expect(puts).toEqual([`${MEMBERS}/own ${CONFIG}`])
  expect(watched).toEqual([21])
  expect(messages.at(-1)).toBe('discovery joined cluster successfully')
})

test('whoever registers when all places are taken is kept out, before or after', async () => {
  ranges = [[member('a', 1), member('b', 2)]]
  await expect(join()).rejects.toMatchObject({ problem: 'full' })
  expect(puts).toEqual([])
  ranges = [[member('a', 1)], [member('a', 1), member('b', 2), own]]
  await expect(join()).rejects.toMatchObject({ problem: 'full' })
  expect(messages.at(-1)).toBe('discovery failed to join cluster')
})

test('what is no member, or one twice, does not count', async () => {
  ranges = [[], [own]]
  watches = [[[member('x', 6, 'nonsense'), own], [member('b', 8)]]]
  expect(await join()).toBe(`${CONFIG},b=http://127.0.0.1:2`)
  expect(messages).toContain('invalid peer info returned from discovery service')
  expect(messages).toContain('found duplicate peer from discovery service')
})

test('a watch that ends is begun anew, from what is there by then', async () => {
  ranges = [[], [own], [own, member('b', 8)]]
  expect(await join()).toBe(`${CONFIG},b=http://127.0.0.1:2`)
  expect(pauses).toEqual([2000])
  expect(messages).toContain('error while waiting for peers')
})

test.each([
  ['no size', undefined, [], 'discovery: size key not found'],
  ['a size of 0', '0', [], 'discovery: size key is bad'],
  ['a URL that is none', '1', [member('own', 1, 'own=x')], 'discovery: invalid peer URL'],
  [
    'one name twice',
    '2',
    [own, member('b', 6, 'own=http://127.0.0.1:9')],
    'discovery: found duplicate name',
  ],
] as const)('%s is refused', async (_what, given, found, reason) => {
  size = given
  ranges = [[...found]]
  await expect(join()).rejects.toThrow(`failed to join discovery cluster (${reason})`)
})

test('one that only looks gets a full cluster, and writes nothing', async () => {
  ranges = [[member('b', 2), member('a', 1), member('c', 3)]]
  const { service, log: to } = options()
  expect(await clusterByV3Discovery({ service, log: to })).toBe(
    'a=http://127.0.0.1:2,b=http://127.0.0.1:2',
  )
  expect(puts).toEqual([])
})

test('errors read as Go prints them; prefixes end one character further', () => {
  const failure = (code: status, details: string): ServiceError =>
    Object.assign(new Error(details), { code, details }) as ServiceError
  expect(rpcErrorText(failure(status.DEADLINE_EXCEEDED, 'x'))).toBe('context deadline exceeded')
  expect(rpcErrorText(failure(status.PERMISSION_DENIED, 'etcdserver: permission denied'))).toBe(
    'etcdserver: permission denied',
  )
  expect(rpcErrorText(failure(status.INTERNAL, 'x'))).toBe('rpc error: code = Internal desc = x')
  expect(rpcErrorText(new Error('plain'))).toBe('plain')
  expect(Buffer.from(prefixEnd('/members')).toString()).toBe('/membert')
})
