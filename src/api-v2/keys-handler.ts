/** /v2/keys: reads, writes and waits (facts: v2-api.md 2 to 6). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { errors } from '../base/errors.js'
import { exhaustive } from '../base/invariant.js'
import { v2AuthErrors } from '../base/v2-auth-errors.js'
import { createV2Error } from '../base/v2-errors.js'
import type { V2ApplyResult } from '../v2store/apply-request.js'
import type { Access } from './access.js'
import { answerNotAllowed, type HeaderList } from './answer.js'
import { type FormBody, formKind, parseFormBody } from './form-body.js'
import { addGoQuery, detached, Form } from './go-form.js'
import type { Target } from './go-path.js'
import { v2ErrorAnswer, v2EventAnswer } from './key-answer.js'
import { KEYS_PREFIX, type KeyOperation, parseKeyRequest, storePath } from './key-request.js'
import { KeyWaiters } from './key-waiters.js'
import { FORM_BYTES_MAX, readBody } from './read-body.js'
import { type Reply, ResponseReply } from './reply.js'
import type { V2Source } from './source.js'

const ALLOWED = 'HEAD,GET,PUT,POST,DELETE'
const RAFT_INTERNAL = 300
const UNAUTHORISED = 110
const NO_CREDENTIALS = v2AuthErrors.INSUFFICIENT_CREDENTIALS.message

/** One request on its way to the answer. */
interface Exchange {
  readonly method: string
  readonly target: Target
  readonly reply: Reply
  /** What every answer has from here on. */
  readonly headers: HeaderList
}

export class KeysHandler {
  readonly #source: V2Source
  readonly #access: Access
  readonly #clusterHeader: HeaderList
  readonly waiters: KeyWaiters
  readonly #nowMs = (): number => this.#source.nowMs()
  #lastBefore: HeaderList = []
  #lastHeaders: HeaderList

  constructor(source: V2Source, access: Access) {
    this.#source = source
    this.#access = access
    this.#clusterHeader = ['X-Etcd-Cluster-Id', source.clusterIdText]
    this.#lastHeaders = this.#clusterHeader
    this.waiters = new KeyWaiters(source)
  }

