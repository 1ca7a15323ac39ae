// Goal: entries cross between us and a real etcd. Method: what etcd 3.4.23 wrote into its log (kept by
// test/interop/wire-entries.test.ts) is opened and written again; generated operations make the round trip.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { requestId } from '../../src/base/ids.js'
import {
  type Operation,
  openEntry,
  peekRequestId,
  seal,
  sealEncoded,
} from '../../src/wire/raft-envelope.js'
import { InternalRaftRequest, RequestHeader } from '../../src/wire/raft-request.js'
import { Entry } from '../../src/wire/raftpb.js'
import { WireError } from '../../src/wire/reader.js'
import { PutRequest } from '../../src/wire/rpc.js'
import { V2Request } from '../../src/wire/v2-request.js'
import { type AnyCodec, messageArbitrary } from './codecs.js'

const recorded = new URL('../golden/wire/etcd-3.4.23-entries.txt', import.meta.url)
const entries = readFileSync(recorded, 'utf8')
  .trim()
  .split('\n')
  .map((line) => new Uint8Array(Buffer.from(line, 'base64')))
const normal = entries
  .map((data) => Entry.decode(data))
  .filter((entry) => entry.type === 'EntryNormal')

const operations = Object.entries(InternalRaftRequest.fields).flatMap(([name, field]) =>
  field.message === undefined || name === 'v2' || name === 'header'
    ? []
    : [{ name: name as Operation, codec: field.message() as AnyCodec }],
)
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('the log of a real etcd 3.4.23', () => {
  test('holds entries that are written back to the same bytes', () => {
    for (const data of entries) expect(hexOf(Entry.encode(Entry.decode(data)))).toBe(hexOf(data))
  })

  test('opens as the requests that were made', () => {
    const told = normal.map((entry) => {
      const opened = openEntry(entry.data)
      if (opened.kind === 'v2') return `v2 ${opened.request.Method}`
      return opened.kind === 'v3' ? opened.operation : opened.kind
    })
    expect(told).toEqual([
      ...['noop', 'v2 PUT', 'v2 PUT', 'v2 QGET', 'put', 'put', 'txn', 'deleteRange', 'compaction'],
      ...['leaseGrant', 'put', 'leaseRevoke', 'alarm', 'authUserAdd', 'authRoleAdd'],
      ...['authRoleGrantPermission', 'authUserGrantRole', 'authUserGet', 'authRoleGet'],
      ...['authEnable', 'authenticate', 'put', 'authenticate', 'authDisable'],
      ...['v2 PUT', 'v2 QGET'],
    ])
  })

  test('is sealed by us to the same bytes, and its request ids are found without decoding', () => {
    let sealed = 0
    for (const { data } of normal) {
      const opened = openEntry(data)
      if (opened.kind !== 'v3' || opened.header === undefined) continue
      const codec = operations.find((one) => one.name === opened.operation)?.codec
      expect(codec).toBeDefined()
      if (codec === undefined) continue
      expect(hexOf(seal(opened.operation, codec, opened.request, opened.header))).toBe(hexOf(data))
      expect(peekRequestId(data)).toBe(opened.header.ID)
      sealed++
    }
    expect(sealed).toBeGreaterThan(15)
  })

  test('has v2 requests that are no envelope, so that their id is not peeked at', () => {
    for (const { data } of normal) {
      const opened = openEntry(data)
      if (opened.kind !== 'v2') continue
      expect(peekRequestId(data)).toBe(0n)
      expect(opened.id).toBeGreaterThan(0n)
      expect(opened.request.ID).toBe(opened.id)
      expect(hexOf(V2Request.encode(opened.request))).toBe(hexOf(data))
    }
  })
})

describe('an envelope of ours', () => {
  test('opens as what was sealed, for every operation', () => {
    fc.assert(
      fc.property(
        fc
          .constantFrom(...operations)
          .chain(({ name, codec }) =>
            fc.tuple(fc.constant({ name, codec }), messageArbitrary(codec)),
          ),
        fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
        fc.string({ maxLength: 8 }),
        ([{ name, codec }, request], id, username) => {
          const header = RequestHeader.create({ ID: requestId(id), username, authRevision: 3 })
          const data = sealEncoded(name, codec.encode(request), header)
          expect(openEntry(data)).toEqual({
            kind: 'v3',
            id,
            header,
            operation: name,
            request,
          })
          expect(peekRequestId(data)).toBe(id)
          expect(hexOf(data)).toBe(hexOf(InternalRaftRequest.encode({ [name]: request, header })))
        },
      ),
      { numRuns: 100 },
    )
  })

  test('is told from a v2 request, whatever that holds', () => {
    const methods = fc.constantFrom('GET', 'QGET', 'PUT', 'POST', 'DELETE', 'SYNC')
    fc.assert(
      fc.property(messageArbitrary(V2Request as AnyCodec), methods, (whole, Method) => {
        const request = { ...whole, Method } as unknown as V2Request
        const opened = openEntry(V2Request.encode(request))
        expect(opened).toEqual({ kind: 'v2', id: request.ID, request })
      }),
      { numRuns: 100 },
    )
  })
})

describe('openEntry', () => {
  const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
  const header = RequestHeader.create({ ID: requestId(9n) })

  test('gives noop for the empty entry of a new leader', () => {
    expect(openEntry(new Uint8Array(0))).toEqual({ kind: 'noop' })
    expect(peekRequestId(new Uint8Array(0))).toBe(0n)
  })

  test('gives unknown for an operation of a newer version', () => {
    const sealed = `${hexOf(InternalRaftRequest.encode({ header }))}e2d804020801`
    expect(openEntry(hex(sealed))).toEqual({ kind: 'unknown', id: 9n })
  })

  test('takes the id of the envelope, then that of its header', () => {
    const put = PutRequest.create()
    expect(openEntry(InternalRaftRequest.encode({ ID: requestId(4n), header, put }))).toMatchObject(
      {
        id: 4n,
      },
    )
    expect(openEntry(InternalRaftRequest.encode({ header, put }))).toMatchObject({ id: 9n })
    expect(openEntry(InternalRaftRequest.encode({ ID: requestId(4n), put }))).toMatchObject({
      id: 4n,
      header: undefined,
    })
  })

  test('finds a v2 request inside an envelope', () => {
    const v2 = V2Request.create({ ID: requestId(5n), Method: 'PUT', Path: '/1/a' })
    const data = InternalRaftRequest.encode({ ID: requestId(4n), v2 })
    expect(openEntry(data)).toEqual({ kind: 'v2', id: 5n, request: v2 })
    expect(peekRequestId(data)).toBe(0n)
  })

  test.each([
    ['ID as bytes', '0a0161'],
    ['a header that is a number, then a cut field', 'a0060108'],
    ['an operation that is a number', '2001'],
    ['a v2 request that is a number, then a cut field', '100108'],
  ])('refuses what is neither form: %s', (_what, text) => {
    expect(() => openEntry(hex(text))).toThrow(WireError)
  })

  test('looks for the request id only where it can be', () => {
    expect(peekRequestId(hex('a2060412027573'))).toBe(0n)
    expect(peekRequestId(hex('2202ff'))).toBe(0n)
    expect(peekRequestId(hex('0809'))).toBe(0n)
    expect(peekRequestId(hex('a206040801120061'))).toBe(1n)
  })
})
