import { logIndex, requestId, term } from '../../src/base/ids.js'
import { bytesFromLatin1, latin1FromBytes } from '../../src/base/latin1.js'
import { sealEncoded } from '../../src/wire/raft-envelope.js'
import * as rpc from '../../src/wire/rpc.js'
import type { Event } from '../interop/support/v3-client.js'
import type { ClientRequest, Operation } from '../simulation/history.js'
import { Model } from '../simulation/linearizability/model.js'
import type { Replayed } from '../simulation/linearizability/replay-check.js'

type Write = ClientRequest & { readonly kind: 'write' }

/** How an event is written down: everything in it. */
export function describeEvent({ type, kv }: Event): string {
  const { create_revision, mod_revision, version } = kv
  const [key, value] = [kv.key.toString('latin1'), kv.value.toString('latin1')]
  return `${mod_revision} ${type} ${key}=${value}@${create_revision}/${version}`
}

/** The value that a write leaves behind; undefined for deletions. */
function writtenBy({ operation, encoded }: Write): string | undefined {
  if (operation === 'put') return latin1FromBytes(rpc.PutRequest.decode(encoded).value)
  if (operation !== 'txn') return undefined
  const put = rpc.TxnRequest.decode(encoded).success[0]?.requestPut
  return put === undefined ? undefined : latin1FromBytes(put.value)
}

/**
 * What was committed, told from outside: each revision is one event of a watch, and each value names the write it came
 * from, whether that was answered or not. So the naive model can be played, and the answers be compared with it.
 */
export class WatchedLog {
  readonly replayed: Replayed = { model: new Model(), madeUs: new Map() }
  readonly #writes = new Map<string, Write>()
  readonly #usedValues = new Map<string, number>()
  #taken = 0
  #index = 0

  /** Takes note of everything that was asked for. */
  know(operations: readonly Operation[]): void {
    for (const { request } of operations) {
      if (request.kind !== 'write') continue
      const value = writtenBy(request)
      if (value !== undefined) this.#writes.set(value, request)
    }
  }

  /** Plays the events that came since the last call. Returns what cannot be explained, or undefined. */
  follow(events: readonly Event[]): string | undefined {
    for (; this.#taken < events.length; this.#taken++) {
      const event = events[this.#taken]
      const problem = event === undefined ? undefined : this.#play(event)
      if (problem !== undefined) return problem
    }
    return undefined
  }

  #play(event: Event): string | undefined {
    const { model } = this.replayed
    const shown = describeEvent(event)
    const at = Number(event.kv.mod_revision)
    if (at !== model.revision + 1) return `${shown} came behind revision ${model.revision}`
    const write = this.#writeOf(event)
    if (write === undefined) return `${shown}: a value that nobody sent`
    const value = event.type === 'PUT' ? event.kv.value.toString('latin1') : undefined
    const before = value === undefined ? undefined : this.#usedValues.get(value)
    if (before !== undefined) return `${shown} was written at ${before} already`
    if (value !== undefined) this.#usedValues.set(value, at)
    this.#index += 1
    const id = requestId(BigInt(this.#index))
    model.apply({
      type: 'EntryNormal',
      term: term(1),
      index: logIndex(this.#index),
      data: sealEncoded(write.operation, write.encoded, {
        ID: id,
        username: '',
        authRevision: 0,
      } as Parameters<typeof sealEncoded>[2]),
    })
    const made = model.events.get(at)
    const modelled = made?.map(({ kind, key, kv }) =>
      kind === 'PUT'
        ? `${at} PUT ${key}=${kv?.value}@${kv?.create}/${kv?.version}`
        : `${at} DELETE ${key}=@0/0`,
    )
    const agrees = modelled?.length === 1 && modelled[0] === shown
    return agrees ? undefined : `${shown}, but the model has ${modelled?.join(', ') ?? 'nothing'}`
  }

  #writeOf({ type, kv }: Event): Write | undefined {
    if (type === 'PUT') return this.#writes.get(kv.value.toString('latin1'))
    const key = bytesFromLatin1(kv.key.toString('latin1'))
    const encoded = rpc.DeleteRangeRequest.encode({ key })
    return { kind: 'write', operation: 'deleteRange', encoded }
  }
}
