/** Hostile and broken clients: each kind of flood ends its connection, memory stays bounded, others go on. */
import { afterEach, describe, expect, test } from 'vitest'
import type { Http2Limits } from '../../src/http2/limits.js'
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

const OPEN = FLAG.END_HEADERS
const PING = frame(FRAME.PING, 0, 0, '0000000000000000')
let server: HelloServer
let nowMs = 1_000

async function start(limits: Partial<Http2Limits> = {}): Promise<HelloServer> {
  nowMs = 1_000
  server = await startHelloServer({ keepaliveMinTimeMs: 0, ...limits }, () => nowMs)
  return server
}
/** Moves the clock of the server, as its timer would. */
function tick(ms: number): void {
  nowMs += ms
  for (const connection of [...server.connections]) connection.onTick(nowMs)
}
afterEach(async () => {
  await server.close()
  expect(server.errors).toEqual([])
})

const repeat = (count: number, part: (at: number) => Uint8Array): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, at) => part(at)))

describe('floods', () => {
  const floods: readonly (readonly [string, Partial<Http2Limits>, () => Uint8Array, string])[] = [
    ['pings', { pingsMax: 50 }, () => repeat(51, () => PING), 'too_many_pings'],
    ['settings', { settingsMax: 50 }, () => repeat(51, () => settings()), 'too_many_settings'],
    [
      'DATA without data',
      { emptyFramesMax: 50 },
      () => Buffer.concat([headers(1, OPEN), repeat(51, () => data(1, 0))]),
      'too_many_empty_frames',
    ],
    [
      'priorities',
      { ignoredFramesMax: 50 },
      () => repeat(51, () => frame(FRAME.PRIORITY, 0, 1, '0000000310')),
      'too_many_ignored_frames',
    ],
    [
      'unknown frames',
      { ignoredFramesMax: 50 },
      () => repeat(51, () => frame(77, 0, 0)),
      'too_many_ignored_frames',
    ],
    [
      'window updates',
      { windowUpdatesMax: 50 },
      () => repeat(51, () => frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(1))),
      'too_many_window_updates',
    ],
    [
      'rapid resets',
      { resetsMax: 50 },
      () =>
        repeat(51, (at) =>
          Buffer.concat([
            headers(at * 2 + 1, END, request('/wait')),
            frame(FRAME.RST_STREAM, 0, at * 2 + 1, uint32(8)),
          ]),
        ),
      'too_many_resets',
    ],
    [
      'streams that we must reset',
      { resetsMax: 50 },
      () => repeat(51, (at) => headers(at * 2 + 1, END, block(':method', 'GET'))),
      'too_many_resets',
    ],
    [
      'streams that we must refuse',
      { resetsMax: 50, concurrentStreamsMax: 1 },
      () => repeat(52, (at) => headers(at * 2 + 1, END, request('/wait'))),
      'too_many_resets',
    ],
    [
      'CONTINUATION frames',
      { continuationFramesMax: 50 },
      () =>
        Buffer.concat([headers(1, 0), repeat(51, () => frame(FRAME.CONTINUATION, 0, 1, '8282'))]),
      'a header block is too large',
    ],
    [
      'bytes in CONTINUATION frames',
      { headerBlockBytesMax: 20_000 },
      () =>
        Buffer.concat([
          headers(1, 0),
          repeat(2, () => frame(FRAME.CONTINUATION, 0, 1, Buffer.alloc(15_000, 0x82))),
        ]),
      'a header block is too large',
    ],
  ]

  test.each(floods)('%s end the connection, and no other', async (_kind, limits, bytes, text) => {
    await start(limits)
    const other = RawClient.open(server.port)
    const client = RawClient.open(server.port)
    client.send(bytes())
    expect(await client.goAway()).toEqual({ code: ERROR.ENHANCE_YOUR_CALM, text })
    await client.until(() => false)
    other.send(headers(1))
    expect(await other.streamEnd(1)).toBe('end')
    other.close()
  })

  test('the same over a longer time is no flood', async () => {
    await start({ pingsMax: 50 })
    const client = RawClient.open(server.port)
    for (let round = 0; round < 4; round++) {
      client.send(repeat(40, () => PING))
      expect(await client.sync()).toBe(true)
      nowMs += 10_000
    }
    client.close()
  })

  test('window updates that answer our own DATA are no flood', async () => {
    await start({ windowUpdatesMax: 5 })
    const client = RawClient.open(server.port, [4, 1])
    client.send(headers(1, END, request('/size/60')))
    for (let at = 0; at < 59; at++) {
      client.send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(1)))
      await client.sync()
    }
    expect(client.bodyBytes(1)).toBe(60)
    client.close()
  })
})

