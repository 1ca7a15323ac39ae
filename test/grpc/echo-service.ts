/** A service of all four kinds of calls, and a server and grpc-js client for it. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import {
  type ChannelCredentials,
  type Client,
  type ClientOptions,
  credentials,
  makeGenericClientConstructor,
  type ServiceDefinition,
} from '@grpc/grpc-js'
import { GrpcServer, type GrpcServerOptions } from '../../src/grpc/server.js'
import type { RpcMethod, StreamCall, UnaryCall } from '../../src/ports/rpc.js'
import { bytes, type Codec, counter, define, string } from '../../src/wire/codec.js'

export const Note = define('test.Note', { text: string(1), count: counter(2), blob: bytes(3) })
export interface NoteValue {
  readonly text?: string
  readonly count?: number
  readonly blob?: Uint8Array
}
type NoteInit = NoteValue

const noteCodec = Note as unknown as Codec<unknown, never> & Codec<never, unknown>
const method = (
  kind: RpcMethod['kind'],
  name: string,
  handle: (...given: never[]) => unknown,
): RpcMethod =>
  ({
    kind,
    path: `/test.Echo/${name}`,
    request: noteCodec,
    response: noteCodec,
    handle,
  }) as unknown as RpcMethod

/** What handlers saw, for the tests to look at. */
export class EchoState {
  cancelled = 0
  drained = 0
  lastCall: UnaryCall<NoteInit> | StreamCall<NoteInit> | undefined
  seen: string[] = []
}

/**
 * Unary: `fail` fails with NOT_FOUND, `throw` throws, `wait` answers never, `meta` answers with metadata
 * `x-note`, `big` answers with `count` bytes; all else is echoed.
 */
export function echoMethods(state: EchoState): readonly RpcMethod[] {
  return [
    method('unary', 'Unary', (note: Required<NoteInit>, call: UnaryCall<NoteInit>) => {
      state.lastCall = call
      call.onCancel(() => {
        state.cancelled++
      })
      switch (note.text) {
        case 'fail':
          call.fail({ status: 5, message: 'no such note: ä%\n' })
          break
        case 'throw':
          throw new Error('handler broke')
        case 'wait':
          break
        case 'later':
          setTimeout(() => call.reply(note), note.count)
          break
        case 'meta':
          call.reply({ text: `${call.metadata('x-note')}|${call.metadata('x-note-bin')}` })
          break
        case 'big':
          call.reply({ blob: new Uint8Array(note.count).fill(7) })
          break
        default:
          call.reply({ text: note.text, count: note.count, blob: note.blob })
      }
    }),
    method('server-stream', 'Count', (note: Required<NoteInit>, call: StreamCall<NoteInit>) => {
      state.lastCall = call
      call.onCancel(() => {
        state.cancelled++
      })
      let at = 0
      const more = (): void => {
        while (at < note.count) {
          at++
          if (!call.send({ count: at, blob: note.blob })) {
            state.drained++
            call.onDrain(more)
            return
          }
        }
        if (note.text === 'fail') call.fail({ status: 9, message: 'counted too far' })
        else if (note.text !== 'wait') call.end()
      }
      more()
    }),
    method('client-stream', 'Sum', (call: StreamCall<NoteInit>) => {
      let sum = 0
      return {
        onRequest: (note: Required<NoteInit>) => {
          sum += note.count + note.blob.length
        },
        onRequestsEnd: () => {
          call.send({ count: sum })
          call.end()
        },
      }
    }),
    method('bidi-stream', 'Chat', (call: StreamCall<NoteInit>) => {
      state.lastCall = call
      call.onCancel(() => {
        state.cancelled++
      })
      return {
        onRequest: (note: Required<NoteInit>) => {
          state.seen.push(note.text)
          if (note.text === 'throw') throw new Error('listener broke')
          if (note.text === 'encoded') {
            const whole = Note.encode({ text: 'shared', blob: note.blob })
            call.sendEncoded([whole.subarray(0, 5), whole.subarray(5)])
          } else call.send(note)
        },
        // `stay` keeps the call open, so that only a cancel can end it.
        onRequestsEnd: () => {
          if (state.seen.at(-1) !== 'stay') call.end()
        },
      }
    }),
  ]
}

const serializer = {
  requestSerialize: (value: NoteInit) => Buffer.from(Note.encode(value)),
  requestDeserialize: (value: Buffer) => Note.decode(value),
  responseSerialize: (value: NoteInit) => Buffer.from(Note.encode(value)),
  responseDeserialize: (value: Buffer) => Note.decode(value),
}
const definition: ServiceDefinition = {
  Unary: { path: '/test.Echo/Unary', requestStream: false, responseStream: false, ...serializer },
  Count: { path: '/test.Echo/Count', requestStream: false, responseStream: true, ...serializer },
  Sum: { path: '/test.Echo/Sum', requestStream: true, responseStream: false, ...serializer },
  Chat: { path: '/test.Echo/Chat', requestStream: true, responseStream: true, ...serializer },
  Nothing: {
    path: '/test.Echo/Nothing',
    requestStream: false,
    responseStream: false,
    ...serializer,
  },
  Nowhere: { path: '/test.None/X', requestStream: false, responseStream: false, ...serializer },
}

/** A listening server; `close` ends everything. */
export interface RunningServer {
  readonly grpc: GrpcServer
  readonly port: number
  readonly state: EchoState
  readonly errors: unknown[]
  readonly sockets: Set<Socket>
  close(): Promise<void>
}

/** `tls`: certificate, key and authority in PEM; without it the sockets are plain. */
export async function startEchoServer(
  options: Partial<GrpcServerOptions> = {},
  tls?: Pick<TlsOptions, 'cert' | 'key' | 'ca'>,
): Promise<RunningServer> {
  const state = new EchoState()
  const errors: unknown[] = []
  const grpc = new GrpcServer({
    methods: echoMethods(state),
    onError: (error) => errors.push(error),
    ...options,
  })
  const sockets = new Set<Socket>()
  const onConnection = (socket: Socket): void => {
    sockets.add(socket)
    grpc.handleConnection(socket)
  }
  const requested = { requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2'] }
  const server: Server =
    tls === undefined
      ? createServer({ noDelay: true }, onConnection)
      : createTlsServer({ ...tls, ...requested }, onConnection)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    grpc,
    port,
    state,
    errors,
    sockets,
    close: async () => {
      grpc.close()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A grpc-js client whose methods take plain notes. */
export function echoClient(
  port: number,
  options: ClientOptions = {},
  channel: ChannelCredentials = credentials.createInsecure(),
): Client {
  const EchoClient = makeGenericClientConstructor(definition, 'Echo')
  return new EchoClient(`127.0.0.1:${port}`, channel, options)
}

export { definition as echoDefinition }
