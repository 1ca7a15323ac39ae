/** /v2/auth: users, roles, and whether they count (facts: http.md 5). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { parseRoleRequest, parseUserRequest } from '../auth/v2-json.js'
import { encodeRole, isEmptyPermissions, type V2Role } from '../auth/v2-role.js'
import { encodeUser, type V2User } from '../auth/v2-user.js'
import { quoteGo } from '../base/go-json.js'
import { exhaustive } from '../base/invariant.js'
import { refuseV2Auth, type V2AuthErrorCode } from '../base/v2-auth-errors.js'
import type { Log } from '../ports/log.js'
import type { Access, Verdict } from './access.js'
import {
  answer,
  answerMessage,
  answerNotAllowed,
  answerText,
  type HeaderList,
  JSON_TYPE,
} from './answer.js'
import { AuthFailure } from './auth-failure.js'
import type { AuthStore } from './auth-store.js'
import { addGoQuery, Form } from './go-form.js'
import type { Target } from './go-path.js'
import { v2ErrorAnswer } from './key-answer.js'
import { FORM_BYTES_MAX, readBody } from './read-body.js'
import { ResponseReply } from './reply.js'
import type { V2Source } from './source.js'

export const AUTH_PREFIX = '/v2/auth'

/** One request on its way to the answer. */
interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly target: Target
  readonly before: HeaderList
  /** What every answer has once it is known who asks. */
  readonly headers: HeaderList
}

/** An answer; nothing for one without a body. */
interface Page {
  readonly status: number
  readonly json: string
}

const EMPTY: Page = { status: 200, json: '' }
const page = (json: string, status = 200): Page => ({ status, json: `${json}\n` })

function answerRefusal(response: ServerResponse, headers: HeaderList, code: V2AuthErrorCode): void {
  const { httpStatus, message } = refuseV2Auth(code)
  answerMessage(response, httpStatus, headers, message)
}

/** Says that somebody may not administer, or that it cannot be found out now, and nothing else. */
export function answerNotAdmitted(
  response: ServerResponse,
  before: HeaderList,
  verdict: Exclude<Verdict, 'allowed'>,
): void {
  answerRefusal(response, before, verdict === 'denied' ? 'INSUFFICIENT_CREDENTIALS' : 'INTERNAL')
}

export class AuthHandler {
  readonly #source: V2Source
  readonly #store: AuthStore
  readonly #access: Access
  readonly #log: Log

  constructor(options: {
    readonly source: V2Source
    readonly store: AuthStore
    readonly access: Access
    readonly log: Log
  }) {
    this.#source = options.source
    this.#store = options.store
    this.#access = options.access
    this.#log = options.log
  }

