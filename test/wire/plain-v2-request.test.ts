// Goal: the short cut for v2 entries takes exactly those that decoding as InternalRaftRequest would refuse.
// Method: every method that etcd writes, as entry and as the nested request that it must not be taken for.
import { describe, expect, test } from 'vitest'
import { requestId } from '../../src/base/ids.js'
import { isPlainV2, openEntry } from '../../src/wire/raft-envelope.js'
import { InternalRaftRequest } from '../../src/wire/raft-request.js'
import { WireError } from '../../src/wire/reader.js'
import { V2Request } from '../../src/wire/v2-request.js'

const METHODS = ['PUT', 'GET', 'POST', 'QGET', 'SYNC', 'DELETE']

describe('v2 entries', () => {
  test.each(METHODS)('a plain %s is taken, and is no InternalRaftRequest', (method) => {
    for (const id of [1n, 0x7fn, 0x80n, 0xffff_ffff_ffff_ffffn]) {
      const data = V2Request.encode(
        V2Request.create({ ID: requestId(id), Method: method, Path: '/1/a' }),
      )
      expect(isPlainV2(data)).toBe(true)
      expect(() => InternalRaftRequest.decode(data)).toThrow(WireError)
      expect(openEntry(data)).toMatchObject({ kind: 'v2', id, request: { Method: method } })
    }
  })

  test('a v2 request inside an InternalRaftRequest is not', () => {
    const v2 = V2Request.create({ ID: requestId(7n), Method: 'PUT', Path: '/1/a' })
    const data = InternalRaftRequest.encode(InternalRaftRequest.create({ ID: requestId(7n), v2 }))
    expect(isPlainV2(data)).toBe(false)
    expect(openEntry(data)).toMatchObject({ kind: 'v2', request: { Path: '/1/a' } })
  })

  test('unknown methods, cut and empty entries go the long way', () => {
    const odd = V2Request.encode(V2Request.create({ ID: requestId(1n), Method: 'ODD' }))
    expect(isPlainV2(odd)).toBe(false)
    expect(isPlainV2(new Uint8Array(0))).toBe(false)
    expect(isPlainV2(new Uint8Array([8, 0x80, 0x80]))).toBe(false)
    expect(isPlainV2(new Uint8Array([8, 1, 18, 3, 0x50]))).toBe(false)
  })
})
