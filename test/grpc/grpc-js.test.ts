/** The server as the official JavaScript client sees it: every kind of call, and the ways a call can end. */
import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  compressionAlgorithms,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  echoClient,
  echoDefinition,
  type NoteValue,
  type RunningServer,
  startEchoServer,
} from './echo-service.js'

let server: RunningServer
let client: Client

beforeEach(async () => {
  server = await startEchoServer()
  client = echoClient(server.port)
})
afterEach(async () => {
  client.close()
  await server.close()
})

const path = (name: string) => {
  const method = echoDefinition[name]
  if (method === undefined) throw new Error(name)
  return method
}

function unary(
  request: NoteValue,
  options: { metadata?: Metadata; deadlineMs?: number; method?: string; on?: Client } = {},
): Promise<NoteValue> {
  const method = path(options.method ?? 'Unary')
  return new Promise((resolve, reject) => {
    ;(options.on ?? client).makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      options.metadata ?? new Metadata(),
      options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs },
      (error, value) => (error ? reject(error) : resolve(value as NoteValue)),
    )
  })
}

const count = (request: NoteValue, on: Client = client): ClientReadableStream<NoteValue> => {
  const method = path('Count')
  return on.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
  )
}

const chat = (on: Client = client): ClientDuplexStream<NoteValue, NoteValue> => {
  const method = path('Chat')
  return on.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize)
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const failure = (promise: Promise<unknown>): Promise<ServiceError> =>
  promise.then(
    (value) => {
      throw new Error(`expected a failure, got ${JSON.stringify(value)}`)
    },
    (error: ServiceError) => error,
  )

describe('unary calls', () => {
  test('a request is answered', async () => {
    const answer = await unary({ text: 'hello', count: 42 })
    expect(answer).toMatchObject({ text: 'hello', count: 42 })
  })

  test('a thousand calls at once each get their own answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, at) => unary({ text: `n${at}`, count: at })),
    )
    expect(answers.map((answer) => answer.count)).toEqual(
      Array.from({ length: 1000 }, (_, at) => at),
    )
  })

  test('a reply may come in a later turn', async () => {
    expect(await unary({ text: 'later', count: 20 })).toMatchObject({ text: 'later' })
  })

  test('an empty message is a message', async () => {
    expect(await unary({})).toMatchObject({ text: '', count: 0 })
  })

  test('a failure arrives with status and a message outside of ASCII', async () => {
    const error = await failure(unary({ text: 'fail' }))
    expect(error.code).toBe(5)
    expect(error.details).toBe('no such note: ä%\n')
  })

  test('a handler that throws answers INTERNAL and the error is reported', async () => {
    const error = await failure(unary({ text: 'throw' }))
    expect(error.code).toBe(13)
    expect(server.errors).toEqual([new Error('handler broke')])
    expect(await unary({ text: 'still' })).toMatchObject({ text: 'still' })
  })

  test('unknown methods and services are refused as grpc-go does', async () => {
    const method = await failure(unary({}, { method: 'Nothing' }))
    expect(method).toMatchObject({
      code: 12,
      details: 'unknown method Nothing for service test.Echo',
    })
    const service = await failure(unary({}, { method: 'Nowhere' }))
    expect(service).toMatchObject({ code: 12, details: 'unknown service test.None' })
  })

  test('metadata reaches the handler, binary too', async () => {
    const metadata = new Metadata()
    metadata.set('x-note', 'plain')
    metadata.set('x-note-bin', Buffer.from([0, 1, 255]))
    const answer = await unary({ text: 'meta' }, { metadata })
    expect(answer.text).toBe('plain|\u0000\u0001\u00ff')
  })

  test('a deadline that passes ends the call and tells the handler', async () => {
    const error = await failure(unary({ text: 'wait' }, { deadlineMs: 50 }))
    expect(error.code).toBe(4)
    await until(() => server.state.cancelled === 1)
    expect(server.state.lastCall?.isCancelled).toBe(true)
    expect(server.grpc.deadlines.count).toBe(0)
  })

  test('a deadline that is kept is forgotten', async () => {
    await unary({ text: 'x' }, { deadlineMs: 60_000 })
    expect(server.grpc.deadlines.count).toBe(0)
    expect(server.state.lastCall?.deadlineMs).toBeLessThan(performance.now() + 60_001)
  })

  test('messages of many frames pass both ways', async () => {
    const blob = new Uint8Array(3_000_000).map((_, at) => at * 7)
    const answer = await unary({ blob })
    expect(Buffer.compare(answer.blob ?? new Uint8Array(0), blob)).toBe(0)
  })

  test('a request over the limit is refused in grpc-go words', async () => {
    const error = await failure(unary({ blob: new Uint8Array(4 << 20) }))
    expect(error.code).toBe(8)
    expect(error.details).toBe('grpc: received message larger than max (4194309 vs. 4194304)')
    expect(await unary({ text: 'still' })).toMatchObject({ text: 'still' })
  })

  test('gzip passes both ways', async () => {
    const zipped = echoClient(server.port, {
      'grpc.default_compression_algorithm': compressionAlgorithms.gzip,
    })
    const blob = new Uint8Array(100_000).fill(5)
    const answer = await unary({ text: 'zip', blob }, { on: zipped })
    expect(answer.text).toBe('zip')
    expect(answer.blob?.length).toBe(100_000)
    const bomb = await failure(unary({ blob: new Uint8Array(5 << 20) }, { on: zipped }))
    expect(bomb).toMatchObject({
      code: 8,
      details: 'grpc: received message after decompression larger than max 4194304',
    })
    zipped.close()
  })
})

