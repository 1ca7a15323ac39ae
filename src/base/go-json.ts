/**
 * JSON as Go's encoding/json writes and reads it, where equality of bytes or 64-bit numbers matter:
 * the v2 store inside snapshots, members inside log entries, `/members` between members.
 */
import { invariant } from './invariant.js'

/** How deep parsed JSON may nest. Members nest three deep; Go itself refuses more than 10,000. */
export const JSON_DEPTH_MAX = 64

const QUOTE = 0x22
const BACKSLASH = 0x5c
const SHORT_ESCAPES: Readonly<Record<number, string>> = {
  [QUOTE]: '\\"',
  [BACKSLASH]: '\\\\',
  10: '\\n',
  13: '\\r',
  9: '\\t',
}

const hex4 = (code: number): string => `\\u${code.toString(16).padStart(4, '0')}`

/**
 * The escape of one UTF-16 unit, or `undefined` when Go writes it as it is. Surrogates are the
 * caller's.
 */
function escapeOf(code: number): string | undefined {
  const short = SHORT_ESCAPES[code]
  if (short !== undefined) return short
  const isHtml = code === 0x3c || code === 0x3e || code === 0x26
  const isLineSeparator = code === 0x2028 || code === 0x2029
  return code < 0x20 || isHtml || isLineSeparator ? hex4(code) : undefined
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff
const isLowSurrogate = (code: number): boolean => code >= 0xdc00 && code <= 0xdfff

/** Any UTF-16 unit that is not written as it is, given as what lies between those that are. */
const NEEDS_CARE = /[^ !#-%'-;=?-[\]-\u2027\u202a-\ud7ff\ue000-\uffff]/

/**
 * A JSON string as Go writes it: `<`, `>`, `&`, U+2028 and U+2029 are escaped, other text is not.
 * Backspace and form feed get the long form, as every Go before 1.22 does. A lone surrogate stands
 * for bytes that are not UTF-8 and becomes `\ufffd`. Cost: one pass.
 */
export function quoteGo(text: string): string {
  if (!NEEDS_CARE.test(text)) return `"${text}"`
  let out = '"'
  let flushed = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (isHighSurrogate(code) && isLowSurrogate(text.charCodeAt(at + 1))) {
      at++
      continue
    }
    const isLone = isHighSurrogate(code) || isLowSurrogate(code)
    const written = isLone ? '\\ufffd' : escapeOf(code)
    if (written === undefined) continue
    out += text.slice(flushed, at) + written
    flushed = at + 1
  }
  return `${out}${text.slice(flushed)}"`
}

/** Any UTF-16 unit but those of ASCII that are written as they are. */
const NOT_PLAIN = /[^ !#-%'-;=?-[\]-~]/
const NOT_ASCII = /[\x80-\uffff]/

/** Whether `text` is ASCII that needs no more than its quotes, as nearly all is. Cost: one pass. */
export const isPlainText = (text: string): boolean => !NOT_PLAIN.test(text)

/** Quotes the strings of one text, and knows whether what it wrote is ASCII. */
export class Quoter {
  /** Whether all so far is ASCII: then it has as many bytes in UTF-8 as it has characters. */
  isAscii = true

  /** As quoteGo. */
  quote(text: string): string {
    if (isPlainText(text)) return `"${text}"`
    const quoted = quoteGo(text)
    if (this.isAscii && NOT_ASCII.test(quoted)) this.isAscii = false
    return quoted
  }
}

/** A JSON array of strings, in the given order. */
export const quoteGoList = (texts: readonly string[]): string => `[${texts.map(quoteGo).join(',')}]`

/**
 * Orders strings as Go does, by the bytes of their UTF-8. UTF-16 order differs only where one side
 * has a surrogate: those stand for code points above all others.
 */
export function compareGo(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at)
    const right = b.charCodeAt(at)
    if (left === right) continue
    const leftIsSurrogate = left >= 0xd800 && left <= 0xdfff
    const rightIsSurrogate = right >= 0xd800 && right <= 0xdfff
    if (leftIsSurrogate !== rightIsSurrogate) return leftIsSurrogate ? 1 : -1
    return left < right ? -1 : 1
  }
  return a.length < b.length ? -1 : 1
}

