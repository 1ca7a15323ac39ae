// Goal: behind a namespace no key of a client leaves its prefix, and none shows it. Method: every request and response
// that carries keys, there and back; the ends of prefixes at their edges.
import { expect, test } from 'vitest'
import { KeyNamespace } from '../../src/proxy/key-namespace.js'
import { Event, KeyValue } from '../../src/wire/mvccpb.js'
import * as rpc from '../../src/wire/rpc.js'

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'))
const text = (given: Uint8Array | undefined): string => Buffer.from(given ?? []).toString('latin1')
const app = new KeyNamespace(Buffer.from('app/'))
const pair = (key: string): KeyValue => KeyValue.create({ key: bytes(key) })

test.each([
  ['k', '', 'app/k', ''],
  ['k', 'l', 'app/k', 'app/l'],
  ['k', '\0', 'app/k', 'app0'],
  ['\0', '\0', 'app/\0', 'app0'],
])('%j to %j becomes %j to %j', (key, rangeEnd, outerKey, outerEnd) => {
  const outer = app.outerRange({ key: bytes(key), rangeEnd: bytes(rangeEnd) })
  expect([text(outer.key), text(outer.rangeEnd)]).toEqual([outerKey, outerEnd])
  expect(text(app.prefix)).toBe('app/')
})

test.each([
  ['a\xff', 'b'],
  ['\xff\xff', '\0'],
])('all keys from one on end behind the prefix %j at %j', (prefix, end) => {
  const namespace = new KeyNamespace(bytes(prefix))
  const outer = namespace.outerRange({ key: bytes('k'), rangeEnd: bytes('\0') })
  expect(text(outer.rangeEnd)).toBe(end)
})

test('without a prefix keys are what they are, copied', () => {
  const none = new KeyNamespace(new Uint8Array(0))
  const key = bytes('k')
  const outer = none.outerRange({ key, rangeEnd: bytes('\0') })
  key[0] = 0
  expect([none.isEmpty, text(outer.key), text(outer.rangeEnd)]).toEqual([true, 'k', '\0'])
})

test('a transaction is turned at every level', () => {
  const put = rpc.PutRequest.create({ key: bytes('p'), value: bytes('v') })
  const inner = { compare: [], success: [rpc.RequestOp.create({ requestPut: put })], failure: [] }
  const outer = app.outerTxn({
    compare: [rpc.Compare.create({ key: bytes('c'), rangeEnd: bytes('d') })],
    success: [
      rpc.RequestOp.create({ requestRange: rpc.RangeRequest.create({ key: bytes('r') }) }),
      rpc.RequestOp.create({
        requestDeleteRange: rpc.DeleteRangeRequest.create({
          key: bytes('x'),
          rangeEnd: bytes('y'),
        }),
      }),
    ],
    failure: [rpc.RequestOp.create({ requestTxn: inner })],
  })
  const [compare] = outer.compare
  const [range, deletion] = outer.success
  const nested = outer.failure[0]?.requestTxn?.success[0]?.requestPut
  expect([
    ...[text(compare?.key), text(compare?.rangeEnd), text(range?.requestRange?.key)],
    ...[text(deletion?.requestDeleteRange?.key), text(deletion?.requestDeleteRange?.rangeEnd)],
    ...[text(nested?.key), text(nested?.value)],
  ]).toEqual(['app/c', 'app/d', 'app/r', 'app/x', 'app/y', 'app/p', 'v'])
})

test('answers and events lose the prefix', () => {
  const range = rpc.RangeResponse.create({ kvs: [pair('app/r')] })
  const put = rpc.PutResponse.create({ prevKv: pair('app/p') })
  const deletion = rpc.DeleteRangeResponse.create({ prevKvs: [pair('app/d')] })
  const nested = rpc.TxnResponse.create({
    responses: [rpc.ResponseOp.create({ responsePut: put })],
  })
  const answer = app.innerTxn(
    rpc.TxnResponse.create({
      responses: [
        rpc.ResponseOp.create({ responseRange: range }),
        rpc.ResponseOp.create({ responseDeleteRange: deletion }),
        rpc.ResponseOp.create({ responseTxn: nested }),
      ],
    }),
  )
  const [first, second, third] = answer.responses
  expect(text(first?.responseRange?.kvs[0]?.key)).toBe('r')
  expect(text(second?.responseDeleteRange?.prevKvs[0]?.key)).toBe('d')
  expect(text(third?.responseTxn?.responses[0]?.responsePut?.prevKv?.key)).toBe('p')
  const event = app.innerEvent(Event.create({ kv: pair('app/e'), prevKv: pair('app/e') }))
  expect([text(event.kv?.key), text(event.prevKv?.key)]).toEqual(['e', 'e'])
  expect(app.innerEvent(Event.create({ kv: pair('app/e') })).prevKv).toBeUndefined()
})

test('keys of others are not inside', () => {
  expect(['app/', 'app/x', 'app', 'apq/x'].map((key) => app.isInside(bytes(key)))).toEqual([
    ...[true, true, false, false],
  ])
})