  /** Answers one request for a path under the prefix. */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    target: Target,
    before: HeaderList,
  ): void {
    const [, kind, name, ...more] = target.path
      .replace(/\/$/, '')
      .slice(AUTH_PREFIX.length)
      .split('/')
    const isEnable = kind === 'enable' && target.path === `${AUTH_PREFIX}/enable`
    if (!isEnable && kind !== 'users' && kind !== 'roles') {
      answerText(response, 404, before, '404 page not found')
      return
    }
    if (!this.#source.isVersionDecided()) {
      answerRefusal(response, before, 'NOT_CAPABLE')
      return
    }
    if (more.length > 0) {
      answerRefusal(response, before, 'INVALID_PATH')
      return
    }
    const headers = [...before, 'X-Etcd-Cluster-Id', this.#source.clusterIdText]
    const exchange = { request, response, target, before, headers }
    if (isEnable) this.#serve(exchange, 'GET,PUT,DELETE', () => this.#enable(request))
    else if (name === undefined) {
      this.#serve(exchange, 'GET', () =>
        kind === 'users' ? this.#users(target) : this.#roles(target),
      )
    } else if (kind === 'users') {
      this.#serve(exchange, 'GET,PUT,DELETE', () => this.#user(exchange, name))
    } else this.#serve(exchange, 'GET,PUT,DELETE', () => this.#role(exchange, name))
  }

  /** Checks the method and who asks, and answers with what `work` gives. */
  #serve(exchange: Exchange, allowed: string, work: () => Promise<Page> | Page): void {
    const { request, response, target, before, headers } = exchange
    if (!allowed.split(',').includes(request.method ?? '')) {
      answerNotAllowed(response, before, allowed)
      return
    }
    const isOpen = target.path === `${AUTH_PREFIX}/enable` && request.method === 'GET'
    const serve = async (): Promise<void> => {
      const requester = new ResponseReply(response)
      const verdict = isOpen ? 'allowed' : await this.#access.mayAdminister(requester, target.path)
      if (verdict !== 'allowed') {
        answerNotAdmitted(response, before, verdict)
        return
      }
      try {
        const { status, json } = await work()
        answer(response, status, [...headers, 'Content-Type', JSON_TYPE], json)
      } catch (thrown) {
        if (!(thrown instanceof AuthFailure)) throw thrown
        this.#fail(exchange, thrown)
      }
    }
    void serve()
  }

  #fail({ response, headers }: Exchange, { problem }: AuthFailure): void {
    switch (problem.kind) {
      case 'refused':
        answerMessage(response, problem.refusal.httpStatus, headers, problem.refusal.message)
        return
      case 'store':
        v2ErrorAnswer(new ResponseReply(response), headers, problem.error)
        return
      case 'internal':
        this.#log.warn('unexpected v2 response error', {
          'internal-server-error': problem.reason,
        })
        answerRefusal(response, headers, 'INTERNAL')
        return
      default:
        exhaustive(problem)
    }
  }

  async #enable({ method }: IncomingMessage): Promise<Page> {
    if (method === 'GET') return page(`{"enabled":${this.#store.isEnabled}}`)
    await (method === 'PUT' ? this.#store.enable() : this.#store.disable())
    return EMPTY
  }

  #users(target: Target): Page {
    const users = this.#store.users()
    checkQuery(target)
    const shown = users.map((user) =>
      encodeShownUser(
        user,
        (user.roles ?? []).flatMap((name) => this.#maybeRole(name)),
      ),
    )
    return page(`{"users":${users.length === 0 ? 'null' : `[${shown.join(',')}]`}}`)
  }

  /** Of a role that is gone nothing is shown in the list of users. */
  #maybeRole(name: string): readonly V2Role[] {
    try {
      return [this.#store.role(name)]
    } catch (thrown) {
      if (thrown instanceof AuthFailure) return []
      throw thrown
    }
  }

  #roles(target: Target): Page {
    const roles = this.#store.roles()
    checkQuery(target)
    return page(`{"roles":[${roles.map(encodeRole).join(',')}]}`)
  }

  async #user({ request, target }: Exchange, name: string): Promise<Page> {
    if (request.method === 'PUT') return this.#putUser(request, name)
    if (request.method === 'DELETE') {
      await this.#store.deleteUser(name)
      return EMPTY
    }
    const user = this.#store.user(name)
    checkQuery(target)
    const roles = (user.roles ?? []).map((role) => this.#store.role(role))
    return page(encodeShownUser(user, roles))
  }

  async #putUser(request: IncomingMessage, name: string): Promise<Page> {
    const asked = parseUserRequest(await readJson(request))
    if (asked === undefined) throw AuthFailure.refused('INVALID_JSON')
    if (asked.user !== name) throw AuthFailure.refused('USER_NAME_MISMATCH')
    const isUpdate = (asked.grant?.length ?? 0) + (asked.revoke?.length ?? 0) > 0
    const hasRoles = (asked.roles?.length ?? 0) > 0
    if (isUpdate) {
      if (hasRoles) throw AuthFailure.refused('USER_AMBIGUOUS')
      return page(encodePublicUser(await this.#store.updateUser(asked)))
    }
    if (hasRoles) return page(encodePublicUser(await this.#store.createUser(asked)))
    const { user, isNew } = await this.#store.createOrUpdateUser(asked)
    return page(encodePublicUser(user), isNew ? 201 : 200)
  }

  async #role({ request }: Exchange, name: string): Promise<Page> {
    if (request.method === 'PUT') return this.#putRole(request, name)
    if (request.method === 'GET') return page(encodeRole(this.#store.role(name)))
    await this.#store.deleteRole(name)
    return EMPTY
  }

  async #putRole(request: IncomingMessage, name: string): Promise<Page> {
    const asked = parseRoleRequest(await readJson(request))
    if (asked === undefined) throw AuthFailure.refused('INVALID_JSON')
    if (asked.role !== name) throw AuthFailure.refused('ROLE_NAME_MISMATCH')
    if (isEmptyPermissions(asked.grant) && isEmptyPermissions(asked.revoke)) {
      await this.#store.createRole(asked)
      return page(encodeRole(asked), 201)
    }
    if (!isEmptyPermissions(asked.permissions)) throw AuthFailure.refused('ROLE_AMBIGUOUS')
    return page(encodeRole(await this.#store.updateRole(asked)))
  }
}

/** What a user looks like from outside: its roles in full, no password. */
function encodeShownUser({ user }: V2User, roles: readonly V2Role[]): string {
  const shown = roles.length === 0 ? '' : `,"roles":[${roles.map(encodeRole).join(',')}]`
  return `{"user":${quoteGo(user)}${shown}}`
}

const encodePublicUser = (user: V2User): string => encodeUser({ ...user, password: '' })

/** Parameters mean nothing here, but must be well formed. */
function checkQuery({ query }: Target): void {
  const problem = query === '' ? undefined : addGoQuery(new Form(), query)
  if (problem !== undefined) throw AuthFailure.internal(problem)
}

/** The body as text; one that is too long is no JSON. */
function readJson(request: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    readBody(request, FORM_BYTES_MAX, (body) =>
      resolve(body.kind === 'body' ? body.bytes.toString('utf8') : ''),
    )
  })
}
