import {
  type ClientRequest,
  type IncomingMessage,
  request as openRequest,
  type RequestOptions,
  type ServerResponse,
} from 'node:http'
import { answerMessage, type HeaderList, keepQuietAboutConnection } from '../api-v2/answer.js'
import { type DialOptions, networkErrorText, PeerAgent } from '../peer/dial.js'
import type { Log } from '../ports/log.js'
import type { Endpoint, EndpointDirector } from './endpoint-director.js'
import type { V2ProxyMetrics } from './v2-proxy-metrics.js'

/** Connections to one member that wait for the next request. */
const IDLE_CONNECTIONS_MAX = 128

export interface ForwarderOptions {
  readonly director: EndpointDirector
  readonly metrics: V2ProxyMetrics
  readonly log: Log
  readonly dial: DialOptions
  /** How long the member may take to read the request, ms; 0 = for ever. */
  readonly writeTimeoutMs: number
  /** How long the member may be silent, ms; 0 = for ever, which long polls need. */
  readonly readTimeoutMs: number
}

/** Belong to one connection and are not passed on, in either direction. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailers',
  'transfer-encoding',
  'upgrade',
])
/** The body was read as a whole, so these say something about the former framing. */
const REQUEST_FRAMING = new Set(['content-length', 'expect'])
const FORWARDED_FOR = 'x-forwarded-for'
/** Set by the proxy itself; twice, and a browser refuses the answer. */
const ACCESS_CONTROL = /^access-control-/

type Header = readonly [name: string, value: string]

function* headersOf(message: IncomingMessage): Generator<Header> {
  const { rawHeaders } = message
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    yield [rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '']
}

/** The headers of a request as a member is to see them. */
function requestHeaders(request: IncomingMessage, body: Buffer): string[] {
  const headers: string[] = []
  const forwardedFor: string[] = []
  for (const [name, value] of headersOf(request)) {
    const known = name.toLowerCase()
    if (known === FORWARDED_FOR) forwardedFor.push(value)
    else if (!HOP_BY_HOP.has(known) && !REQUEST_FRAMING.has(known)) headers.push(name, value)
  }
  const client = request.socket.remoteAddress
  if (client !== undefined) forwardedFor.push(client.replace(/^::ffff:/, ''))
  if (forwardedFor.length > 0) headers.push('X-Forwarded-For', forwardedFor.join(', '))
  const isFramed = request.headers['content-length'] !== undefined || body.length > 0
  if (isFramed) headers.push('Content-Length', String(body.length))
  return headers
}

/** Without scheme and host, which a client that believes in a proxy may send. */
function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '/'
  if (!/^https?:\/\//i.test(url)) return url
  const { pathname, search } = new URL(url)
  return pathname + search
}

interface PeerRequestOptions extends RequestOptions {
  /** Where the agent is to dial. */
  readonly peerUrl: URL
}

/** One request of a client on its way to a member, and back. */
interface Passage {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Buffer
  readonly headers: string[]
  /** The request that a member has now. */
  outgoing: ClientRequest | undefined
  isClientGone: boolean
  /** The member's answer broke off, and the client's connection was ended for it. */
  isOver: boolean
}

/** Passes requests on to the first member that takes them, and its answer back as it comes. */
export class V2Forwarder {
  readonly #options: ForwarderOptions
  readonly #agent: PeerAgent

  constructor(options: ForwarderOptions) {
    this.#options = options
    this.#agent = new PeerAgent(options.dial)
    this.#agent.maxFreeSockets = IDLE_CONNECTIONS_MAX
  }

  /** Ends the connections to the members. */
  stop(): void {
    this.#agent.destroy()
  }

  /** Answers the request; `access` are headers that the answer gets in any case. */
  async forward(
    request: IncomingMessage,
    response: ServerResponse,
    passed: Readonly<{ body: Buffer; access: HeaderList }>,
  ): Promise<void> {
    const { director, metrics, log } = this.#options
    const method = request.method ?? 'GET'
    const startedMs = performance.now()
    const endpoints = director.available()
    if (endpoints.length === 0) {
      const text = 'zero endpoints currently available'
      metrics.dropped(method, 'zero_endpoints')
      log.info(text)
      answerMessage(response, 503, passed.access, `httpproxy: ${text}`)
      return
    }
    const headers = requestHeaders(request, passed.body)
    const passage: Passage = {
      ...{ request, response, headers, body: passed.body },
      ...{ outgoing: undefined, isClientGone: false, isOver: false },
    }
    this.#watchClient(passage)
    const answer = await this.#firstAnswer(passage, endpoints)
    if (passage.isClientGone) {
      answer?.destroy()
      return
    }
    if (answer === undefined) {
      const text = `unable to get response from ${endpoints.length} endpoint(s)`
      metrics.dropped(method, 'failed_getting_response')
      log.info(text)
      answerMessage(response, 502, passed.access, `httpproxy: ${text}`)
      return
    }
    const status = answer.statusCode ?? 0
    metrics.handled(method, { status, tookMs: performance.now() - startedMs })
    const onBreak = (): void => {
      passage.isOver = true
      response.destroy()
    }
    passBack(answer, response, { access: passed.access, onBreak })
  }

