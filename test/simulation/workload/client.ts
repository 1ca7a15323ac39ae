import { leaseId, type Revision, revision } from '../../../src/base/ids.js'
import { bytesFromLatin1 } from '../../../src/base/latin1.js'
import * as rpc from '../../../src/wire/rpc.js'
import type { ClientOutcome, ClientRequest, History, Operation } from '../history.js'
import type { SimulatedNode } from '../node.js'
import { type SimulationOptions, WORK, type WorkKind } from '../options.js'
import type { Prng } from '../world/prng.js'
import type { World } from '../world/world.js'
import type { Rests } from './rests.js'
import { serve } from './serve.js'

/** How long a client waits for an answer before it gives up, microseconds. */
const PATIENCE_US = 3_000_000
/** One way between client and member, mean microseconds. */
const CLIENT_DELAY_US = 200

export interface ClientContext {
  readonly world: World
  readonly options: SimulationOptions
  readonly history: History
  readonly nodes: readonly SimulatedNode[]
  readonly rests: Rests
}

/** Of a value that takes several sectors of a disk. */
const LARGE_VALUE_BYTES = 3000
/** What shows a client the mod revisions of keys. */
const TEACHING = new Set<WorkKind>(['get', 'list', 'list-pages', 'create', 'update', 'remove'])

const key = (at: number): Uint8Array => bytesFromLatin1(`k${String(at).padStart(2, '0')}`)
const ALL_FROM = bytesFromLatin1('k')
const ALL_TO = bytesFromLatin1('l')

/** A client that does one thing after the other on few hot keys, and writes each value once. */
export class Client {
  readonly #id: number
  readonly #context: ClientContext
  readonly #prng: Prng
  readonly #previousPrng: Prng
  #place = 0
  #valueCount = 0
  #seenRevision = 1
  /** Mod revisions of keys as last read. */
  readonly #seenMods = new Map<number, number>()
  #leases: bigint[] = []
  /** Where a list that is read page by page goes on. */
  #page: { readonly from: Uint8Array; readonly revision: number } | undefined
  #isStopped = false
  #isBusy = false
  /** How often it was told to go on: what an earlier round put off does not happen. */
  #round = 0

  constructor(id: number, context: ClientContext) {
    this.#id = id
    this.#context = context
    this.#prng = context.world.prng.fork(`client/${id}`)
    this.#previousPrng = context.world.prng.fork(`client-previous/${id}`)
  }

  get isIdle(): boolean {
    return !this.#isBusy
  }

  start(): void {
    this.#later()
  }

  stop(): void {
    this.#isStopped = true
  }

  /** Goes on after a stop, once it is idle. */
  resume(): void {
    this.#isStopped = false
    this.#round++
    this.#later()
  }

