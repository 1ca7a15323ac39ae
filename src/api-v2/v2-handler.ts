/**
 * All of /v2 on Node's own request and response: what fastify's routes call, and what may stand
 * before it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpAccess } from '../base/http-access.js'
import type { Log } from '../ports/log.js'
import type { Passwords } from '../ports/passwords.js'
import { Access, type CertificateNames } from './access.js'
import {
  answer,
  answerMessage,
  answerNotAllowed,
  answerText,
  type HeaderList,
  JSON_TYPE,
  keepQuietAboutConnection,
  TEXT_TYPE,
} from './answer.js'
import { AUTH_PREFIX, AuthHandler } from './auth-handler.js'
import { AuthStore } from './auth-store.js'
import { cleanMuxPath, escapePath, parseTarget, redirectPage, type Target } from './go-path.js'
import { KEYS_PREFIX } from './key-request.js'
import { KeysHandler } from './keys-handler.js'
import { MEMBERS_PREFIX, MembersHandler, machinesText } from './members-handler.js'
import type { V2Source } from './source.js'
import { leaderStatsJson, selfStatsJson } from './stats-json.js'

const STATS_PREFIX = '/v2/stats'
const NO_HEADERS: HeaderList = []

const isBelow = (path: string, prefix: string): boolean =>
  path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === '/')

export interface V2HandlerOptions {
  readonly source: V2Source
  readonly passwords: Passwords
  readonly log: Log
  /** Only with --client-cert-auth. */
  readonly certificateNames?: CertificateNames | undefined
}

export class V2Handler {
  readonly #source: V2Source
  readonly #keys: KeysHandler
  readonly #members: MembersHandler
  readonly #auth: AuthHandler

  constructor({ source, passwords, log, certificateNames }: V2HandlerOptions) {
    const store = new AuthStore({ source, passwords, log })
    const access = new Access({ store, log, certificateNames })
    this.#source = source
    this.#keys = new KeysHandler(source, access)
    this.#members = new MembersHandler(source, access)
    this.#auth = new AuthHandler({ source, store, access, log })
  }

  /** For the fast lane. */
  get keys(): KeysHandler {
    return this.#keys
  }

  /** Clients that wait for a change now. */
  get waiterCount(): number {
    return this.#keys.waiters.count
  }

  /** Sends all waiting clients away: the daemon stops. */
  close(): void {
    this.#keys.waiters.closeAll()
  }

  /**
   * Answers a request for a path under /v2, or for a path that Go's mux would redirect to its clean
   * form, and returns true. Other requests are left untouched: false. `before` are headers that
   * every answer gets.
   */
  maybeHandle(
    request: IncomingMessage,
    response: ServerResponse,
    before: HeaderList = NO_HEADERS,
  ): boolean {
    const url = request.url ?? '/'
    const target = parseTarget(url)
    if (target === undefined) {
      answerBadRequest(response)
      return true
    }
    const clean = cleanMuxPath(target.path)
    if (clean !== target.path && request.method !== 'CONNECT') {
      this.#redirect(request, response, before, { ...target, path: clean })
      return true
    }
    if (!isBelow(clean, '/v2')) return false
    this.#dispatch(request, response, target, before)
    return true
  }

  /**
   * The same in front of a server whose router would refuse what Go takes, such as escapes that are
   * not UTF-8. What the access rules have an answer of their own for is left to the router: false.
   */
  maybeHandleFirst(
    request: IncomingMessage,
    response: ServerResponse,
    access: HttpAccess,
  ): boolean {
    const { host, origin } = request.headers
    const before = request.method === 'OPTIONS' ? undefined : access(host, origin)
    return before !== undefined && this.maybeHandle(request, response, before)
  }

  #dispatch(
    request: IncomingMessage,
    response: ServerResponse,
    target: Target,
    before: HeaderList,
  ): void {
    const { path } = target
    if (isBelow(path, KEYS_PREFIX)) this.#keys.handle(request, response, target, before)
    else if (isBelow(path, MEMBERS_PREFIX)) this.#members.handle(request, response, path, before)
    else if (path === '/v2/machines') this.#machines(request, response, before)
    else if (isBelow(path, STATS_PREFIX)) this.#stats(request, response, path, before)
    else if (isBelow(path, AUTH_PREFIX)) this.#auth.handle(request, response, target, before)
    else answerText(response, 404, before, '404 page not found')
  }

  #redirect(
    request: IncomingMessage,
    response: ServerResponse,
    before: HeaderList,
    { path, query }: Target,
  ): void {
    const location = escapePath(path) + (query === '' ? '' : `?${query}`)
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const type = isRead ? ['Content-Type', 'text/html; charset=utf-8'] : []
    const page = request.method === 'GET' ? redirectPage(location) : ''
    answer(response, 301, [...before, ...type, 'Location', location], page)
  }

  #machines(request: IncomingMessage, response: ServerResponse, before: HeaderList): void {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      answerNotAllowed(response, before, 'GET,HEAD')
      return
    }
    const text = machinesText(this.#source.members())
    answer(response, 200, [...before, 'Content-Type', TEXT_TYPE], text)
  }

  #stats(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    before: HeaderList,
  ): void {
    const page = path.slice(STATS_PREFIX.length)
    if (page !== '/self' && page !== '/leader' && page !== '/store') {
      answerText(response, 404, before, '404 page not found')
      return
    }
    if (request.method !== 'GET') {
      answerNotAllowed(response, before, 'GET')
      return
    }
    const json =
      page === '/self'
        ? selfStatsJson(this.#source)
        : page === '/leader'
          ? leaderStatsJson(this.#source)
          : this.#source.store().statisticsJson()
    if (json === undefined) answerMessage(response, 403, before, 'not current leader')
    else answer(response, 200, [...before, 'Content-Type', JSON_TYPE], json)
  }
}

/** What Go's server says to a request that it cannot parse; it closes the connection. */
function answerBadRequest(response: ServerResponse): void {
  keepQuietAboutConnection(response)
  response.writeHead(400, ['Content-Type', TEXT_TYPE, 'Connection', 'close'])
  response.end('400 Bad Request')
}