describe('header limits', () => {
  test('a list over the limit is answered 431 and leaves the connection whole', async () => {
    await start({ headerListBytesMax: 2_000 })
    const client = RawClient.open(server.port)
    client.send(headers(1, END, request('/', 'x-large', 'y'.repeat(2_000))), headers(3))
    expect(await client.streamEnd(1)).toBe('end')
    expect(client.field(1, ':status')).toBe('431')
    expect(await client.streamEnd(3)).toBe('end')
    expect(client.field(3, ':status')).toBe('200')
    client.close()
  })

  test('too many fields are answered 431', async () => {
    await start({ headerCountMax: 20 })
    const client = RawClient.open(server.port)
    client.send(headers(1, END, block(...pseudo(), ...Array(40).fill('a'))))
    expect(await client.streamEnd(1)).toBe('end')
    expect(client.field(1, ':status')).toBe('431')
    client.close()
  })

  test('a table that is referred to thousands of times costs no memory', async () => {
    await start()
    const client = RawClient.open(server.port)
    const entry = Buffer.concat([Buffer.from('4001617fa11e', 'hex'), Buffer.alloc(4000, 'v')])
    client.send(headers(1, END, Buffer.concat([request(), entry, Buffer.alloc(12_000, 0xbe)])))
    expect(await client.streamEnd(1)).toBe('end')
    expect(client.field(1, ':status')).toBe('431')
    client.close()
  })
})

