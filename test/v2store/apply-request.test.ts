// Goal: a log entry reaches the operation that etcd chooses. Method: one request of each form.
import { describe, expect, test } from 'vitest'
import { memberId } from '../../src/base/ids.js'
import { applyV2Request, type V2ApplyResult } from '../../src/v2store/apply-request.js'
import { V2Store } from '../../src/v2store/store.js'
import type { Encodable } from '../../src/wire/codec.js'
import { V2Request } from '../../src/wire/v2-request.js'

const NOW = 1_790_000_000_000
const request = (init: Encodable<typeof V2Request>): V2Request =>
  V2Request.decode(V2Request.encode(init))

function outcome(result: V2ApplyResult): string {
  if (result.kind === 'event') return result.event.action
  return result.kind === 'error' ? String(result.error.code) : result.kind
}

describe('a request in a store with the file /1/f = x at index 1', () => {
  test.each<[string, Encodable<typeof V2Request>]>([
    ['set', { Method: 'PUT', Path: '/1/f', Val: 'y' }],
    ['set', { Method: 'PUT', Path: '/1/d', Dir: true }],
    ['create', { Method: 'PUT', Path: '/1/g', PrevExist: false }],
    ['105', { Method: 'PUT', Path: '/1/f', PrevExist: false, PrevIndex: 1 }],
    ['update', { Method: 'PUT', Path: '/1/f', PrevExist: true, Val: 'y' }],
    ['100', { Method: 'PUT', Path: '/1/g', PrevExist: true }],
    ['compareAndSwap', { Method: 'PUT', Path: '/1/f', PrevExist: true, PrevIndex: 1 }],
    ['compareAndSwap', { Method: 'PUT', Path: '/1/f', PrevIndex: 1 }],
    ['101', { Method: 'PUT', Path: '/1/f', PrevValue: 'z' }],
    ['create', { Method: 'POST', Path: '/1/q', Val: 'y' }],
    ['delete', { Method: 'DELETE', Path: '/1/f' }],
    ['100', { Method: 'DELETE', Path: '/1/g', Recursive: true }],
    ['compareAndDelete', { Method: 'DELETE', Path: '/1/f', PrevValue: 'x' }],
    ['101', { Method: 'DELETE', Path: '/1/f', PrevIndex: 9 }],
    ['get', { Method: 'QGET', Path: '/1', Recursive: true, Sorted: true }],
    ['unknown-method', { Method: 'GET', Path: '/1/f' }],
    ['set', { Method: 'PUT', Path: '/1/0/members/a/attributes', Val: 'y' }],
    ['create', { Method: 'PUT', Path: '/0/version', PrevExist: false }],
  ])('gives %s for %j', (expected, init) => {
    const store = new V2Store()
    store.set({ path: '/1/f', nowMs: NOW, value: 'x', isDirectory: false })
    expect(outcome(applyV2Request(store, request(init), NOW))).toBe(expected)
  })
})

test('the end comes with the entry, and a SYNC removes what it says is over', () => {
  const store = new V2Store()
  const end = BigInt(NOW + 5000) * 1_000_000n
  applyV2Request(store, request({ Method: 'PUT', Path: '/1/t', Expiration: end }), NOW)
  const early = applyV2Request(store, request({ Method: 'SYNC', Time: end - 1n }), NOW)
  expect(early).toEqual({ kind: 'synced', expired: [] })
  const late = applyV2Request(store, request({ Method: 'SYNC', Time: end }), NOW)
  expect(late.kind === 'synced' && late.expired.map((event) => event.node.key)).toEqual(['/1/t'])
})

test('what a member publishes and the cluster version go to membership and leave the tree alone', () => {
  const store = new V2Store()
  const attributes = '{"name":"n1"}'
  const path = '/0/members/c9f751f0b0b4fa5a/attributes'
  expect(
    applyV2Request(store, request({ Method: 'PUT', Path: path, Val: attributes }), NOW),
  ).toEqual({ kind: 'member-attributes', memberId: memberId(0xc9f751f0b0b4fa5an), attributes })
  expect(
    applyV2Request(store, request({ Method: 'PUT', Path: '/0/version', Val: '3.5.0' }), NOW),
  ).toEqual({ kind: 'cluster-version', version: '3.5.0' })
  expect(store.index).toBe(0)
})