  /** One write that must succeed when everything is well. */
  probe(node: SimulatedNode, done: (isAnswered: boolean) => void): void {
    const encoded = rpc.PutRequest.encode({ key: key(0), value: this.#value() })
    this.#send(node, { kind: 'write', operation: 'put', encoded }, (operation) =>
      done(operation.outcome.kind === 'answered'),
    )
  }

  #later(): void {
    const { options, world, rests } = this.#context
    const delayUs = rests.leftUs(world.nowUs) + this.#prng.skewed(options.thinkMeanMs * 1000)
    const round = this.#round
    world.queue.after(delayUs, () => {
      if (round === this.#round) this.#act()
    })
  }

  #act(): void {
    if (this.#isStopped) return
    const { nodes } = this.#context
    if (this.#prng.perMille(100)) this.#place = this.#prng.below(nodes.length)
    const node = nodes[this.#place % nodes.length]
    if (node === undefined || !node.isUp) {
      this.#place = this.#prng.below(nodes.length)
      this.#later()
      return
    }
    const { kind, request } = this.#draw()
    this.#send(node, request, (operation) => {
      this.#learn(kind, operation)
      if (operation.outcome.kind === 'unknown') this.#place = this.#prng.below(nodes.length)
      this.#later()
    })
  }

  #send(node: SimulatedNode, request: ClientRequest, done: (operation: Operation) => void): void {
    const { world, history } = this.#context
    const operation = history.begin(this.#id, node.place, request, world.nowUs)
    this.#isBusy = true
    let isOver = false
    const finish = (outcome: ClientOutcome, why: string): void => {
      if (isOver) return
      isOver = true
      this.#isBusy = false
      offDeath()
      offPatience()
      history.end(operation, outcome, world.nowUs)
      world.trace.event(
        node.place,
        outcome.kind,
        this.#id,
        outcome.kind === 'answered' ? outcome.revision : 0,
      )
      world.trace.note(
        node.place,
        () => `client ${this.#id} ${describe(request)} -> ${why} ${JSON.stringify(outcome)}`,
      )
      done(operation)
    }
    const offPatience = world.queue.after(PATIENCE_US, () => finish({ kind: 'unknown' }, 'late'))
    const offDeath = node.onDeath(() => {
      world.queue.after(this.#delayUs(), () => finish({ kind: 'unknown' }, 'member died'))
    })
    const { incarnation } = node
    const answer = (outcome: ClientOutcome): void => {
      if (isOver) return
      world.queue.after(this.#delayUs(), () => finish(outcome, 'answer'))
    }
    world.queue.after(this.#delayUs(), () =>
      node.run(incarnation, () => {
        if (node.member !== undefined) serve(node.member, request, answer)
      }),
    )
  }

  #delayUs(): number {
    return 10 + this.#prng.skewed(CLIENT_DELAY_US)
  }

  #learn(kind: WorkKind, { outcome, request }: Operation): void {
    // A list whose revision was compacted meanwhile begins again.
    if (kind === 'list-pages' && outcome.kind === 'failed') this.#page = undefined
    if (outcome.kind === 'answered') {
      this.#seenRevision = Math.max(this.#seenRevision, outcome.revision)
      if (TEACHING.has(kind)) {
        for (const [, name = '', mod = '0'] of outcome.response.matchAll(
          /k(\d\d)=[^@]*@\d+\/(\d+)/g,
        ))
          this.#seenMods.set(Number(name), Number(mod))
      }
      if (kind === 'list-pages' && request.kind === 'read') this.#turnPage(outcome)
      if (kind === 'grant' && request.kind === 'write') {
        this.#leases.push(rpc.LeaseGrantRequest.decode(request.encoded).ID)
        this.#leases = this.#leases.slice(-4)
      }
    }
  }

  /** The next page begins behind the last key, at the revision of the first page. */
  #turnPage({ response, revision: at }: ClientOutcome & { kind: 'answered' }): void {
    const last = [...response.matchAll(/k\d\d(?==)/g)].at(-1)?.[0]
    const isMore = response.endsWith('+') && last !== undefined
    this.#page = isMore
      ? { from: bytesFromLatin1(`${last}\0`), revision: this.#page?.revision ?? at }
      : undefined
  }

  #draw(): { readonly kind: WorkKind; readonly request: ClientRequest } {
    const kind = this.#drawKind()
    return { kind, request: this.#request(kind) }
  }

  #drawKind(): WorkKind {
    const { workload } = this.#context.options
    const total = WORK.reduce((sum, kind) => sum + workload[kind], 0)
    let at = this.#prng.below(total)
    for (const kind of WORK) {
      at -= workload[kind]
      if (at < 0) return kind
    }
    return 'put'
  }

