/**
 * The envelope of a normal log entry, read and written without touching the operation inside: a
 * put's bytes go from the socket into the log as they came, and its own proposer applies it without
 * decoding it again.
 */
import { type RequestId, requestId } from '../base/ids.js'
import type { Codec } from './codec.js'
import { InternalRaftRequest, RequestHeader } from './raft-request.js'
import { Reader, WireError } from './reader.js'
import { V2Request } from './v2-request.js'
import { Writer } from './writer.js'

/** The operations of InternalRaftRequest by name. */
export type Operation = Exclude<keyof InternalRaftRequest, 'ID' | 'v2' | 'header'>

/** A v3 operation with its decoded request. */
export type V3Request = {
  readonly [Name in Operation]: {
    readonly kind: 'v3'
    readonly id: RequestId
    readonly header: RequestHeader | undefined
    readonly operation: Name
    readonly request: NonNullable<InternalRaftRequest[Name]>
  }
}[Operation]

/**
 * What a normal entry asks for. `noop` is the empty entry of a new leader; `unknown` is a request
 * of a newer version, of which no operation is known here.
 */
export type EntryRequest =
  | { readonly kind: 'noop' }
  | { readonly kind: 'unknown'; readonly id: RequestId }
  | { readonly kind: 'v2'; readonly id: RequestId; readonly request: V2Request }
  | V3Request

const writer = new Writer(4096)
const HEADER_TAG = 100 * 8 + 2
const V2_TAG = 2 * 8 + 2
const NO_ID = requestId(0n)

/** An entry's payload around an operation that is already encoded. */
export function sealEncoded(
  operation: Operation,
  encoded: Uint8Array,
  header: RequestHeader,
): Uint8Array {
  const field = InternalRaftRequest.fields[operation]?.number ?? 0
  writer.reset()
  const before = field < 100
  if (!before) sealHeader(header)
  writer.uint32(field * 8 + 2)
  writer.bytes(encoded)
  if (before) sealHeader(header)
  return writer.take()
}

/** The same around an operation still to be encoded. */
export function seal<Init>(
  operation: Operation,
  codec: Codec<unknown, Init>,
  request: Init,
  header: RequestHeader,
): Uint8Array {
  return sealEncoded(operation, codec.encode(request), header)
}

function sealHeader(header: RequestHeader): void {
  writer.uint32(HEADER_TAG)
  const start = writer.open()
  RequestHeader.write(header, writer)
  writer.close(start)
}

/**
 * The request id in an entry's payload, without decoding the operation; 0n when there is none or
 * when the payload has to be looked at as a whole (v2 requests).
 */
export function peekRequestId(data: Uint8Array): RequestId {
  const reader = new Reader(data)
  const end = data.length
  try {
    while (reader.position < end) {
      const tag = reader.tag()
      if (tag === V2_TAG) return NO_ID
      if (tag === HEADER_TAG) {
        const headerEnd = reader.length(end) + reader.position
        while (reader.position < headerEnd) {
          const inner = reader.tag()
          if (inner === 8) return requestId(reader.id())
          reader.skip(inner, headerEnd)
        }
        return NO_ID
      }
      reader.skip(tag, end)
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error
  }
  return NO_ID
}

/** The operations by field number: their names and codecs. */
const OPERATIONS: ReadonlyMap<
  number,
  { readonly name: Operation; readonly codec: Codec<unknown, unknown> }
> = new Map(
  Object.entries(InternalRaftRequest.fields).flatMap(([name, { number, message }]) =>
    message === undefined || name === 'v2' || name === 'header'
      ? []
      : [[number, { name: name as Operation, codec: message() }] as const],
  ),
)

/**
 * Decodes a normal entry as etcd does: first as InternalRaftRequest, strictly; when that fails, as
 * a v2 Request (facts: peer-protocol.md 10.1). Throws WireError when it is neither.
 */
export function openEntry(data: Uint8Array): EntryRequest {
  if (data.length === 0) return { kind: 'noop' }
  if (isPlainV2(data)) return openV2(V2Request.decode(data))
  return openV3(data) ?? openV2(V2Request.decode(data))
}

const ID_TAG = 8
/**
 * The methods of a v2 Request. None of them is a V2Request message: their bytes are illegal tags.
 */
const V2_METHODS = ['PUT', 'GET', 'POST', 'QGET', 'SYNC', 'DELETE'].map((name) =>
  new TextEncoder().encode(name),
)

/** Where the method of a v2 Request begins that is written id first; -1 = it does not begin so. */
function methodStart(data: Uint8Array): number {
  if (data[0] !== ID_TAG) return -1
  let at = 1
  while (((data[at] ?? 0) & 0x80) !== 0) at++
  return data[at + 1] === V2_TAG ? at + 2 : -1
}

/**
 * Whether an entry is a v2 Request that begins as etcd and we write it: id, then method. Decoding
 * it as InternalRaftRequest would fail, at the cost of an error with its stack for each entry.
 */
export function isPlainV2(data: Uint8Array): boolean {
  const start = methodStart(data)
  if (start === -1) return false
  const length = data[start]
  return V2_METHODS.some(
    (method) =>
      method.length === length && method.every((byte, at) => data[start + 1 + at] === byte),
  )
}

/**
 * The request id of an entry that begins as a v2 Request does; `undefined` for all others, at once
 * for those of v3.
 */
export function peekV2RequestId(data: Uint8Array): RequestId | undefined {
  if (methodStart(data) === -1) return undefined
  return requestId(new Reader(data, 1).id())
}

function openV2(request: V2Request): EntryRequest {
  return { kind: 'v2', id: request.ID, request }
}

/** Reads the envelope field by field, without making an object of all its possible operations. */
function openV3(data: Uint8Array): EntryRequest | undefined {
  try {
    return scanV3(new Reader(data), data.length)
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}

function scanV3(reader: Reader, end: number): EntryRequest {
  let id = NO_ID
  let header: RequestHeader | undefined
  let operation: Operation | undefined
  let request: unknown
  let v2: V2Request | undefined
  while (reader.position < end) {
    const tag = reader.tag()
    const known = OPERATIONS.get(tag >>> 3)
    if (known !== undefined) {
      expectNested(tag)
      const length = reader.length(end)
      operation = known.name
      request = known.codec.read(reader, reader.position + length)
    } else if (tag >>> 3 === 100) {
      expectNested(tag)
      const length = reader.length(end)
      header = RequestHeader.read(reader, reader.position + length)
    } else if (tag >>> 3 === 2) {
      expectNested(tag)
      const length = reader.length(end)
      v2 = V2Request.read(reader, reader.position + length)
    } else if (tag >>> 3 === 1) {
      if ((tag & 7) !== 0) throw new WireError('proto: wrong wireType of ID')
      id = requestId(reader.id())
    } else reader.skip(tag, end)
  }
  if (v2 !== undefined) return openV2(v2)
  if (id === 0n && header !== undefined) id = header.ID
  if (operation === undefined) return { kind: 'unknown', id }
  return { kind: 'v3', id, header, operation, request } as V3Request
}

function expectNested(tag: number): void {
  if ((tag & 7) !== 2)
    throw new WireError(`proto: wrong wireType = ${tag & 7} for field ${tag >>> 3}`)
}
