/**
 * Streaming calls over one HTTP/2 connection, by hand: node:http2 spends some 10 µs on each message that a client
 * receives, more than either server spends on sending it, and a load generator must not be what is measured.
 */
import { connect } from 'node:net'
import { frame } from './grpc-frames.mjs'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const FRAME_HEAD_BYTES = 9
const DATA = 0
const HEADERS = 1
const RST_STREAM = 3
const SETTINGS = 4
const PING = 6
const GOAWAY = 7
const WINDOW_UPDATE = 8
const ACK = 1
const END_STREAM = 1
const END_HEADERS = 4
const INITIAL_WINDOW_SIZE = 4
const WINDOW_MAX = 2 ** 31 - 1
const DEFAULT_WINDOW = 65_535

function http2Frame(type, flags, stream, payload) {
  const head = Buffer.alloc(FRAME_HEAD_BYTES)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

const uint32 = (value) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const HEADERS_OF_CALL = {
  ':method': 'POST',
  ':scheme': 'http',
  ':authority': '127.0.0.1',
  'content-type': 'application/grpc',
  te: 'trailers',
}

/** A header field as HPACK's literal without indexing; names and values are below 127 bytes. */
function literal(name, value) {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ])
}

/** Opens calls that stay open, and counts the gRPC messages that come on all of them. */
export class RawStreams {
  /** Messages received. */
  count = 0
  /** What went wrong; undefined while all is well. */
  failure
  #socket
  #nextStream = 1
  /** The beginning of a frame whose end has not come. */
  #rest = Buffer.alloc(0)
  /** Bytes still to come of the message under way, by stream. */
  #missing = new Map()

  constructor(port) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.setNoDelay(true)
    this.#socket.on('error', (error) => {
      this.failure = error
    })
    this.#socket.on('data', (chunk) => this.#onChunk(chunk))
    const settings = Buffer.concat([Buffer.from([0, INITIAL_WINDOW_SIZE]), uint32(WINDOW_MAX)])
    this.#socket.write(PREFACE)
    this.#socket.write(http2Frame(SETTINGS, 0, 0, settings))
    this.#socket.write(http2Frame(WINDOW_UPDATE, 0, 0, uint32(WINDOW_MAX - DEFAULT_WINDOW)))
  }

  /** Begins a call and sends its first message; the call stays open. */
  open(path, message) {
    const stream = this.#nextStream
    this.#nextStream += 2
    this.#missing.set(stream, 0)
    const headers = Object.entries({ ':path': path, ...HEADERS_OF_CALL })
    const block = Buffer.concat(headers.map(([name, value]) => literal(name, value)))
    this.#socket.write(http2Frame(HEADERS, END_HEADERS, stream, block))
    this.#socket.write(http2Frame(DATA, 0, stream, frame(message)))
  }

  close() {
    this.#socket.destroy()
  }

  #onChunk(received) {
    const chunk = this.#rest.length === 0 ? received : Buffer.concat([this.#rest, received])
    let at = 0
    while (chunk.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + chunk.readUIntBE(at, 3)
      if (end > chunk.length) break
      this.#onFrame(chunk, at, end)
      at = end
    }
    this.#rest = chunk.subarray(at)
  }

  #onFrame(chunk, start, end) {
    const type = chunk[start + 3]
    const flags = chunk[start + 4]
    const stream = chunk.readUInt32BE(start + 5)
    const at = start + FRAME_HEAD_BYTES
    if (type === DATA) {
      this.#onData(chunk, at, end, stream)
    } else if (type === SETTINGS && (flags & ACK) === 0) {
      this.#socket.write(http2Frame(SETTINGS, ACK, 0, Buffer.alloc(0)))
    } else if (type === PING && (flags & ACK) === 0) {
      this.#socket.write(http2Frame(PING, ACK, 0, chunk.subarray(at, end)))
    }
    const isEnd = type === RST_STREAM || type === GOAWAY
    const isLast = (type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0
    if (isEnd || isLast) this.failure = new Error(`a call was ended by frame ${type}`)
  }

  /** Counts the messages that begin in a DATA frame: each has five bytes with its length in front. */
  #onData(chunk, start, end, stream) {
    let at = start + this.#missing.get(stream)
    while (at < end) {
      if (end - at < 5) {
        this.failure = new Error('the head of a message is cut in two, which is not counted here')
        return
      }
      at += 5 + chunk.readUInt32BE(at + 1)
      this.count++
    }
    this.#missing.set(stream, at - end)
  }
}
