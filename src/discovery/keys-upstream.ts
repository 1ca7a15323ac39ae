/** The cluster behind a discovery service: its members, asked one after the other. */
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { request as requestTls, Agent as TlsAgent } from 'node:https'
import { readBody } from '../peer/peer-request.js'

/** Files for members that are reached over TLS, in PEM. */
export interface UpstreamTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export interface UpstreamRequest {
  readonly method: string
  /** From the root, with the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: Buffer | undefined
}

/** No member can be reached. */
export class UpstreamUnavailable extends Error {
  override readonly name = 'UpstreamUnavailable'
}

/** Idle connections kept to each member. */
const FREE_SOCKETS_MAX = 64
/** An answer that is read whole is about one key. */
const ANSWER_BYTES_MAX = 64 * 1024
/** How long an answer that is read whole may take, ms. */
const ANSWER_TIMEOUT_MS = 5000

export class KeysUpstream {
  readonly #members: readonly URL[]
  readonly #plain = new Agent({ keepAlive: true, maxFreeSockets: FREE_SOCKETS_MAX })
  readonly #secure: TlsAgent
  /** The member that answered last. */
  #at = 0

  constructor(members: readonly URL[], tls: UpstreamTls = {}) {
    this.#members = members
    this.#secure = new TlsAgent({ keepAlive: true, maxFreeSockets: FREE_SOCKETS_MAX, ...tls })
  }

  /**
   * The answer of the first member that can be reached, its body still to be read; waits as long as
   * it takes. A request is never sent twice: only a connection that does not stand is given up.
   */
  async forward(outgoing: UpstreamRequest, signal: AbortSignal): Promise<IncomingMessage> {
    let failure: unknown
    for (let tried = 0; tried < this.#members.length; tried += 1) {
      try {
        return await this.#send(outgoing, signal)
      } catch (error) {
        failure = error
        if (!isDialFailure(error)) break
        this.#at = (this.#at + 1) % this.#members.length
      }
    }
    const text = failure instanceof Error ? failure.message : String(failure)
    throw new UpstreamUnavailable(text, { cause: failure })
  }

  /** A short answer, read whole; rejects when there is none in time. */
  async ask(outgoing: UpstreamRequest): Promise<{ status: number; body: string }> {
    const answer = await this.forward(outgoing, AbortSignal.timeout(ANSWER_TIMEOUT_MS))
    const body = await readBody(answer, ANSWER_BYTES_MAX)
    return { status: answer.statusCode ?? 0, body: body.toString('utf8') }
  }

  close(): void {
    this.#plain.destroy()
    this.#secure.destroy()
  }

  #send(outgoing: UpstreamRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const member = this.#members[this.#at]
    if (member === undefined) throw new UpstreamUnavailable('no member is known')
    const { method, path, headers, body } = outgoing
    const isSecure = member.protocol === 'https:'
    const options: RequestOptions = {
      method,
      path,
      signal,
      headers: {
        ...headers,
        Host: member.host,
        ...(body === undefined ? {} : { 'Content-Length': body.length }),
      },
      agent: isSecure ? this.#secure : this.#plain,
    }
    return new Promise((resolve, reject) => {
      const sent = isSecure ? requestTls(member, options) : request(member, options)
      sent.once('response', resolve)
      sent.once('error', reject)
      sent.end(body)
    })
  }
}

/** Whether nothing of the request can have reached the member. */
function isDialFailure(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  const isConnect = 'syscall' in error && error.syscall === 'connect'
  return isConnect || error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN'
}
