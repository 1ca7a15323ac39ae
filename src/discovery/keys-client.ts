/** The few requests of the v2 keys protocol that discovery makes, failing as Go's client does. */
import { STATUS_CODES } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseExactJson } from '../base/go-json.js'
import { invariant } from '../base/invariant.js'
import { parseGoUrl } from '../config/server-url.js'
import { readBody } from '../peer/peer-request.js'
import type { HttpRoute, Outgoing } from './http-route.js'

/** A key as the service tells of it. Indices are at most 2^53 - 1. */
export interface KeyNode {
  readonly key: string
  /** '' for a directory. */
  readonly value: string
  readonly createdIndex: number
  readonly modifiedIndex: number
  /** The children that were asked for; empty for a plain key. */
  readonly nodes: readonly KeyNode[]
}

export interface KeysAnswer {
  readonly action: string
  readonly node: KeyNode
  /** Index of the service when it answered; 0 when it did not say. */
  readonly index: number
}

/**
 * What a failed request means: the service cannot be had now (`detail` has the causes); it answers
 * and says no (`code` is its own); what answers is no such service; or the attempt failed for good.
 */
export type KeysProblem =
  | Readonly<{ kind: 'unavailable'; detail: string }>
  | Readonly<{ kind: 'refused'; code: number }>
  | Readonly<{ kind: 'not-json' }>
  | Readonly<{ kind: 'failed' }>

export class KeysError extends Error {
  override readonly name = 'KeysError'
  readonly problem: KeysProblem

  constructor(problem: KeysProblem, message: string, options?: ErrorOptions) {
    super(message, options)
    this.problem = problem
  }
}

/** How long one request may take, waits aside, ms. */
const REQUEST_TIMEOUT_MS = 5000
/** A directory of 1,000 members stays far below this. */
const ANSWER_BYTES_MAX = 1024 * 1024
const REDIRECTS_MAX = 10
/** A wait that ends without an event is asked again after this pause, ms. */
const EMPTY_WAIT_PAUSE_MS = 1000

const failed = (text: string, cause?: unknown): KeysError =>
  new KeysError({ kind: 'failed' }, text, { cause })
const notJson = (): KeysError =>
  new KeysError(
    { kind: 'not-json' },
    'client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint',
  )

function unavailable(text: string, cause?: unknown): KeysError {
  const detail = `error #0: ${text}\n`
  const message = `client: etcd cluster is unavailable or misconfigured; ${detail}`
  return new KeysError({ kind: 'unavailable', detail }, message, { cause })
}

interface RawAnswer {
  readonly status: number
  readonly header: (name: string) => string
  readonly body: string
}

const numberOf = (field: unknown): number =>
  typeof field === 'bigint' ? Number(field) : typeof field === 'number' ? field : 0
const textOf = (field: unknown): string => (typeof field === 'string' ? field : '')

/** Children are one level deep where discovery asks; deeper ones are of no use to it. */
function parseNode(parsed: unknown, depth = 0): KeyNode | undefined {
  if (!(parsed instanceof Map)) return undefined
  const children: unknown = parsed.get('nodes')
  const nodes = Array.isArray(children) && depth < 1 ? children : []
  return {
    key: textOf(parsed.get('key')),
    value: textOf(parsed.get('value')),
    createdIndex: numberOf(parsed.get('createdIndex')),
    modifiedIndex: numberOf(parsed.get('modifiedIndex')),
    nodes: nodes.flatMap((child) => parseNode(child, depth + 1) ?? []),
  }
}

function parseAnswer({ header, body }: RawAnswer): KeysAnswer {
  const parsed = parseExactJson(body)
  const node = parsed instanceof Map ? parseNode(parsed.get('node')) : undefined
  if (!(parsed instanceof Map) || node === undefined) throw notJson()
  const index = Number(header('x-etcd-index') || '0')
  if (!Number.isSafeInteger(index)) throw failed(`invalid X-Etcd-Index ${header('x-etcd-index')}`)
  return { action: textOf(parsed.get('action')), node, index }
}

function refusalOf({ body }: RawAnswer): KeysError {
  const parsed = parseExactJson(body)
  if (!(parsed instanceof Map)) return notJson()
  const code = numberOf(parsed.get('errorCode'))
  const [message, cause] = [textOf(parsed.get('message')), textOf(parsed.get('cause'))]
  const text = `${code}: ${message} (${cause}) [${numberOf(parsed.get('index'))}]`
  return new KeysError({ kind: 'refused', code }, text)
}

/** Joins and cleans as Go's path.Join does, from the root. */
export function joinPath(...parts: readonly string[]): string {
  const kept: string[] = []
  for (const part of parts.join('/').split('/')) {
    if (part === '..') kept.pop()
    else if (part !== '' && part !== '.') kept.push(part)
  }
  return `/${kept.join('/')}`
}

export interface KeysClientOptions {
  /** `scheme://host`, perhaps `?query`: the discovery URL without its path. */
  readonly endpoint: string
  readonly route: HttpRoute
}

type Query = Readonly<Record<string, string>>

