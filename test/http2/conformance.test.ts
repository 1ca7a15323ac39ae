/**
 * RFC 9113's MUSTs, walked with a client that sends raw bytes: what is right is answered, what breaks a rule
 * of the connection ends it with the right code, what breaks a rule of a stream ends the stream alone.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HelloServer, startHelloServer } from './hello-server.js'
import {
  block,
  data,
  END,
  ERROR,
  FLAG,
  FRAME,
  frame,
  headers,
  PREFACE,
  pseudo,
  RawClient,
  request,
  settings,
  uint32,
} from './raw-client.js'

let server: HelloServer
beforeAll(async () => {
  server = await startHelloServer({ concurrentStreamsMax: 20, keepaliveMinTimeMs: 0 })
})
afterAll(async () => {
  await server.close()
  expect(server.errors).toEqual([])
})

const OPEN = FLAG.END_HEADERS
const codeName = (code: number | undefined): string | undefined =>
  Object.entries(ERROR).find(([, each]) => each === code)?.[0]

type Rule = readonly [rule: string, bytes: () => readonly Uint8Array[], code: keyof typeof ERROR]

const connectionErrors: readonly Rule[] = [
  ['3.4 the first frame must be SETTINGS', () => [headers(1)], 'PROTOCOL_ERROR'],
  ['4.2 a frame over the maximum', () => [settings(), data(1, 16_385)], 'FRAME_SIZE_ERROR'],
  [
    '4.3 a header block that does not decode',
    () => [settings(), headers(1, END, Uint8Array.of(0xff))],
    'COMPRESSION_ERROR',
  ],
  ['5.1 DATA on an idle stream', () => [settings(), data(1, 1)], 'PROTOCOL_ERROR'],
  [
    '5.1 RST_STREAM on an idle stream',
    () => [settings(), frame(FRAME.RST_STREAM, 0, 1, uint32(8))],
    'PROTOCOL_ERROR',
  ],
  [
    '5.1 WINDOW_UPDATE on an idle stream',
    () => [settings(), frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(8))],
    'PROTOCOL_ERROR',
  ],
  [
    '5.1 CONTINUATION on an idle stream',
    () => [settings(), frame(FRAME.CONTINUATION, 4, 1, request())],
    'PROTOCOL_ERROR',
  ],
  ['5.1 HEADERS on a closed stream', () => [settings(), headers(1), headers(1)], 'STREAM_CLOSED'],
  ['5.1.1 an even stream id', () => [settings(), headers(2)], 'PROTOCOL_ERROR'],
  [
    '5.1.1 a stream id that does not grow',
    () => [settings(), headers(5), headers(3)],
    'PROTOCOL_ERROR',
  ],
  ['6.1 DATA on stream 0', () => [settings(), data(0, 1)], 'PROTOCOL_ERROR'],
  [
    '6.1 padding larger than the frame',
    () => [settings(), headers(1, OPEN), frame(FRAME.DATA, FLAG.PADDED, 1, '0501')],
    'PROTOCOL_ERROR',
  ],
  ['6.2 HEADERS on stream 0', () => [settings(), headers(0)], 'PROTOCOL_ERROR'],
  [
    '6.2 padding larger than the frame',
    () => [settings(), frame(FRAME.HEADERS, END | FLAG.PADDED, 1, 'ff82')],
    'PROTOCOL_ERROR',
  ],
  [
    '6.2 too short for its priority',
    () => [settings(), frame(FRAME.HEADERS, END | FLAG.PRIORITY, 1, '0000')],
    'PROTOCOL_ERROR',
  ],
  [
    '6.2 interrupted by another frame',
    () => [settings(), headers(1, 0), frame(FRAME.PING, 0, 0, '0000000000000000')],
    'PROTOCOL_ERROR',
  ],
  [
    '6.2 interrupted by HEADERS of another stream',
    () => [settings(), headers(1, 0), headers(3)],
    'PROTOCOL_ERROR',
  ],
  [
    '6.2 interrupted by an unknown frame',
    () => [settings(), headers(1, 0), frame(99, 0, 1)],
    'PROTOCOL_ERROR',
  ],
  [
    '6.3 PRIORITY on stream 0',
    () => [settings(), frame(FRAME.PRIORITY, 0, 0, '0000000000')],
    'PROTOCOL_ERROR',
  ],
  [
    '6.4 RST_STREAM on stream 0',
    () => [settings(), frame(FRAME.RST_STREAM, 0, 0, uint32(8))],
    'PROTOCOL_ERROR',
  ],
  [
    '6.4 RST_STREAM of another size',
    () => [settings(), headers(1, OPEN), frame(FRAME.RST_STREAM, 0, 1, '00')],
    'FRAME_SIZE_ERROR',
  ],
  ['6.5 SETTINGS on a stream', () => [settings(), frame(FRAME.SETTINGS, 0, 1)], 'PROTOCOL_ERROR'],
  [
    '6.5 SETTINGS of another size',
    () => [settings(), frame(FRAME.SETTINGS, 0, 0, '00')],
    'FRAME_SIZE_ERROR',
  ],
  [
    '6.5 an acknowledgement with content',
    () => [settings(), frame(FRAME.SETTINGS, FLAG.ACK, 0, '000000000000')],
    'FRAME_SIZE_ERROR',
  ],
  ['6.5.2 ENABLE_PUSH other than 0 and 1', () => [settings([2, 2])], 'PROTOCOL_ERROR'],
  ['6.5.2 INITIAL_WINDOW_SIZE over 2^31 - 1', () => [settings([4, 2 ** 31])], 'FLOW_CONTROL_ERROR'],
  ['6.5.2 MAX_FRAME_SIZE under 2^14', () => [settings([5, 16_383])], 'PROTOCOL_ERROR'],
  ['6.5.2 MAX_FRAME_SIZE over 2^24 - 1', () => [settings([5, 2 ** 24])], 'PROTOCOL_ERROR'],
  [
    '6.6 a push from the client',
    () => [settings(), frame(FRAME.PUSH_PROMISE, 4, 1, '00000002')],
    'PROTOCOL_ERROR',
  ],
  [
    '6.7 PING on a stream',
    () => [settings(), frame(FRAME.PING, 0, 1, '0000000000000000')],
    'PROTOCOL_ERROR',
  ],
  [
    '6.7 PING of another size',
    () => [settings(), frame(FRAME.PING, 0, 0, '00')],
    'FRAME_SIZE_ERROR',
  ],
  [
    '6.8 GOAWAY on a stream',
    () => [settings(), frame(FRAME.GOAWAY, 0, 1, '0000000000000000')],
    'PROTOCOL_ERROR',
  ],
  ['6.8 GOAWAY too short', () => [settings(), frame(FRAME.GOAWAY, 0, 0, '00')], 'FRAME_SIZE_ERROR'],
  [
    '6.9 WINDOW_UPDATE of 0 on the connection',
    () => [settings(), frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(0))],
    'PROTOCOL_ERROR',
  ],
  [
    '6.9 WINDOW_UPDATE of another size',
    () => [settings(), frame(FRAME.WINDOW_UPDATE, 0, 0, '000001')],
    'FRAME_SIZE_ERROR',
  ],
  [
    '6.9.1 the window of the connection over 2^31 - 1',
    () => [settings(), frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(0x7fff_ffff))],
    'FLOW_CONTROL_ERROR',
  ],
  [
    '6.9.2 a window over 2^31 - 1 by SETTINGS',
    () => [
      settings(),
      headers(1, OPEN, request('/wait')),
      frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(0x7fff_0000)),
      settings([4, 0x7fff_ffff]),
    ],
    'FLOW_CONTROL_ERROR',
  ],
  [
    '6.10 CONTINUATION of another stream',
    () => [settings(), headers(1, 0), frame(FRAME.CONTINUATION, 4, 3)],
    'PROTOCOL_ERROR',
  ],
  [
    '6.10 CONTINUATION behind the end of a block',
    () => [settings(), headers(1), frame(FRAME.CONTINUATION, 4, 1)],
    'PROTOCOL_ERROR',
  ],
]

describe('errors of the connection', () => {
  test.each(connectionErrors)('%s', async (_rule, bytes, code) => {
    const client = new RawClient(server.port)
    client.send(PREFACE, ...bytes())
    expect(codeName((await client.goAway())?.code)).toBe(code)
    await client.until(() => false)
    expect(client.isClosed).toBe(true)
  })

  test('3.4 bytes that are no preface', async () => {
    const client = new RawClient(server.port)
    client.send(Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'))
    expect(codeName((await client.goAway())?.code)).toBe('PROTOCOL_ERROR')
    await client.until(() => false)
  })

  test('5.2.1 the window of the connection is granted again as it is used', async () => {
    const small = await startHelloServer({
      connectionWindowBytes: 65_535,
      streamWindowBytes: 1 << 20,
    })
    const client = RawClient.open(small.port)
    const frames = Array.from({ length: 40 }, () => data(1, 16_384))
    client.send(headers(1, OPEN, request('/wait')), ...frames)
    const ended = await Promise.race([client.goAway(), client.sync().then(() => 'granted')])
    expect(ended).toBe('granted')
    client.close()
    await small.close()
  })
})

const malformed = (...fields: readonly string[]): readonly Uint8Array[] => [
  headers(1, END, block(...fields)),
]
const streamErrors: readonly Rule[] = [
  [
    '5.1 DATA behind END_STREAM',
    () => [headers(1, END, request('/wait')), data(1, 1)],
    'STREAM_CLOSED',
  ],
  [
    '5.1 HEADERS behind END_STREAM',
    () => [headers(1, END, request('/wait')), headers(1)],
    'STREAM_CLOSED',
  ],
  [
    '5.3.1 a stream that depends on itself',
    () => [headers(1, OPEN), frame(FRAME.PRIORITY, 0, 1, '0000000110')],
    'PROTOCOL_ERROR',
  ],
  [
    '6.3 PRIORITY of another size',
    () => [headers(1, OPEN), frame(FRAME.PRIORITY, 0, 1, '00')],
    'FRAME_SIZE_ERROR',
  ],
  [
    '6.9 WINDOW_UPDATE of 0',
    () => [headers(1, OPEN), frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(0))],
    'PROTOCOL_ERROR',
  ],
  [
    '6.9.1 a window over 2^31 - 1',
    () => [headers(1, OPEN), frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(0x7fff_ffff))],
    'FLOW_CONTROL_ERROR',
  ],
  [
    '8.1 trailers that end nothing',
    () => [headers(1, OPEN), headers(1, OPEN, block('a', 'b'))],
    'PROTOCOL_ERROR',
  ],
  ['8.1 pseudo-fields in trailers', () => [headers(1, OPEN), headers(1, END)], 'PROTOCOL_ERROR'],
  [
    '8.1.1 less body than declared',
    () => [headers(1, OPEN, request('/', 'content-length', '5')), data(1, 4, 1)],
    'PROTOCOL_ERROR',
  ],
  [
    '8.1.1 more body than declared',
    () => [headers(1, OPEN, request('/', 'content-length', '5')), data(1, 6)],
    'PROTOCOL_ERROR',
  ],
  [
    '8.1.1 no body though declared',
    () => [headers(1, END, request('/', 'content-length', '5'))],
    'PROTOCOL_ERROR',
  ],
  [
    '8.1.1 two lengths',
    () => [headers(1, END, request('/', 'content-length', '0', 'content-length', '1'))],
    'PROTOCOL_ERROR',
  ],
  [
    '8.1.1 a length that is no number',
    () => [headers(1, END, request('/', 'content-length', 'x'))],
    'PROTOCOL_ERROR',
  ],
  ['8.2 a name in upper case', () => malformed(...pseudo(), 'X-Test', 'a'), 'PROTOCOL_ERROR'],
  ['8.2.1 an empty name', () => malformed(...pseudo(), '', 'a'), 'PROTOCOL_ERROR'],
  ['8.2.1 a name with a space', () => malformed(...pseudo(), 'a b', 'a'), 'PROTOCOL_ERROR'],
  ['8.2.1 a value with a line feed', () => malformed(...pseudo(), 'a', 'b\nc'), 'PROTOCOL_ERROR'],
  ['8.2.1 a value with NUL', () => malformed(...pseudo(), 'a', 'b\0c'), 'PROTOCOL_ERROR'],
  [
    '8.2.1 a value that begins with a space',
    () => malformed(...pseudo(), 'a', ' b'),
    'PROTOCOL_ERROR',
  ],
  ['8.2.2 connection', () => malformed(...pseudo(), 'connection', 'close'), 'PROTOCOL_ERROR'],
  [
    '8.2.2 transfer-encoding',
    () => malformed(...pseudo(), 'transfer-encoding', 'chunked'),
    'PROTOCOL_ERROR',
  ],
  ['8.2.2 te other than trailers', () => malformed(...pseudo(), 'te', 'gzip'), 'PROTOCOL_ERROR'],
  ['8.3 an unknown pseudo-field', () => malformed(...pseudo(), ':test', 'a'), 'PROTOCOL_ERROR'],
  [
    '8.3 a pseudo-field of responses',
    () => malformed(...pseudo(), ':status', '200'),
    'PROTOCOL_ERROR',
  ],
  ['8.3 a pseudo-field behind others', () => malformed('a', 'b', ...pseudo()), 'PROTOCOL_ERROR'],
  ['8.3.1 a pseudo-field twice', () => malformed(...pseudo(), ':method', 'GET'), 'PROTOCOL_ERROR'],
  ['8.3.1 no :method', () => malformed(':scheme', 'http', ':path', '/'), 'PROTOCOL_ERROR'],
  ['8.3.1 no :scheme', () => malformed(':method', 'GET', ':path', '/'), 'PROTOCOL_ERROR'],
  ['8.3.1 no :path', () => malformed(':method', 'GET', ':scheme', 'http'), 'PROTOCOL_ERROR'],
  [
    '8.3.1 an empty :path',
    () => malformed(':method', 'GET', ':scheme', 'http', ':path', ''),
    'PROTOCOL_ERROR',
  ],
  [
    '8.5 CONNECT with a :path',
    () => malformed(':method', 'CONNECT', ':path', '/', ':authority', 'a:1'),
    'PROTOCOL_ERROR',
  ],
]

describe('errors of a stream', () => {
  test.each(streamErrors)('%s', async (_rule, bytes, code) => {
    const client = RawClient.open(server.port)
    client.send(...bytes())
    expect(codeName((await client.streamEnd(1)) as number)).toBe(code)
    client.send(headers(3))
    expect(await client.streamEnd(3)).toBe('end')
    client.close()
  })

  test('5.1.2 more streams than allowed are refused', async () => {
    const client = RawClient.open(server.port)
    for (let at = 0; at <= 20; at++) client.send(headers(1 + at * 2, END, request('/wait')))
    expect(await client.streamEnd(41)).toBe(ERROR.REFUSED_STREAM)
    client.close()
  })

  test('5.2.1 more DATA than the window of the stream', async () => {
    const small = await startHelloServer({ streamWindowBytes: 10_000 })
    const client = RawClient.open(small.port)
    client.send(headers(1, OPEN, request('/wait')), data(1, 10_001))
    expect(await client.streamEnd(1)).toBe(ERROR.FLOW_CONTROL_ERROR)
    client.close()
    await small.close()
  })
})

describe('what is right', () => {
  test.each<[string, () => readonly Uint8Array[]]>([
    [
      '4.1 reserved bit of the stream id is ignored',
      () => [frame(FRAME.HEADERS, END, 0x8000_0001, request())],
    ],
    ['4.1 unknown flags are ignored', () => [frame(FRAME.HEADERS, 0xd0 | END, 1, request())]],
    ['5.5 unknown frames are ignored', () => [frame(0x42, 0xff, 0, 'abcd'), headers(1)]],
    [
      '6.1 padding is no body',
      () => [
        headers(1, OPEN, request('/', 'content-length', '1')),
        frame(FRAME.DATA, 1 | FLAG.PADDED, 1, '0261ffff'),
      ],
    ],
    [
      '6.2 padding and priority',
      () => [
        frame(
          FRAME.HEADERS,
          END | FLAG.PADDED | FLAG.PRIORITY,
          1,
          Buffer.concat([Buffer.from('020000000310', 'hex'), request(), Buffer.alloc(2)]),
        ),
      ],
    ],
    [
      '6.3 PRIORITY of an idle stream',
      () => [frame(FRAME.PRIORITY, 0, 1, '0000000310'), headers(1)],
    ],
    [
      '6.4 RST_STREAM of a closed stream',
      () => [headers(1), frame(FRAME.RST_STREAM, 0, 1, uint32(8))],
    ],
    ['6.5 unknown settings are ignored', () => [settings([99, 1]), headers(1)]],
    [
      '6.9 WINDOW_UPDATE of a closed stream',
      () => [headers(1), frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(8))],
    ],
    [
      '6.10 a block in several frames',
      () => [
        headers(1, 1, request().subarray(0, 3)),
        frame(FRAME.CONTINUATION, 0, 1, request().subarray(3, 6)),
        frame(FRAME.CONTINUATION, 4, 1, request().subarray(6)),
      ],
    ],
    [
      '8.1 trailers are read',
      () => [headers(1, OPEN), data(1, 10), headers(1, END, block('x', 'y'))],
    ],
    ['8.2.2 te: trailers', () => [headers(1, END, request('/', 'te', 'trailers'))]],
    ['8.5 CONNECT', () => [headers(1, END, block(':method', 'CONNECT', ':authority', 'a:1'))]],
    ['5.1 stream ids may be left out', () => [headers(77), headers(99), headers(101)]],
  ])('%s', async (_rule, bytes) => {
    const client = RawClient.open(server.port)
    client.send(...bytes())
    const id = _rule.startsWith('5.1 stream ids') ? 101 : 1
    expect(await client.streamEnd(id)).toBe('end')
    expect(client.bodyBytes(id)).toBe(5)
    expect(await client.sync()).toBe(true)
    client.close()
  })

  test('6.7 a ping is answered with its own bytes, an acknowledgement is not', async () => {
    const client = RawClient.open(server.port)
    client.send(frame(FRAME.PING, FLAG.ACK, 0, '1111111111111111'))
    client.send(frame(FRAME.PING, 0, 0, '0102030405060708'))
    const answer = await client.until((each) => each.type === FRAME.PING)
    expect(answer?.flags).toBe(FLAG.ACK)
    expect(answer?.payload.toString('hex')).toBe('0102030405060708')
    client.close()
  })

  test('6.9 a response waits for both windows and goes on with each update', async () => {
    const client = RawClient.open(server.port, [4, 10])
    client.send(headers(1, END, request('/big')))
    await client.sync()
    expect(client.bodyBytes(1)).toBe(10)
    client.send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(90)))
    await client.sync()
    expect(client.bodyBytes(1)).toBe(100)
    client.send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(1 << 20)))
    await client.sync()
    expect(client.bodyBytes(1)).toBe(65_535)
    client.send(frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(1 << 20)))
    expect(await client.streamEnd(1)).toBe('end')
    expect(client.bodyBytes(1)).toBe(200_000)
    client.close()
  })

  test('6.9.2 a window that was made smaller may be negative until updates make up for it', async () => {
    const client = RawClient.open(server.port, [4, 100])
    client.send(headers(1, END, request('/size/5000')))
    await client.sync()
    client.send(settings([4, 40]), frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(60)))
    await client.sync()
    expect(client.bodyBytes(1)).toBe(100)
    client.send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(1)))
    await client.sync()
    expect(client.bodyBytes(1)).toBe(101)
    client.close()
  })

  test('frames of streams that wait for the connection take turns', async () => {
    const client = RawClient.open(server.port, [4, 1 << 20])
    client.send(headers(1, END, request('/big')), headers(3, END, request('/big')))
    await client.sync()
    client.send(frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(65_536)))
    await client.sync()
    expect(client.bodyBytes(3)).toBeGreaterThan(30_000)
    client.close()
  })

  test('an answer before the end of the request is followed by RST_STREAM NO_ERROR', async () => {
    const client = RawClient.open(server.port)
    client.send(headers(1, OPEN, request('/')), data(1, 10))
    await client.sync()
    const [stream] = server.state.streams.slice(-1)
    stream?.sendHeaders(block(':status', '200'))
    stream?.sendEnd()
    const reset = await client.until((each) => each.type === FRAME.RST_STREAM)
    expect(reset?.payload.readUInt32BE(0)).toBe(ERROR.NO_ERROR)
    client.send(data(1, 10, 1), headers(3))
    expect(await client.streamEnd(3)).toBe('end')
    client.close()
  })

  test('6.8 a drained connection answers what it has, refuses what is new and ends', async () => {
    const client = RawClient.open(server.port)
    client.send(headers(1, OPEN))
    await client.sync()
    for (const connection of server.connections) connection.drain()
    const first = await client.until((each) => each.type === FRAME.GOAWAY)
    expect(first?.payload.readUInt32BE(0)).toBe(0x7fff_ffff)
    const ping = await client.until((each) => each.type === FRAME.PING && each.flags === 0)
    client.send(headers(3, OPEN), frame(FRAME.PING, FLAG.ACK, 0, ping?.payload))
    const last = await client.until((each) => each.type === FRAME.GOAWAY && each !== first)
    expect(last?.payload.readUInt32BE(0)).toBe(3)
    client.send(headers(5), data(3, 0, 1), data(1, 0, 1))
    await client.until(() => false)
    expect(client.field(1, ':status')).toBe('200')
    expect(client.field(3, ':status')).toBe('200')
    expect(client.field(5, ':status')).toBeUndefined()
  })
})