/**
 * Parsed JSON. Integers are bigints, so that 64-bit ids keep all their bits; other numbers are
 * numbers.
 */
export type ExactJson =
  | null
  | boolean
  | string
  | number
  | bigint
  | readonly ExactJson[]
  | ReadonlyMap<string, ExactJson>

const WHITESPACE = ' \t\n\r'
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y

class Refused extends Error {}

class ExactParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** The value at the start; what follows it is not looked at. */
  first(): ExactJson {
    return this.#value(0)
  }

  document(): ExactJson {
    const value = this.first()
    this.#skipSpace()
    if (this.#at !== this.#text.length) throw new Refused('text after the value')
    return value
  }

  #skipSpace(): void {
    while (this.#at < this.#text.length && WHITESPACE.includes(this.#text.charAt(this.#at))) {
      this.#at++
    }
  }

  #peek(): string {
    this.#skipSpace()
    return this.#text.charAt(this.#at)
  }

  #expect(token: string): void {
    this.#skipSpace()
    if (!this.#text.startsWith(token, this.#at)) throw new Refused(`expected ${token}`)
    this.#at += token.length
  }

  #value(depth: number): ExactJson {
    if (depth > JSON_DEPTH_MAX) throw new Refused('nested too deep')
    switch (this.#peek()) {
      case '{':
        return this.#object(depth)
      case '[':
        return this.#array(depth)
      case '"':
        return this.#string()
      case 't':
        this.#expect('true')
        return true
      case 'f':
        this.#expect('false')
        return false
      case 'n':
        this.#expect('null')
        return null
      default:
        return this.#number()
    }
  }

  #object(depth: number): ExactJson {
    const out = new Map<string, ExactJson>()
    this.#expect('{')
    if (this.#peek() === '}') {
      this.#at++
      return out
    }
    for (;;) {
      this.#skipSpace()
      const key = this.#string()
      this.#expect(':')
      out.set(key, this.#value(depth + 1))
      if (this.#peek() !== ',') break
      this.#at++
    }
    this.#expect('}')
    return out
  }

  #array(depth: number): ExactJson {
    const out: ExactJson[] = []
    this.#expect('[')
    if (this.#peek() === ']') {
      this.#at++
      return out
    }
    for (;;) {
      out.push(this.#value(depth + 1))
      if (this.#peek() !== ',') break
      this.#at++
    }
    this.#expect(']')
    return out
  }

  #string(): string {
    const start = this.#at
    if (this.#text.charAt(start) !== '"') throw new Refused('expected a string')
    let end = start + 1
    for (; end < this.#text.length; end++) {
      const code = this.#text.charCodeAt(end)
      if (code === QUOTE) break
      if (code === BACKSLASH) end++
    }
    this.#at = end + 1
    const parsed: unknown = JSON.parse(this.#text.slice(start, end + 1))
    invariant(typeof parsed === 'string', 'a quoted JSON text is a string')
    return parsed
  }

  #number(): ExactJson {
    NUMBER.lastIndex = this.#at
    const match = NUMBER.exec(this.#text)
    if (match === null) throw new Refused('expected a value')
    this.#at += match[0].length
    const isInteger = match[1] === undefined && match[2] === undefined
    return isInteger ? BigInt(match[0]) : Number(match[0])
  }
}

/**
 * Parses JSON without losing bits of integers; `undefined` when the text is not JSON or nests too
 * deep.
 */
export const parseExactJson = (text: string): ExactJson | undefined =>
  unlessRefused(() => new ExactParser(text).document())

/** The same for the first value of a stream: what follows it may be anything. */
export const parseFirstExactJson = (text: string): ExactJson | undefined =>
  unlessRefused(() => new ExactParser(text).first())

function unlessRefused(parse: () => ExactJson): ExactJson | undefined {
  try {
    return parse()
  } catch (thrown) {
    if (thrown instanceof Refused || thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}
