/** Goal: any well-formed response is read in any cuts, anything else is refused. Method: fixed texts, a twin. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { StreamFormatError } from '../../src/peer/frame-decoder.js'
import { ResponseParser } from '../../src/peer/response-parser.js'

interface Seen {
  status: number
  headers: Record<string, string>
  body: string
  isEnded: boolean
}

function parse(pieces: readonly Uint8Array[]): Seen {
  const seen: Seen = { status: 0, headers: {}, body: '', isEnded: false }
  const parser = new ResponseParser({
    onHead: (status, headers) => {
      seen.status = status
      seen.headers = Object.fromEntries(headers)
    },
    onBody: (bytes) => {
      seen.body += Buffer.from(bytes).toString('latin1')
    },
    onEnd: () => {
      seen.isEnded = true
    },
  })
  for (const piece of pieces) parser.feed(piece)
  return seen
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const CHUNKED =
  'HTTP/1.1 200 OK\r\nX-Server-Version:  3.4.23 \r\nTransfer-Encoding: chunked\r\n\r\n' +
  '5\r\nhello\r\n0000000B;ext=1\r\n, 0\r\n world\r\n1 \r\n!\r\n0\r\nTrailer: x\r\n\r\n'

describe('a response', () => {
  test('in chunks is read with its headers, extensions and trailer', () => {
    expect(parse([bytes(CHUNKED)])).toEqual({
      status: 200,
      headers: { 'x-server-version': '3.4.23', 'transfer-encoding': 'chunked' },
      body: 'hello, 0\r\n world!',
      isEnded: true,
    })
  })

  test('is read the same in any cuts', () => {
    const whole = parse([bytes(CHUNKED)])
    fc.assert(
      fc.property(fc.array(fc.nat(CHUNKED.length)), (cuts) => {
        const at = [0, ...cuts, CHUNKED.length].sort((a, b) => a - b)
        const pieces = at.slice(1).map((end, index) => bytes(CHUNKED.slice(at[index], end)))
        expect(parse(pieces)).toEqual(whole)
      }),
    )
  })

  test('of a given length ends there, and one without ends with the connection', () => {
    const sized = 'HTTP/1.1 412 Precondition Failed\r\nContent-Length: 3\r\n\r\nabc'
    expect(parse([bytes(`${sized}rest`)])).toMatchObject({
      status: 412,
      body: 'abc',
      isEnded: true,
    })
    expect(parse([bytes(sized.slice(0, -1))])).toMatchObject({ body: 'ab', isEnded: false })
    const open = 'HTTP/1.0 404 Not Found\r\n\r\nabc'
    expect(parse([bytes(open)])).toMatchObject({ status: 404, body: 'abc', isEnded: false })
  })

  test('with nothing in it ends at its head', () => {
    expect(parse([bytes('HTTP/1.1 204 No Content\r\n\r\n')])).toMatchObject({ isEnded: true })
    const empty = 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'
    expect(parse([bytes(empty)])).toMatchObject({ status: 404, isEnded: true })
  })

  test('may be announced by interim ones', () => {
    const text = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx'
    expect(parse([bytes(text)])).toMatchObject({ status: 200, body: 'x', isEnded: true })
  })

  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
  test.each([
    ['another protocol', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`],
    ['a bad length', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'],
    ['a chunk without size', `${head}\r\n`],
    ['a chunk size that is no number', `${head}xyz\r\n`],
    ['a chunk size beyond all numbers', `${head}fffffffffffffffff\r\n`],
    ['a chunk longer than its size', `${head}1\r\nab\r\n`],
    ['an extension without end', `${head}1;${'x'.repeat(2000)}`],
    ['a trailer line without end', `${head}0\r\n${'x'.repeat(2000)}`],
  ])('is refused when it is %s', (_, text) => {
    expect(() => parse([bytes(text)])).toThrow(StreamFormatError)
  })
})
