// Goal: range and transaction requests come out as etcd's do (facts: v3-api.md 3). Method: examples on a small store.
import { beforeEach, describe, expect, test } from 'vitest'
import { leaseId, type Revision, revision } from '../../src/base/ids.js'
import type { MvccStore } from '../../src/mvcc/mvcc-store.js'
import { checkRangeRequest, evaluateRange } from '../../src/mvcc/range-request.js'
import {
  checkDeleteRangeRequest,
  checkPutRequest,
  checkTxnRequest,
} from '../../src/mvcc/txn-checks.js'
import {
  applyDeleteRange,
  applyPut,
  applyTxn,
  isReadOnlyTxn,
  isSerializableTxn,
  readTxn,
} from '../../src/mvcc/txn-request.js'
import type { Encodable } from '../../src/wire/codec.js'
import {
  Compare,
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  RequestOp,
  TxnRequest,
  TxnResponse,
} from '../../src/wire/rpc.js'
import { bytes, openFixture, put, remove, text } from '../backend/store-fixture.js'

let store: MvccStore
beforeEach(async () => {
  store = (await openFixture({ hashesCompactions: false })).store
})

const LEASE = leaseId(5n)
const leaseExists = (lease: bigint): boolean => lease === LEASE
const rangeOp = (key: string, more: Encodable<typeof RangeRequest> = {}): RequestOp =>
  RequestOp.create({ requestRange: RangeRequest.create({ key: bytes(key), ...more }) })
const putOp = (key: string, value = 'v', more: Encodable<typeof PutRequest> = {}): RequestOp =>
  RequestOp.create({
    requestPut: PutRequest.create({ key: bytes(key), value: bytes(value), ...more }),
  })
const deleteOp = (key: string, end = '', prevKv = false): RequestOp =>
  RequestOp.create({
    requestDeleteRange: DeleteRangeRequest.create({
      key: bytes(key),
      rangeEnd: bytes(end),
      prevKv,
    }),
  })
const txnOp = (init: Encodable<typeof TxnRequest>): RequestOp =>
  RequestOp.create({ requestTxn: TxnRequest.create(init) })

describe('range request', () => {
  /** Keys of the answer, with `+` when there is more, and the count. */
  const ask = (init: Encodable<typeof RangeRequest>): string => {
    const request = RangeRequest.create({ key: bytes('\0'), rangeEnd: bytes('\0'), ...init })
    const evaluation = evaluateRange(request, (query) => store.range(query))
    if (evaluation.kind === 'failed') return evaluation.code
    const reply = RangeResponse.decode(RangeResponse.encode(evaluation.reply))
    const shown = reply.kvs.map((kv) => text(kv.key) + (kv.value.length > 0 ? '' : '-'))
    return `${shown.join(' ')}${reply.more ? '+' : ''} of ${reply.count}`
  }

  beforeEach(() => {
    // Mod revisions: a 6, b 3, c 4, d 5; versions: a 2; values: a 1, b 9, c 5, d 7.
    for (const [key, value] of [
      ['a', '3'],
      ['b', '9'],
      ['c', '5'],
      ['d', '7'],
      ['a', '1'],
    ] as const) {
      put(store, key, value)
    }
  })

  test('cuts at the limit, says that there is more, and counts everything', () => {
    expect(ask({})).toBe('a b c d of 4')
    expect(ask({ limit: 3 })).toBe('a b c+ of 4')
    expect(ask({ limit: 4 })).toBe('a b c d of 4')
    expect(ask({ limit: -1 })).toBe('a b c d of 4')
    expect(ask({ countOnly: true })).toBe(' of 4')
    expect(ask({ keysOnly: true, limit: 1 })).toBe('a-+ of 4')
  })

  test('sorts by every target, and cuts afterwards', () => {
    expect(ask({ sortOrder: 'DESCEND', limit: 2 })).toBe('d c+ of 4')
    expect(ask({ sortOrder: 'ASCEND', sortTarget: 'MOD' })).toBe('b c d a of 4')
    expect(ask({ sortOrder: 'DESCEND', sortTarget: 'CREATE' })).toBe('d c b a of 4')
    expect(ask({ sortOrder: 'DESCEND', sortTarget: 'VERSION', limit: 1 })).toBe('a+ of 4')
    expect(ask({ sortOrder: 'ASCEND', sortTarget: 'VALUE', limit: 2 })).toBe('a c+ of 4')
    expect(ask({ sortOrder: 'ASCEND', sortTarget: 'KEY', limit: 1 })).toBe('a+ of 4')
  })

  test('sorts only what the limit let through when a target has no order', () => {
    expect(ask({ sortTarget: 'MOD' })).toBe('b c d a of 4')
    expect(ask({ sortTarget: 'MOD', limit: 2 })).toBe('b c+ of 4')
    expect(ask({ sortTarget: 'MOD', limit: 1 })).toBe('b+ of 4')
  })

  test('filters by revisions before the limit, and counts as if it did not', () => {
    const at = (value: number): Revision => revision(value)
    expect(ask({ minModRevision: at(4) })).toBe('a c d of 4')
    expect(ask({ maxModRevision: at(4) })).toBe('b c of 4')
    expect(ask({ minCreateRevision: at(3), limit: 2 })).toBe('b c+ of 4')
    expect(ask({ maxCreateRevision: at(2) })).toBe('a of 4')
  })

  test('reads single keys, from-key ranges and empty intervals', () => {
    expect(ask({ key: bytes('b'), rangeEnd: bytes('') })).toBe('b of 1')
    expect(ask({ key: bytes('x'), rangeEnd: bytes('') })).toBe(' of 0')
    expect(ask({ key: bytes('c') })).toBe('c d of 2')
    expect(ask({ key: bytes('c'), rangeEnd: bytes('b') })).toBe(' of 0')
    expect(ask({ key: bytes('b'), rangeEnd: bytes(''), countOnly: true })).toBe(' of 1')
  })

  test('reads the past, not what was compacted and not the future', () => {
    expect(ask({ revision: revision(3) })).toBe('a b of 2')
    expect(ask({ revision: revision(7) })).toBe('FUTURE_REVISION')
    expect(store.compact(4)).toBeUndefined()
    expect(ask({ revision: revision(4) })).toBe('a b c of 3')
    expect(ask({ revision: revision(3) })).toBe('COMPACTED')
  })

  test('is refused without a key or with an unknown order', () => {
    expect(checkRangeRequest(RangeRequest.create())).toBe('EMPTY_KEY')
    const odd = RangeRequest.create({ key: bytes('a'), sortOrder: 'UNKNOWN' })
    expect(checkRangeRequest(odd)).toBe('INVALID_SORT_OPTION')
    expect(checkRangeRequest(RangeRequest.create({ key: bytes('a') }))).toBeUndefined()
  })
})

