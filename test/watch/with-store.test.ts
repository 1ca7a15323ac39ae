/** The hub over the real store, with real leases: what fits by type here fits in behaviour too. */
import { expect, test } from 'vitest'
import { clusterId, leaseId, memberId, NO_LEASE, term } from '../../src/base/ids.js'
import { latin1FromBytes } from '../../src/base/latin1.js'
import { Lessor } from '../../src/lease/lessor.js'
import { MvccStore } from '../../src/mvcc/mvcc-store.js'
import type { Row, RowCursor, RowStore } from '../../src/mvcc/rows.js'
import type { WriteTransaction } from '../../src/mvcc/write-transaction.js'
import type { StreamCall } from '../../src/ports/rpc.js'
import { WatchHub } from '../../src/watch/watch-hub.js'
import type { WatchSink } from '../../src/watch/watch-sink.js'
import { TestClient } from './test-client.js'

const utf8 = new TextEncoder()

/** Rows in memory; callbacks run in `deliver`. */
class MemoryRows implements RowStore {
  readonly #rows = new Map<string, Row>()
  readonly #meta = new Map<string, Uint8Array>()
  #pending: (() => void)[] = []

  getRow(main: number, sub: number): Uint8Array | undefined {
    return this.#rows.get(`${main}/${sub}`)?.value
  }
  getRows(
    mains: readonly number[],
    subs: readonly number[],
    done: (values: readonly (Uint8Array | undefined)[]) => void,
  ): void {
    this.#pending.push(() => done(mains.map((main, at) => this.getRow(main, subs[at] ?? 0))))
  }
  appendRow(main: number, sub: number, isTombstone: boolean, value: Uint8Array): void {
    this.#rows.set(`${main}/${sub}`, { main, sub, isTombstone, value: value.slice() })
  }
  deleteRow(main: number, sub: number): void {
    this.#rows.delete(`${main}/${sub}`)
  }
  rowCursor(fromMain: number, toMain: number): RowCursor {
    const rows = [...this.#rows.values()].filter(({ main }) => main >= fromMain && main <= toMain)
    return {
      next: (rowsMax, done) => {
        this.#pending.push(() => done(rows.splice(0, rowsMax)))
      },
      close: () => {},
    }
  }
  getMeta(key: string): Uint8Array | undefined {
    return this.#meta.get(key)
  }
  putMeta(key: string, value: Uint8Array): void {
    this.#meta.set(key, value)
  }
  deliver(): void {
    while (this.#pending.length > 0) for (const one of this.#pending.splice(0)) one()
  }
}

function setUp() {
  const rows = new MemoryRows()
  const lessor = new Lessor({ minimumTtl: 2 })
  const store = new MvccStore({ rows, attachments: lessor })
  store.finishRestore()
  const hub = new WatchHub({
    history: store,
    clusterId: clusterId(1n),
    memberId: memberId(2n),
    term: () => term(3),
    entropy: { below: () => 0 },
  })
  const write = (change: (transaction: WriteTransaction) => void): void => {
    const transaction = store.begin()
    change(transaction)
    const { revision, events } = transaction.end()
    if (events.length > 0) hub.notify(revision, events)
  }
  const settle = (): void => {
    do rows.deliver()
    while (hub.syncSome(0))
    rows.deliver()
  }
  return { rows, lessor, store, hub, write, settle }
}

const told = (client: TestClient): string[] =>
  client.take().map((response) =>
    response.events
      .map(({ type, kv, prevKv }) => {
        const was = prevKv === undefined ? '' : `(${latin1FromBytes(prevKv.value)})`
        return `${type} ${latin1FromBytes(kv?.key ?? utf8.encode(''))}@${kv?.modRevision}${was}`
      })
      .join(' '),
  )

test('a revoked lease is one response of deletions in key order, live and from the past', () => {
  const { lessor, store, hub, write, settle } = setUp()
  const lease = leaseId(7n)
  lessor.grant(lease, 10, 0)
  const live = new TestClient(hub)
  live.create({ key: '', end: '\0', prevKv: true })
  for (const key of ['c', 'a', 'b']) {
    write((transaction) => transaction.put(utf8.encode(key), utf8.encode(`v${key}`), lease))
  }
  write((transaction) => transaction.put(utf8.encode('b'), utf8.encode('kept'), NO_LEASE))
  expect(lessor.keysOf(lease)).toEqual(['a', 'c'])
  write((transaction) => {
    for (const key of lessor.keysOf(lease)) transaction.deleteRange(key, '')
  })
  expect(lessor.revoke(lease)).toBe(true)
  expect([lessor.attachedKeyCount, lessor.leaseOf('a')]).toEqual([0, NO_LEASE])
  const history = ['PUT c@2', 'PUT a@3', 'PUT b@4', 'PUT b@5(vb)', 'DELETE a@6(va) DELETE c@6(vc)']
  expect(told(live)).toEqual(['', ...history])
  const late = new TestClient(hub)
  late.create({ key: '', end: '\0', prevKv: true, from: 1 })
  settle()
  expect(told(late)).toEqual(['', history.join(' ')])
  expect(store.compact(6)).toBeUndefined()
  const tooLate = new TestClient(hub)
  tooLate.create({ key: '', end: '\0', from: 5 })
  tooLate.create({ key: '', end: '\0', from: 6, prevKv: true })
  settle()
  const responses = tooLate.responses.slice(2)
  expect(responses[0]).toMatchObject({ watchId: 0, canceled: true, compactRevision: 6 })
  expect(told(tooLate).at(-1)).toBe('DELETE a@6 DELETE c@6')
})

test('the stream of a call is a sink as it is', () => {
  const asSink = (call: StreamCall<never>): WatchSink => call
  expect(asSink).toBeTypeOf('function')
})
