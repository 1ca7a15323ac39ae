/** The two services that every gRPC tool knows: what they answer, seen by a real client. */
import type { Client } from '@grpc/grpc-js'
import { credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { HealthService } from '../../src/grpc/health.js'
import { reflectionMethods } from '../../src/grpc/reflection.js'
import { FileDescriptor } from '../../src/wire/file-descriptor.js'
import { type RunningServer, startEchoServer } from './echo-service.js'

const definition = loadSync(
  [
    'grpc/health/v1/health.proto',
    'grpc/reflection/v1/reflection.proto',
    'grpc/reflection/v1alpha/reflection.proto',
  ],
  { includeDirs: ['proto'], keepCase: true, enums: String },
)
const loaded = loadPackageDefinition(definition) as never as {
  grpc: {
    health: { v1: { Health: new (address: string, channel: unknown) => HealthClient } }
    reflection: Record<
      'v1' | 'v1alpha',
      { ServerReflection: new (address: string, channel: unknown) => ReflectionClient }
    >
  }
}
type Answer<T> = (error: ServiceError | null, value: T) => void
interface HealthClient extends Client {
  Check(request: { service: string }, answer: Answer<{ status: string }>): void
  List(request: object, answer: Answer<{ statuses: Record<string, { status: string }> }>): void
  Watch(request: { service: string }): NodeJS.EventEmitter & { cancel(): void }
}
interface ReflectionReply {
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Buffer[] }
  readonly list_services_response?: { readonly service: readonly { name: string }[] }
  readonly error_response?: { readonly error_code: number; readonly error_message: string }
  readonly all_extension_numbers_response?: { readonly base_type_name: string }
}
interface ReflectionClient extends Client {
  ServerReflectionInfo(): NodeJS.EventEmitter & { write(request: object): void; end(): void }
}

let server: RunningServer
let health: HealthService
const clients: Client[] = []

beforeEach(async () => {
  health = new HealthService()
  const methods = health.methods
  server = await startEchoServer({ methods: [...methods, ...reflectionMethods({ methods })] })
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await server.close()
})

function healthClient(): HealthClient {
  const client = new loaded.grpc.health.v1.Health(
    `localhost:${server.port}`,
    credentials.createInsecure(),
  )
  clients.push(client)
  return client
}

const check = (client: HealthClient, service: string): Promise<{ status: string }> =>
  new Promise((resolve, reject) => {
    client.Check({ service }, (error, value) => (error ? reject(error) : resolve(value)))
  })

test('Check answers what was set, and NOT_FOUND for an unknown service', async () => {
  const client = healthClient()
  expect(await check(client, '')).toEqual({ status: 'NOT_SERVING' })
  health.setStatus('', 'SERVING')
  expect(await check(client, '')).toEqual({ status: 'SERVING' })
  await expect(check(client, 'other')).rejects.toMatchObject({
    code: 5,
    details: 'unknown service',
  })
})

test('List names every service', async () => {
  health.setStatus('a.B', 'SERVING')
  const answer = await new Promise((resolve) => {
    healthClient().List({}, (_error, value) => resolve(value))
  })
  expect(answer).toEqual({
    statuses: { '': { status: 'NOT_SERVING' }, 'a.B': { status: 'SERVING' } },
  })
})

test('Watch tells the status now and after each change', async () => {
  const watch = healthClient().Watch({ service: 'a.B' })
  const seen: string[] = []
  watch.on('error', () => {})
  const until = async (count: number): Promise<void> => {
    while (seen.length < count) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  watch.on('data', (value: { status: string }) => seen.push(value.status))
  await until(1)
  health.setStatus('a.B', 'SERVING')
  health.setStatus('a.B', 'SERVING')
  health.setStatus('a.B', 'NOT_SERVING')
  await until(3)
  expect(seen).toEqual(['SERVICE_UNKNOWN', 'SERVING', 'NOT_SERVING'])
  watch.cancel()
})

async function reflect(
  version: 'v1' | 'v1alpha',
  ...requests: readonly object[]
): Promise<readonly ReflectionReply[]> {
  const { ServerReflection } = loaded.grpc.reflection[version]
  const client = new ServerReflection(`localhost:${server.port}`, credentials.createInsecure())
  clients.push(client)
  const stream = client.ServerReflectionInfo()
  const replies: ReflectionReply[] = []
  stream.on('data', (reply: ReflectionReply) => replies.push(reply))
  for (const request of requests) stream.write(request)
  stream.end()
  await new Promise((resolve, reject) => {
    stream.on('end', resolve)
    stream.on('error', reject)
  })
  return replies
}

const filesOf = (reply: ReflectionReply | undefined): FileDescriptor[] =>
  (reply?.file_descriptor_response?.file_descriptor_proto ?? []).map((encoded) =>
    FileDescriptor.decode(encoded),
  )

test.each(['v1', 'v1alpha'] as const)('reflection %s lists services', async (version) => {
  const [reply] = await reflect(version, { list_services: '' })
  expect(reply?.list_services_response?.service.map(({ name }) => name)).toEqual([
    'grpc.health.v1.Health',
    'grpc.reflection.v1.ServerReflection',
    'grpc.reflection.v1alpha.ServerReflection',
  ])
})

test('reflection gives the file of a symbol, with full type names', async () => {
  const [byMethod, again] = await reflect(
    'v1',
    { file_containing_symbol: 'grpc.health.v1.Health.Check' },
    { file_containing_symbol: 'grpc.health.v1.HealthListResponse' },
  )
  const [file] = filesOf(byMethod)
  expect(file?.package).toBe('grpc.health.v1')
  expect(file?.service[0]?.method[0]?.inputType).toBe('.grpc.health.v1.HealthCheckRequest')
  const list = file?.messageType.find((each) => each?.name === 'HealthListResponse')
  expect(list?.field[0]?.typeName).toBe('.grpc.health.v1.HealthListResponse.StatusesEntry')
  expect(list?.nestedType[0]?.name).toBe('StatusesEntry')
  expect(filesOf(again).map((each) => each.name)).toEqual([file?.name])
})

test('reflection sends what a file needs along with it, each file once a stream', async () => {
  const [first, second] = await reflect(
    'v1',
    { file_containing_symbol: 'etcdserverpb.KV' },
    { file_containing_symbol: 'etcdserverpb.Watch' },
  )
  const names = filesOf(first).map((file) => file.package)
  expect(names[0]).toBe('etcdserverpb')
  expect(names).toEqual(expect.arrayContaining(['authpb', 'mvccpb']))
  expect(filesOf(first)[0]?.dependency).toEqual(
    expect.arrayContaining(['authpb.proto', 'mvccpb.proto']),
  )
  expect(filesOf(second).map((file) => file.package)).toEqual(['etcdserverpb'])
  const [byName] = await reflect('v1', { file_by_filename: 'mvccpb.proto' })
  expect(filesOf(byName).map((file) => file.package)).toEqual(['mvccpb'])
})

test('reflection says what it does not have', async () => {
  const replies = await reflect(
    'v1',
    { file_containing_symbol: 'no.Such' },
    { file_by_filename: 'no.proto' },
    { file_containing_extension: { containing_type: 'mvccpb.KeyValue', extension_number: 5 } },
    { all_extension_numbers_of_type: 'no.Such' },
    { all_extension_numbers_of_type: 'mvccpb.KeyValue' },
    { host: 'nothing asked' },
  )
  expect(replies.map((reply) => reply.error_response?.error_code)).toEqual([
    ...[5, 5, 5, 5, undefined, 3],
  ])
})
