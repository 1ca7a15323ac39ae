/**
 * Mutated frames, header blocks and messages against one server, over sockets that exist in memory only: no
 * crash, no hang, no growth. `fuzzHttp2` is called with a small count by the tests; for the long run:
 * `npx vitest run --project unit test/grpc/fuzz` with FUZZ_CASES=1000000 (and FUZZ_SEED=... to repeat one).
 */
import { Duplex } from 'node:stream'
import { GrpcServer } from '../src/grpc/server.js'
import { writeField } from '../src/http2/hpack-encoder.js'
import { FLAG, FRAME, PREFACE } from '../src/http2/protocol.js'
import type { RpcMethod } from '../src/ports/rpc.js'
import { Writer } from '../src/wire/writer.js'

export interface FuzzOptions {
  readonly seed: number
  readonly cases: number
  readonly methods: readonly RpcMethod[]
  /** Paths of methods to call. */
  readonly paths: readonly string[]
}

export interface FuzzResult {
  /** Errors that the engine met and that are no answer to a broken rule. */
  readonly errors: readonly unknown[]
  readonly connections: number
  /** Calls that were answered with status 0, so that the run is known to get past the first check. */
  readonly answered: number
  /** Bytes of heap after the run beyond those after its first tenth. */
  readonly heapGrowthBytes: number
}

/** A socket whose other end is the fuzzer: what is written is dropped, now and then slowly. */
class FuzzSocket extends Duplex {
  writtenBytes = 0
  readonly #isSlow: boolean

  constructor(isSlow: boolean) {
    super()
    this.#isSlow = isSlow
  }

  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.writtenBytes += chunk.length
    if (this.#isSlow) setImmediate(done)
    else done()
  }
}

/** Numbers from a seed (xorshift32), so that a run can be repeated. */
class Chance {
  #state: number
  constructor(seed: number) {
    this.#state = seed | 0 || 1
  }
  below(bound: number): number {
    let state = this.#state
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    this.#state = state
    return (state >>> 0) % bound
  }
  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value
  }
}

/** Mutations of one connection, each followed by the rest of its stream; then a new connection. */
const CASES_PER_CONNECTION = 8

/** Runs until `cases` mutated pieces have been fed. Throws nothing that the engine catches. */
export async function fuzzHttp2(options: FuzzOptions): Promise<FuzzResult> {
  const chance = new Chance(options.seed)
  const errors: unknown[] = []
  let answered = 0
  const grpc = new GrpcServer({
    methods: options.methods,
    onError: (error) => errors.push(error),
    observer: {
      started() {},
      received() {},
      sent() {},
      handled(_method, status) {
        if (status === 0) answered++
      },
    },
    limits: { receiveBytesMax: 100_000, assemblingBytesMax: 1_000_000 },
  })
  let heapAtTenth = 0
  let connections = 0
  for (let done = 0; done < options.cases; done += CASES_PER_CONNECTION) {
    const socket = new FuzzSocket(chance.below(4) === 0)
    grpc.handleConnection(socket)
    connections++
    socket.emit('data', Buffer.concat([PREFACE, frame(FRAME.SETTINGS, 0, 0, Buffer.alloc(0))]))
    for (let at = 0; at < CASES_PER_CONNECTION; at++) {
      for (const chunk of cut(piece(chance, options.paths, at * 2 + 1), chance)) {
        socket.emit('data', chunk)
      }
    }
    grpc.flush()
    socket.destroy()
    if (connections % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
    if (heapAtTenth === 0 && done * 10 >= options.cases) heapAtTenth = heapBytes()
  }
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  grpc.close()
  return { errors, connections, answered, heapGrowthBytes: heapBytes() - heapAtTenth }
}

function heapBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

export function frame(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(9 + payload.length)
  out.writeUIntBE(payload.length, 0, 3)
  out[3] = type
  out[4] = flags
  out.writeUInt32BE(id, 5)
  out.set(payload, 9)
  return out
}

/** A call or some frames, usually with one thing wrong. */
function piece(chance: Chance, paths: readonly string[], id: number): Buffer {
  const message = Buffer.alloc(chance.below(60))
  for (let at = 0; at < message.length; at++) message[at] = chance.below(256)
  const valid = Buffer.from([0x0a, 2, 0x68, 0x69, 0x10, chance.below(128)])
  const body = chance.below(4) > 0 ? valid : message
  const prefix = Buffer.alloc(5)
  prefix[0] = chance.below(12) === 0 ? chance.below(3) : 0
  prefix.writeUInt32BE(chance.below(8) === 0 ? chance.below(200_000) : body.length, 1)
  const parts = [
    frame(FRAME.HEADERS, FLAG.END_HEADERS, id, fields(chance, paths)),
    frame(FRAME.DATA, chance.below(3) > 0 ? FLAG.END_STREAM : 0, id, Buffer.concat([prefix, body])),
  ]
  if (chance.below(6) === 0) parts.push(oddFrame(chance, id))
  const whole = Buffer.concat(parts)
  if (chance.below(3) === 0) {
    for (let count = chance.below(4); count > 0; count--) mutate(whole, chance)
  }
  return whole
}

function fields(chance: Chance, paths: readonly string[]): Uint8Array {
  const writer = new Writer(256)
  const list = [
    ...[':method', 'POST', ':scheme', 'http', ':path', chance.pick(paths)],
    ...[':authority', 'a', 'content-type', 'application/grpc', 'te', 'trailers'],
  ]
  if (chance.below(3) === 0) list.push('grpc-timeout', `${chance.below(1000)}m`)
  if (chance.below(6) === 0) list.push('grpc-encoding', chance.pick(['gzip', 'identity', 'br']))
  if (chance.below(6) === 0) list.push('x-bin', chance.pick(['AAE=', '!!', '']))
  for (let at = 0; at < list.length; at += 2) {
    const form = chance.pick(['plain', 'indexed', 'never'] as const)
    writeField(writer, list[at] ?? '', list[at + 1] ?? '', form)
  }
  return writer.take()
}

function oddFrame(chance: Chance, id: number): Buffer {
  const payload = Buffer.alloc(chance.pick([0, 1, 4, 5, 6, 8, 12, 100]))
  for (let at = 0; at < payload.length; at++) payload[at] = chance.below(256)
  return frame(chance.below(12), chance.below(256), chance.pick([0, id, id + 2]), payload)
}

function mutate(bytes: Buffer, chance: Chance): void {
  const at = chance.below(bytes.length)
  switch (chance.below(4)) {
    case 0:
      bytes[at] = chance.below(256)
      break
    case 1:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8))
      break
    case 2:
      bytes.copyWithin(at, chance.below(bytes.length))
      break
    default:
      bytes.fill(chance.pick([0, 0xff, 0x80]), at, Math.min(at + chance.below(8), bytes.length))
  }
}

/** The same bytes in one to four chunks, or all but the end. */
function cut(bytes: Buffer, chance: Chance): Buffer[] {
  const end = chance.below(20) === 0 ? chance.below(bytes.length) : bytes.length
  const chunks: Buffer[] = []
  let from = 0
  for (let count = chance.below(4); count > 0; count--) {
    const to = from + chance.below(end - from + 1)
    chunks.push(bytes.subarray(from, to))
    from = to
  }
  chunks.push(bytes.subarray(from, end))
  return chunks.filter((chunk) => chunk.length > 0)
}
