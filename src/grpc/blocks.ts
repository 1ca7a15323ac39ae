import { writeField } from '../http2/hpack-encoder.js'
import type { RpcFailure } from '../ports/rpc.js'
import { Writer } from '../wire/writer.js'
import { percentEncode } from './status.js'

const CONTENT_TYPE = 'application/grpc'
const writer = new Writer(256)

/** A header block of these fields, flat: name, value... The table of the client is never used. */
function block(...fields: readonly string[]): Uint8Array {
  writer.reset()
  for (let at = 0; at < fields.length; at += 2) {
    writeField(writer, fields[at] ?? '', fields[at + 1] ?? '')
  }
  return writer.take()
}

/** Fields of every response that is not compressed. */
export const RESPONSE_HEADERS = block(':status', '200', 'content-type', CONTENT_TYPE)
/** Fields of a response whose messages are compressed with gzip. */
export const GZIP_RESPONSE_HEADERS = block(
  ':status',
  '200',
  'content-type',
  CONTENT_TYPE,
  'grpc-encoding',
  'gzip',
)
/** What ends a call that went well. */
export const OK_TRAILERS = block('grpc-status', '0')
/** Both in one: a call that went well and had no response. */
export const OK_TRAILERS_ONLY = block(
  ':status',
  '200',
  'content-type',
  CONTENT_TYPE,
  'grpc-status',
  '0',
)

/** A message is cut here, so that the whole block fits any client's limit of 8 KiB. */
const MESSAGE_CHARS_MAX = 4096

function failureFields(failure: RpcFailure): string[] {
  const fields = ['grpc-status', String(failure.status)]
  if (failure.message === '') return fields
  const encoded = percentEncode(failure.message)
  const cut = encoded.length > MESSAGE_CHARS_MAX
  fields.push(
    'grpc-message',
    cut ? encoded.slice(0, MESSAGE_CHARS_MAX).replace(/%.?$/, '') : encoded,
  )
  return fields
}

/** Trailers of a call that failed after its headers were sent. */
export function failureTrailers(failure: RpcFailure): Uint8Array {
  return block(...failureFields(failure))
}

/** The whole response of a call that failed before anything was sent. */
export function failureTrailersOnly(failure: RpcFailure, httpStatus = 200): Uint8Array {
  return block(
    ':status',
    String(httpStatus),
    'content-type',
    CONTENT_TYPE,
    ...failureFields(failure),
  )
}