describe('put and delete requests', () => {
  const apply = (key: string, init: Encodable<typeof PutRequest>): string => {
    const request = PutRequest.create({ key: bytes(key), ...init })
    const outcome = applyPut(store, request, leaseExists)
    if (outcome.kind === 'failed') return outcome.code
    const { header, prevKv } = PutResponse.decode(PutResponse.encode(outcome.response))
    return `${header?.revision} was ${prevKv && text(prevKv.value)}`
  }

  test('give back what was there, and keep value or lease when asked to', () => {
    expect(apply('a', { value: bytes('1'), prevKv: true })).toBe('2 was undefined')
    expect(apply('a', { value: bytes('2'), prevKv: true })).toBe('3 was 1')
    expect(apply('a', { ignoreValue: true, lease: LEASE })).toBe('4 was undefined')
    expect(apply('a', { value: bytes('3'), ignoreLease: true, prevKv: true })).toBe('5 was 2')
    const outcome = store.range({ key: 'a', end: '' })
    expect(outcome.kind === 'range' && outcome.count).toBe(1)
    expect(apply('missing', { ignoreLease: true })).toBe('KEY_NOT_FOUND')
    expect(apply('a', { lease: leaseId(6n) })).toBe('LEASE_NOT_FOUND')
    expect(store.currentRevision).toBe(5)
  })

  test('delete what lives, and use no revision for nothing', () => {
    for (const key of ['a', 'b', 'c']) put(store, key, key)
    const ask = (key: string, rangeEnd: string): DeleteRangeResponse => {
      const request = { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv: true }
      const outcome = applyDeleteRange(store, DeleteRangeRequest.create(request))
      if (outcome.kind === 'failed') throw new Error(outcome.code)
      return DeleteRangeResponse.decode(DeleteRangeResponse.encode(outcome.response))
    }
    const gone = ask('b', '\0')
    expect(gone.deleted).toBe(2)
    expect(gone.prevKvs.map((kv) => text(kv.value))).toEqual(['b', 'c'])
    expect(gone.header?.revision).toBe(5)
    expect(ask('b', '\0')).toMatchObject({ deleted: 0, header: { revision: 5 } })
  })

  test('are refused when they contradict themselves', () => {
    const check = (init: Encodable<typeof PutRequest>): unknown =>
      checkPutRequest(PutRequest.create(init))
    expect(check({})).toBe('EMPTY_KEY')
    expect(check({ key: bytes('a'), value: bytes('v'), ignoreValue: true })).toBe('VALUE_PROVIDED')
    expect(check({ key: bytes('a'), lease: LEASE, ignoreLease: true })).toBe('LEASE_PROVIDED')
    expect(check({ key: bytes('a'), ignoreLease: true, ignoreValue: true })).toBeUndefined()
    expect(checkDeleteRangeRequest(DeleteRangeRequest.create())).toBe('EMPTY_KEY')
  })
})

