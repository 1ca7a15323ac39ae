import {
  createServer,
  type IncomingMessage,
  request as openRequest,
  type Server,
  type ServerResponse,
} from 'node:http'
import { answer, answerNotAllowed, answerText, TEXT_TYPE } from '../api-v2/answer.js'
import { type DialOptions, dial } from '../peer/dial.js'
import { readBody } from '../peer/peer-request.js'
import type { ProxyFigures } from './proxy-figures.js'

/** The metrics of a member. */
const PAGE_BYTES_MAX = 16 * 1024 * 1024
const PAGE_TIMEOUT_MS = 10_000

export interface PagesOptions {
  readonly figures: ProxyFigures
  /** Base URL of the member whose metrics are shown. */
  readonly memberUrl: () => string
  readonly dial: DialOptions
  /** Why the cluster does not answer, or `undefined`. */
  readonly clusterProblem: () => Promise<string | undefined>
  /** Why a client of this proxy would not be served, or `undefined`. */
  readonly proxyProblem: () => Promise<string | undefined>
}

/** The HTTP pages of a gRPC proxy: a member's metrics, its own, and health of both. */
export class GrpcProxyPages {
  readonly server: Server
  readonly #options: PagesOptions

  constructor(options: PagesOptions) {
    this.#options = options
    this.server = createServer((request, response) => void this.#handle(request, response))
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { figures, clusterProblem, proxyProblem } = this.#options
    const [path] = (request.url ?? '').split('?')
    request.resume()
    switch (path) {
      case '/metrics':
        await this.#answerMemberMetrics(response)
        return
      case '/proxy/metrics':
        answer(response, 200, ['Content-Type', figures.contentType], await figures.text())
        return
      case '/health':
        await answerHealth(request, response, clusterProblem)
        return
      case '/proxy/health':
        await answerHealth(request, response, proxyProblem)
        return
      default:
        answerText(response, 404, [], '404 page not found')
    }
  }

  async #answerMemberMetrics(response: ServerResponse): Promise<void> {
    try {
      const page = await this.#fetch(new URL('/metrics', this.#options.memberUrl()))
      answer(response, 200, ['Content-Type', 'text/plain; version=0.0.4'], page)
    } catch {
      answerText(response, 500, [], 'Internal server error')
    }
  }

  #fetch(url: URL): Promise<string> {
    return new Promise((resolve, reject) => {
      const outgoing = openRequest({
        path: url.pathname,
        headers: { Host: url.host },
        createConnection: () => dial(url, this.#options.dial),
      })
      outgoing.setTimeout(PAGE_TIMEOUT_MS, () => outgoing.destroy(new Error('i/o timeout')))
      outgoing.once('error', reject)
      outgoing.once('response', (page) => {
        readBody(page, PAGE_BYTES_MAX).then((body) => resolve(body.toString('utf8')), reject)
      })
      outgoing.end()
    })
  }
}

async function answerHealth(
  request: IncomingMessage,
  response: ServerResponse,
  findProblem: () => Promise<string | undefined>,
): Promise<void> {
  if (request.method !== 'GET') {
    answerNotAllowed(response, [], 'GET')
    return
  }
  const reason = await findProblem()
  const body = JSON.stringify({ health: String(reason === undefined), reason: reason ?? '' })
  answer(response, reason === undefined ? 200 : 503, ['Content-Type', TEXT_TYPE], body)
}
