/** The engine with the smallest application: every request is answered 200 and `hello` once it is whole. */
import { type AddressInfo, createServer } from 'node:net'
import { Http2Connection } from '../../src/http2/connection.js'
import { FlushQueue } from '../../src/http2/flush-queue.js'
import { writeField } from '../../src/http2/hpack-encoder.js'
import { DEFAULT_HTTP2_LIMITS, type Http2Limits } from '../../src/http2/limits.js'
import type { RequestFields } from '../../src/http2/request-fields.js'
import type { Http2Stream, StreamConsumer } from '../../src/http2/stream.js'
import { Writer } from '../../src/wire/writer.js'

const writer = new Writer(64)
writeField(writer, ':status', '200')
writeField(writer, 'content-type', 'text/plain')
const HEADERS = writer.take()

/** What the application saw. */
export interface HelloState {
  requests: RequestFields[]
  bodyBytes: number
  resets: number
  writable: number
  streams: Http2Stream[]
}

export interface HelloServer {
  readonly port: number
  readonly state: HelloState
  readonly connections: Set<Http2Connection<RequestFields>>
  readonly errors: unknown[]
  close(): Promise<void>
}

/** `path` /big answers 200,000 bytes, /wait never answers, /size/N answers N bytes. */
export async function startHelloServer(
  limits: Partial<Http2Limits> = {},
  nowMs: () => number = () => performance.now(),
): Promise<HelloServer> {
  const state: HelloState = { requests: [], bodyBytes: 0, resets: 0, writable: 0, streams: [] }
  const errors: unknown[] = []
  const connections = new Set<Http2Connection<RequestFields>>()
  const flushQueue = new FlushQueue()
  const onRequest = (stream: Http2Stream, head: RequestFields): StreamConsumer => {
    state.requests.push(head)
    state.streams.push(stream)
    return {
      onData: (_bytes, start, end) => {
        state.bodyBytes += end - start
      },
      onEnd: () => {
        if (head.path === '/wait') return
        stream.sendHeaders(HEADERS)
        const size = head.path === '/big' ? 200_000 : Number(/^\/size\/(\d+)/.exec(head.path)?.[1])
        const body = Number.isNaN(size) ? Buffer.from('hello') : Buffer.alloc(size, 'x')
        if (body.length < 1000) {
          const out = stream.openData()
          out.raw(body)
          stream.closeData()
        } else stream.sendParts([body])
        stream.sendEnd()
      },
      onReset: () => {
        state.resets++
      },
      onWritable: () => {
        state.writable++
      },
    }
  }
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = new Http2Connection<RequestFields>({
      socket,
      application: { readHead: (request) => request, onRequest },
      limits: { ...DEFAULT_HTTP2_LIMITS, ...limits },
      flushQueue,
      nowMs,
      onClosed: (closed) => connections.delete(closed),
      onError: (error) => errors.push(error),
    })
    connections.add(connection)
    connection.start()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    state,
    connections,
    errors,
    close: async () => {
      for (const connection of connections) connection.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