describe('transaction checks', () => {
  const check = (init: Encodable<typeof TxnRequest>, operationsMax = 128): unknown =>
    checkTxnRequest(TxnRequest.create(init), operationsMax)
  const compare = Compare.create({ key: bytes('a') })

  test('count the longest list, and give nested ones the rest', () => {
    expect(check({ compare: [compare, compare] }, 2)).toBeUndefined()
    expect(check({ compare: [compare, compare, compare] }, 2)).toBe('TOO_MANY_OPS')
    const nested = txnOp({ success: [putOp('a'), putOp('b')] })
    expect(check({ success: [nested] }, 3)).toBeUndefined()
    expect(check({ success: [nested] }, 2)).toBe('TOO_MANY_OPS')
  })

  test('refuse empty keys and empty operations', () => {
    expect(check({ compare: [Compare.create()] })).toBe('EMPTY_KEY')
    expect(check({ failure: [putOp('')] })).toBe('EMPTY_KEY')
    expect(check({ success: [deleteOp('')] })).toBe('EMPTY_KEY')
    expect(check({ success: [rangeOp('')] })).toBe('EMPTY_KEY')
    expect(check({ success: [RequestOp.create()] })).toBe('KEY_NOT_FOUND')
  })

  test.each<[string, Encodable<typeof TxnRequest>, boolean]>([
    ['two puts of a key', { success: [putOp('a'), putOp('a')] }, true],
    ['puts in the two branches', { success: [putOp('a')], failure: [putOp('a')] }, false],
    ['a put inside a deletion', { failure: [deleteOp('a', 'c'), putOp('b')] }, true],
    ['a put beside a deletion', { success: [deleteOp('a', 'b'), putOp('b')] }, false],
    ['a put of a deleted key', { success: [putOp('a'), deleteOp('a')] }, true],
    ['two deletions', { success: [deleteOp('a'), deleteOp('a', 'z')] }, false],
    [
      'a deletion from a key on, which etcd overlooks',
      { success: [deleteOp('a', '\0'), putOp('b')] },
      false,
    ],
    ['a nested put again', { success: [txnOp({ failure: [putOp('a')] }), putOp('a')] }, true],
    [
      'nested puts in both branches',
      { success: [txnOp({ success: [putOp('a')], failure: [putOp('a')] })] },
      false,
    ],
    [
      'nested puts in two transactions',
      { success: [txnOp({ success: [putOp('a')] }), txnOp({ failure: [putOp('a')] })] },
      true,
    ],
    [
      'a nested put in a deletion',
      { success: [deleteOp('a'), txnOp({ failure: [putOp('a')] })] },
      true,
    ],
    [
      'a put in a nested deletion',
      { success: [txnOp({ success: [deleteOp('a')] }), putOp('a')] },
      true,
    ],
  ])('%s', (_, request, isRefused) => {
    expect(check(request)).toBe(isRefused ? 'DUPLICATE_KEY' : undefined)
  })
})

