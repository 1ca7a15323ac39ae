import { type LeaseId, leaseId, type Revision, revision } from '../base/ids.js'
import { latin1FromBytes } from '../base/latin1.js'
import { copyToSlab } from '../base/slab.js'
import { type Encodable, preEncoded } from '../wire/codec.js'
import { KeyValue } from '../wire/mvccpb.js'
import { Reader } from '../wire/reader.js'
import { Writer } from '../wire/writer.js'

const writer = new Writer(4096)

/** Encodes one revision of a key once: row, event and response all carry these bytes. */
export function encodeKeyValue(keyValue: Encodable<typeof KeyValue>): Uint8Array {
  writer.reset()
  KeyValue.write(keyValue, writer)
  return copyToSlab(writer.buffer, 0, writer.position)
}

/** What a row of bucket `key` says beside its revision, without its value. */
export interface StoredHead {
  readonly key: string
  readonly createRevision: Revision
  readonly modRevision: Revision
  readonly version: number
  readonly lease: LeaseId
}

const NONE = leaseId(0n)

/** Reads everything of an encoded KeyValue but the value. Throws WireError when it is not one. */
export function readStoredHead(encoded: Uint8Array): StoredHead {
  const reader = new Reader(encoded)
  const end = encoded.length
  let key = ''
  let createRevision = 0
  let modRevision = 0
  let version = 0
  let lease = NONE
  while (reader.position < end) {
    const tag = reader.uint32()
    switch (tag) {
      case 10:
        key = latin1FromBytes(reader.bytes(end))
        break
      case 16:
        createRevision = reader.signedCounter()
        break
      case 24:
        modRevision = reader.signedCounter()
        break
      case 32:
        version = reader.signedCounter()
        break
      case 48:
        lease = leaseId(reader.signedId())
        break
      default:
        reader.skip(tag, end)
    }
  }
  return {
    key,
    createRevision: revision(createRevision),
    modRevision: revision(modRevision),
    version,
    lease,
  }
}

/** The key of an encoded KeyValue as a latin1 string. */
export function readStoredKey(encoded: Uint8Array): string {
  const reader = new Reader(encoded)
  const end = encoded.length
  while (reader.position < end) {
    const tag = reader.uint32()
    if (tag === 10) return latin1FromBytes(reader.bytes(end))
    reader.skip(tag, end)
  }
  return ''
}

/** The same revision with its value left out (keys_only). */
export function withoutValue(encoded: Uint8Array): Uint8Array {
  const { value: _, ...head } = KeyValue.decode(encoded)
  return KeyValue.encode(head)
}

/** Encoded bytes where a KeyValue is to be written: they are never decoded to be encoded again. */
export function asKeyValue(encoded: Uint8Array): KeyValue {
  return preEncoded<KeyValue>(encoded)
}
