/**
 * The envelope of a normal log entry, read and written without touching the operation inside: a put's bytes go
 * from the socket into the log as they came, and its own proposer applies it without decoding it again.
 */
import { type RequestId, requestId } from '../base/ids.js'
import type { Codec } from './codec.js'
import { InternalRaftRequest, RequestHeader } from './raft-request.js'
import { Reader, WireError } from './reader.js'
import { V2Request } from './v2-request.js'
import { Writer } from './writer.js'

/** The operations of InternalRaftRequest by name. */
export type Operation = Exclude<keyof InternalRaftRequest, 'ID' | 'v2' | 'header'>

/** What a normal entry asks for. `noop` is the empty entry of a new leader. */
export type EntryRequest =
  | { readonly kind: 'noop' }
  | { readonly kind: 'v2'; readonly id: RequestId; readonly request: V2Request }
  | {
      readonly kind: 'v3'
      readonly id: RequestId
      readonly header: RequestHeader | undefined
      readonly request: InternalRaftRequest
    }

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
 * The request id in an entry's payload, without decoding the operation; 0n when there is none or when the
 * payload has to be looked at as a whole (v2 requests).
 */
export function peekRequestId(data: Uint8Array): RequestId {
  const reader = new Reader(data)
  const end = data.length
  try {
    while (reader.position < end) {
      const tag = reader.uint32()
      if (tag === V2_TAG) return NO_ID
      if (tag === HEADER_TAG) {
        const headerEnd = reader.length(end) + reader.position
        while (reader.position < headerEnd) {
          const inner = reader.uint32()
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

/**
 * Decodes a normal entry as etcd does: first as InternalRaftRequest, strictly; when that fails, as a v2
 * Request (facts: peer-protocol.md 10.1). Throws WireError when it is neither.
 */
export function openEntry(data: Uint8Array): EntryRequest {
  if (data.length === 0) return { kind: 'noop' }
  const request = decodeV3(data)
  if (request === undefined) return openV2(V2Request.decode(data))
  if (request.v2 !== undefined) return openV2(request.v2)
  const header = request.header
  const id = request.ID !== 0n ? request.ID : (header?.ID ?? NO_ID)
  return { kind: 'v3', id, header, request }
}

function openV2(request: V2Request): EntryRequest {
  return { kind: 'v2', id: request.ID, request }
}

function decodeV3(data: Uint8Array): InternalRaftRequest | undefined {
  try {
    return InternalRaftRequest.decode(data)
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}
