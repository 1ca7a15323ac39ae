/** gRPC over raw frames: what real clients never send, and the small parts of the protocol by themselves. */
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { InvariantViolation } from '../../src/base/invariant.js'
import { type DeadlineEntry, DeadlineWheel } from '../../src/grpc/deadline-wheel.js'
import { goQuote, percentEncode } from '../../src/grpc/status.js'
import { parseTimeout } from '../../src/grpc/timeout.js'
import { block, END, FLAG, FRAME, frame, headers, pseudo, RawClient } from '../http2/raw-client.js'
import {
  EchoState,
  echoMethods,
  Note,
  type RunningServer,
  startEchoServer,
} from './echo-service.js'

let server: RunningServer
let client: RawClient
afterEach(async () => {
  client?.close()
  await server?.close()
})

const OPEN = FLAG.END_HEADERS
const GRPC = ['content-type', 'application/grpc', 'te', 'trailers']
const call = (path: string, ...fields: readonly string[]): Uint8Array =>
  block(
    ...pseudo(`/test.Echo/${path}`),
    ...(fields.includes('content-type') ? [] : GRPC),
    ...fields,
  )

function message(body: Uint8Array, flag = 0, length = body.length): Buffer {
  const out = Buffer.alloc(5 + body.length)
  out[0] = flag
  out.writeUInt32BE(length, 1)
  out.set(body, 5)
  return out
}
const hello = Note.encode({ text: 'hi' })
const send = (body: Uint8Array, flags: number = FLAG.END_STREAM): Buffer =>
  frame(FRAME.DATA, flags, 1, body)

async function start(options: Parameters<typeof startEchoServer>[0] = {}): Promise<void> {
  server = await startEchoServer(options)
  client = RawClient.open(server.port)
}
async function status(id = 1): Promise<readonly [string | undefined, string | undefined]> {
  await client.streamEnd(id)
  return [client.field(id, 'grpc-status'), client.field(id, 'grpc-message')]
}

describe('requests that are refused', () => {
  test.each<readonly [string, Uint8Array, string, string, string]>([
    [
      'another content-type',
      call('Unary', 'content-type', 'text/plain'),
      '415',
      '3',
      'invalid gRPC request content-type: "text/plain"',
    ],
    [
      'a content-type that only begins so',
      call('Unary', 'content-type', 'application/grpcx'),
      '415',
      '3',
      'invalid gRPC request content-type: "application/grpcx"',
    ],
    [
      'another message format',
      call('Unary', 'content-type', 'application/grpc+json'),
      '415',
      '3',
      'invalid gRPC request content-type: "application/grpc+json"',
    ],
    [
      'GET',
      block(...pseudo('/test.Echo/Unary', 'GET'), ...GRPC),
      '405',
      '13',
      'Received a HEADERS frame with :method "GET" which should be POST',
    ],
    [
      'a timeout without unit',
      call('Unary', 'grpc-timeout', '12'),
      '400',
      '13',
      'malformed grpc-timeout: transport: timeout unit is not recognized: "12"',
    ],
    [
      'binary metadata that is not base64',
      call('Unary', 'x-bin', '!!'),
      '400',
      '13',
      'malformed binary metadata "!!" in header "x-bin"',
    ],
    [
      'an unknown compression',
      call('Unary', 'grpc-encoding', 'br'),
      '200',
      '12',
      'grpc: Decompressor is not installed for grpc-encoding "br"',
    ],
    ['an unknown method', call('Nope'), '200', '12', 'unknown method Nope for service test.Echo'],
    ['an unknown service', block(...pseudo('/a.B/C'), ...GRPC), '200', '12', 'unknown service a.B'],
    [
      'a path without service',
      block(...pseudo('/nothing'), ...GRPC),
      '200',
      '12',
      'malformed method name: "/nothing"',
    ],
  ])('%s', async (_what, fields, http, code, text) => {
    await start()
    client.send(headers(1, END, fields))
    expect(await status()).toEqual([code, text])
    expect(client.field(1, ':status')).toBe(http)
    expect(client.field(1, 'content-type')).toBe('application/grpc')
  })

  test.each<readonly [string, readonly Uint8Array[], string, string]>([
    [
      'no message',
      [send(new Uint8Array(0))],
      '13',
      'cardinality violation: received no request message from non-client-streaming RPC',
    ],
    ['a prefix that is cut off', [send(Uint8Array.of(0, 0))], '13', 'unexpected EOF'],
    ['a message that is cut off', [send(message(hello, 0, 100))], '13', 'unexpected EOF'],
    [
      'a message over the limit',
      [send(message(hello, 0, 5_000_000))],
      '8',
      'grpc: received message larger than max (5000000 vs. 4194304)',
    ],
    [
      'a length of 32 bits',
      [send(message(hello, 0, 0xffff_ffff))],
      '8',
      'grpc: received message larger than max (4294967295 vs. 4194304)',
    ],
    [
      'a compressed message without saying so',
      [send(message(hello, 1))],
      '13',
      'grpc: compressed flag set with identity or empty encoding',
    ],
    [
      'an unknown flag',
      [send(message(hello, 7))],
      '13',
      'grpc: received unexpected payload format 7',
    ],
    [
      'bytes that are no message',
      [send(message(Uint8Array.of(0x0a, 0x7f)))],
      '13',
      'grpc: error unmarshalling request: unexpected EOF',
    ],
  ])('%s', async (_what, bodies, code, text) => {
    await start()
    client.send(headers(1, OPEN, call('Unary')), ...bodies)
    expect(await status()).toEqual([code, text])
    expect(server.errors).toEqual([])
  })

  test('a second message of a call that takes one', async () => {
    await start()
    const wait = Note.encode({ text: 'wait' })
    client.send(
      headers(1, OPEN, call('Unary')),
      send(Buffer.concat([message(wait), message(wait)])),
    )
    expect((await status())[1]).toBe(
      'cardinality violation: received multiple request messages for non-client-streaming RPC',
    )
  })

  test('a response over the limit', async () => {
    await start({ limits: { sendBytesMax: 100 } })
    client.send(
      headers(1, OPEN, call('Unary')),
      send(message(Note.encode({ text: 'big', count: 200 }))),
    )
    expect(await status()).toEqual([
      '8',
      'grpc: trying to send message larger than max (203 vs. 100)',
    ])
    expect(client.bodyBytes(1)).toBe(0)
  })

  test('too many unfinished messages', async () => {
    await start({ limits: { assemblingBytesMax: 50_000 } })
    client.send(headers(1, OPEN, call('Unary')), frame(FRAME.DATA, 0, 1, message(hello, 0, 40_000)))
    client.send(headers(3, OPEN, call('Unary')), frame(FRAME.DATA, 0, 3, message(hello, 0, 40_000)))
    expect((await status(3))[0]).toBe('8')
    client.send(frame(FRAME.DATA, 0, 1, Buffer.alloc(10)))
    expect(await client.sync()).toBe(true)
    expect(client.fields.has(1)).toBe(false)
  })
})

