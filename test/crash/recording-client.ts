import type { Revision } from '../../src/base/ids.js'
import { bytesFromLatin1, latin1FromBytes } from '../../src/base/latin1.js'
import * as rpc from '../../src/wire/rpc.js'
import { pause } from '../interop/support/until.js'
import { describeResponse } from '../simulation/describe-response.js'
import type { ClientRequest, History, Operation } from '../simulation/history.js'
import { pick, type Random } from './random.js'
import { RawClient } from './raw-client.js'

/** How long one request may take, and the mean pause between two, in milliseconds. */
const PATIENCE_MS = 2500
const THINK_MEAN_MS = 15

/** Since the process started, microseconds. */
export const nowUs = (): number => Math.round(performance.now() * 1000)

type Kind = 'put' | 'read' | 'serializable' | 'compare' | 'delete'
const KINDS: readonly Kind[] = [
  ...(['put', 'put', 'put', 'put', 'read', 'read', 'read'] as const),
  ...(['serializable', 'compare', 'compare', 'delete'] as const),
]

const PATHS = { put: 'Put', deleteRange: 'DeleteRange', txn: 'Txn', read: 'Range' } as const
const RESPONSES = {
  put: rpc.PutResponse,
  deleteRange: rpc.DeleteRangeResponse,
  txn: rpc.TxnResponse,
  read: rpc.RangeResponse,
} as const
type Method = keyof typeof PATHS

/**
 * Does one thing after the other on a few keys, through one member after the other, and writes each value once. It
 * notes call and return of each in a history; whatever is not answered may have happened, and may still.
 */
export class RecordingClient {
  readonly #id: number
  readonly #clients: readonly RawClient[]
  readonly #random: Random
  #place: number
  #count = 0
  /** Mod revisions of keys as last read. */
  readonly #seen = new Map<string, number>()
  #isStopping = false
  #done: Promise<void> = Promise.resolve()

  constructor(options: Readonly<{ id: number; urls: readonly string[]; random: Random }>) {
    this.#id = options.id
    this.#clients = options.urls.map((url) => new RawClient(url))
    this.#random = options.random
    this.#place = options.id
  }

  start(history: History, keys: readonly string[]): void {
    this.#isStopping = false
    this.#done = this.#run(history, keys)
  }

  /** Resolves when the request under way has ended. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#done
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }

  async #run(history: History, keys: readonly string[]): Promise<void> {
    while (!this.#isStopping) {
      await this.#act(history, pick(this.#random, KINDS), pick(this.#random, keys))
      await pause(this.#random(2 * THINK_MEAN_MS))
    }
  }

  /** A linearizable read of each key. */
  async readAll(history: History, keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#act(history, 'read', key)
  }

  async #act(history: History, kind: Kind, key: string): Promise<void> {
    const { method, request, encoded } = this.#draw(kind, bytesFromLatin1(key))
    const place = this.#place % this.#clients.length
    const operation = history.begin(this.#id, place, request, nowUs())
    try {
      const path = `/etcdserverpb.KV/${PATHS[method]}`
      const answer = await this.#clients[place]?.call(path, encoded, PATIENCE_MS)
      operation.returnedUs = nowUs()
      this.#answered(operation, method, answer ?? new Uint8Array(0))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error
      // The next member may be well.
      this.#place += 1
    }
  }

  #answered(operation: Operation, method: Method, answer: Uint8Array): void {
    const response = RESPONSES[method].decode(answer)
    const revision = response.header?.revision ?? 0
    const described = describeResponse(method, response)
    operation.outcome = { kind: 'answered', revision, response: described }
    if (method !== 'read') return
    const { kvs } = rpc.RangeResponse.decode(answer)
    for (const { key, modRevision } of kvs) this.#seen.set(latin1FromBytes(key), modRevision)
  }

  #draw(
    kind: Kind,
    key: Uint8Array,
  ): { readonly method: Method; readonly request: ClientRequest; readonly encoded: Uint8Array } {
    switch (kind) {
      case 'put':
        return write('put', rpc.PutRequest.encode({ key, value: this.#value() }))
      case 'delete':
        return write('deleteRange', rpc.DeleteRangeRequest.encode({ key }))
      case 'compare': {
        const modRevision = (this.#seen.get(latin1FromBytes(key)) ?? 0) as Revision
        const value = this.#value()
        const encoded = rpc.TxnRequest.encode({
          compare: [rpc.Compare.create({ target: 'MOD', result: 'EQUAL', key, modRevision })],
          success: [rpc.RequestOp.create({ requestPut: rpc.PutRequest.create({ key, value }) })],
          failure: [rpc.RequestOp.create({ requestRange: rpc.RangeRequest.create({ key }) })],
        })
        return write('txn', encoded)
      }
      default: {
        const request = rpc.RangeRequest.create({ key, serializable: kind === 'serializable' })
        const encoded = rpc.RangeRequest.encode(request)
        return { method: 'read', request: { kind: 'read', request }, encoded }
      }
    }
  }

  #value(): Uint8Array {
    this.#count += 1
    return bytesFromLatin1(`${this.#id}-${this.#count}`)
  }
}

function write(
  method: 'put' | 'deleteRange' | 'txn',
  encoded: Uint8Array,
): { readonly method: Method; readonly request: ClientRequest; readonly encoded: Uint8Array } {
  return { method, request: { kind: 'write', operation: method, encoded }, encoded }
}