  #request(kind: WorkKind): ClientRequest {
    const prng = this.#prng
    const place = prng.below(this.#context.options.keyCount)
    switch (kind) {
      case 'put':
        return write(
          'put',
          rpc.PutRequest.encode({ key: key(place), value: this.#value(), prevKv: this.#asks() }),
        )
      case 'put-lease': {
        const lease = leaseId(this.#lease())
        return write('put', rpc.PutRequest.encode({ key: key(place), value: this.#value(), lease }))
      }
      case 'get':
        return read({ key: key(place) })
      case 'get-serializable':
        return read({ key: key(place), serializable: true })
      case 'get-old': {
        const at = Math.max(1, this.#seenRevision - prng.below(20))
        return read({ key: ALL_FROM, rangeEnd: ALL_TO, revision: revision(at) })
      }
      case 'list':
        return read({ key: ALL_FROM, rangeEnd: ALL_TO, limit: prng.below(5) })
      case 'compare-and-set':
        return write('txn', this.#compareAndPut(place, this.#seenMods.get(place) ?? 0))
      case 'multi-txn':
        return write('txn', this.#multiTxn(place))
      case 'delete':
        return write(
          'deleteRange',
          rpc.DeleteRangeRequest.encode({ key: key(place), prevKv: this.#asks() }),
        )
      case 'delete-range':
        return write(
          'deleteRange',
          rpc.DeleteRangeRequest.encode({
            key: key(place),
            rangeEnd: key(place + 3),
            prevKv: this.#asks(),
          }),
        )
      case 'grant': {
        const ID = leaseId(BigInt(this.#id * 1_000_000 + ++this.#valueCount))
        return write('leaseGrant', rpc.LeaseGrantRequest.encode({ ID, TTL: prng.between(1, 8) }))
      }
      case 'renew':
        return { kind: 'renew', lease: this.#lease() }
      case 'revoke': {
        const ID = leaseId(this.#lease())
        return write('leaseRevoke', rpc.LeaseRevokeRequest.encode({ ID }))
      }
      case 'put-large': {
        const value = this.#value(LARGE_VALUE_BYTES)
        return write('put', rpc.PutRequest.encode({ key: key(place), value }))
      }
      case 'list-stale':
        return read({ key: ALL_FROM, rangeEnd: ALL_TO, serializable: true })
      case 'list-pages':
        return read({
          key: this.#page?.from ?? ALL_FROM,
          rangeEnd: ALL_TO,
          limit: prng.between(1, 4),
          revision: revision(this.#page?.revision ?? 0),
        })
      case 'create':
        return write('txn', this.#compareAndPut(place, 0))
      case 'update':
        return write('txn', this.#compareAndPut(place, this.#seenMods.get(place) ?? 0))
      case 'remove':
        return write('txn', this.#compareAndDelete(place))
      case 'nested-txn':
        return write('txn', this.#nestedTxn(place))
      case 'txn-old':
        return write('txn', this.#oldTxn(place))
      case 'compact': {
        const at = Math.max(1, this.#seenRevision - prng.below(30)) as Revision
        return write('compaction', rpc.CompactionRequest.encode({ revision: at }))
      }
    }
  }

  /** Puts a key if it is as it was when last seen; 0 = if it is not there. Else reads it. */
  #compareAndPut(place: number, modRevision: number): Uint8Array {
    return ifUnchanged(place, modRevision, {
      requestPut: rpc.PutRequest.create({ key: key(place), value: this.#value() }),
    })
  }

  #compareAndDelete(place: number): Uint8Array {
    return ifUnchanged(place, this.#seenMods.get(place) ?? 0, {
      requestDeleteRange: rpc.DeleteRangeRequest.create({ key: key(place) }),
    })
  }

  /** A put, and a read of a revision that may be compacted by then: both or neither. */
  #oldTxn(place: number): Uint8Array {
    const at = Math.max(1, this.#seenRevision - this.#prng.below(30))
    return rpc.TxnRequest.encode({
      success: [
        rpc.RequestOp.create({
          requestPut: rpc.PutRequest.create({ key: key(place), value: this.#value() }),
        }),
        rpc.RequestOp.create({
          requestRange: rpc.RangeRequest.create({
            key: ALL_FROM,
            rangeEnd: ALL_TO,
            revision: revision(at),
          }),
        }),
      ],
    })
  }

  /**
   * A put, and a transaction within, which asks about another key as it was before all of it and
   * writes it in any case; then a read of everything.
   */
  #nestedTxn(place: number): Uint8Array {
    const other = key(place + 1)
    const inner = rpc.RequestOp.create({
      requestPut: rpc.PutRequest.create({ key: other, value: this.#value() }),
    })
    const all = rpc.RequestOp.create({
      requestRange: rpc.RangeRequest.create({ key: ALL_FROM, rangeEnd: ALL_TO }),
    })
    return rpc.TxnRequest.encode({
      success: [
        rpc.RequestOp.create({
          requestPut: rpc.PutRequest.create({ key: key(place), value: this.#value() }),
        }),
        rpc.RequestOp.create({
          requestTxn: rpc.TxnRequest.create({
            compare: [
              rpc.Compare.create({
                target: 'MOD',
                result: 'EQUAL',
                key: other,
                modRevision: revision(this.#seenMods.get(place + 1) ?? 0),
              }),
            ],
            success: [inner],
            failure: [all, inner],
          }),
        }),
        all,
      ],
    })
  }

  /** A put, a deletion and a read of other keys, under one revision. */
  #multiTxn(place: number): Uint8Array {
    const other = key(place + 1)
    return rpc.TxnRequest.encode({
      success: [
        rpc.RequestOp.create({
          requestPut: rpc.PutRequest.create({ key: key(place), value: this.#value() }),
        }),
        rpc.RequestOp.create({
          requestDeleteRange: rpc.DeleteRangeRequest.create({ key: other }),
        }),
        rpc.RequestOp.create({
          requestRange: rpc.RangeRequest.create({ key: ALL_FROM, rangeEnd: ALL_TO }),
        }),
      ],
    })
  }

  /** Whether it wants to know what was there before. */
  #asks(): boolean {
    const { previousPerMille } = this.#context.options.world
    return previousPerMille > 0 && this.#previousPrng.perMille(previousPerMille)
  }

  #value(bytes = 0): Uint8Array {
    return bytesFromLatin1(`v${this.#id}.${++this.#valueCount}`.padEnd(bytes, '.'))
  }

  #lease(): bigint {
    return this.#leases.length === 0 ? 7n : this.#prng.pick(this.#leases)
  }
}

/** Does something to a key if its mod revision is the one that was last seen; else reads it. */
const ifUnchanged = (
  place: number,
  modRevision: number,
  change: Partial<rpc.RequestOp>,
): Uint8Array =>
  rpc.TxnRequest.encode({
    compare: [
      rpc.Compare.create({
        target: 'MOD',
        result: 'EQUAL',
        key: key(place),
        modRevision: revision(modRevision),
      }),
    ],
    success: [rpc.RequestOp.create(change)],
    failure: [rpc.RequestOp.create({ requestRange: rpc.RangeRequest.create({ key: key(place) }) })],
  })

const write = (
  operation: (ClientRequest & { kind: 'write' })['operation'],
  encoded: Uint8Array,
): ClientRequest => ({ kind: 'write', operation, encoded })

const read = (request: Partial<rpc.RangeRequest>): ClientRequest => ({
  kind: 'read',
  request: rpc.RangeRequest.create(request),
})

function describe(request: ClientRequest): string {
  if (request.kind === 'write') return request.operation
  return request.kind === 'read' ? `read@${request.request.revision}` : `renew ${request.lease}`
}
