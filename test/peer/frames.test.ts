/** Goal: frames equal etcd's byte for byte, and any cut of them decodes the same. Method: golden hex, twins. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { logIndex, memberId, term } from '../../src/base/ids.js'
import { AppendFrameDecoder, AppendFrameEncoder } from '../../src/peer/append-frames.js'
import { type FrameDecoder, StreamFormatError } from '../../src/peer/frame-decoder.js'
import { type FrameEncoder, SharedEntries } from '../../src/peer/frame-encoder.js'
import { MessageFrameDecoder, MessageFrameEncoder } from '../../src/peer/message-frames.js'
import { Writer } from '../../src/wire/writer.js'
import { append, entries, entry, id, Message, said } from './messages.js'

const hex = (out: Writer): string => Buffer.from(out.view()).toString('hex')
const bytesOf = (text: string): Uint8Array => Buffer.from(text.replace(/\s/g, ''), 'hex')

function encoded(encoder: FrameEncoder, messages: readonly (Message | 'heartbeat')[]): Writer {
  const out = new Writer()
  for (const message of messages) {
    if (message === 'heartbeat') encoder.linkHeartbeat(out)
    else encoder.message(message, out)
  }
  return out
}

/** What a decoder makes of pieces: messages as hex, link heartbeats as 'heartbeat'. */
function decoded(kind: 'append' | 'message', pieces: readonly Uint8Array[]): string[] {
  const seen: string[] = []
  const sink = {
    onFrame: (message: Message | undefined): void => {
      seen.push(message === undefined ? 'heartbeat' : said(message))
    },
  }
  const decoder: FrameDecoder =
    kind === 'append'
      ? new AppendFrameDecoder({ remoteId: id(1), localId: id(2) }, sink)
      : new MessageFrameDecoder(sink)
  for (const piece of pieces) {
    // The transport's buffers are reused: what is delivered must not look into them.
    const lent = Uint8Array.from(piece)
    decoder.feed(lent)
    lent.fill(0xee)
  }
  return seen
}

function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
  return at.slice(1).map((end, index) => bytes.slice(at[index] ?? 0, end))
}

const STORY: readonly (Message | 'heartbeat')[] = [
  append({
    from: 1,
    to: 2,
    index: 10,
    entries: entries(11, 13, 3),
    term: 3,
    logTerm: 2,
    commit: 9,
  }),
  append({ from: 1, to: 2, index: 12, entries: entries(13, 14, 3), term: 3, commit: 12 }),
  'heartbeat',
  append({ from: 1, to: 2, index: 13, entries: [], term: 3, commit: 13 }),
  append({
    from: 1,
    to: 2,
    index: 13,
    entries: [entry(14, 'x'.repeat(9000), 3)],
    term: 3,
    commit: 13,
  }),
  append({ from: 1, to: 2, index: 12, entries: entries(13, 15, 3), term: 3, commit: 13 }),
]

describe('the append stream', () => {
  test('writes the first append whole, those that continue as entries, and one byte as heartbeat', () => {
    const out = encoded(new AppendFrameEncoder(new SharedEntries()), [
      append({ from: 1, to: 2, index: 4, entries: [entry(5, 'ab', 1)], commit: 4 }),
      append({ from: 1, to: 2, index: 5, entries: [entry(6, 'c', 1), entry(7, '', 1)], commit: 5 }),
      'heartbeat',
      append({ from: 1, to: 2, index: 7, entries: [], commit: 7 }),
    ])
    const golden = [
      // 02, size, Message: type 3, to 2, from 1, term 1, logTerm 1, index 4, one entry, commit 4, reject, hint
      '02 000000000000001e 0803 1002 1801 2001 2801 3004 3a0a 0800 1001 1805 2202 6162 4004 5000 5800',
      // 01, count 2, {size, Entry} twice, commit 5
      '01 0000000000000002 0000000000000009 0800 1001 1806 2201 63',
      '   0000000000000006 0800 1001 1807 0000000000000005',
      '00',
      '01 0000000000000000 0000000000000007',
    ].join('')
    expect(hex(out)).toBe(golden.replace(/\s/g, ''))
  })

  test('reads what a Go member writes, absent and zero fields alike', () => {
    // etcd 3.4 writes the empty snapshot, and `data` of empty entries is absent.
    const wordy = bytesOf(
      '02 0000000000000026 0803 1002 1801 2005 2804 3003 3a06 0800 1005 1804 4003' +
        '4a0a 1208 0a02 2800 1000 1800 5000 5800',
    )
    const seen = decoded('append', [wordy]).map((text) => Message.decode(Buffer.from(text, 'hex')))
    expect(seen).toMatchObject([{ index: 3, logTerm: 4, snapshot: { metadata: { index: 0 } } }])
    const terse = bytesOf('02 0000000000000010 0803 1002 1801 2005 3003 3a02 1804 4003')
    const next = bytesOf('01 0000000000000001 0000000000000004 1005 1805 0000000000000004')
    const [first, second] = decoded('append', [terse, next]).map((text) =>
      Message.decode(Buffer.from(text, 'hex')),
    )
    expect(first).toMatchObject({ type: 'MsgApp', term: 5, logTerm: 0, index: 3, commit: 3 })
    expect(second).toMatchObject({ from: 1n, to: 2n, term: 5, logTerm: 5, index: 4, commit: 4 })
    expect(second?.entries).toMatchObject([{ index: 5, term: 5, type: 'EntryNormal' }])
  })

  test('a new term, a gap and a log term of its own are written whole', () => {
    const encoder = new AppendFrameEncoder(new SharedEntries())
    const kinds = [
      append({ from: 1, to: 2, index: 4, entries: entries(5, 6) }),
      append({ from: 1, to: 2, index: 5, entries: entries(6, 7) }),
      append({ from: 1, to: 2, index: 6, entries: entries(7, 8, 2), term: 2, logTerm: 1 }),
      append({ from: 1, to: 2, index: 7, entries: entries(8, 9, 2), term: 2 }),
      append({ from: 1, to: 2, index: 6, entries: entries(7, 8, 2), term: 2 }),
    ].map((message) => encoded(encoder, [message]).buffer[0])
    expect(kinds).toEqual([2, 1, 2, 1, 2])
  })

  test('shares encoded entries between followers without mixing them up', () => {
    const shared = new SharedEntries()
    const batch = entries(5, 9)
    const streams = [2, 3].map((to) => ({ to, encoder: new AppendFrameEncoder(shared) }))
    for (const messages of [batch, batch.slice(), batch.slice(1), entries(5, 9)]) {
      for (const { to, encoder } of streams) {
        const message = append({ from: 1, to, index: 4, entries: messages })
        const alone = encoded(new AppendFrameEncoder(new SharedEntries()), [message])
        expect(hex(encoded(encoder, [message])).slice(2)).toBe(hex(alone).slice(2))
      }
    }
    shared.forget()
    const again = append({ from: 1, to: 2, index: 20, entries: batch })
    expect(hex(encoded(new AppendFrameEncoder(shared), [again]))).toBe(
      hex(encoded(new AppendFrameEncoder(new SharedEntries()), [again])),
    )
  })

  test.each([
    ['an unknown kind', '07'],
    ['an entry that is none', '01 0000000000000001 0000000000000001 07 0000000000000000'],
    [
      'an entry cut short by its length',
      '01 0000000000000001 0000000000000001 10 0000000000000000',
    ],
    ['a message that is none', '02 0000000000000002 0f0f'],
    ['a message beyond the limit', '02 0000000020000001'],
    ['an entry beyond the limit', '01 0000000000000001 0000000020000001'],
    ['a count beyond all numbers', '01 ffffffffffffffff'],
  ])('refuses %s', (_, text) => {
    expect(() => decoded('append', [bytesOf(text)])).toThrow(StreamFormatError)
  })

  test('names the unknown kind as etcd does', () => {
    expect(() => decoded('append', [bytesOf('07')])).toThrow(
      'failed to parse type 7 in msgappv2 stream',
    )
  })
})

