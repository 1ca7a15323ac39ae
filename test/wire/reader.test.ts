// Goal: the decoder refuses exactly what etcd's refuses, because v2 and v3 log entries are told apart by that.
// Method: hand-made bytes, every prefix of generated messages, and unknown fields put between known ones.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytes,
  define,
  message,
  optional,
  preEncoded,
  repeated,
  uint32,
} from '../../src/wire/codec.js'
import { MAX_COUNTER } from '../../src/wire/limits.js'
import { StoredLease } from '../../src/wire/mvccpb.js'
import { ConfState, Entry, HardState, Message, Snapshot } from '../../src/wire/raftpb.js'
import { Reader, WireError } from '../../src/wire/reader.js'
import {
  Compare,
  PutRequest,
  PutResponse,
  RangeRequest,
  RequestOp,
  TxnRequest,
  WatchCreateRequest,
} from '../../src/wire/rpc.js'
import { Writer } from '../../src/wire/writer.js'
import { allCodecs, messageArbitrary } from './codecs.js'

const hex = (text: string): Uint8Array =>
  new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))

describe('strictness', () => {
  test.each([
    ['a known field of the wrong wire type', '08 01', 'wrong wireType = 0 for field 1'],
    ['a known scalar written as bytes', '1a 01 00', 'wrong wireType = 2 for field 3'],
    ['an end-group without start', '7c', 'illegal wire type 4'],
    ['wire type 6', '7e', 'illegal wire type 6'],
    ['wire type 7', '7f', 'illegal wire type 7'],
    ['field number 0', '00 00', 'illegal tag'],
    ['a field number above 2^29 - 1', '88 80 80 80 10 00', 'illegal tag'],
    ['a varint of eleven bytes', '18 ff ff ff ff ff ff ff ff ff ff 01', 'integer overflow'],
    ['a length beyond the end', '0a 05 61', 'unexpected EOF'],
    ['a length beyond 2^32', '0a 81 80 80 80 10 61', 'unexpected EOF'],
    ['a fixed64 that is cut', '79 00 00', 'unexpected EOF'],
    ['a fixed32 that is cut', '7d 00', 'unexpected EOF'],
    ['a group that does not end', '7b 08 01', 'unexpected EOF'],
    ['groups in groups without end', '7b'.repeat(100), 'nested too deeply'],
  ])('refuses %s', (_what, text, reason) => {
    expect(() => PutRequest.decode(hex(text))).toThrow(WireError)
    expect(() => PutRequest.decode(hex(text))).toThrow(reason)
  })

  test('refuses a nested message that reaches beyond its own end', () => {
    expect(() => PutResponse.decode(hex('0a 02 08 80 01'))).toThrow('unexpected EOF')
  })

  test('refuses packed values that reach beyond their own end', () => {
    expect(() => WatchCreateRequest.decode(hex('2a 01 80 00'))).toThrow('unexpected EOF')
  })

  test('skips unknown fields of every wire type, groups included', () => {
    const unknown =
      'a0 06 05  a1 06 0000000000000000  a2 06 01 ff  a5 06 00000000  a3 06 08 01 a4 06'
    const known = { ...PutRequest.create(), key: hex('6b') }
    expect(PutRequest.decode(hex(`${unknown} 0a 01 6b ${unknown}`))).toEqual(known)
  })

  test('keeps the last of a field that comes twice, and of a oneof', () => {
    expect(PutRequest.decode(hex('0a 01 61 0a 01 62')).key).toEqual(hex('62'))
    const operation = RequestOp.decode(hex('0a 00 12 00'))
    expect(operation.requestRange).toBeUndefined()
    expect(operation.requestPut).toBeDefined()
    expect(Compare.decode(hex('3a 00 20 05'))).toMatchObject({ version: 5, value: undefined })
  })

  test('reads repeated numbers packed, one by one, and mixed', () => {
    const expected = [1, 0, 1].map((number) => (number === 0 ? 'NOPUT' : 'NODELETE'))
    for (const text of ['2a 03 01 00 01', '28 01 28 00 28 01', '28 01 2a 02 00 01']) {
      expect(WatchCreateRequest.decode(hex(text)).filters).toEqual(expected)
    }
    expect(ConfState.decode(hex('0a 03 01 ac 02')).voters).toEqual([1n, 300n])
    expect(ConfState.decode(hex('08 01 08 ac 02')).voters).toEqual([1n, 300n])
  })

  test('gives UNKNOWN for an enum value without a name, and does not write it', () => {
    expect(RangeRequest.decode(hex('28 63')).sortOrder).toBe('UNKNOWN')
    expect(() => RangeRequest.encode({ sortOrder: 'UNKNOWN' })).toThrow('an enum name must be one')
  })
})

