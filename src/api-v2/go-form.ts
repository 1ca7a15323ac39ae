/**
 * Query strings and form bodies read as Go's net/url does, with its error texts: clients of the v2
 * API see them as the cause of error 210.
 */

/**
 * Parameters by name. Only the first value of a name counts: whoever is parsed first wins. Most
 * forms have one only, for which a table takes longer to make than to use.
 */
export class Form {
  #name: string | undefined
  #value = ''
  /** All but the first. */
  #more: Map<string, string> | undefined

  /** How many names there are. */
  get size(): number {
    return (this.#name === undefined ? 0 : 1) + (this.#more?.size ?? 0)
  }

  get(name: string): string | undefined {
    return name === this.#name ? this.#value : this.#more?.get(name)
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  set(name: string, value: string): void {
    this.#name ??= name
    if (name === this.#name) this.#value = value
    else {
      this.#more ??= new Map()
      this.#more.set(name, value)
    }
  }
}

const PERCENT = 0x25

/** Go's `%q` for the short pieces that its errors name. */
const quoted = (text: string): string => `"${text.replace(/["\\]/g, (found) => `\\${found}`)}"`

/** The escape that Go names in its error: the percent sign and at most two characters. */
const escapeAt = (text: string, at: number): string => text.slice(at, at + 3)

/** The place of the first `%` that two hex digits do not follow; -1 when all are well formed. */
export function findBadEscape(text: string): number {
  for (let at = text.indexOf('%'); at !== -1; at = text.indexOf('%', at + 3)) {
    if (!/^[0-9a-fA-F]{2}$/.test(text.slice(at + 1, at + 3))) return at
  }
  return -1
}

/** Decodes escapes that are well formed. Bytes that are not UTF-8 become U+FFFD. */
export function decodeEscapes(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return decodeBytes(text)
  }
}

/** For what decodeURIComponent refuses: bytes that are not UTF-8. */
function decodeBytes(text: string): string {
  const bytes = Buffer.from(text, 'utf8')
  const out = Buffer.alloc(bytes.length)
  let length = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    if (byte === PERCENT) {
      out[length++] = Number.parseInt(bytes.toString('latin1', at + 1, at + 3), 16)
      at += 2
    } else out[length++] = byte
  }
  return out.toString('utf8', 0, length)
}

/**
 * A copy that keeps nothing else in memory. A piece that was cut out of a longer text holds on to
 * all of that, and a value may live for years.
 */
export const detached = (text: string): string => Buffer.from(text, 'utf8').toString('utf8')

type Unescaped =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'bad'; readonly reason: string }

function unescapeQuery(text: string): Unescaped {
  const bad = findBadEscape(text)
  if (bad !== -1) {
    return { kind: 'bad', reason: `invalid URL escape ${quoted(escapeAt(text, bad))}` }
  }
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  return { kind: 'text', text: decodeEscapes(spaced) }
}

/**
 * Adds the parameters of `query` that `form` does not have yet. Returns Go's error text when any of
 * them is malformed; those that are well formed are added all the same.
 */
export function addGoQuery(form: Form, query: string): string | undefined {
  let problem: string | undefined
  let from = 0
  while (from < query.length) {
    const end = query.indexOf('&', from)
    const pair = end === -1 ? query.slice(from) : query.slice(from, end)
    from = end === -1 ? query.length : end + 1
    if (pair === '') continue
    if (pair.includes(';')) {
      problem = 'invalid semicolon separator in query'
      continue
    }
    const equals = pair.indexOf('=')
    const key = unescapeQuery(equals === -1 ? pair : pair.slice(0, equals))
    if (key.kind === 'bad') {
      problem ??= key.reason
      continue
    }
    const value = unescapeQuery(equals === -1 ? '' : pair.slice(equals + 1))
    if (value.kind === 'bad') {
      problem ??= value.reason
      continue
    }
    if (!form.has(key.text)) form.set(key.text, value.text)
  }
  return problem
}

const TRUE = new Set(['1', 't', 'T', 'TRUE', 'true', 'True'])
const FALSE = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False'])

/** As Go's strconv.ParseBool; `undefined` = not a boolean. */
export function parseGoBool(text: string): boolean | undefined {
  if (TRUE.has(text)) return true
  return FALSE.has(text) ? false : undefined
}

const UINT64_MAX = (1n << 64n) - 1n
/** Digits of a number that is below 2^53 for sure. */
const SAFE_DIGITS = 15

/** As Go's strconv.ParseUint(text, 10, 64); `undefined` = not such a number. */
export function parseGoUint64(text: string): bigint | undefined {
  if (!/^[0-9]+$/.test(text)) return undefined
  if (text.length <= SAFE_DIGITS) return BigInt(Number(text))
  const value = BigInt(text)
  return value <= UINT64_MAX ? value : undefined
}
