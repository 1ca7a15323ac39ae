import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import {
  answer,
  answerMessage,
  answerNotAllowed,
  type HeaderList,
  TEXT_TYPE,
} from '../api-v2/answer.js'
import { FORM_BYTES_MAX, readBody } from '../api-v2/read-body.js'
import { createHttpAccess, type HttpAccess } from '../base/http-access.js'
import { cleanPath, movedPage } from '../ops/clean-path.js'
import type { DialOptions } from '../peer/dial.js'
import type { Entropy } from '../ports/clock.js'
import type { Log } from '../ports/log.js'
import { EndpointDirector } from './endpoint-director.js'
import { V2Forwarder } from './v2-forwarder.js'
import { V2ProxyMetrics } from './v2-proxy-metrics.js'

/** Page of the proxy itself: the endpoints it has now. */
const CONFIG_PATH = '/v2/config/local/proxy'
const METRICS_PATH = '/metrics'
/** How long a client's connection may be idle, ms: etcd's five minutes. */
const IDLE_MS = 5 * 60 * 1000

export interface V2ProxyOptions {
  /** `readonly` refuses everything but GET. */
  readonly mode: 'on' | 'readonly'
  /** Base URLs of the members' client listeners; empty when nobody answers. Must not reject. */
  readonly findUrls: () => Promise<readonly string[]>
  readonly failureWaitMs: number
  readonly refreshIntervalMs: number
  readonly writeTimeoutMs: number
  readonly readTimeoutMs: number
  /** How the members' client listeners are dialled. */
  readonly dial: DialOptions
  /** Origins that browsers may call from; ['*'] = all. */
  readonly corsOrigins: readonly string[]
  readonly entropy: Entropy
  readonly log: Log
}

/**
 * etcd's v2 proxy: an HTTP server that passes every request on to a member of the cluster (facts:
 * ops.md 9). It listens nowhere by itself; connections are handed to it.
 */
export class V2Proxy {
  readonly server: Server
  readonly #options: V2ProxyOptions
  readonly #director: EndpointDirector
  readonly #forwarder: V2Forwarder
  readonly #metrics = new V2ProxyMetrics()
  readonly #access: HttpAccess

  constructor(options: V2ProxyOptions) {
    this.#options = options
    this.#director = new EndpointDirector(options)
    this.#forwarder = new V2Forwarder({
      ...options,
      director: this.#director,
      metrics: this.#metrics,
    })
    // The proxy looks at no Host header; the member that gets the request may.
    const { corsOrigins } = options
    this.#access = createHttpAccess({ corsOrigins, hostWhitelist: [], isSecure: true })
    this.server = createServer({ keepAliveTimeout: IDLE_MS }, (request, response) =>
      this.#handle(request, response),
    )
  }

  /** Resolves once the members were asked for endpoints, found or not. */
  start(): Promise<void> {
    return this.#director.start()
  }

  handleConnection(socket: Socket): void {
    this.server.emit('connection', socket)
  }

  stop(): void {
    this.#director.stop()
    this.#forwarder.stop()
    this.server.closeAllConnections()
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const [path = '', ...query] = (request.url ?? '/').split('?')
    const clean = cleanPath(path)
    if (path.startsWith('/') && clean !== path) {
      const location = [clean, ...query].join('?')
      const page = request.method === 'GET' ? movedPage(location) : ''
      const headers = ['Location', location, 'Content-Type', 'text/html; charset=utf-8']
      answer(response, 301, headers, page)
      return
    }
    if (path === METRICS_PATH) {
      void this.#answerMetrics(response)
      return
    }
    if (this.#options.mode === 'readonly' && request.method !== 'GET') {
      answer(response, 501, [], '')
      return
    }
    const access = this.#access(request.headers.host, request.headers.origin) ?? []
    if (request.method === 'OPTIONS') answer(response, 200, access, '')
    else if (path === CONFIG_PATH) this.#answerConfig(request, response, access)
    else this.#forward(request, response, access)
  }

  #forward(request: IncomingMessage, response: ServerResponse, access: HeaderList): void {
    this.#metrics.received(request.method ?? 'GET')
    readBody(request, FORM_BYTES_MAX, (body) => {
      if (body.kind === 'too-large') {
        const text = 'failed to read request body: http: request body too large'
        answerMessage(response, 500, access, `httpproxy: ${text}`)
        return
      }
      void this.#forwarder.forward(request, response, { body: body.bytes, access })
    })
  }

  #answerConfig(request: IncomingMessage, response: ServerResponse, access: HeaderList): void {
    if (request.method !== 'GET') {
      answerNotAllowed(response, access, 'GET')
      return
    }
    const endpoints = this.#director.available().map(({ text }) => text)
    const headers = [...access, 'Content-Type', TEXT_TYPE]
    answer(response, 200, headers, `${JSON.stringify({ endpoints })}\n`)
  }

  async #answerMetrics(response: ServerResponse): Promise<void> {
    const text = await this.#metrics.text()
    answer(response, 200, ['Content-Type', this.#metrics.contentType], text)
  }
}