describe('time limits', () => {
  test('a client that sends no preface is cut off', async () => {
    await start()
    const client = new RawClient(server.port)
    client.send(PREFACE.subarray(0, 10))
    while (server.connections.size === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    tick(9_000)
    tick(2_000)
    expect((await client.goAway())?.text).toBe('too_slow')
  })

  test.each([
    ['a frame that is never finished', () => data(1, 100).subarray(0, 50)],
    ['a header block that is never finished', () => headers(1, 0)],
  ])('%s is cut off', async (_kind, bytes) => {
    await start()
    const client = RawClient.open(server.port)
    await client.sync()
    client.send(bytes())
    await new Promise((resolve) => setTimeout(resolve, 20))
    tick(1_000)
    tick(9_000)
    expect(client.isClosed).toBe(false)
    tick(2_000)
    expect((await client.goAway())?.text).toBe('too_slow')
  })

  test('a connection without requests ends gracefully when a limit is set', async () => {
    await start({ idleTimeoutMs: 60_000 })
    const client = RawClient.open(server.port)
    client.send(headers(1, END, request('/wait')))
    await client.sync()
    tick(61_000)
    client.send(frame(FRAME.RST_STREAM, 0, 1, uint32(8)))
    await client.sync()
    expect(client.frames.some((each) => each.type === FRAME.GOAWAY)).toBe(false)
    tick(61_000)
    expect((await client.goAway())?.code).toBe(ERROR.NO_ERROR)
    client.close()
  })

  test('a client that never answers the ping of a drain is ended all the same', async () => {
    await start()
    const client = RawClient.open(server.port)
    await client.sync()
    for (const connection of server.connections) connection.drain()
    await client.goAway()
    tick(4_000)
    expect(server.connections.size).toBe(1)
    tick(2_000)
    await client.until(() => false)
    expect(client.frames.filter((each) => each.type === FRAME.GOAWAY)).toHaveLength(2)
  })

  test('a silent client is pinged, and closed when it does not answer', async () => {
    await start({ keepaliveIntervalMs: 7_000, keepaliveTimeoutMs: 3_000 })
    const client = RawClient.open(server.port)
    await client.sync()
    tick(8_000)
    const ping = await client.until((each) => each.type === FRAME.PING && each.flags === 0)
    client.send(frame(FRAME.PING, FLAG.ACK, 0, ping?.payload))
    await client.sync()
    tick(4_000)
    expect(await client.sync()).toBe(true)
    tick(8_000)
    tick(4_000)
    await client.until(() => false)
    expect(client.isClosed).toBe(true)
  })

  test('a finished reply that is never read is given up', async () => {
    await start({ stallTimeoutMs: 30_000 })
    const client = RawClient.open(server.port, [4, 0])
    client.send(headers(1))
    await client.sync()
    tick(1_000)
    tick(29_000)
    expect(server.state.resets).toBe(0)
    tick(2_000)
    expect(await client.streamEnd(1)).toBe(ERROR.CANCEL)
    expect(server.state.resets).toBe(1)
    client.close()
  })
})

describe('keep-alive pings', () => {
  const pingTwice = async (client: RawClient, gapMs: number, count: number): Promise<void> => {
    for (let at = 0; at < count; at++) {
      // Its answer tells that the ping came before the clock moves; none comes to one too many.
      await client.sync()
      nowMs += gapMs
    }
  }

  test('without requests more than two within two hours are too many', async () => {
    await start({ keepaliveMinTimeMs: 5_000 })
    const client = RawClient.open(server.port)
    await pingTwice(client, 60_000, 4)
    expect(await client.goAway()).toEqual({
      code: ERROR.ENHANCE_YOUR_CALM,
      text: 'too_many_pings',
    })
  })

  test('with a request they may come at the minimum time apart', async () => {
    await start({ keepaliveMinTimeMs: 5_000 })
    const client = RawClient.open(server.port)
    client.send(headers(1, END, request('/wait')))
    await pingTwice(client, 5_000, 10)
    expect(client.frames.some((each) => each.type === FRAME.GOAWAY)).toBe(false)
    await pingTwice(client, 1_000, 5)
    expect((await client.goAway())?.text).toBe('too_many_pings')
  })

  test('answers that were sent between them forgive', async () => {
    await start({ keepaliveMinTimeMs: 5_000 })
    const client = RawClient.open(server.port)
    for (let at = 0; at < 10; at++) {
      client.send(headers(at * 2 + 1))
      await client.streamEnd(at * 2 + 1)
      await pingTwice(client, 10, 1)
    }
    expect(client.frames.some((each) => each.type === FRAME.GOAWAY)).toBe(false)
    client.close()
  })
})

describe('slow readers', () => {
  test('what waits for windows is bounded: new requests are refused', async () => {
    await start({ queuedBytesMax: 1_000_000 })
    const client = RawClient.open(server.port, [4, 0])
    for (let at = 0; at < 10; at++) client.send(headers(at * 2 + 1, END, request('/big')))
    expect(await client.streamEnd(13)).toBe(ERROR.REFUSED_STREAM)
    expect(client.frames.filter((each) => each.type === FRAME.RST_STREAM)).not.toHaveLength(10)
    client.close()
  })

  test('a client that reads nothing stops being read, and is cut off in the end', async () => {
    await start({ stallTimeoutMs: 30_000, outputBacklogBytesMax: 100_000, pingsMax: 1e9 })
    const client = RawClient.open(server.port, [4, 0x7fff_ffff])
    client.send(frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(0x7000_0000)))
    await client.sync()
    client.socket.pause()
    const [connection] = server.connections
    let sent = 0
    for (; sent < 5_000 && connection?.socket.isPaused() === false; sent++) {
      client.send(headers(sent * 2 + 1, END, request('/big')))
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(connection?.socket.isPaused()).toBe(true)
    const seen = server.state.requests.length
    expect(connection?.socket.writableLength).toBeLessThan(1_000_000)
    for (let at = 0; at < 20; at++) client.send(headers((sent + at) * 2 + 1))
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(server.state.requests.length).toBe(seen)
    tick(1_000)
    tick(31_000)
    expect(server.connections.size).toBe(0)
    client.close()
  })

  test('once it reads again it gets everything', async () => {
    await start({ outputBacklogBytesMax: 100_000 })
    const client = RawClient.open(server.port, [4, 0x7fff_ffff])
    client.send(frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(0x7000_0000)))
    await client.sync()
    client.socket.pause()
    const ids = Array.from({ length: 100 }, (_, at) => at * 2 + 1)
    for (const id of ids) client.send(headers(id, END, request('/big')))
    await new Promise((resolve) => setTimeout(resolve, 100))
    client.socket.resume()
    for (const id of ids) expect(await client.streamEnd(id)).toBe('end')
    expect(ids.every((id) => client.bodyBytes(id) === 200_000)).toBe(true)
    client.close()
  })
})
