import { txnCost } from '../../../src/apply/request-cost.js'
import { latin1FromBytes } from '../../../src/base/latin1.js'
import { openEntry, type V3Request } from '../../../src/wire/raft-envelope.js'
import type { Entry } from '../../../src/wire/raftpb.js'
import type {
  AlarmRequest,
  Compare,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../../../src/wire/rpc.js'
import {
  describeKeyValue,
  describePrevious,
  describeRange,
  type PlainKeyValue,
} from '../describe-response.js'
import { WORK_FROM, WORK_TO } from '../describe-store.js'

/** A key at one revision; without a value it is gone. */
interface Version {
  readonly revision: number
  readonly kv: PlainKeyValue | undefined
}

export interface ModelEvent {
  readonly kind: 'PUT' | 'DELETE'
  readonly key: string
  readonly kv: PlainKeyValue | undefined
  readonly previous: PlainKeyValue | undefined
}

/** What an entry came to, as the model sees it. */
export interface ModelStep {
  readonly index: number
  readonly operation: V3Request['operation']
  /** The request as it is in the entry, decoded. */
  readonly request: V3Request['request']
  readonly revision: number
  readonly isMutation: boolean
  readonly response: string
}

/** The store as etcd's documentation describes it: naive, slow, and with all of its past. */
export class Model {
  revision = 1
  compacted = -1
  readonly #versions = new Map<string, Version[]>()
  readonly #leases = new Map<bigint, { readonly ttl: number; readonly keys: Set<string> }>()
  readonly #leaseOf = new Map<string, bigint>()
  /** Steps that made a revision, by revision. */
  readonly mutations = new Map<number, ModelStep>()
  readonly steps: ModelStep[] = []
  readonly events = new Map<number, ModelEvent[]>()
  /** The entry of each request id. Another request may have an old id: clocks are set back. */
  readonly requestIds = new Map<bigint, Entry>()
  /** Entry index of each compaction, by the revision it compacted to. */
  readonly compactions: { readonly index: number; readonly revision: number }[] = []
  duplicate: string | undefined
  /** Members whose quota is used up: nothing that takes space is applied. */
  readonly #fullMembers = new Set<bigint>()
  /** Changes of the transaction under way. */
  #open: ModelEvent[] = []

  apply(entry: Entry): void {
    if (entry.type !== 'EntryNormal') return
    const opened = openEntry(entry.data)
    if (opened.kind !== 'v3') return
    const before = this.requestIds.get(opened.id)
    if (before !== undefined && Buffer.compare(before.data, entry.data) === 0)
      this.duplicate ??= `request ${opened.id} is at ${before.index} and at ${entry.index}`
    this.requestIds.set(opened.id, entry)
    this.#open = []
    const { response } = this.#evaluate(opened, entry.index)
    const isMutation = this.#open.length > 0
    if (isMutation) {
      this.revision++
      this.events.set(this.revision, this.#open)
    }
    const step: ModelStep = {
      index: entry.index,
      operation: opened.operation,
      request: opened.request,
      revision: this.revision,
      isMutation,
      response,
    }
    this.steps.push(step)
    if (isMutation) this.mutations.set(this.revision, step)
  }

  hasLease(id: bigint): boolean {
    return this.#leases.has(id)
  }

  leaseIds(): bigint[] {
    return [...this.#leases.keys()]
  }

  leaseKeys(id: bigint): string[] {
    return [...(this.#leases.get(id)?.keys ?? [])].sort()
  }

  ttlOf(id: bigint): number | undefined {
    return this.#leases.get(id)?.ttl
  }

  /** Key-values of a range as of a revision, in key order. */
  range(key: string, end: string, at: number): PlainKeyValue[] {
    const found: PlainKeyValue[] = []
    const keys = end === '' ? [key] : [...this.#versions.keys()].sort()
    for (const name of keys) {
      if (end !== '' && (name < key || (end !== '\0' && name >= end))) continue
      const kv = this.#at(name, at)
      if (kv !== undefined) found.push(kv)
    }
    return found
  }

  /** All keys of the workload as of a revision, in words. */
  describeRange(at: number): string {
    return this.range(WORK_FROM, WORK_TO, at).map(describeKeyValue).join(' ')
  }

  /** A range request's answer as of a revision. */
  describeRead(request: RangeRequest, at: number): string {
    const all = this.range(latin1FromBytes(request.key), latin1FromBytes(request.rangeEnd), at)
    const limit = request.limit > 0 ? request.limit : all.length
    return describeRange(all.slice(0, limit), all.length, all.length > limit)
  }

  #at(key: string, at: number): PlainKeyValue | undefined {
    const versions = this.#versions.get(key)
    if (versions === undefined) return undefined
    let low = 0
    let high = versions.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((versions[middle]?.revision ?? 0) <= at) low = middle + 1
      else high = middle
    }
    return versions[low - 1]?.kv
  }

  /** As the transaction under way sees it. */
  #now(key: string): PlainKeyValue | undefined {
    return this.#at(key, this.revision + 1)
  }

  #evaluate(entry: V3Request, index: number): { readonly response: string } {
    if (this.#fullMembers.size > 0 && needsSpace(entry)) return { response: 'NO_SPACE' }
    switch (entry.operation) {
      case 'alarm':
        this.#alarm(entry.request)
        return { response: 'alarm' }
      case 'put': {
        const { key, value, lease } = entry.request
        if (lease !== 0n && !this.#leases.has(lease)) return { response: 'LEASE_NOT_FOUND' }
        const name = latin1FromBytes(key)
        const previous = entry.request.prevKv ? this.range(name, '', this.revision) : []
        this.#put(name, latin1FromBytes(value), lease)
        return { response: `put${describePrevious(previous)}` }
      }
      case 'deleteRange': {
        const { key, rangeEnd } = entry.request
        const [from, end] = [latin1FromBytes(key), latin1FromBytes(rangeEnd)]
        const previous = entry.request.prevKv ? this.range(from, end, this.revision) : []
        return { response: `deleted${this.#delete(from, end)}${describePrevious(previous)}` }
      }
      case 'txn':
        return { response: this.#txn(entry.request) }
      case 'compaction': {
        const at = entry.request.revision
        if (at <= this.compacted) return { response: 'COMPACTED' }
        if (at > this.revision) return { response: 'FUTURE_REVISION' }
        this.compacted = at
        this.compactions.push({ index, revision: at })
        return { response: 'compaction' }
      }
      case 'leaseGrant': {
        const { ID, TTL } = entry.request
        if (this.#leases.has(ID)) return { response: 'LEASE_EXISTS' }
        this.#leases.set(ID, { ttl: TTL, keys: new Set() })
        return { response: 'leaseGrant' }
      }
      case 'leaseRevoke': {
        const lease = this.#leases.get(entry.request.ID)
        if (lease === undefined) return { response: 'LEASE_NOT_FOUND' }
        for (const key of [...lease.keys].sort()) this.#delete(key, '')
        this.#leases.delete(entry.request.ID)
        return { response: 'leaseRevoke' }
      }
      default:
        return { response: entry.operation }
    }
  }

  #alarm({ action, alarm, memberID }: AlarmRequest): void {
    if (alarm !== 'NOSPACE') return
    if (action === 'ACTIVATE') this.#fullMembers.add(memberID)
    if (action === 'DEACTIVATE') this.#fullMembers.delete(memberID)
  }

  #put(key: string, value: string, lease: bigint): void {
    const previous = this.#now(key)
    const revision = this.revision + 1
    const kv: PlainKeyValue = {
      key,
      value,
      create: previous?.create ?? revision,
      mod: revision,
      version: (previous?.version ?? 0) + 1,
      lease,
    }
    this.#unhook(key)
    if (lease !== 0n) {
      this.#leases.get(lease)?.keys.add(key)
      this.#leaseOf.set(key, lease)
    }
    this.#record(key, { revision, kv })
    this.#open.push({ kind: 'PUT', key, kv, previous: this.#at(key, this.revision) })
  }

  #delete(key: string, end: string): number {
    const found = this.range(key, end, this.revision + 1)
    for (const kv of found) {
      this.#unhook(kv.key)
      this.#record(kv.key, { revision: this.revision + 1, kv: undefined })
      const previous = this.#at(kv.key, this.revision)
      this.#open.push({ kind: 'DELETE', key: kv.key, kv: undefined, previous })
    }
    return found.length
  }

  #unhook(key: string): void {
    const lease = this.#leaseOf.get(key)
    if (lease === undefined) return
    this.#leases.get(lease)?.keys.delete(key)
    this.#leaseOf.delete(key)
  }

  #record(key: string, version: Version): void {
    const versions = this.#versions.get(key)
    if (versions === undefined) this.#versions.set(key, [version])
    else versions.push(version)
  }

  #txn(request: TxnRequest): string {
    // What is asked is asked of what was there before, within inner transactions too.
    const taken = this.#taken(request)
    const operations = flat(taken)
    const lacksLease = operations.some(
      ({ requestPut }) =>
        requestPut !== undefined && requestPut.lease !== 0n && !this.#leases.has(requestPut.lease),
    )
    if (lacksLease) return 'LEASE_NOT_FOUND'
    for (const { requestRange } of operations) {
      const at = requestRange?.revision ?? 0
      if (at > this.revision) return 'FUTURE_REVISION'
      if (at > 0 && at < this.compacted) return 'COMPACTED'
    }
    return this.#run(taken)
  }

  #taken({ compare, success, failure }: TxnRequest): Taken {
    const succeeded = compare.every((one) => this.#holds(one))
    const operations = (succeeded ? success : failure).map((operation) =>
      operation.requestTxn === undefined ? operation : this.#taken(operation.requestTxn),
    )
    return { succeeded, operations }
  }

  #run({ succeeded, operations }: Taken): string {
    const responses = operations.map((operation) =>
      'operations' in operation ? this.#run(operation) : this.#operate(operation),
    )
    return `txn${succeeded ? '+' : '-'}(${responses.join(',')})`
  }

  #holds({ target, result, key, modRevision, version, value }: Compare): boolean {
    const kv = this.#now(latin1FromBytes(key))
    if (target === 'MOD') return compares(result, kv?.mod ?? 0, modRevision ?? 0)
    if (target === 'VERSION') return compares(result, kv?.version ?? 0, version ?? 0)
    if (kv === undefined || value === undefined) return false
    return compares(result, kv.value, latin1FromBytes(value))
  }

  #operate({ requestPut, requestDeleteRange, requestRange }: RequestOp): string {
    if (requestPut !== undefined) {
      this.#put(
        latin1FromBytes(requestPut.key),
        latin1FromBytes(requestPut.value),
        requestPut.lease,
      )
      return 'put'
    }
    if (requestDeleteRange !== undefined) {
      const { key, rangeEnd } = requestDeleteRange
      return `deleted${this.#delete(latin1FromBytes(key), latin1FromBytes(rangeEnd))}`
    }
    if (requestRange === undefined) return 'unknown'
    const at = requestRange.revision > 0 ? requestRange.revision : this.revision + 1
    return this.describeRead(requestRange, at)
  }
}

/** The way that a transaction takes. */
interface Taken {
  readonly succeeded: boolean
  readonly operations: readonly (RequestOp | Taken)[]
}

const flat = ({ operations }: Taken): readonly RequestOp[] =>
  operations.flatMap((operation) => ('operations' in operation ? flat(operation) : [operation]))

function needsSpace(entry: V3Request): boolean {
  if (entry.operation === 'put' || entry.operation === 'leaseGrant') return true
  return entry.operation === 'txn' && txnCost(entry.request) > 0
}

function compares<T extends number | string>(result: Compare['result'], a: T, b: T): boolean {
  if (result === 'EQUAL') return a === b
  if (result === 'NOT_EQUAL') return a !== b
  return result === 'GREATER' ? a > b : a < b
}