describe('messages', () => {
  test('a message arrives however its frames cut it, byte by byte too', async () => {
    await start()
    const bytes = message(Note.encode({ text: 'abc', count: 300 }))
    client.send(headers(1, OPEN, call('Unary')))
    for (const byte of bytes) client.send(frame(FRAME.DATA, 0, 1, Uint8Array.of(byte)))
    expect((await status())[0]).toBe('0')
    const answer = client.frames.find((each) => each.type === FRAME.DATA)
    expect(answer?.payload.equals(bytes)).toBe(true)
  })

  test('many messages in one frame', async () => {
    await start()
    const many = Buffer.concat(
      Array.from({ length: 100 }, (_, at) => message(Note.encode({ count: at }))),
    )
    client.send(headers(1, OPEN, call('Sum')), send(many))
    expect((await status())[0]).toBe('0')
    const answer = client.frames.find((each) => each.type === FRAME.DATA)
    expect(Note.decode(answer?.payload.subarray(5) ?? new Uint8Array(0)).count).toBe(4950)
  })

  test('gzip that is broken is refused', async () => {
    await start()
    const zipped = gzipSync(hello)
    client.send(headers(1, OPEN, call('Unary', 'grpc-encoding', 'gzip')), send(message(zipped, 1)))
    expect((await status())[0]).toBe('0')
    client.send(headers(3, OPEN, call('Unary', 'grpc-encoding', 'gzip')))
    client.send(frame(FRAME.DATA, 1, 3, message(zipped.subarray(0, 15), 1)))
    expect((await status(3))[0]).toBe('13')
  })

  test('all replies of a turn leave in one write', async () => {
    const state = new EchoState()
    await start({ methods: echoMethods(state) })
    const later = message(Note.encode({ text: 'later', count: 30 }))
    const [socket] = server.sockets
    await client.sync()
    const writes: number[] = []
    const [serverSocket] = server.sockets
    const target = serverSocket ?? socket
    if (target === undefined) throw new Error('no socket')
    const write = target.write.bind(target)
    target.write = ((chunk: Uint8Array) => {
      writes.push(chunk.length)
      return write(chunk)
    }) as typeof target.write
    const ids = [1, 3, 5, 7, 9]
    client.send(
      ...ids.flatMap((id) => [
        headers(id, OPEN, call('Unary')),
        frame(FRAME.DATA, 1, id, message(hello)),
      ]),
    )
    for (const id of ids) expect((await status(id))[0]).toBe('0')
    expect(writes).toHaveLength(1)
    client.send(headers(11, OPEN, call('Unary')), frame(FRAME.DATA, 1, 11, later))
    expect((await status(11))[0]).toBe('0')
    expect(writes).toHaveLength(2)
  })

  test('a client that asks on and never reads is not read any more', async () => {
    await start({
      limits: { sendQueueBytesMax: 5_000 },
      http2Limits: { streamWindowBytes: 20_000 },
    })
    client.close()
    client = RawClient.open(server.port, [4, 0])
    const ask = frame(FRAME.DATA, 0, 1, message(Note.encode({ blob: new Uint8Array(1_000) })))
    client.send(headers(1, OPEN, call('Chat')))
    for (let at = 0; at < 19; at++) client.send(ask)
    await client.sync()
    const granted = client.frames.filter(
      (each) => each.type === FRAME.WINDOW_UPDATE && each.id === 1,
    )
    expect(granted).toHaveLength(0)
    client.send(frame(FRAME.WINDOW_UPDATE, 0, 1, Buffer.from('00100000', 'hex')))
    await client.until((each) => each.type === FRAME.WINDOW_UPDATE && each.id === 1)
    expect(client.bodyBytes(1)).toBeGreaterThan(19_000)
  })
})