describe('transaction', () => {
  const run = (init: Encodable<typeof TxnRequest>): TxnResponse | string => {
    const outcome = applyTxn(store, TxnRequest.create(init), leaseExists)
    if (outcome.kind === 'failed') return outcome.code
    return TxnResponse.decode(TxnResponse.encode(outcome.response))
  }
  const succeeds = (init: Encodable<typeof Compare>): boolean => {
    const outcome = run({ compare: [Compare.create(init)] })
    return typeof outcome !== 'string' && outcome.succeeded
  }

  test('changes everything under one revision and sees its own changes', () => {
    put(store, 'a', 'old')
    const outcome = run({
      success: [
        rangeOp('a'),
        putOp('a', 'new', { prevKv: true }),
        rangeOp('a'),
        deleteOp('a', '', true),
        txnOp({ success: [putOp('b')] }),
      ],
    })
    if (typeof outcome === 'string') throw new Error(outcome)
    const [before, changed, after, gone, nested] = outcome.responses
    expect(before?.responseRange?.header?.revision).toBe(2)
    expect(text(before?.responseRange?.kvs[0]?.value ?? bytes(''))).toBe('old')
    expect(changed?.responsePut?.header?.revision).toBe(3)
    expect(text(changed?.responsePut?.prevKv?.value ?? bytes(''))).toBe('old')
    expect(after?.responseRange?.header?.revision).toBe(3)
    expect(text(after?.responseRange?.kvs[0]?.value ?? bytes(''))).toBe('new')
    expect(gone?.responseDeleteRange).toMatchObject({ deleted: 1, header: { revision: 3 } })
    expect(nested?.responseTxn?.header).toMatchObject({ revision: 0 })
    expect(outcome.header?.revision).toBe(3)
    expect(store.currentRevision).toBe(3)
  })

  test('uses no revision when it changes nothing', () => {
    put(store, 'a', '1')
    expect(run({ success: [deleteOp('x'), rangeOp('a')] })).toMatchObject({
      succeeded: true,
      header: { revision: 2 },
    })
  })

  test('is refused as a whole before anything changed', () => {
    put(store, 'a', '1')
    const first = putOp('b')
    expect(run({ success: [first, putOp('c', '', { ignoreValue: true })] })).toBe('KEY_NOT_FOUND')
    expect(run({ success: [first, putOp('c', 'v', { lease: leaseId(9n) })] })).toBe(
      'LEASE_NOT_FOUND',
    )
    expect(run({ success: [first, rangeOp('a', { revision: revision(3) })] })).toBe(
      'FUTURE_REVISION',
    )
    const nested = txnOp({ success: [putOp('c', 'v', { lease: leaseId(9n) })] })
    expect(run({ success: [first, nested] })).toBe('LEASE_NOT_FOUND')
    // The branch that does not run is not looked at.
    expect(typeof run({ failure: [nested], success: [rangeOp('a')] })).toBe('object')
    put(store, 'a', '2')
    store.compact(3)
    const past = txnOp({ success: [rangeOp('a', { revision: revision(2) })] })
    expect(run({ success: [first, past] })).toBe('COMPACTED')
    expect(store.currentRevision).toBe(3)
  })

  test('compares every target of keys that are there', () => {
    put(store, 'a', 'm', LEASE)
    put(store, 'a', 'n', LEASE)
    const key = bytes('a')
    expect(succeeds({ key, target: 'VERSION', version: 2 })).toBe(true)
    expect(succeeds({ key, target: 'CREATE', createRevision: revision(2) })).toBe(true)
    expect(succeeds({ key, target: 'MOD', modRevision: revision(2) })).toBe(false)
    expect(succeeds({ key, target: 'MOD', result: 'GREATER', modRevision: revision(2) })).toBe(true)
    expect(succeeds({ key, target: 'VALUE', result: 'LESS', value: bytes('o') })).toBe(true)
    expect(succeeds({ key, target: 'VALUE', result: 'NOT_EQUAL', value: bytes('n') })).toBe(false)
    expect(succeeds({ key, target: 'LEASE', lease: LEASE })).toBe(true)
    expect(succeeds({ key, target: 'LEASE', result: 'GREATER', lease: leaseId(4n) })).toBe(true)
    expect(succeeds({ key, target: 'LEASE', result: 'LESS', lease: leaseId(6n) })).toBe(true)
  })

  test('takes an absent key for zero, and its value for nothing', () => {
    const key = bytes('x')
    expect(succeeds({ key, target: 'CREATE', createRevision: revision(0) })).toBe(true)
    expect(succeeds({ key, target: 'VERSION' })).toBe(true)
    expect(succeeds({ key, target: 'VERSION', result: 'GREATER' })).toBe(false)
    expect(succeeds({ key, target: 'VALUE', result: 'NOT_EQUAL', value: bytes('v') })).toBe(false)
  })

  test('compares all keys of a range', () => {
    put(store, 'a', '1')
    put(store, 'b', '1')
    const range = {
      key: bytes('a'),
      rangeEnd: bytes('\0'),
      target: 'VALUE',
      value: bytes('1'),
    } as const
    expect(succeeds(range)).toBe(true)
    put(store, 'b', '2')
    expect(succeeds(range)).toBe(false)
  })

  test('decides nested comparisons on the state before', () => {
    const isMissing = Compare.create({ key: bytes('a'), target: 'VERSION', version: 0 })
    const outcome = run({
      success: [putOp('a'), txnOp({ compare: [isMissing], success: [putOp('b')] })],
    })
    if (typeof outcome === 'string') throw new Error(outcome)
    expect(outcome.responses[1]?.responseTxn?.succeeded).toBe(true)
  })

  test('is told from one that only reads', () => {
    const is = (init: Encodable<typeof TxnRequest>): readonly [boolean, boolean] => {
      const request = TxnRequest.create(init)
      return [isReadOnlyTxn(request), isSerializableTxn(request)]
    }
    expect(is({})).toEqual([true, true])
    expect(is({ success: [rangeOp('a')] })).toEqual([true, false])
    expect(is({ failure: [rangeOp('a', { serializable: true })] })).toEqual([true, true])
    expect(is({ success: [txnOp({})] })).toEqual([false, false])
    put(store, 'a', '1')
    remove(store, 'a')
    const outcome = readTxn(store, TxnRequest.create({ success: [rangeOp('a')] }))
    expect(outcome).toMatchObject({ kind: 'done', response: { header: { revision: 3 } } })
  })
})
