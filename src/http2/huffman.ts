/**
 * HPACK's Huffman code (RFC 7541 5.2 and appendix B). The code is canonical: the codes of one
 * length are consecutive numbers in the order of their symbols, so the lengths alone say
 * everything.
 */
import { invariant } from '../base/invariant.js'
import { latin1Text } from './latin1.js'

/** Symbols by code length; `-` joins a range. 256 is EOS, which must never be sent. */
const SYMBOLS_BY_LENGTH: readonly (readonly [length: number, symbols: string])[] = [
  [5, '48-50 97 99 101 105 111 115-116'],
  [6, '32 37 45-47 51-57 61 65 95 98 100 102-104 108-110 112 114 117'],
  [7, '58 66-87 89 106-107 113 118-122'],
  [8, '38 42 44 59 88 90'],
  [10, '33-34 40-41 63'],
  [11, '39 43 124'],
  [12, '35 62'],
  [13, '0 36 64 91 93 126'],
  [14, '94 125'],
  [15, '60 96 123'],
  [19, '92 195 208'],
  [20, '128 130-131 162 184 194 224 226'],
  [21, '153 161 167 172 176-177 179 209 216-217 227 229-230'],
  [
    22,
    '129 132-134 136 146 154 156 160 163-164 169-170 173 178 181 185-187 189-190 196 198 228 ' +
      '232-233',
  ],
  [
    23,
    '1 135 137-141 143 147 149-152 155 157-158 165-166 168 174-175 180 182-183 188 191 197 231 239',
  ],
  [24, '9 142 144-145 148 159 171 206 215 225 236-237'],
  [25, '199 207 234-235'],
  [26, '192-193 200-202 205 210 213 218-219 238 240 242-243 255'],
  [27, '203-204 211-212 214 221-223 241 244-248 250-254'],
  [28, '2-8 11-12 14-21 23-31 127 220 249'],
  [30, '10 13 22 256'],
]

const EOS = 256
const SYMBOL_COUNT = 257

const lengths = new Uint8Array(SYMBOL_COUNT)
const codes = new Uint32Array(SYMBOL_COUNT)

/**
 * The decoder walks the code eight bits at a time. `steps` holds tables of 256 entries; an entry is
 * 0 (no such code), LEAF | bits used << 9 | symbol, or the number of the next table.
 */
const LEAF = 0x8000
let steps = new Uint16Array(0)

function buildCodes(): void {
  let code = 0
  let length = 5
  for (const [ofLength, symbols] of SYMBOLS_BY_LENGTH) {
    code <<= ofLength - length
    length = ofLength
    for (const range of symbols.split(' ')) {
      const [first, last = first] = range.split('-').map(Number)
      invariant(first !== undefined && last !== undefined, 'a range of symbols has two ends')
      for (let symbol = first; symbol <= last; symbol++) {
        lengths[symbol] = length
        codes[symbol] = code++
      }
    }
  }
  invariant(code === 2 ** length, 'the Huffman code must be complete')
}

function buildSteps(): void {
  const tables: Uint16Array[] = [new Uint16Array(256)]
  for (let symbol = 0; symbol < SYMBOL_COUNT; symbol++) {
    let table = tables[0]
    let left = lengths[symbol] ?? 0
    const code = codes[symbol] ?? 0
    while (left > 8) {
      left -= 8
      invariant(table !== undefined, 'a table of the Huffman decoder exists')
      const byte = (code >>> left) & 0xff
      if (table[byte] === 0) {
        table[byte] = tables.length
        tables.push(new Uint16Array(256))
      }
      table = tables[table[byte] ?? 0]
    }
    const first = (code << (8 - left)) & 0xff
    table?.fill(LEAF | (left << 9) | (symbol & 0xff), first, first + 2 ** (8 - left))
    // EOS is 30 one bits; its leaf is taken out, so that meeting it is meeting no code.
    if (symbol === EOS) table?.fill(0, first, first + 2 ** (8 - left))
  }
  steps = new Uint16Array(tables.length * 256)
  for (const [at, table] of tables.entries()) steps.set(table, at * 256)
}

buildCodes()
buildSteps()

let scratch = new Uint8Array(1024)

/**
 * Decodes bytes `start` to `end`. undefined when they are not valid: an unknown code, EOS, or
 * padding that is longer than seven bits or not all ones.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string | undefined {
  // The shortest code has five bits.
  const charsMax = Math.ceil(((end - start) * 8) / 5)
  if (scratch.length < charsMax) scratch = new Uint8Array(charsMax)
  const out = scratch
  let length = 0
  let table = 0
  let bits = 0
  let bitCount = 0
  // Bits since the last whole symbol.
  let pending = 0
  for (let at = start; at < end; at++) {
    bits = ((bits << 8) | (bytes[at] ?? 0)) & 0xffff
    bitCount += 8
    pending += 8
    while (bitCount >= 8) {
      const step = steps[table * 256 + ((bits >>> (bitCount - 8)) & 0xff)] ?? 0
      if (step === 0) return undefined
      if (step >= LEAF) {
        out[length++] = step & 0xff
        bitCount -= (step >>> 9) & 0xf
        pending = bitCount
        table = 0
      } else {
        bitCount -= 8
        table = step
      }
    }
  }
  while (bitCount > 0) {
    const step = steps[table * 256 + ((bits << (8 - bitCount)) & 0xff)] ?? 0
    const used = (step >>> 9) & 0xf
    if (step < LEAF || used > bitCount) break
    out[length++] = step & 0xff
    bitCount -= used
    pending = bitCount
    table = 0
  }
  const mask = 2 ** bitCount - 1
  if (pending > 7 || (bits & mask) !== mask) return undefined
  scratchTrim(charsMax)
  return latin1Text(out, 0, length)
}

/** Header values beyond this size are rare: their buffer is given back at once. */
const SCRATCH_KEPT_BYTES_MAX = 65_536

function scratchTrim(used: number): void {
  if (used > SCRATCH_KEPT_BYTES_MAX) scratch = new Uint8Array(1024)
}

/** Bytes that `encodeHuffman` would give for `text` (one character per byte). */
export function huffmanBytes(text: string): number {
  let bits = 0
  for (let at = 0; at < text.length; at++) bits += lengths[text.charCodeAt(at) & 0xff] ?? 0
  return (bits + 7) >>> 3
}

/** Encodes `text` (one character per byte), padded with ones. */
export function encodeHuffman(text: string): Uint8Array {
  const out = new Uint8Array(huffmanBytes(text))
  let length = 0
  let bits = 0
  let bitCount = 0
  for (let at = 0; at < text.length; at++) {
    const symbol = text.charCodeAt(at) & 0xff
    let left = lengths[symbol] ?? 0
    const code = codes[symbol] ?? 0
    while (left > 0) {
      const take = Math.min(left, 8 - bitCount)
      left -= take
      bits = (bits << take) | ((code >>> left) & (2 ** take - 1))
      bitCount += take
      if (bitCount === 8) {
        out[length++] = bits
        bits = 0
        bitCount = 0
      }
    }
  }
  if (bitCount > 0) out[length] = (bits << (8 - bitCount)) | (2 ** (8 - bitCount) - 1)
  return out
}
