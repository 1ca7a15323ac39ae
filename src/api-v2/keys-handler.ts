/** /v2/keys: reads, writes and waits (facts: v2-api.md 2 to 6). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { exhaustive } from '../base/invariant.js'
import { createV2Error } from '../base/v2-errors.js'
import type { V2ApplyResult } from '../v2store/apply-request.js'
import { answerNotAllowed, type HeaderList } from './answer.js'
import { addGoQuery, type Form } from './go-form.js'
import type { Target } from './go-path.js'
import { v2ErrorAnswer, v2EventAnswer } from './key-answer.js'
import { type KeyOperation, parseKeyRequest, storePath } from './key-request.js'
import { KeyWaiters } from './key-waiters.js'
import { parseMediaType } from './media-type.js'
import { FORM_BYTES_MAX, readBody } from './read-body.js'
import type { V2Source } from './source.js'

const ALLOWED = 'HEAD,GET,PUT,POST,DELETE'
const RAFT_INTERNAL = 300

/** One request on its way to the answer. */
interface Exchange {
  readonly method: string
  readonly target: Target
  readonly response: ServerResponse
  /** What every answer has from here on. */
  readonly headers: HeaderList
}

export class KeysHandler {
  readonly #source: V2Source
  readonly #clusterHeader: HeaderList
  readonly waiters: KeyWaiters

  constructor(source: V2Source) {
    this.#source = source
    this.#clusterHeader = ['X-Etcd-Cluster-Id', source.clusterIdText]
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
    const headers = before.length === 0 ? this.#clusterHeader : [...before, ...this.#clusterHeader]
    const exchange = { method, target, response, headers }
    switch (method) {
      case 'GET':
      case 'HEAD':
        if (target.query === '') this.#read(exchange, storePath(target.path), false, false)
        else this.#run(exchange, new Map(), undefined)
        return
      case 'PUT':
      case 'POST':
        this.#readForm(request, exchange)
        return
      case 'DELETE':
        this.#run(exchange, new Map(), undefined)
        return
      default:
        answerNotAllowed(response, before, ALLOWED)
    }
  }

  /** Parameters in the body come first, those of the query after them. */
  #readForm(request: IncomingMessage, exchange: Exchange): void {
    const form: Form = new Map()
    const type = parseMediaType(request.headers['content-type'] ?? 'application/octet-stream')
    if (type.kind === 'bad') {
      this.#run(exchange, form, type.reason)
      return
    }
    if (type.type !== 'application/x-www-form-urlencoded') {
      this.#run(exchange, form, undefined)
      return
    }
    readBody(request, FORM_BYTES_MAX, (body) => {
      const problem =
        body.kind === 'too-large'
          ? 'http: POST too large'
          : addGoQuery(form, body.bytes.toString('utf8'))
      this.#run(exchange, form, problem)
    })
  }

  #run(exchange: Exchange, form: Form, bodyProblem: string | undefined): void {
    const { method, target, response, headers } = exchange
    const queryProblem = target.query === '' ? undefined : addGoQuery(form, target.query)
    const parsed = parseKeyRequest({
      method,
      path: target.path,
      form,
      formProblem: bodyProblem ?? queryProblem,
      nowMs: this.#source.nowMs(),
    })
    if (parsed.kind === 'error') {
      v2ErrorAnswer(response, headers, parsed.error)
      return
    }
    const { operation } = parsed
    if (method === 'GET' && operation.Quorum) {
      this.#propose(exchange, { ...operation, Method: 'QGET' }, parsed.noValueOnSuccess)
    } else if (method === 'GET' && operation.Wait) {
      this.waiters.open(response, headers, operation)
    } else if (method === 'GET' || method === 'HEAD') {
      this.#read(exchange, operation.Path, operation.Recursive, operation.Sorted)
    } else this.#propose(exchange, operation, parsed.noValueOnSuccess)
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
    const { response, headers } = exchange
    switch (result.kind) {
      case 'event':
        v2EventAnswer(response, headers, result.event, { source: this.#source, noValueOnSuccess })
        return
      case 'error':
        v2ErrorAnswer(response, headers, result.error)
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

  #fail({ response, headers }: Exchange, reason: string): void {
    v2ErrorAnswer(response, headers, createV2Error(RAFT_INTERNAL, reason, 0))
  }
}