  /** A client that goes away takes its request back: a watch at the member ends too. */
  #watchClient(passage: Passage): void {
    const { request, response } = passage
    response.once('close', () => {
      if (response.writableFinished || passage.isOver) return
      passage.isClientGone = true
      this.#options.log.info('client closed request prematurely', {
        'remote-addr': `${request.socket.remoteAddress ?? ''}:${request.socket.remotePort ?? 0}`,
      })
      passage.outgoing?.destroy()
    })
  }

  async #firstAnswer(
    passage: Passage,
    endpoints: readonly Endpoint[],
  ): Promise<IncomingMessage | undefined> {
    const { metrics, log } = this.#options
    for (const endpoint of endpoints) {
      try {
        return await this.#send(passage, endpoint, 'may-retry')
      } catch (error) {
        if (passage.isClientGone) return undefined
        metrics.dropped(passage.request.method ?? 'GET', 'failed_sending_request')
        const text = networkErrorText(error instanceof Error ? error : new Error(String(error)))
        log.info('failed to direct request', { url: endpoint.text, error: text })
        endpoint.markFailed()
      }
    }
    return undefined
  }

  #send(
    passage: Passage,
    endpoint: Endpoint,
    retry: 'may-retry' | 'no-retry',
  ): Promise<IncomingMessage> {
    const { request, body, headers } = passage
    const options: PeerRequestOptions = {
      method: request.method,
      path: pathOf(request),
      headers,
      setHost: false,
      agent: this.#agent,
      peerUrl: endpoint.url,
    }
    return new Promise((resolve, reject) => {
      const outgoing = openRequest(options)
      passage.outgoing = outgoing
      this.#limitTimes(outgoing)
      outgoing.once('response', resolve)
      outgoing.once('error', (error: NodeJS.ErrnoException) => {
        outgoing.on('error', () => undefined)
        // The member closed a kept connection just when it was used: that says nothing about it.
        const isStale = outgoing.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(error.code ?? '')
        if (!isStale || retry === 'no-retry' || passage.isClientGone) reject(error)
        else this.#send(passage, endpoint, 'no-retry').then(resolve, reject)
      })
      outgoing.end(body)
    })
  }

  #limitTimes(outgoing: ClientRequest): void {
    const { readTimeoutMs, writeTimeoutMs } = this.#options
    if (readTimeoutMs > 0)
      outgoing.setTimeout(readTimeoutMs, () => outgoing.destroy(new Error('i/o timeout')))
    if (writeTimeoutMs === 0) return
    outgoing.once('socket', (socket) => {
      let timer: NodeJS.Timeout | undefined
      const begin = (): void => {
        timer = setTimeout(() => outgoing.destroy(new Error('i/o timeout')), writeTimeoutMs)
      }
      // Dialling has a limit of its own.
      if (socket.connecting) socket.once('connect', begin)
      else begin()
      const settle = (): void => {
        clearTimeout(timer)
        socket.off('connect', begin)
      }
      outgoing.once('finish', settle)
      outgoing.once('response', settle)
      outgoing.once('close', settle)
    })
  }
}

/** Sends head and body on as they come; a body that breaks off breaks off at the client too. */
function passBack(
  answer: IncomingMessage,
  response: ServerResponse,
  { access, onBreak }: Readonly<{ access: HeaderList; onBreak: () => void }>,
): void {
  for (let at = 0; at + 1 < access.length; at += 2)
    response.setHeader(access[at] ?? '', access[at + 1] ?? '')
  for (const [name, value] of headersOf(answer)) {
    const known = name.toLowerCase()
    if (HOP_BY_HOP.has(known) || (access.length > 0 && ACCESS_CONTROL.test(known))) continue
    if (known === 'date') response.setHeader(name, value)
    else response.appendHeader(name, value)
  }
  keepQuietAboutConnection(response)
  response.writeHead(answer.statusCode ?? 502)
  response.flushHeaders()
  answer.on('error', onBreak)
  answer.once('close', () => {
    if (!answer.complete) onBreak()
  })
  answer.pipe(response)
}
