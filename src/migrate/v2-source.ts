import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import type { Credentials } from './options.js'
import type { V2Node } from './v2-tree.js'

/** A tree as it was at one index of the source. */
export interface V2Snapshot {
  readonly root: V2Node
  readonly index: number
  readonly clusterId: string
  /** When the answer came, ms since 1970 by this machine's clock. */
  readonly readAtMs: number
}

/** The source said no; trying again will not help. */
export class SourceError extends Error {
  override readonly name = 'SourceError'
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

const KEY_NOT_FOUND = 100
const READ_TIMEOUT_MS = 120_000
/** A tree in JSON; the v2 store keeps all of it in memory as well. */
const BODY_BYTES_MAX = 512 * 1024 * 1024
const ROUNDS_MAX = 20
const ROUND_PAUSE_MS = 500

/** Reads a v2 tree through whichever of some members answers. */
export class V2Source {
  readonly #urls: readonly string[]
  readonly #path: string
  readonly #credentials: Credentials
  #turn = 0

  /** `prefix` is a path of the v2 API, `/` for everything. */
  constructor(urls: readonly string[], prefix: string, credentials: Credentials) {
    this.#urls = urls
    this.#path = `/v2/keys${prefix.split('/').map(encodeURIComponent).join('/')}`
    this.#credentials = credentials
  }

  /** The whole tree, read through the leader: what was acknowledged before is in it. */
  async read(): Promise<V2Snapshot> {
    for (let round = 1; ; round += 1) {
      let failure: unknown
      for (const _ of this.#urls) {
        try {
          return this.#snapshotOf(await this.#ask('?recursive=true&quorum=true', READ_TIMEOUT_MS))
        } catch (thrown) {
          if (thrown instanceof SourceError || isTlsRefusal(thrown)) throw thrown
          failure = thrown
          this.#turn += 1
        }
      }
      if (round === ROUNDS_MAX) throw failure
      await pause(ROUND_PAUSE_MS)
    }
  }

  /**
   * Resolves when something below the prefix changed after `index`, when that may be so, and after
   * `withinMs` at the latest.
   */
  async changed(index: number, withinMs: number, signal: AbortSignal): Promise<void> {
    const since = Date.now()
    try {
      await this.#ask(`?wait=true&recursive=true&waitIndex=${index + 1}`, withinMs, signal)
    } catch {
      // A member that went away, a history that was cleared, or simply the time: the tree tells.
      this.#turn += 1
      const rest = Math.min(ROUND_PAUSE_MS, withinMs - (Date.now() - since))
      if (rest > 0) await pause(rest, undefined, { signal }).catch(() => undefined)
    }
  }

  #snapshotOf({ status, headers, text }: Answer): V2Snapshot {
    const readAtMs = Date.now()
    const index = Number(headers['x-etcd-index'])
    const clusterId = String(headers['x-etcd-cluster-id'] ?? '')
    const body = parseBody(text)
    if (status === 200 && body?.node !== undefined && Number.isSafeInteger(index)) {
      return { root: body.node, index, clusterId, readAtMs }
    }
    if (body?.errorCode === KEY_NOT_FOUND) {
      throw new SourceError(`the source has no ${body.cause ?? 'such key'}`)
    }
    const isFinal = status === 401 || status === 403 || (status === 404 && body === undefined)
    const said = `the source answered ${status}: ${text.slice(0, 300).trim()}`
    throw isFinal ? new SourceError(said) : new Error(said)
  }

  #ask(query: string, withinMs: number, signal?: AbortSignal): Promise<Answer> {
    const url = new URL(`${this.#urls[this.#turn % this.#urls.length]}${this.#path}${query}`)
    const { tls, user } = this.#credentials
    const timeout = AbortSignal.timeout(withinMs)
    const options = {
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      agent: false as const,
      ...(user === undefined ? {} : { auth: `${user.name}:${user.password}` }),
      ...(url.protocol === 'https:' ? tls : {}),
    }
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const request = send(url, options, (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes <= BODY_BYTES_MAX) chunks.push(chunk)
          else request.destroy(new SourceError(`a tree of more than ${BODY_BYTES_MAX} bytes`))
        })
        response.once('error', reject)
        response.once('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString('utf8'),
          }),
        )
      })
      request.once('error', reject)
      request.end()
    })
  }
}

/** Who is not trusted, or does not trust, will not change its mind. */
const TLS_CODES = /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_)/

function isTlsRefusal(thrown: unknown): boolean {
  return TLS_CODES.test((thrown as NodeJS.ErrnoException | undefined)?.code ?? '')
}

interface Body {
  readonly node?: V2Node
  readonly errorCode?: number
  readonly cause?: string
}

function parseBody(text: string): Body | undefined {
  try {
    return JSON.parse(text) as Body
  } catch {
    return undefined
  }
}