export class KeysClient {
  readonly #endpoint: string
  readonly #route: HttpRoute

  constructor(options: KeysClientOptions) {
    this.#endpoint = options.endpoint
    this.#route = options.route
  }

  /** Reads a key, or a directory with its children. */
  async get(path: string): Promise<KeysAnswer> {
    const query = { quorum: 'false', recursive: 'false', sorted: 'false' }
    return this.#answerOf(await this.#ask('GET', path, { query, timeoutMs: REQUEST_TIMEOUT_MS }))
  }

  /** Creates a key; code 105 when it exists. A failure on the way is final: it may have arrived. */
  async create(path: string, value: string): Promise<KeysAnswer> {
    const asked = this.#ask('PUT', path, {
      query: { prevExist: 'false' },
      body: new URLSearchParams({ value }).toString(),
      timeoutMs: REQUEST_TIMEOUT_MS,
    })
    const answer = await asked.catch((error: unknown) => {
      const isLost = error instanceof KeysError && error.problem.kind === 'unavailable'
      throw isLost ? failed(error.problem.detail.slice('error #0: '.length, -1), error) : error
    })
    return this.#answerOf(answer)
  }

  /** The first change of the key, or below it, from `waitIndex` on; waits as long as it takes. */
  async wait(
    path: string,
    options: Readonly<{ waitIndex: number; recursive: boolean }>,
  ): Promise<KeysAnswer> {
    const query = {
      recursive: String(options.recursive),
      wait: 'true',
      waitIndex: String(options.waitIndex),
    }
    for (;;) {
      const answer = await this.#ask('GET', path, { query, timeoutMs: undefined })
      if (answer.status >= 300 || answer.body !== '') return this.#answerOf(answer)
      await sleep(EMPTY_WAIT_PAUSE_MS)
    }
  }

  #answerOf(answer: RawAnswer): KeysAnswer {
    if (answer.status !== 200 && answer.status !== 201) throw refusalOf(answer)
    if (answer.body === '') throw failed('client: response body is empty')
    return parseAnswer(answer)
  }

  #urlOf(path: string, query: Query): URL {
    const parsed = parseGoUrl(this.#endpoint)
    invariant(parsed.kind === 'value', 'the endpoint of discovery was read before')
    const { scheme } = parsed.value
    if (scheme !== 'http' && scheme !== 'https') {
      throw unavailable(`unsupported protocol scheme ${JSON.stringify(scheme)}`)
    }
    let url: URL
    try {
      url = new URL(this.#endpoint)
    } catch (error) {
      throw unavailable(error instanceof Error ? error.message : String(error), error)
    }
    url.pathname = joinPath(url.pathname, path)
    for (const [name, text] of Object.entries(query)) url.searchParams.set(name, text)
    return url
  }

  /** One request, after redirects. 5xx counts as "cannot be had now". */
  async #ask(
    method: 'GET' | 'PUT',
    path: string,
    options: Readonly<{ query: Query; body?: string; timeoutMs: number | undefined }>,
  ): Promise<RawAnswer> {
    const { body, query, timeoutMs } = options
    const headers =
      body === undefined
        ? {}
        : {
            'Content-Type': 'application/x-www-form-urlencoded',
            'Content-Length': Buffer.byteLength(body),
          }
    const endMs = timeoutMs === undefined ? undefined : performance.now() + timeoutMs
    let url = this.#urlOf(path, query)
    for (let redirects = 0; ; redirects += 1) {
      if (redirects > REDIRECTS_MAX) throw unavailable('client: too many redirects')
      const answer = await this.#send({ url, method, headers, body }, endMs)
      if (answer.status >= 500) throw this.#serverError(answer.status)
      if (answer.status < 300 || answer.status >= 400) return answer
      const location = answer.header('location')
      if (location === '') throw unavailable('location header not set')
      if (!URL.canParse(location)) {
        throw unavailable(`location header not valid URL: ${location}`)
      }
      url = new URL(location)
    }
  }

  #serverError(status: number): KeysError {
    if (status === 500 || status === 503) {
      return unavailable(`client: etcd member ${this.#endpoint} has no leader`)
    }
    const text = STATUS_CODES[status] ?? ''
    return unavailable(`client: etcd member ${this.#endpoint} returns server error [${text}]`)
  }

  #send(outgoing: Outgoing, endMs: number | undefined): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const request = this.#route.open(outgoing)
      const timer =
        endMs === undefined
          ? undefined
          : setTimeout(
              () => {
                reject(failed('context deadline exceeded'))
                request.destroy()
              },
              Math.max(0, endMs - performance.now()),
            )
      const fail = (error: Error): void => {
        clearTimeout(timer)
        reject(unavailable(this.#route.failureText(error), error))
      }
      request.once('error', fail)
      request.once('response', (response) => {
        readBody(response, ANSWER_BYTES_MAX).then((content) => {
          clearTimeout(timer)
          resolve({
            status: response.statusCode ?? 0,
            header: (name) => String(response.headers[name] ?? ''),
            body: content.toString('utf8'),
          })
        }, fail)
      })
    })
  }
}
