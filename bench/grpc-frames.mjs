/** Protobuf and gRPC framing by hand, so that the load generator needs nothing of what it measures. */

/** Unsigned varint. */
export function varint(value) {
  const out = []
  let rest = BigInt(value)
  while (rest > 127n) {
    out.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  out.push(Number(rest))
  return Buffer.from(out)
}

/** A length-delimited field. */
export function field(number, bytes) {
  const body = Buffer.from(bytes)
  return Buffer.concat([varint(number * 8 + 2), varint(body.length), body])
}

/** A varint field. */
export const number = (at, value) => Buffer.concat([varint(at * 8), varint(value)])

/** One gRPC message with its five-byte prefix. */
export function frame(message) {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

export const putRequest = (key, value) => Buffer.concat([field(1, key), field(2, value)])
export const rangeRequest = (key, { serializable = false } = {}) =>
  Buffer.concat([field(1, key), ...(serializable ? [number(7, 1)] : [])])
export const watchCreateRequest = (key) => field(1, field(1, key))

/** The varint fields of a message by number, as bigints; length-delimited ones as bytes. */
export function readFields(bytes) {
  const fields = new Map()
  let at = 0
  const next = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = Number(next())
    if (tag % 8 === 0) fields.set(tag >> 3, next())
    else {
      const length = Number(next())
      fields.set(tag >> 3, bytes.subarray(at, at + length))
      at += length
    }
  }
  return fields
}