describe('streams', () => {
  test('responses come in order and end', async () => {
    const seen: number[] = []
    for await (const note of count({ count: 500 })) seen.push(note.count)
    expect(seen).toEqual(Array.from({ length: 500 }, (_, at) => at + 1))
  })

  test('a stream may fail after responses', async () => {
    const stream = count({ count: 3, text: 'fail' })
    const seen: number[] = []
    const error = await new Promise<ServiceError>((resolve) => {
      stream.on('data', (note: NoteValue) => seen.push(note.count ?? 0))
      stream.on('error', (reason: Error) => resolve(reason as ServiceError))
    })
    expect(seen).toEqual([1, 2, 3])
    expect(error).toMatchObject({ code: 9, details: 'counted too far' })
  })

  test('a client that does not read stops the handler until it does', async () => {
    const stream = count({ count: 2_000, blob: new Uint8Array(10_000) })
    stream.pause()
    await until(() => server.state.drained > 0)
    const call = server.state.lastCall
    expect(call !== undefined && 'queuedBytes' in call ? call.queuedBytes : 0).toBeLessThan(
      (256 << 10) + 20_000,
    )
    let seen = 0
    stream.on('data', () => seen++)
    stream.resume()
    await new Promise((resolve) => stream.on('end', resolve))
    expect(seen).toBe(2_000)
    expect(server.state.drained).toBeGreaterThan(1)
  })

  test('a stream of requests gets one response', async () => {
    const method = path('Sum')
    const answer = await new Promise<NoteValue>((resolve, reject) => {
      const stream = client.makeClientStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        (error, value) => (error ? reject(error) : resolve(value as NoteValue)),
      )
      for (let at = 1; at <= 100; at++) stream.write({ count: at, blob: new Uint8Array(50_000) })
      stream.end()
    })
    expect(answer.count).toBe(5050 + 100 * 50_000)
  })

  test('both sides talk in turn, with shared encodings of any size', async () => {
    const stream = chat()
    const seen: NoteValue[] = []
    stream.on('data', (note: NoteValue) => {
      seen.push(note)
      if (seen.length === 1) stream.write({ text: 'encoded', blob: new Uint8Array(10) })
      else if (seen.length === 2) stream.write({ text: 'encoded', blob: new Uint8Array(200_000) })
      else stream.end()
    })
    stream.write({ text: 'first' })
    await new Promise((resolve) => stream.on('end', resolve))
    expect(seen.map((note) => [note.text, note.blob?.length])).toEqual([
      ['first', 0],
      ['shared', 10],
      ['shared', 200_000],
    ])
  })

  test('a cancelled stream tells its handler once', async () => {
    const stream = chat()
    stream.on('error', () => {})
    stream.write({ text: 'stay' })
    await until(() => server.state.seen.length === 1)
    stream.cancel()
    await until(() => server.state.cancelled === 1)
    const call = server.state.lastCall
    expect(call?.isCancelled).toBe(true)
    expect(call !== undefined && 'send' in call && call.send({ text: 'late' })).toBe(true)
    expect(await unary({ text: 'after' })).toMatchObject({ text: 'after' })
  })

  test('a listener that throws ends its stream alone', async () => {
    const other = chat()
    const received = new Promise<NoteValue>((resolve) => other.once('data', resolve))
    const broken = chat()
    const error = new Promise<ServiceError>((resolve) =>
      broken.on('error', (reason: Error) => resolve(reason as ServiceError)),
    )
    broken.write({ text: 'throw' })
    expect((await error).code).toBe(13)
    other.write({ text: 'fine' })
    expect((await received).text).toBe('fine')
    other.end()
    await new Promise((resolve) => other.on('end', resolve))
  })

  test('a connection that breaks cancels its calls', async () => {
    const stream = chat()
    const ended = new Promise((resolve) => stream.on('error', resolve))
    stream.write({ text: 'stay' })
    await until(() => server.state.seen.length === 1)
    for (const socket of server.sockets) socket.destroy()
    expect(((await ended) as ServiceError).code).toBe(14)
    await until(() => server.grpc.connectionCount === 0)
    expect(server.state.cancelled).toBe(1)
  })
})

describe('drain', () => {
  test('calls under way finish, then the connection ends', async () => {
    const answer = unary({ text: 'later', count: 60 })
    await until(() => server.state.lastCall !== undefined)
    await server.grpc.drain(5_000)
    expect(await answer).toMatchObject({ text: 'later' })
    expect(server.grpc.connectionCount).toBe(0)
  })

  test('what does not finish in time is cut off', async () => {
    const answer = failure(unary({ text: 'wait' }))
    await until(() => server.state.lastCall !== undefined)
    await server.grpc.drain(30)
    expect((await answer).code).toBe(14)
    expect(server.state.cancelled).toBe(1)
  })
})
