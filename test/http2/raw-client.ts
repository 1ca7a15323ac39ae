/** A client that sends exactly the bytes that a test wants and reads back frames. */
import { connect, type Socket } from 'node:net'
import { HpackDecoder } from '../../src/http2/hpack-decoder.js'
import { writeField } from '../../src/http2/hpack-encoder.js'
import { ERROR, FLAG, FRAME, PREFACE } from '../../src/http2/protocol.js'
import { Writer } from '../../src/wire/writer.js'

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly payload: Buffer
}

export function frame(
  type: number,
  flags: number,
  id: number,
  payload: Uint8Array | string = '',
): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'hex') : payload
  const out = Buffer.alloc(9 + body.length)
  out.writeUIntBE(body.length, 0, 3)
  out[3] = type
  out[4] = flags
  out.writeUInt32BE(id, 5)
  out.set(body, 9)
  return out
}

/** A header block of fields that leave the table alone. */
export function block(...fields: readonly string[]): Uint8Array {
  const writer = new Writer()
  for (let at = 0; at < fields.length; at += 2) {
    writeField(writer, fields[at] ?? '', fields[at + 1] ?? '')
  }
  return writer.take()
}

export const pseudo = (path = '/', method = 'POST'): string[] => [
  ...[':method', method, ':scheme', 'http', ':path', path, ':authority', 'localhost'],
]

export const request = (path = '/', ...fields: readonly string[]): Uint8Array =>
  block(...pseudo(path), ...fields)

export const END = FLAG.END_HEADERS | FLAG.END_STREAM
export const headers = (id: number, flags: number = END, fields = request()): Buffer =>
  frame(FRAME.HEADERS, flags, id, fields)
export const data = (id: number, bytes: number, flags = 0): Buffer =>
  frame(FRAME.DATA, flags, id, Buffer.alloc(bytes, 'd'))
export const settings = (...pairs: readonly (readonly [number, number])[]): Buffer => {
  const body = Buffer.alloc(pairs.length * 6)
  for (const [at, [id, value]] of pairs.entries()) {
    body.writeUInt16BE(id, at * 6)
    body.writeUInt32BE(value, at * 6 + 2)
  }
  return frame(FRAME.SETTINGS, 0, 0, body)
}
export const uint32 = (value: number): Buffer => {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(value)
  return out
}

export class RawClient {
  readonly frames: Frame[] = []
  readonly socket: Socket
  isClosed = false
  #rest: Buffer = Buffer.alloc(0)
  #wake: (() => void)[] = []
  readonly #decoder = new HpackDecoder({ listBytesMax: 65_536, fieldCountMax: 256 })
  readonly fields = new Map<number, string[][]>()

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.on('data', (chunk) => this.#onData(chunk))
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.isClosed = true
      this.#wakeAll()
    })
  }

  /** Connects with preface and settings. */
  static open(port: number, ...pairs: readonly (readonly [number, number])[]): RawClient {
    const client = new RawClient(port)
    client.send(PREFACE, settings(...pairs))
    return client
  }

  send(...parts: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  /** Waits for a frame that is like this, or for the end of the connection. */
  async until(found: (frame: Frame) => boolean): Promise<Frame | undefined> {
    for (;;) {
      const frame = this.frames.find(found)
      if (frame !== undefined || this.isClosed) return frame
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  /** What the connection ends with: the GOAWAY that is not graceful. */
  async goAway(): Promise<{ code: number; text: string } | undefined> {
    const frame = await this.until((each) => each.type === FRAME.GOAWAY)
    if (frame === undefined) return undefined
    return { code: frame.payload.readUInt32BE(4), text: frame.payload.toString('latin1', 8) }
  }

  /** How a stream ends: with a code of RST_STREAM, or `end`. */
  async streamEnd(id: number): Promise<number | 'end' | undefined> {
    const found = await this.until(
      (each) =>
        each.type === FRAME.GOAWAY ||
        (each.id === id &&
          (each.type === FRAME.RST_STREAM || (each.type <= 1 && (each.flags & 1) !== 0))),
    )
    if (found === undefined || found.type === FRAME.GOAWAY) return undefined
    return found.type === FRAME.RST_STREAM ? found.payload.readUInt32BE(0) : 'end'
  }

  /** Sends a ping and waits for its answer: everything before it has been dealt with. */
  async sync(): Promise<boolean> {
    const mark = Buffer.alloc(8)
    mark.writeUInt32BE(this.frames.length + 1)
    mark.writeUInt32BE(Math.floor(performance.now()), 4)
    this.send(frame(FRAME.PING, 0, 0, mark))
    const answer = await this.until((each) => each.type === FRAME.PING && each.payload.equals(mark))
    return answer !== undefined
  }

  bodyBytes(id: number): number {
    return this.frames
      .filter((each) => each.type === FRAME.DATA && each.id === id)
      .reduce((sum, each) => sum + each.payload.length, 0)
  }

  /** Values of a response field over headers and trailers of a stream. */
  field(id: number, name: string): string | undefined {
    for (const fields of this.fields.get(id) ?? []) {
      const at = fields.findIndex((each, index) => index % 2 === 0 && each === name)
      if (at >= 0) return fields[at + 1]
    }
    return undefined
  }

  close(): void {
    this.socket.destroy()
  }

  #onData(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < 9 + length) break
      const frame: Frame = {
        type: this.#rest[3] ?? 0,
        flags: this.#rest[4] ?? 0,
        id: this.#rest.readUInt32BE(5),
        payload: this.#rest.subarray(9, 9 + length),
      }
      this.#rest = this.#rest.subarray(9 + length)
      this.frames.push(frame)
      if (frame.type === FRAME.HEADERS) {
        const list = this.fields.get(frame.id) ?? []
        list.push(this.#decoder.decode(frame.payload, 0, length))
        this.fields.set(frame.id, list)
      }
    }
    this.#wakeAll()
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

export { ERROR, FLAG, FRAME, PREFACE }