describe('the server', () => {
  test('an InvariantViolation of a handler ends the process, outside of every catch', async () => {
    const [unary] = echoMethods(new EchoState())
    if (unary === undefined) throw new Error('no method')
    const broken = {
      ...unary,
      handle: () => {
        throw new InvariantViolation('contradiction')
      },
    } as typeof unary
    await start({ methods: [broken] })
    const later: (() => void)[] = []
    const spy = vi.spyOn(globalThis, 'setImmediate').mockImplementation(((run: () => void) => {
      later.push(run)
    }) as unknown as typeof setImmediate)
    client.send(headers(1, OPEN, call('Unary')), send(message(hello)))
    expect((await status())[0]).toBe('13')
    spy.mockRestore()
    expect(later.some((run) => throwsInvariant(run))).toBe(true)
    expect(server.errors).toEqual([])
  })

  test('a connection that comes during a drain is told so and ended', async () => {
    await start()
    client.send(headers(1, OPEN, call('Chat')))
    await client.sync()
    const drained = server.grpc.drain(500)
    const late = RawClient.open(server.port)
    late.send(headers(1, OPEN, call('Unary')), send(message(hello)))
    expect((await late.goAway())?.code).toBe(0)
    await late.until(() => false)
    expect(late.fields.size).toBe(0)
    await drained
  })

  test('the observer hears of every call once', async () => {
    const heard: string[] = []
    await start({
      observer: {
        started: (method) => heard.push(`started ${method.path}`),
        received: (_method, bytes) => heard.push(`received ${bytes}`),
        sent: (_method, bytes) => heard.push(`sent ${bytes}`),
        handled: (_method, code) => heard.push(`handled ${code}`),
      },
    })
    client.send(headers(1, OPEN, call('Unary')), send(message(hello)))
    await status()
    const wait = message(Note.encode({ text: 'wait' }))
    client.send(headers(3, OPEN, call('Unary')), frame(FRAME.DATA, 1, 3, wait))
    client.send(frame(FRAME.RST_STREAM, 0, 3, Buffer.from('00000008', 'hex')))
    client.send(headers(5, END, call('Nope')))
    await status(5)
    expect(heard).toEqual([
      ...['started /test.Echo/Unary', 'received 4', 'sent 4', 'handled 0'],
      ...['started /test.Echo/Unary', 'received 6', 'handled 1'],
    ])
  })
})

function throwsInvariant(run: () => void): boolean {
  try {
    run()
    return false
  } catch (error) {
    return error instanceof InvariantViolation
  }
}

describe('small parts', () => {
  test.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3_000],
    ['4m', 4],
    ['5000u', 5],
    ['6000000n', 6],
    ['1', 'transport: timeout string is too short: "1"'],
    ['123456789S', 'transport: timeout string is too long: "123456789S"'],
    ['12x', 'transport: timeout unit is not recognized: "12x"'],
    ['aS', 'strconv.ParseInt: parsing "a": invalid syntax'],
  ])('the timeout %s', (text, expected) => {
    expect(parseTimeout(text)).toBe(expected)
  })

  test('status messages are percent-encoded', () => {
    expect(percentEncode('plain ~ text')).toBe('plain ~ text')
    expect(percentEncode('50% ä\n')).toBe('50%25 %C3%A4%0A')
    expect(goQuote('a"b\\\n\x01ä')).toBe('"a\\"b\\\\\\n\\x01\\xe4"')
  })

  test('deadlines are called in time, once, and not when removed', async () => {
    const wheel = new DeadlineWheel(() => performance.now())
    const called: number[] = []
    const entry = (name: number): DeadlineEntry => ({
      wheelTick: -1,
      wheelNext: undefined,
      wheelPrevious: undefined,
      onDeadline: () => {
        called.push(name)
        if (name === 1) for (const other of [entries[2], entries[3]]) if (other) wheel.remove(other)
      },
    })
    const entries = [0, 1, 2, 3, 4].map(entry)
    const due = performance.now() + 30
    // In one slot the entry added last is called first, so 1 is due before what it removes.
    for (const at of [2, 3, 1]) wheel.add(entries[at] as DeadlineEntry, due)
    wheel.add(entries[4] as DeadlineEntry, due + 3_600_000)
    wheel.add(entries[0] as DeadlineEntry, due - 1_000)
    expect(wheel.count).toBe(5)
    while (called.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(performance.now()).toBeGreaterThanOrEqual(due)
    expect(called).toEqual([0, 1])
    expect(wheel.count).toBe(1)
    wheel.stop()
  })
})