describe('the message stream', () => {
  const vote = Message.create({
    type: 'MsgVote',
    to: memberId(2n),
    from: memberId(0xfedcba9876543210n),
    term: term(3),
    logTerm: term(2),
    index: logIndex(9),
  })

  test('writes length and message, and a heartbeat of nobody as link heartbeat', () => {
    expect(hex(encoded(new MessageFrameEncoder(), [vote, 'heartbeat']))).toBe(
      [
        '000000000000001b 0805 1002 1890e4d0b287d3aeeefe01 2003 2802 3009 4000 5000 5800',
        '0000000000000012 0808 1000 1800 2000 2800 3000 4000 5000 5800',
      ]
        .join('')
        .replace(/\s/g, ''),
    )
  })

  test('knows link heartbeats of any version by value', () => {
    const terse = bytesOf('0000000000000002 0808')
    const wordy = bytesOf('0000000000000014 0808 1000 1800 2000 2800 3000 4000 4a00 5000 5800')
    const real = encoded(new MessageFrameEncoder(), [{ ...vote, type: 'MsgHeartbeat' }]).view()
    const seen = decoded('message', [terse, wordy, real])
    expect(seen.map((text) => text === 'heartbeat')).toEqual([true, true, false])
  })

  test('refuses a frame beyond the limit before its content', () => {
    expect(() => decoded('message', [bytesOf('0000000020000001')])).toThrow(
      'rafthttp: error limit exceeded',
    )
  })
})

describe('decoders', () => {
  const streams = {
    append: encoded(new AppendFrameEncoder(new SharedEntries()), STORY).take(),
    message: encoded(new MessageFrameEncoder(), STORY).take(),
  }
  const expected = STORY.map((message) => (message === 'heartbeat' ? message : said(message)))
  const kinds = ['append', 'message'] as const

  test.each(kinds)('read the %s stream whole and byte by byte', (kind) => {
    const bytes = streams[kind]
    expect(decoded(kind, [bytes])).toEqual(expected)
    expect(decoded(kind, cut(bytes, [...bytes.keys()]))).toEqual(expected)
  })

  test.each(kinds)('read the %s stream in any cuts', (kind) => {
    fc.assert(
      fc.property(fc.array(fc.nat(20_000), { maxLength: 40 }), (cuts) => {
        expect(decoded(kind, cut(streams[kind], cuts))).toEqual(expected)
      }),
      { numRuns: 200 },
    )
  })

  test.each(kinds)('deliver of a truncated %s stream only what is complete', (kind) => {
    const bytes = streams[kind]
    for (let end = 0; end < bytes.length; end += 7) {
      const seen = decoded(kind, [bytes.slice(0, end)])
      expect(seen).toEqual(expected.slice(0, seen.length))
      expect(seen.length).toBeLessThan(expected.length)
    }
  })

  test.each(
    kinds,
  )('survive garbage on the %s stream: an error or nothing, never a hang', (kind) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        try {
          decoded(kind, [garbage])
        } catch (error) {
          expect(error).toBeInstanceOf(StreamFormatError)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('stop at once when told so from within', () => {
    const seen: string[] = []
    const decoder: MessageFrameDecoder = new MessageFrameDecoder({
      onFrame: () => {
        seen.push('frame')
        decoder.stop()
      },
    })
    decoder.feed(streams.message)
    expect(seen).toEqual(['frame'])
  })
})
