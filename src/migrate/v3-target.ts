import { setTimeout as pause } from 'node:timers/promises'
import { ChannelCredentials, Client, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { idToHex, revision } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { Codec } from '../wire/codec.js'
import {
  AuthenticateRequest,
  AuthenticateResponse,
  Compare,
  LeaseGrantRequest,
  LeaseGrantResponse,
  PutRequest,
  RangeRequest,
  RangeResponse,
  RequestOp,
  TxnRequest,
  TxnResponse,
} from '../wire/rpc.js'
import type { Change } from './batches.js'
import type { Credentials } from './options.js'

const LOG_IN = 'Auth/Authenticate'
const CALL_TIMEOUT_MS = 15_000
const ATTEMPTS_MAX = 40
const ATTEMPT_PAUSE_MS = 500
/** An answer of etcd is never larger: a transaction of puts answers with a few bytes each. */
const RECEIVE_BYTES_MAX = 16 * 1024 * 1024

/** Calls that failed for these reasons are made again: putting the same once more does no harm. */
const RETRIED: ReadonlySet<number> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.UNKNOWN,
])

type Lease = ReturnType<typeof LeaseGrantResponse.decode>['ID']

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The end of the range of all keys that begin with `prefix`; `\0` = there is none. */
export function prefixRangeEnd(prefix: Uint8Array): Uint8Array {
  const end = prefix.slice()
  for (let at = end.length - 1; at >= 0; at -= 1) {
    const byte = end[at] ?? 0xff
    if (byte === 0xff) continue
    end[at] = byte + 1
    return end.slice(0, at + 1)
  }
  return new Uint8Array([0])
}

/** Writes v3 keys through whichever of some members answers. */
export class V3Target {
  readonly #clients: readonly Client[]
  readonly #user: Credentials['user']
  #metadata = new Metadata()
  #turn = 0

  constructor(urls: readonly string[], credentials: Credentials) {
    const { ca, cert, key } = credentials.tls
    this.#user = credentials.user
    this.#clients = urls.map((text) => {
      const { protocol, host } = new URL(text)
      const channel =
        protocol === 'https:'
          ? ChannelCredentials.createSsl(ca ?? null, key ?? null, cert ?? null)
          : ChannelCredentials.createInsecure()
      return new Client(host, channel, { 'grpc.max_receive_message_length': RECEIVE_BYTES_MAX })
    })
  }

  /** Logs in, when there is a user; gives the id of the cluster, in hex, and its count of keys. */
  async open(prefix: string): Promise<{ readonly clusterId: string; readonly keys: number }> {
    if (this.#user !== undefined) await this.#logIn(this.#user)
    const key = utf8(prefix)
    const bounds =
      key.length === 0
        ? { key: new Uint8Array([0]), rangeEnd: new Uint8Array([0]) }
        : { key, rangeEnd: prefixRangeEnd(key) }
    const request = { ...bounds, countOnly: true }
    const { header, count } = await this.#call('KV/Range', RangeRequest, request, RangeResponse)
    invariant(header !== undefined, 'a range answers with a header')
    return { clusterId: idToHex(header.clusterId), keys: count }
  }

  async #logIn(user: NonNullable<Credentials['user']>): Promise<void> {
    const { name, password } = user
    const request = { name, password }
    // A call with a token that has ended is refused, this one too.
    this.#metadata = new Metadata()
    const { token } = await this.#call(LOG_IN, AuthenticateRequest, request, AuthenticateResponse)
    this.#metadata.set('token', token)
  }

  async grant(ttlSeconds: number): Promise<Lease> {
    const request = { TTL: ttlSeconds }
    const path = 'Lease/LeaseGrant'
    return (await this.#call(path, LeaseGrantRequest, request, LeaseGrantResponse)).ID
  }

  /** Makes all changes at once; gives the revision. `leaseOf` tells the lease of a key. */
  async write(batch: readonly Change[], leaseOf: (key: string) => Lease | undefined) {
    const success = batch.map((change) => operationOf(change, leaseOf))
    const { header } = await this.#call('KV/Txn', TxnRequest, { success }, TxnResponse)
    invariant(header !== undefined, 'a transaction answers with a header')
    return header.revision
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }

  async #call<Request, Init, Response>(
    path: string,
    request: Codec<Request, Init>,
    content: Init,
    response: Codec<Response, never> | Codec<Response, object>,
  ): Promise<Response> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const bytes = await this.#attempt(path, request.encode(content))
        return response.decode(bytes)
      } catch (thrown) {
        const { code } = thrown as ServiceError
        // Tokens end when they are not used for a while, and with the member that gave them.
        const isTokenGone = code === status.UNAUTHENTICATED && path !== LOG_IN
        const isRetried = (isTokenGone && this.#user !== undefined) || RETRIED.has(code)
        if (attempt === ATTEMPTS_MAX || !isRetried) throw thrown
        this.#turn += 1
        await pause(ATTEMPT_PAUSE_MS)
        if (isTokenGone && this.#user !== undefined) await this.#logIn(this.#user)
      }
    }
  }

  #attempt(path: string, bytes: Uint8Array): Promise<Uint8Array> {
    const client = this.#clients[this.#turn % this.#clients.length]
    invariant(client !== undefined, 'there is at least one member')
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/etcdserverpb.${path}`,
        (content: Uint8Array) => Buffer.from(content),
        (answer: Buffer) => new Uint8Array(answer),
        bytes,
        this.#metadata,
        { deadline: Date.now() + CALL_TIMEOUT_MS },
        (error, answer) => {
          if (error !== null) reject(error)
          else resolve(answer ?? new Uint8Array(0))
        },
      )
    })
  }
}

/** A key of ours that somebody else has changed in the target meanwhile is not deleted. */
function operationOf(change: Change, leaseOf: (key: string) => Lease | undefined): RequestOp {
  if (change.kind === 'put') {
    const { key, value } = change.item
    const lease = leaseOf(key)
    const put = { key: utf8(key), value: utf8(value), ...(lease === undefined ? {} : { lease }) }
    return RequestOp.create({ requestPut: PutRequest.create(put) })
  }
  const key = utf8(change.key)
  const requestDeleteRange = { key, rangeEnd: new Uint8Array(0), prevKv: false }
  if (change.revision === undefined) return RequestOp.create({ requestDeleteRange })
  const requestTxn = TxnRequest.create({
    compare: [
      Compare.create({
        result: 'EQUAL',
        target: 'MOD',
        key,
        modRevision: revision(change.revision),
      }),
    ],
    success: [RequestOp.create({ requestDeleteRange })],
  })
  return RequestOp.create({ requestTxn })
}
