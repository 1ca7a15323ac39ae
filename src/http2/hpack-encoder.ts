import type { Writer } from '../wire/writer.js'
import { encodeHuffman, huffmanBytes } from './huffman.js'
import { latin1Bytes } from './latin1.js'
import { STATIC_COUNT, STATIC_NAMES, STATIC_VALUES } from './static-table.js'

const indexOfName = new Map<string, number>()
const indexOfField = new Map<string, number>()
for (let index = STATIC_COUNT; index >= 1; index--) {
  indexOfName.set(STATIC_NAMES[index] ?? '', index)
  indexOfField.set(`${STATIC_NAMES[index]}\0${STATIC_VALUES[index]}`, index)
}

/**
 * How a field is put: `plain` leaves the table alone, `indexed` inserts it, `never` forbids others
 * to.
 */
export type FieldForm = 'plain' | 'indexed' | 'never'

/** Appends an integer whose first byte has `flags` above a prefix of `bits` (RFC 7541 5.1). */
export function writeInteger(writer: Writer, flags: number, bits: number, value: number): void {
  writer.reserve(6)
  const mask = (1 << bits) - 1
  if (value < mask) {
    writer.buffer[writer.position++] = flags | value
    return
  }
  writer.buffer[writer.position++] = flags | mask
  let rest = value - mask
  while (rest > 0x7f) {
    writer.buffer[writer.position++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  writer.buffer[writer.position++] = rest
}

/** Appends a string of one character per byte, in whichever of the two codings is shorter. */
export function writeString(writer: Writer, text: string): void {
  const coded = huffmanBytes(text)
  if (coded < text.length) {
    writeInteger(writer, 0x80, 7, coded)
    writer.raw(encodeHuffman(text))
  } else {
    writeInteger(writer, 0, 7, text.length)
    writer.raw(latin1Bytes(text))
  }
}

/** Appends one field. Whole fields of the static table take one byte, whatever the form says. */
export function writeField(
  writer: Writer,
  name: string,
  value: string,
  form: FieldForm = 'plain',
): void {
  const whole = indexOfField.get(`${name}\0${value}`)
  if (whole !== undefined && form !== 'never') {
    writeInteger(writer, 0x80, 7, whole)
    return
  }
  const index = indexOfName.get(name) ?? 0
  if (form === 'indexed') writeInteger(writer, 0x40, 6, index)
  else writeInteger(writer, form === 'never' ? 0x10 : 0, 4, index)
  if (index === 0) writeString(writer, name)
  writeString(writer, value)
}