describe('a cut message', () => {
  const sample = allCodecs.filter((codec) => Object.keys(codec.fields).length > 0)

  test('is either refused or a message of its own, never anything else', () => {
    fc.assert(
      fc.property(
        fc
          .constantFrom(...sample)
          .chain((codec) => messageArbitrary(codec, 2).map((whole) => ({ codec, whole }))),
        ({ codec, whole }) => {
          const encoded = codec.encode(whole)
          for (let end = 0; end < encoded.length; end++) {
            try {
              const cut = codec.decode(encoded.subarray(0, end))
              // What was read is whole fields: written again it is no longer than what was read.
              expect(codec.decode(codec.encode(cut))).toEqual(cut)
            } catch (error) {
              expect(error).toBeInstanceOf(WireError)
            }
          }
        },
      ),
      { numRuns: 40 },
    )
  })

  test('inside its only field is always refused', () => {
    const encoded = PutRequest.encode({ value: new Uint8Array(300).fill(7) })
    for (let end = 1; end < encoded.length; end++) {
      expect(() => PutRequest.decode(encoded.subarray(0, end))).toThrow(WireError)
    }
  })

  test('of random bytes gives WireError and nothing else', () => {
    fc.assert(
      fc.property(fc.constantFrom(...sample), fc.uint8Array({ maxLength: 60 }), (codec, input) => {
        try {
          codec.decode(input)
        } catch (error) {
          expect(error).toBeInstanceOf(WireError)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('64-bit numbers', () => {
  const varint = (value: bigint): Uint8Array => {
    const writer = new Writer()
    writer.id(BigInt.asUintN(64, value))
    return writer.take()
  }
  const read = (value: bigint): Reader => new Reader(varint(value))

  test.each([
    [2n ** 53n - 1n, MAX_COUNTER],
    [2n ** 53n, MAX_COUNTER],
    [2n ** 63n, MAX_COUNTER],
    [2n ** 64n - 1n, MAX_COUNTER],
    [2n ** 32n, 2 ** 32],
  ])('an unsigned counter of %s reads as %s', (value, expected) => {
    expect(read(value).counter()).toBe(expected)
  })

  test.each([
    [2n ** 53n - 1n, MAX_COUNTER],
    [2n ** 53n, MAX_COUNTER],
    [2n ** 63n - 1n, MAX_COUNTER],
    [-1n, -1],
    [-(2n ** 53n) + 1n, -MAX_COUNTER],
    [-(2n ** 53n), -MAX_COUNTER],
    [-(2n ** 53n) - 1n, -MAX_COUNTER],
    [-(2n ** 63n), -MAX_COUNTER],
  ])('a signed counter of %s reads as %s', (value, expected) => {
    expect(read(value).signedCounter()).toBe(expected)
  })

  test('identities keep all 64 bits', () => {
    expect(read(2n ** 64n - 1n).id()).toBe(2n ** 64n - 1n)
    expect(read(-(2n ** 63n)).signedId()).toBe(-(2n ** 63n))
    expect(StoredLease.decode(StoredLease.encode({ ID: -5n as never })).ID).toBe(-5n)
  })

  test('bool is true for any number but zero, int32 is negative in ten bytes', () => {
    expect(read(2n ** 40n).bool()).toBe(true)
    expect(read(0n).bool()).toBe(false)
    expect(read(-1n).int32()).toBe(-1)
    const writer = new Writer()
    writer.int32(-1)
    expect(writer.take()).toEqual(hex('ffffffffffffffffff01'))
  })

  test('a counter that is no safe integer is not written', () => {
    expect(() => new Writer().counter(2 ** 53)).toThrow('a counter must be a safe integer')
    expect(() => new Writer().counter(0.5)).not.toThrow()
  })
})

describe('proto2 messages of raft', () => {
  test('write their required fields even when they are zero', () => {
    expect(Buffer.from(HardState.encode({})).toString('hex')).toBe('080010001800')
    expect(Buffer.from(Entry.encode({})).toString('hex')).toBe('080010001800')
    expect(Buffer.from(Snapshot.encode({})).toString('hex')).toBe('12080a02280010001800')
  })

  test('read absent fields as zero, nested ones too', () => {
    expect(Snapshot.decode(new Uint8Array(0))).toEqual(Snapshot.create())
    expect(Snapshot.decode(new Uint8Array(0)).metadata.confState.voters).toEqual([])
    expect(Message.decode(new Uint8Array(0)).snapshot).toBeUndefined()
  })
})

describe('codecs', () => {
  test('create refuses a field that the message does not have', () => {
    expect(() => PutRequest.create({ kee: 1 } as never)).toThrow('etcdserverpb.PutRequest.kee')
    expect(PutRequest.create({ lease: undefined })).toEqual(PutRequest.create())
  })

  test('bytes that already are a message stand where the message would', () => {
    const inner = PutRequest.encode({ key: hex('6b'), value: hex('76') })
    const outer = TxnRequest.encode({
      success: [RequestOp.create({ requestPut: preEncoded(inner) })],
    })
    expect(TxnRequest.decode(outer).success[0]?.requestPut?.value).toEqual(hex('76'))
  })

  test('may be used while another encodes', () => {
    const inner = define('test.Inner', { number: uint32(1) })
    const outer = define('test.Outer', {
      first: message(1, () => {
        inner.encode({ number: 7 })
        return inner
      }),
      rest: repeated(optional(bytes(2))),
    })
    const encoded = outer.encode({ first: inner.create({ number: 300 }), rest: [hex('aa')] })
    expect(Buffer.from(encoded).toString('hex')).toBe('0a0308ac021201aa')
  })

  test('a nested message longer than 127 and than 16,383 bytes gets a longer length', () => {
    for (const length of [100, 130, 16_400, 2_100_000]) {
      const value = new Uint8Array(length).fill(1)
      const encoded = RequestOp.encode({ requestPut: PutRequest.create({ value }) })
      expect(RequestOp.decode(encoded).requestPut?.value.length).toBe(length)
    }
  })
})

describe('Writer', () => {
  test('lends its bytes, and gives a large buffer back', () => {
    const writer = new Writer(4)
    writer.raw(new Uint8Array(3 << 20))
    expect(writer.view().length).toBe(3 << 20)
    writer.reset()
    expect(writer.view().length).toBe(0)
    expect(writer.buffer.length).toBe(1024)
  })

  test('writes text beyond ASCII as UTF-8, short and long', () => {
    for (const text of ['é', 'a'.repeat(63), 'a'.repeat(64), `${'a'.repeat(100)}é`]) {
      const writer = new Writer()
      writer.string(text)
      const taken = writer.take()
      expect(new Reader(taken).string(taken.length)).toBe(text)
    }
  })
})