  /** Answers one request. `before` are the headers that the connection's own rules add. */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    target: Target,
    before: HeaderList,
  ): void {
    const method = request.method ?? 'GET'
    const reply = new ResponseReply(response)
    switch (method) {
      case 'GET':
      case 'HEAD':
      case 'DELETE':
        this.answer({ method, target, reply, before, form: undefined })
        return
      case 'PUT':
      case 'POST':
        this.#readForm(request, (form) => this.answer({ method, target, reply, before, form }))
        return
      default:
        answerNotAllowed(response, before, ALLOWED)
    }
  }

  /** Answers a request whose body is there: GET, HEAD, PUT, POST or DELETE. */
  answer(options: {
    readonly method: string
    readonly target: Target
    readonly reply: Reply
    readonly before: HeaderList
    /** What the body said; `undefined` = the method or the type of the body has no form. */
    readonly form: FormBody | undefined
  }): void {
    const { method, target, reply, form } = options
    const exchange = { method, target, reply, headers: this.#headersAfter(options.before) }
    const isPlainRead = target.query === '' && (method === 'GET' || method === 'HEAD')
    if (isPlainRead && !this.#access.isEnforced) {
      this.#read(exchange, storePath(target.path), false, false)
    } else this.#run(exchange, form?.form ?? new Form(), form?.problem)
  }

  /** The same array for the same `before`. */
  #headersAfter(before: HeaderList): HeaderList {
    if (before !== this.#lastBefore) {
      this.#lastBefore = before
      this.#lastHeaders = [...before, ...this.#clusterHeader]
    }
    return this.#lastHeaders
  }

  #readForm(request: IncomingMessage, done: (form: FormBody | undefined) => void): void {
    const kind = formKind(request.headers['content-type'])
    if (kind !== 'form') {
      done(kind === 'none' ? undefined : { form: new Form(), problem: kind.problem })
      return
    }
    readBody(request, FORM_BYTES_MAX, (body) => {
      if (body.kind === 'body') done(parseFormBody(body.bytes.toString('utf8')))
      else done({ form: new Form(), problem: 'http: POST too large' })
    })
  }

  /** Parameters in the body come first, those of the query after them. */
  #run(exchange: Exchange, form: Form, bodyProblem: string | undefined): void {
    const { method, target, reply, headers } = exchange
    const queryProblem = target.query === '' ? undefined : addQuery(form, target.query)
    const parsed = parseKeyRequest({
      method,
      path: target.path,
      form,
      formProblem: bodyProblem ?? queryProblem,
      nowMs: this.#nowMs,
    })
    if (parsed.kind === 'error') {
      v2ErrorAnswer(reply, headers, parsed.error)
      return
    }
    const { operation, noValueOnSuccess } = parsed
    if (!this.#access.isEnforced) {
      this.#execute(exchange, operation, noValueOnSuccess)
      return
    }
    const key = target.path.slice(KEYS_PREFIX.length)
    const isWrite = method !== 'GET' && method !== 'HEAD'
    const access = { key, isWrite, isRecursive: operation.Recursive }
    void this.#access.mayUse(reply, access).then((verdict) => {
      if (verdict === 'allowed') this.#execute(exchange, operation, noValueOnSuccess)
      else if (verdict === 'overloaded') this.#fail(exchange, errors.TOO_MANY_REQUESTS.message)
      else v2ErrorAnswer(reply, headers, createV2Error(UNAUTHORISED, NO_CREDENTIALS, 0))
    })
  }

  #execute(exchange: Exchange, operation: KeyOperation, noValueOnSuccess: boolean): void {
    const { method, reply, headers } = exchange
    if (method === 'GET' && operation.Quorum) {
      this.#propose(exchange, { ...operation, Method: 'QGET' }, noValueOnSuccess)
    } else if (method === 'GET' && operation.Wait) {
      this.waiters.open(reply, headers, operation)
    } else if (method === 'GET' || method === 'HEAD') {
      this.#read(exchange, operation.Path, operation.Recursive, operation.Sorted)
    } else this.#propose(exchange, operation, noValueOnSuccess)
  }

  #read(exchange: Exchange, path: string, isRecursive: boolean, isSorted: boolean): void {
    const source = this.#source
    const result = source.store().get({ path, nowMs: source.nowMs(), isRecursive, isSorted })
    this.#answer(exchange, result, false)
  }

  #propose(exchange: Exchange, operation: KeyOperation, noValueOnSuccess: boolean): void {
    this.#source.propose(operation, (outcome) => {
      if (outcome.kind === 'applied') this.#answer(exchange, outcome.result, noValueOnSuccess)
      else this.#fail(exchange, outcome.reason)
    })
  }

  #answer(exchange: Exchange, result: V2ApplyResult, noValueOnSuccess: boolean): void {
    const { reply, headers } = exchange
    switch (result.kind) {
      case 'event':
        v2EventAnswer(reply, headers, result.event, { source: this.#source, noValueOnSuccess })
        return
      case 'error':
        v2ErrorAnswer(reply, headers, result.error)
        return
      case 'unknown-method':
        this.#fail(exchange, 'etcdserver: unknown method')
        return
      case 'synced':
      case 'member-attributes':
      case 'cluster-version':
        this.#fail(exchange, 'received response with no Event/Watcher')
        return
      default:
        exhaustive(result)
    }
  }

  #fail({ reply, headers }: Exchange, reason: string): void {
    v2ErrorAnswer(reply, headers, createV2Error(RAFT_INTERNAL, reason, 0))
  }
}

/** Adds what the query says and the body does not. */
function addQuery(form: Form, query: string): string | undefined {
  const isInBody = form.has('value')
  const problem = addGoQuery(form, query)
  const value = form.get('value')
  if (value !== undefined && !isInBody) form.set('value', detached(value))
  return problem
}
