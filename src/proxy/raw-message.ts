import type { Codec } from '../wire/codec.js'

const EMPTY = new Uint8Array(0)

/**
 * A message that is passed on as it is. What is read is a view that lives until the handler
 * returns, as all of the server's bytes.
 */
export const rawMessage: Codec<Uint8Array> = {
  name: 'bytes',
  fields: {},
  create: (init) => init ?? EMPTY,
  write: (message, writer) => writer.raw(message),
  read: (reader, end) => {
    const bytes = reader.bytesIn.subarray(reader.position, end)
    reader.position = end
    return bytes
  },
  encode: (message) => message,
  decode: (input) => input,
}
