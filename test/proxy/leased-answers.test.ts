// Goal: what is known of a key answers as a member would. Method: single ranges and transactions over values that the test
// makes up, and changes to them; what only a member can answer is told from the rest.
import { expect, test } from 'vitest'
import type { LeaseId, Revision } from '../../src/base/ids.js'
import {
  answerFrom,
  answerTxn,
  changed,
  changesOf,
  isOfOneKey,
  leavesOf,
} from '../../src/proxy/leased-answers.js'
import type { KnownValue } from '../../src/proxy/leased-keys.js'
import { deletion, put, range, staysOurs } from '../../src/proxy/leasing-protocol.js'
import { KeyValue } from '../../src/wire/mvccpb.js'
import * as rpc from '../../src/wire/rpc.js'

const at = (revision: number) => rpc.ResponseHeader.create({ revision: revision as Revision })
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))
const present: KnownValue = {
  header: at(9),
  kv: KeyValue.create({
    key: bytes('k'),
    value: bytes('v'),
    createRevision: 5 as Revision,
    modRevision: 8 as Revision,
    version: 3,
  }),
}
const absent: KnownValue = { header: at(7), kv: undefined }
const find = (key: string): KnownValue | undefined =>
  key === 'k' ? present : key === 'gone' ? absent : undefined
const ask = (init: Parameters<typeof rpc.RangeRequest.create>[0]) =>
  answerFrom(present, rpc.RangeRequest.create({ key: bytes('k'), ...init }))

test('a key, no key, and what a request leaves out of it', () => {
  expect(ask({})).toMatchObject({ kvs: [present.kv], count: 1, more: false, header: at(9) })
  expect(ask({ keysOnly: true }).kvs[0]).toMatchObject({ value: new Uint8Array(0), version: 3 })
  expect(ask({ countOnly: true })).toMatchObject({ kvs: [], count: 1 })
  expect(answerFrom(absent, rpc.RangeRequest.create({}))).toMatchObject({ kvs: [], count: 0 })
})

test.each([
  [{ minModRevision: 8 }, 1],
  [{ minModRevision: 9 }, 0],
  [{ maxModRevision: 8 }, 1],
  [{ maxModRevision: 7 }, 0],
  [{ minCreateRevision: 6 }, 0],
  [{ maxCreateRevision: 4 }, 0],
  [{ minCreateRevision: 5, maxCreateRevision: 5 }, 1],
])('%j shows %i', (bounds, shown) => {
  const answer = ask(bounds as Parameters<typeof ask>[0])
  expect(answer.kvs).toHaveLength(shown)
  expect(answer.count).toBe(1)
})

test.each([
  [{ key: bytes('k') }, true],
  [{ key: bytes('') }, false],
  [{ key: bytes('k'), rangeEnd: bytes('l') }, false],
  [{ key: bytes('k'), revision: 3 as Revision }, false],
])('%j is of one key at the newest revision: %s', (init, isSo) => {
  expect(isOfOneKey(rpc.RangeRequest.create(init))).toBe(isSo)
})

const compare = (init: Parameters<typeof rpc.Compare.create>[0]): rpc.Compare =>
  rpc.Compare.create(init)
const txn = (...compares: readonly rpc.Compare[]) =>
  answerTxn(
    rpc.TxnRequest.create({
      compare: compares,
      success: [range({ key: bytes('k') })],
      failure: [range({ key: bytes('gone') }), range({ key: bytes('k'), keysOnly: true })],
    }),
    find,
  )

test('a transaction that only reads what is known', () => {
  const equal = { result: 'EQUAL', target: 'VALUE' } as const
  const yes = txn(compare({ ...equal, key: bytes('k'), value: bytes('v') }))
  expect(yes).toMatchObject({ succeeded: true, header: at(9) })
  expect(yes?.responses.map(({ responseRange }) => responseRange?.count)).toEqual([1])
  const no = txn(compare({ ...equal, key: bytes('k'), value: bytes('w') }))
  expect(no?.responses.map(({ responseRange }) => responseRange?.count)).toEqual([0, 1])
  // The value of a key that is absent equals nothing, not even nothing; its version is zero.
  expect(txn(compare({ ...equal, key: bytes('gone'), value: bytes('') }))?.succeeded).toBe(false)
  const version = compare({ result: 'EQUAL', target: 'VERSION', key: bytes('gone'), version: 0 })
  expect(txn(version)?.succeeded).toBe(true)
})

test('a member answers what is not known, or not a read', () => {
  const other = { result: 'EQUAL', target: 'VERSION', version: 0 } as const
  expect(txn(compare({ ...other, key: bytes('other') }))).toBeUndefined()
  expect(txn(compare({ ...other, key: bytes('k'), rangeEnd: bytes('l') }))).toBeUndefined()
  expect(answerTxn(rpc.TxnRequest.create({}), find)).toBeUndefined()
  for (const op of [
    put({ key: bytes('k') }),
    deletion({ key: bytes('k') }),
    range({ key: bytes('k'), rangeEnd: bytes('l') }),
    range({ key: bytes('other') }),
  ]) {
    const success = [range({ key: bytes('k') }), op]
    expect(answerTxn(rpc.TxnRequest.create({ success }), find)).toBeUndefined()
  }
})

test('changes follow the branches that were taken, one within the other', () => {
  const inner = rpc.TxnRequest.create({
    success: [put({ key: bytes('never') })],
    failure: [deletion({ key: bytes('gone') }), put({ key: bytes('k'), value: bytes('w') })],
  })
  const whole = rpc.TxnRequest.create({
    success: [range({ key: bytes('k') }), rpc.RequestOp.create({ requestTxn: inner })],
    failure: [put({ key: bytes('not this') })],
  })
  expect(leavesOf([...whole.success, ...whole.failure])).toHaveLength(5)
  const answer = {
    header: at(10),
    succeeded: true,
    responses: [
      rpc.ResponseOp.create({}),
      rpc.ResponseOp.create({
        responseTxn: { header: undefined, succeeded: false, responses: [] },
      }),
    ],
  }
  const [first, second, ...rest] = changesOf(whole, answer)
  expect(rest).toEqual([])
  if (first === undefined || second === undefined) throw new Error('changes are missing')
  expect(changed(present, first, at(10))).toEqual({ header: at(10), kv: undefined })
  const after = changed(present, second, at(10)).kv
  expect(after).toMatchObject({ value: bytes('w'), version: 4, createRevision: 5, modRevision: 10 })
  expect(changed(absent, second, at(10)).kv).toMatchObject({ version: 1, createRevision: 10 })
})

test('a put that keeps the value keeps what is known of it', () => {
  const request = rpc.PutRequest.create({ key: bytes('k'), ignoreValue: true })
  const after = changed(present, { kind: 'put', request }, at(11)).kv
  expect(after).toMatchObject({ value: bytes('v'), version: 4, modRevision: 11 })
})

test('a lease key is ours until it is asked for, deleted, or under another lease', () => {
  const lease = 7n as LeaseId
  const kv = (value: string, id: bigint) =>
    KeyValue.create({ value: bytes(value), lease: id as LeaseId })
  expect(staysOurs({ type: 'PUT', kv: kv('', 7n) }, lease)).toBe(true)
  expect(staysOurs({ type: 'PUT', kv: kv('REVOKE', 7n) }, lease)).toBe(false)
  expect(staysOurs({ type: 'PUT', kv: kv('', 8n) }, lease)).toBe(false)
  expect(staysOurs({ type: 'DELETE', kv: kv('', 0n) }, lease)).toBe(false)
})
