/** However a connection's bytes are cut into chunks, the same frames come out; and what caches remember. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockCache } from '../../src/http2/block-cache.js'
import { ClosedStreams } from '../../src/http2/closed-streams.js'
import { FlushQueue } from '../../src/http2/flush-queue.js'
import { FrameReader } from '../../src/http2/frame-reader.js'
import { PREFACE } from '../../src/http2/protocol.js'
import { frame } from './raw-client.js'

interface Seen {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly payload: string
}

function read(chunks: readonly Uint8Array[]): {
  frames: Seen[]
  reader: FrameReader
  bad: string[]
} {
  const frames: Seen[] = []
  const bad: string[] = []
  const reader = new FrameReader({
    onFrame: (type, flags, id, bytes, start, end) => {
      const payload = Buffer.from(bytes.subarray(start, end)).toString('hex')
      frames.push({ type, flags, id, payload })
    },
    onFrameTooLarge: (type, id, length) => bad.push(`too large ${type} ${id} ${length}`),
    onBadPreface: () => bad.push('preface'),
  })
  for (const chunk of chunks) reader.push(chunk)
  return { frames, reader, bad }
}

const anyFrame = fc.record({
  type: fc.nat({ max: 255 }),
  flags: fc.nat({ max: 255 }),
  id: fc.nat({ max: 0x7fff_ffff }),
  payload: fc.uint8Array({ maxLength: 400 }),
})

describe('frames', () => {
  test('any cut gives the same frames', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 8 }),
        fc.array(fc.nat({ max: 200 }), { maxLength: 60 }),
        (frames, cuts) => {
          const bytes = Buffer.concat([
            PREFACE,
            ...frames.map(({ type, flags, id, payload }) => frame(type, flags, id, payload)),
          ])
          const chunks: Uint8Array[] = []
          let at = 0
          for (const size of cuts) {
            chunks.push(bytes.subarray(at, at + size))
            at = Math.min(at + size, bytes.length)
          }
          chunks.push(bytes.subarray(at))
          const { frames: seen, reader } = read(chunks)
          expect(seen).toEqual(
            frames.map(({ payload, ...rest }) => ({
              ...rest,
              payload: Buffer.from(payload).toString('hex'),
            })),
          )
          expect(reader.isInsideFrame).toBe(false)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('byte by byte, and cut off at every place', () => {
    const bytes = Buffer.concat([
      PREFACE,
      frame(0, 1, 3, '010203'),
      frame(4, 0, 0),
      frame(6, 1, 0, 'ff'),
    ])
    const whole = read([bytes]).frames
    expect(whole).toHaveLength(3)
    expect(read([...bytes].map((byte) => Uint8Array.of(byte))).frames).toEqual(whole)
    for (let end = 0; end < bytes.length; end++) {
      const { frames, reader } = read([bytes.subarray(0, end)])
      expect(whole.slice(0, frames.length)).toEqual(frames)
      const isBetween = [PREFACE.length, PREFACE.length + 12, PREFACE.length + 21].includes(end)
      expect(reader.isInsideFrame).toBe(end > PREFACE.length && !isBetween)
      expect(reader.hasPreface).toBe(end >= PREFACE.length)
    }
  })

  test('a frame over the maximum and a wrong preface stop the reading', () => {
    const large = Buffer.from('004001000000000005', 'hex')
    const rest = frame(6, 0, 0)
    for (const chunks of [
      [PREFACE, Buffer.concat([large, rest])],
      [PREFACE, large.subarray(0, 4), large.subarray(4), rest],
    ]) {
      const { bad, frames } = read(chunks)
      expect(bad).toEqual(['too large 0 5 16385'])
      expect(frames).toEqual([])
    }
    expect(read([Buffer.from('PRI * HTTP/1.1\r\n'), rest]).bad).toEqual(['preface'])
  })
})

describe('what is remembered', () => {
  test('a header block is known again under the same generation only', () => {
    const cache = new BlockCache<string>()
    const block = Uint8Array.of(9, 0x82, 0x86, 0xbe, 9)
    cache.put(block, 1, 4, { generation: 5, value: 'known' })
    expect(cache.get(block, 1, 4, 5)).toBe('known')
    expect(cache.get(block, 1, 4, 6)).toBeUndefined()
    expect(cache.get(Uint8Array.of(0x82, 0x86, 0xbf), 0, 3, 5)).toBeUndefined()
    block.fill(0)
    expect(cache.get(Uint8Array.of(0x82, 0x86, 0xbe), 0, 3, 5)).toBe('known')
  })

  test('large blocks are not kept', () => {
    const cache = new BlockCache<string>()
    cache.put(new Uint8Array(600), 0, 600, { generation: 1, value: 'large' })
    expect(cache.get(new Uint8Array(600), 0, 600, 1)).toBeUndefined()
  })

  test('the streams closed last, and how', () => {
    const closed = new ClosedStreams()
    expect(closed.find(1)).toBeUndefined()
    for (let id = 1; id < 200; id += 2) closed.add(id, id % 3 === 0)
    expect(closed.find(199)).toBe('ended')
    expect(closed.find(195)).toBe('reset')
    expect(closed.find(3)).toBeUndefined()
  })

  test('each connection is flushed once, at the end of the turn or when told', async () => {
    const queue = new FlushQueue()
    const flushed: string[] = []
    const connection = (name: string) => ({ flush: () => flushed.push(name) })
    queue.add(connection('a'))
    queue.add(connection('b'))
    queue.flush()
    expect(flushed).toEqual(['a', 'b'])
    queue.add(connection('c'))
    expect(flushed).toEqual(['a', 'b'])
    await Promise.resolve()
    expect(flushed).toEqual(['a', 'b', 'c'])
  })
})
