// Goal: entries of the v2 API written by hand are those that the table of the message makes, to the byte.
// Method: random operations through both encoders; long texts of every kind of character too.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { requestId } from '../../src/base/ids.js'
import { peekRequestId, peekV2RequestId } from '../../src/wire/raft-envelope.js'
import { encodeV2Operation, type V2Operation, V2Request } from '../../src/wire/v2-request.js'
import { Writer } from '../../src/wire/writer.js'

const text = fc.oneof(
  fc.constant(''),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({ unit: 'binary-ascii', maxLength: 300 }),
  fc.nat(70_000).map((length) => 'x'.repeat(length)),
  fc.tuple(fc.nat(200), fc.constantFrom('é', '€', '😀', '\ud800')).map(([n, c]) => c.repeat(n)),
)
const counter = fc.oneof(fc.constant(0), fc.maxSafeNat())
const time = fc.oneof(fc.constant(0n), fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }))
const maybe = fc.option(fc.boolean(), { nil: undefined })
const plain: V2Operation = V2Request.create({ Method: 'PUT', Path: '/1/a', Val: 'b' })
const operation: fc.Arbitrary<V2Operation> = fc.record({
  Method: fc.constantFrom('PUT', 'POST', 'DELETE', 'QGET', 'SYNC', 'odd'),
  Path: text,
  Val: text,
  Dir: fc.boolean(),
  PrevValue: text,
  PrevIndex: counter,
  PrevExist: maybe,
  Expiration: time,
  Wait: fc.boolean(),
  Since: counter,
  Recursive: fc.boolean(),
  Sorted: fc.boolean(),
  Quorum: fc.boolean(),
  Time: time,
  Stream: fc.boolean(),
  Refresh: maybe,
})
/** Mostly nothing but method, path and value, with one field or none beside them. */
const nearlyPlain = fc
  .tuple(operation, fc.constantFrom(undefined, ...(Object.keys(plain) as (keyof V2Operation)[])))
  .map(([drawn, name]): V2Operation => {
    const { Method, Path, Val } = drawn
    return { ...plain, Method, Path, Val, ...(name === undefined ? {} : { [name]: drawn[name] }) }
  })
const anyId = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(requestId)

describe('an entry of the v2 API', () => {
  test('is what the general encoder makes', () => {
    fc.assert(
      fc.property(fc.oneof(operation, nearlyPlain), anyId, (drawn, id) => {
        const data = encodeV2Operation(drawn, id)
        expect(Buffer.from(data).equals(V2Request.encode({ ...drawn, ID: id }))).toBe(true)
      }),
      { numRuns: 400 },
    )
  })

  test('shows its id without being decoded; those of v3 and other bytes show none', () => {
    fc.assert(
      fc.property(operation, anyId, (drawn, id) => {
        expect(peekV2RequestId(encodeV2Operation(drawn, id))).toBe(id)
      }),
    )
    expect(peekV2RequestId(new Uint8Array(0))).toBeUndefined()
    expect(peekV2RequestId(new Uint8Array([8, 1, 26, 0]))).toBeUndefined()
    expect(peekV2RequestId(new Uint8Array([0x22, 0]))).toBeUndefined()
    expect(peekRequestId(encodeV2Operation(plain, requestId(7n)))).toBe(0n)
  })
})

describe('texts', () => {
  test('are written as UTF-8 whatever their length', () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), (texts) => {
        const writer = new Writer(16)
        const expected = new Writer(16)
        for (const one of texts) {
          writer.string(one)
          expected.bytes(new TextEncoder().encode(one))
        }
        expect(Buffer.from(writer.take()).equals(expected.take())).toBe(true)
      }),
    )
  })
})
